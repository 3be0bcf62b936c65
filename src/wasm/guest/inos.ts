/**
 * The native interface, module name `inos`: usable from any language in a handful of lines. The
 * guest exports `memory` and `run: () → i32` (0 or its own exit code) and imports, all i32:
 *
 *   input_size() → bytes of the input
 *   input_read(ptr, offset, len) → bytes copied to ptr, fewer than len only at the end of the input
 *   output_write(ptr, len) → len; what was written, in order, is the result
 *   log(ptr, len) the first 64 KiB are kept, outside any proof
 *   compute(…), result_…(…) other WASM, computed anywhere: `inos-children.ts`
 *
 * Pointers and lengths are unsigned. Results below zero are errnos, with the numbers of WASI
 * preview 1; the guest goes on after one.
 */
import { LIMITS } from '../../packet/limits.ts'
import { ByteStore } from './byte-store.ts'
import type { GuestContext, GuestInterface, GuestSession } from './guest.ts'
import { childFunctions, openChildren } from './inos-children.ts'

/** A range outside of memory. */
export const ERRNO_FAULT = -21

/** Units of any call, before what it costs by length: as a small call of WASI. */
const CALL_FUEL = 200
/** Bytes copied per unit, as for memory.copy. */
const BYTES_PER_UNIT = 8

export const inos: GuestInterface = {
  name: 'inos',
  functions: {
    input_size: { type: ':i', fuel: CALL_FUEL },
    input_read: { type: 'iii:i', fuel: CALL_FUEL },
    output_write: { type: 'ii:i', fuel: CALL_FUEL },
    log: { type: 'ii:', fuel: CALL_FUEL },
    ...childFunctions(CALL_FUEL)
  },
  open
}

function open (context: GuestContext): GuestSession {
  const { input, run: { limits } } = context
  const output = new ByteStore()
  const log = new ByteStore()
  const children = openChildren(context)

  /** Whether [ptr, ptr + len) lies in memory; both are below 2³², so their sum is exact. */
  const fits = (ptr: number, len: number): boolean => ptr + len <= context.memory().length
  const charge = (len: number): boolean => context.charge(BigInt(Math.floor(len / BYTES_PER_UNIT)))

  return {
    functions: {
      ...children.functions,
      input_size: () => input.length,
      input_read: (ptr: number, offset: number, len: number) => {
        const to = ptr >>> 0
        const from = offset >>> 0
        if (!fits(to, len >>> 0)) return ERRNO_FAULT
        const count = Math.min(len >>> 0, Math.max(input.length - from, 0))
        if (charge(count)) input.read(from, context.memory().subarray(to, to + count))
        return count
      },
      output_write: (ptr: number, len: number) => {
        const from = ptr >>> 0
        const count = len >>> 0
        if (!fits(from, count)) return ERRNO_FAULT
        if (!charge(count)) return 0
        if (output.size + count > limits.outputBytesMax) {
          context.end({ kind: 'output', message: `The guest wrote more than ${limits.outputBytesMax} bytes.` })
          return 0
        }
        output.write(output.size, context.memory().subarray(from, from + count))
        return count
      },
      log: (ptr: number, len: number) => {
        const from = ptr >>> 0
        const count = len >>> 0
        if (!fits(from, count) || !charge(count)) return undefined
        const room = LIMITS.guest.stderrBytesMax - log.size
        log.write(log.size, context.memory().subarray(from, from + Math.min(count, room)))
        return undefined
      }
    },
    waits: children.waits,
    settle: children.settle,
    finish: () => ({ result: output.copy(), stderr: log.copy() })
  }
}
