/**
 * Children, the part of `inos` by which a guest has other WASM computed, anywhere, and gets what comes of
 * it as from a function call. `compute` starts one and does not wait; `result_size` and `result_exit` wait.
 *
 *   compute(spec, len) → its handle: 0, 1, 2 …
 *   result_size(handle) → bytes of its result, once it is over; `CHILD_FAULTS` where it did not end ok
 *   result_exit(handle) → its exit code, or the same
 *   result_read(handle, ptr, offset, len) → bytes copied, fewer than len only at the end of the result
 *   result_drop(handle) → 0: its result is needed no more
 *
 * A spec is 56 bytes, little-endian, pointers and lengths u32:
 *
 *    0 module, its CID as text (length 0: the guest's own module)     8 input     16 entry (length 0: `_start`, else `run`)
 *   24 args, each ended by NUL   32 fuelMax u64   40 memoryPagesMax (0: the guest's)   44 outputBytesMax (0: 64 KiB)
 *   48 descendantsMax   52 zero
 *
 * Results below zero are errnos. Fuel and descendants are carved from the guest's own (`carving.ts`) and what a child
 * leaves comes back when it is waited for. Children nobody waited for are waited for when the guest has ended.
 */
import { LIMITS } from '../../packet/limits.ts'
import { Carving, type NoChild } from '../carving.ts'
import type { Child, ChildEnd } from '../runtime.ts'
import type { GuestContext, GuestSession, HostFunction } from './guest.ts'
import { ERRNO } from './wasi-abi.ts'

/** Units of starting a child, which costs whoever runs the guest about a millisecond. It bounds what a fork bomb can start. */
export const COMPUTE_FUEL = 1_000_000
/** Bytes copied per unit, as for memory.copy. */
const BYTES_PER_UNIT = 8
const SPEC_BYTES = 56

/** What `result_size` and `result_exit` give for a child that did not end ok. */
export const CHILD_FAULTS: Readonly<Record<Exclude<ChildEnd['outcome'], 'ok'>, number>> = {
  trap: -101, fuel: -102, memory: -103, output: -104, stack: -105, refused: -106
}

const NO_CHILD: Readonly<Record<NoChild, number>> = {
  count: -ERRNO.mfile, descendants: -ERRNO.notcapable, fuel: -ERRNO.dquot, memory: -ERRNO.inval, bytes: -ERRNO.nomem
}

/** @param call units of any call beside `compute` */
export function childFunctions (call: number): Readonly<Record<string, HostFunction>> {
  return {
    compute: { type: 'ii:i', fuel: COMPUTE_FUEL, suspends: false },
    result_size: { type: 'i:i', fuel: call, suspends: true },
    result_exit: { type: 'i:i', fuel: call, suspends: true },
    result_read: { type: 'iiii:i', fuel: call },
    result_drop: { type: 'i:i', fuel: call }
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function openChildren (context: GuestContext): Required<Pick<GuestSession, 'functions' | 'waits' | 'settle'>> {
  const { family } = context
  const carving = new Carving(context.run.limits)
  const under = new Map<number, Promise<ChildEnd>>()
  /** Those waited for; null: dropped. */
  const ends: (ChildEnd | null)[] = []

  const charge = (len: number): boolean => context.charge(BigInt(Math.floor(len / BYTES_PER_UNIT)))

  const wait = async (at: number): Promise<void> => {
    const work = under.get(at)
    if (work === undefined) return
    family!.onWait(at)
    const end = await work
    under.delete(at)
    ends[at] = end
    family!.uncarve(carving.end(at, end), end.fuel)
  }

  /** What there is to know of a child, once it is over. */
  const told = async (handle: number, ofEnd: (end: ChildEnd) => number): Promise<number> => {
    const at = handle >>> 0
    if (at >= carving.count) return -ERRNO.badf
    await wait(at)
    const end = ends[at]
    if (end === null || end === undefined) return -ERRNO.badf
    return end.outcome === 'ok' ? ofEnd(end) : CHILD_FAULTS[end.outcome]
  }

  return {
    functions: {
      compute: (ptr: number, len: number) => {
        const child = readChild(context, ptr >>> 0, len >>> 0, carving.levels)
        if (typeof child === 'number') return child
        if (!charge(child.input.length)) return 0
        const at = carving.count
        const reason = carving.start(child, family!.fuelLeft())
        if (reason !== null) return NO_CHILD[reason]
        family!.carve(child.limits.fuelMax)
        const work = family!.compute({ ...child, input: child.input.slice() }, at)
        // Whoever waits for it is told of its fault, and somebody always does.
        work.catch(() => {})
        under.set(at, work)
        return at
      },
      result_read: (handle: number, ptr: number, offset: number, len: number) => {
        const at = handle >>> 0
        if (under.has(at)) return -ERRNO.again
        const end = ends[at]
        if (end === null || end === undefined) return -ERRNO.badf
        const [to, from, most] = [ptr >>> 0, offset >>> 0, len >>> 0]
        if (to + most > context.memory().length) return -ERRNO.fault
        const count = Math.min(most, Math.max(end.result.length - from, 0))
        if (charge(count)) context.memory().set(end.result.subarray(from, from + count), to)
        return count
      },
      result_drop: (handle: number) => {
        const at = handle >>> 0
        if (under.has(at)) return -ERRNO.again
        if (ends[at] === null || ends[at] === undefined) return -ERRNO.badf
        ends[at] = null
        carving.drop(at)
        return 0
      }
    },
    waits: {
      result_size: (handle: number) => told(handle, end => end.result.length),
      result_exit: (handle: number) => told(handle, end => end.exitCode ?? 0)
    },
    settle: async () => { for (const at of carving.open) await wait(at) }
  }
}

/** The child a spec asks for, its input still in the guest's memory; or the errno of what is wrong with it. */
function readChild (context: GuestContext, ptr: number, len: number, levels: number): Child | number {
  const memory = context.memory()
  if (ptr + len > memory.length) return -ERRNO.fault
  if (len !== SPEC_BYTES) return -ERRNO.inval
  const view = new DataView(memory.buffer, memory.byteOffset + ptr, SPEC_BYTES)
  const parts: Uint8Array[] = []
  for (let at = 0; at < 32; at += 8) {
    const [from, length] = [view.getUint32(at, true), view.getUint32(at + 4, true)]
    if (from + length > memory.length) return -ERRNO.fault
    parts.push(memory.subarray(from, from + length))
  }
  const [module, input, entry, args] = parts as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  if (input.length > LIMITS.spec.inputBytesMax || entry.length > LIMITS.spec.entryBytesMax || args.length > LIMITS.spec.textBytesMax) return -ERRNO.inval
  const names = readNames(module, entry, args)
  const limits = readLimits(view, context.run.limits.memoryPagesMax, levels)
  return names === null || limits === null ? -ERRNO.inval : { ...names, input, limits }
}

function readNames (module: Uint8Array, entry: Uint8Array, args: Uint8Array): Pick<Child, 'module' | 'entry' | 'args'> | null {
  try {
    const list = utf8.decode(args).split('\0')
    // Each argument ends with NUL, so that an empty one can be told from none.
    if (list.pop() !== '' || list.length > LIMITS.spec.argsMax) return null
    return { module: module.length === 0 ? null : readModule(module), entry: utf8.decode(entry), args: list }
  } catch {
    return null
  }
}

/** CIDv1 with sha2-256, raw or dag-cbor, in base32: the one text of a name. Executors have no library to read it. */
const CID_TEXT = /^baf[ky]rei[a-h][a-z2-7]{50}[aeimquy4]$/

/** @throws when it is no name of a module */
function readModule (bytes: Uint8Array): string {
  const text = bytes.length > LIMITS.wire.nameBytesMax ? '' : utf8.decode(bytes)
  if (!CID_TEXT.test(text)) throw new Error('not the name of a module')
  return text
}

function readLimits (view: DataView, pagesMax: number, levels: number): Child['limits'] | null {
  const fuelMax = view.getBigUint64(32, true)
  const memoryPagesMax = view.getUint32(40, true) || pagesMax
  const outputBytesMax = view.getUint32(44, true) || LIMITS.guest.childOutputBytes
  const descendantsMax = view.getUint32(48, true)
  if (fuelMax === 0n || fuelMax > LIMITS.spec.fuelMax || view.getUint32(52, true) !== 0) return null
  if (memoryPagesMax > LIMITS.spec.memoryPagesMax || outputBytesMax > LIMITS.spec.outputBytesMax || descendantsMax > LIMITS.spec.descendantsMax) return null
  return { fuelMax, memoryPagesMax, outputBytesMax, descendantsMax, levelsMax: levels - 1 }
}
