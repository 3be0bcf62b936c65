/**
 * One run of one guest: memory, host functions and instance are made, the entry function is called,
 * and how it all ended is put into the words of `Outcome`. A guest that may wait runs on a stack of its
 * own, where V8 can suspend it (JSPI); every other one runs in one go.
 *
 * Host functions are reached through guards that let nothing be thrown into the guest, which could
 * catch it. Whatever else is known of an ending, the fuel counter is believed first.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import { STACK_BYTES } from './call-stack.ts'
import type { MemoryType } from './decode.ts'
import type { Ending, Family, GuestContext, GuestInterface, GuestSession, HostFunction } from './guest/guest.ts'
import type { MemoryPool } from './memory-pool.ts'
import { GUEST_PREFIX, METER_EXPORTS, METER_MEMORY, METER_MODULE } from './meter.ts'
import { ENDED } from './meter-parts.ts'
import { rangesOf } from './ranges.ts'
import type { Outcome, OutcomeKind, Run, State, StateChange } from './runtime.ts'
import { CAN_SUSPEND, jspi } from './suspending.ts'
import { checkState, restoreFuel, StateAccess, takeFuel } from './state.ts'
import type { Keeper, Room } from './state.ts'

export interface ImportedFunction {
  readonly provider: GuestInterface
  readonly name: string
  readonly host: HostFunction
}

/** A module ready to run any number of times. */
export interface Prepared {
  readonly compiled: WebAssembly.Module
  readonly initFuel: bigint
  readonly memory: MemoryType | undefined
  /** Whether there is a start function, to be called before anything else. */
  readonly start: boolean
  /** Exported functions and their signatures, in the notation of `HostFunction.type`. */
  readonly entries: ReadonlyMap<string, string>
  /** One per imported function, in order. */
  readonly functions: readonly ImportedFunction[]
  /** Whether one of them may wait. */
  readonly suspends: boolean
  /** Whether it runs on a stack of its own in any case. */
  readonly apart: boolean
  /** Of a module rewritten to keep a state. */
  readonly keeps?: Keeps
}

/** What it takes to read and write the state of a module. */
export interface Keeps extends Keeper {
  /** Entries each of its tables can have. */
  readonly tables: Room['tables']
}

/** How a guest ended. */
interface End { readonly kind: OutcomeKind, readonly exitCode: number | null, readonly message: string }

/** How children are computed, and who is told that one is waited for. */
type Kin = Pick<Family, 'compute' | 'onWait'>

type Callable = (...args: unknown[]) => unknown

/** Exit codes are 31 bits wide: what `run` or proc_exit gives loses its highest bit. */
const EXIT_CODE_MASK = 0x7fff_ffff

/** Characters of a name or a trap's text in a message, and names listed in one. */
const NAME_LENGTH_MAX = 64
const MESSAGE_LENGTH_MAX = 500
const NAMES_MAX = 20

/**
 * @returns a promise only for a guest that may wait
 * @throws {InosError} ERR_MISSING_EXPORT, ERR_INVALID_MODULE or ERR_UNSUPPORTED_IMPORT before anything ran; ERR_EXECUTOR_LOST
 * when this machine fails the guest below its limits, ERR_INTERNAL when a host function does; what `compute` throws
 */
export function runGuest (prepared: Prepared, run: Run, memories: MemoryPool, kin?: Kin): Outcome | Promise<Outcome> {
  const calls = entryCalls(prepared.entries, run)
  const { limits: { fuelMax, memoryPagesMax }, state } = run
  const pagesMin = prepared.memory?.min ?? 0
  if (pagesMin > memoryPagesMax) {
    throw new InosError('ERR_INVALID_MODULE', `The module needs at least ${pagesMin} pages of memory, and the limit is ${memoryPagesMax}.`)
  }
  const pagesMax = prepared.memory === undefined ? 0 : maxPages(prepared, memoryPagesMax)
  if (state) checkState(state, prepared.keeps!.plan, { pagesMin, pagesMax, tables: prepared.keeps!.tables })
  const pages = state?.pages.length ?? pagesMin
  const due = prepared.initFuel + (state ? restoreFuel(state, pagesMin) : 0n)
  if (due > fuelMax) {
    const empty = new Uint8Array(0)
    return { outcome: 'fuel', exitCode: null, result: empty, files: null, stderr: empty, fuel: fuelMax, pages, message: OUT_OF_FUEL }
  }
  if (prepared.suspends) requireKin(kin)
  const memory = prepared.memory === undefined ? undefined : takeMemory(pages, pagesMax, memories)
  const guest = new Guest(prepared, run, memory, kin)
  // Where the host failed nobody knows who still holds the memory.
  const giveBack = (outcome: Outcome): Outcome => {
    if (memory !== undefined) memories.give(memory, pages, pagesMax)
    return outcome
  }
  return prepared.suspends || prepared.apart ? guest.runSuspending(calls, due).then(giveBack) : giveBack(guest.run(calls, due))
}

function requireKin (kin: Kin | undefined): void {
  if (kin === undefined) throw new InosError('ERR_UNSUPPORTED_IMPORT', 'The module imports functions that wait for other WASM, and no children are computed here.')
  if (!CAN_SUSPEND) throw lost('This platform cannot suspend a guest (JSPI)', undefined)
}

function takeMemory (pages: number, pagesMax: number, memories: MemoryPool): WebAssembly.Memory {
  try {
    return memories.take(pages, pagesMax)
  } catch (error) {
    throw lost(`A memory of ${pages} pages could not be made`, error)
  }
}

/** Pages the guest's memory may grow to. */
function maxPages ({ memory }: Prepared, memoryPagesMax: number): number {
  return Math.min(memory?.max ?? memoryPagesMax, memoryPagesMax)
}

const OUT_OF_FUEL = 'The guest needs more fuel than it was given.'

/** Names come from guests and go into messages, so they are kept short. */
export function shortName (name: string): string {
  return name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name
}

/** The exports to call, in order: a reactor's `_initialize` comes before its entry, and of a module that keeps a state before the first one. */
function entryCalls (entries: Prepared['entries'], { entry: wanted, state }: Run): string[] {
  const entry = wanted !== '' ? wanted : state === undefined && entries.has('_start') ? '_start' : 'run'
  if (state !== undefined && entry === '_start') {
    throw new InosError('ERR_MISSING_EXPORT', 'The entry _start of a command is called once; a module that keeps a state needs one that can be called again, such as run.')
  }
  const type = entries.get(entry)
  if (type === undefined) {
    const names = [...entries.keys()].slice(0, NAMES_MAX).map(shortName).join(', ')
    const more = entries.size > NAMES_MAX ? ` and ${entries.size - NAMES_MAX} more` : ''
    throw new InosError('ERR_MISSING_EXPORT', `The module exports no function ${shortName(entry)}; it exports ${names || 'none'}${more}.`)
  }
  if (type !== ':' && type !== ':i') {
    throw new InosError('ERR_MISSING_EXPORT', `The exported function ${shortName(entry)} is ${type}; an entry takes nothing and gives nothing or an i32.`)
  }
  const isReactor = !state && entry !== '_start' && entry !== '_initialize' && entries.get('_initialize') === ':'
  return isReactor ? ['_initialize', entry] : [entry]
}

/** V8 ends endless recursion with a RangeError that no guest can catch; Firefox calls it otherwise. */
function isStackOverflow (error: unknown): boolean {
  return error instanceof Error && /call stack|recursion/i.test(error.message)
}

class Guest {
  private readonly prepared: Prepared
  private readonly task: Run
  private readonly memory: WebAssembly.Memory | undefined
  private readonly kin: Kin | undefined
  private readonly sessions = new Map<GuestInterface, GuestSession>()
  private exports: WebAssembly.Exports = {}
  private fuel: WebAssembly.Global<'i64'> | undefined
  private view = new Uint8Array(0)
  /** Fuel set aside for children under way. */
  private carved = 0n
  private ending: Ending | undefined
  /** Whether the entry has returned, and was not left by an exit. */
  private returned = false
  /** What a host function threw, in a box, for anything can be thrown. */
  private fault: { readonly error: unknown } | undefined

  constructor (prepared: Prepared, task: Run, memory: WebAssembly.Memory | undefined, kin: Kin | undefined) {
    this.prepared = prepared
    this.task = task
    this.memory = memory
    this.kin = kin
  }

  /** @param due fuel for what is done before anything of the guest runs */
  run (calls: readonly string[], due: bigint): Outcome {
    return this.begin(due) ?? this.end(this.call(calls))
  }

  /** The same on a stack that can be suspended; a child that is under way when the guest ends is waited for. */
  async runSuspending (calls: readonly string[], due: bigint): Promise<Outcome> {
    const failed = this.begin(due)
    if (failed !== undefined) return failed
    const end = await this.callSuspending(calls)
    for (const session of this.sessions.values()) await session.settle?.()
    return this.end(end)
  }

  /** Make the instance. @returns how it ended, if that was all */
  private begin (due: bigint): Outcome | undefined {
    // A session may refuse what the spec asks of it; that is the spec's fault, not this machine's.
    const imports = this.imports()
    try {
      this.exports = new WebAssembly.Instance(this.prepared.compiled, imports).exports
    } catch (error) {
      // Only active segments can fail now, and they do so alike everywhere; the rest is this machine's.
      if (!(error instanceof WebAssembly.RuntimeError)) throw lost('An instance could not be made', error)
      return this.outcome(this.trap(error), due)
    }
    const { limits: { fuelMax, memoryPagesMax }, state } = this.task
    this.fuel = this.exports[METER_EXPORTS.fuel] as WebAssembly.Global<'i64'>
    this.fuel.value = fuelMax - due
    ;(this.exports[METER_EXPORTS.pages] as WebAssembly.Global<'i32'>).value = maxPages(this.prepared, memoryPagesMax)
    if (state) this.access.restore(state, this.prepared.memory?.min ?? 0)
    return undefined
  }

  private end (end: End): Outcome {
    const { limits: { fuelMax }, state } = this.task
    const kept = state === undefined || !this.returned || this.fuel!.value < 0n ? undefined : this.keep(state)
    const left = this.fuel!.value
    if (left < 0n) return this.outcome({ kind: 'fuel', exitCode: null, message: OUT_OF_FUEL }, fuelMax)
    if (typeof kept === 'string') return this.outcome({ kind: 'memory', exitCode: null, message: kept }, fuelMax - left)
    const outcome = this.outcome(end, fuelMax - left)
    return kept === undefined || outcome.outcome !== 'ok' ? outcome : { ...outcome, state: kept }
  }

  /** The state after a call that returned, paid for like all else; a text says that there is too much of it. */
  private keep (before: State | null): StateChange | string {
    const state = this.access.take(before)
    if (typeof state !== 'string') this.fuel!.value -= takeFuel(state)
    return state
  }

  private get access (): StateAccess {
    return new StateAccess(this.prepared.keeps!, this.exports, this.memory)
  }

  /** Call start function and entries one after the other, until one does not return. */
  private call (names: readonly string[]): End {
    let returned: unknown
    try {
      for (const call of this.calls(names)) returned = call()
      this.returned = true
    } catch (error) {
      return this.classify(error)
    }
    return returnedWith(returned)
  }

  private async callSuspending (names: readonly string[]): Promise<End> {
    let returned: unknown
    try {
      for (const call of this.calls(names)) returned = await jspi.promising!(call)()
      this.returned = true
    } catch (error) {
      return this.classify(error)
    }
    return returnedWith(returned)
  }

  /** Each gets the whole stack. */
  private * calls (names: readonly string[]): Iterable<Callable> {
    const stack = this.exports[METER_EXPORTS.stack] as WebAssembly.Global<'i32'>
    const all = names.map(name => GUEST_PREFIX + name)
    // What was done at the start is in the state.
    for (const name of this.prepared.start && !this.task.state ? [METER_EXPORTS.start, ...all] : all) {
      stack.value = STACK_BYTES
      yield this.exports[name] as Callable
    }
  }

  /** What it means that the guest threw. */
  private classify (error: unknown): End {
    if (this.fault !== undefined) {
      if (isStackOverflow(this.fault.error)) throw stackLost(this.fault.error)
      // Only of a child: no other host function knows such an error.
      if (this.fault.error instanceof InosError) throw this.fault.error
      throw new InosError('ERR_INTERNAL', 'A host function of this node failed.', { cause: this.fault.error })
    }
    const ended = (this.exports[METER_EXPORTS.ended] as WebAssembly.Global<'i32'>).value
    if (ended === ENDED.stackSpent) return STACK_SPENT
    if (ended === ENDED.growthFailed) throw lost('A memory or table could not grow within its limits', error)
    if (this.ending !== undefined) {
      const { ending } = this
      return ending.kind === 'exit'
        ? { kind: 'ok', exitCode: ending.exitCode & EXIT_CODE_MASK, message: '' }
        : { kind: ending.kind, exitCode: null, message: ending.message }
    }
    if (isStackOverflow(error)) throw stackLost(error)
    if (error instanceof WebAssembly.RuntimeError) return this.trap(error)
    if (error instanceof WebAssembly.Exception) return { kind: 'trap', exitCode: null, message: 'The guest threw an exception and did not catch it.' }
    throw lost('The engine failed', error)
  }

  private trap (error: Error): End {
    return { kind: 'trap', exitCode: null, message: error.message.slice(0, MESSAGE_LENGTH_MAX) }
  }

  private outcome (end: End, fuel: bigint): Outcome {
    const { end: { kind, exitCode, message }, ...written } = this.written(end)
    return { outcome: kind, exitCode, ...written, fuel, pages: (this.memory?.buffer.byteLength ?? 0) / PAGE_BYTES, message }
  }

  /** What the guest wrote through all interfaces it imports, in the order of its imports; result and files only if it ended well. */
  private written (end: End): Pick<Outcome, 'result' | 'files' | 'stderr'> & { end: End } {
    const { outputBytesMax } = this.task.limits
    const parts = Array.from(this.sessions.values(), session => atEnd(() => session.finish()))
    const stderr = join(parts.map(part => part.stderr)).subarray(0, LIMITS.guest.stderrBytesMax)
    const nothing = { result: new Uint8Array(0), files: null, stderr }
    if (end.kind !== 'ok') return { ...nothing, end }
    const result = join(parts.map(part => part.result))
    if (result.length > outputBytesMax) return { ...nothing, end: tooMuch(`The guest wrote more than ${outputBytesMax} bytes.`) }
    const files = this.files(outputBytesMax - result.length)
    return typeof files === 'string' ? { ...nothing, end: tooMuch(files) } : { result, files, stderr, end }
  }

  /** Of two interfaces that have files, those of the one imported first; a text says that they are too much. */
  private files (bytesMax: number): Uint8Array | null | string {
    const owner = Array.from(this.sessions.values()).find(session => session.archive !== undefined)
    return owner === undefined || this.task.outputs.length === 0 ? null : atEnd(() => owner.archive!(bytesMax))
  }

  private imports (): WebAssembly.Imports {
    const imports: Record<string, Record<string, WebAssembly.ImportValue>> = Object.create(null)
    const context = this.context()
    for (const { provider, name, host } of this.prepared.functions) {
      let session = this.sessions.get(provider)
      if (session === undefined) this.sessions.set(provider, session = provider.open(context))
      const functions = imports[provider.name] ??= Object.create(null) as Record<string, WebAssembly.ImportValue>
      functions[name] = host.suspends === true ? this.guardSuspending(session.waits![name]!) : this.guard(session.functions[name] as Callable, host.type)
    }
    if (this.memory !== undefined) imports[METER_MODULE] = { [METER_MEMORY]: this.memory }
    return imports
  }

  /** A host function from which nothing is thrown into the guest, not even by converting its result. */
  private guard (call: Callable, type: string): Callable {
    const result = type.slice(type.indexOf(':') + 1)
    const nothing = result === '' ? undefined : result === 'I' ? 0n : 0
    const expected = typeof nothing
    return (...args) => {
      try {
        const value = call(...args)
        return typeof value === expected ? value : nothing
      } catch (error) {
        this.fault ??= { error }
        this.setEnded()
        return nothing
      }
    }
  }

  /** The same for one that may wait. */
  private guardSuspending (call: (...args: never[]) => Promise<number>): WebAssembly.ImportValue {
    return new jspi.Suspending!(async (...args) => {
      try {
        return await call(...args as never[])
      } catch (error) {
        this.fault ??= { error }
        this.setEnded()
        return 0
      }
    })
  }

  private setEnded (): void {
    (this.exports[METER_EXPORTS.ended] as WebAssembly.Global<'i32'>).value = ENDED.byHost
  }

  private family (kin: Kin): Family {
    return {
      ...kin,
      fuelLeft: () => this.fuel!.value,
      carve: units => {
        this.carved += units
        this.fuel!.value -= units
      },
      uncarve: (units, burnt) => {
        this.carved -= units
        // Who has run out of fuel stays so, whatever comes back.
        if (this.fuel!.value >= 0n) this.fuel!.value += units - burnt
      }
    }
  }

  private context (): GuestContext {
    const { fuelMax } = this.task.limits
    return {
      run: this.task,
      input: rangesOf(this.task.input),
      stdoutIsTalk: this.prepared.functions.some(({ provider }) => provider.namesResult === true),
      memory: () => {
        const buffer = this.memory?.buffer
        if (buffer !== undefined && buffer !== this.view.buffer) this.view = new Uint8Array(buffer)
        return this.view
      },
      fuelUsed: () => {
        const left = this.fuel!.value
        return (left < 0n ? fuelMax : fuelMax - left) - this.carved
      },
      ...this.kin === undefined ? {} : { family: this.family(this.kin) },
      charge: units => {
        const left = this.fuel!.value
        // Lengths come from guests: whatever they claim, the counter stays a number of 64 bits.
        this.fuel!.value = units > left ? -1n : left - units
        return units <= left
      },
      end: ending => {
        this.ending ??= ending
        this.setEnded()
      }
    }
  }
}

function returnedWith (value: unknown): End {
  return { kind: 'ok', exitCode: typeof value === 'number' ? value & EXIT_CODE_MASK : 0, message: '' }
}

const STACK_SPENT: End = { kind: 'stack', exitCode: null, message: 'The guest’s calls nest too deeply.' }

/** The budget ends a guest before V8 does: were V8 first, the stack of this thread would be smaller than the profile asks for. */
function stackLost (error: unknown): InosError {
  return lost('The stack of this machine ended before the budget of the guest', error)
}

function tooMuch (message: string): End { return { kind: 'output', exitCode: null, message } }

/** A session that met the end of the stack inside a call says so only now. */
function atEnd<T> (work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (isStackOverflow(error)) throw stackLost(error)
    throw new InosError('ERR_INTERNAL', 'A host function of this node failed.', { cause: error })
  }
}

function lost (what: string, error: unknown): InosError {
  const text = error instanceof Error ? `: ${error.message}` : ''
  return new InosError('ERR_EXECUTOR_LOST', `${what}${text}.`, { cause: error })
}

function join (parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
