/**
 * The seam between the engine and what a guest may import. Each interface in this folder is a
 * `GuestInterface`; the engine looks imports up in them by module name, checks the signature,
 * and reaches them only through metered wrapper functions it writes into the module.
 */
import type { Ranges } from '../ranges.ts'
import type { Compute, Outcome, Run } from '../runtime.ts'

/** How a guest ends before its entry function returns. */
export type Ending =
  | { readonly kind: 'exit', readonly exitCode: number }
  | { readonly kind: 'memory' | 'output', readonly message: string }

/** What the engine lends to an interface for one run. */
export interface GuestContext {
  readonly run: Run
  /** The input of the run. */
  readonly input: Ranges
  /** Another interface of this guest says what its result is: what goes to stdout is talk. */
  readonly stdoutIsTalk: boolean
  /** The guest's exported memory, fetched anew on each call because growth detaches buffers. */
  memory (): Uint8Array
  /** Fuel burnt so far, exact at a host call; virtual time is derived from it. */
  fuelUsed (): bigint
  /**
   * Burn fuel for work proportional to a length, before doing it. When it returns false the run is
   * out of fuel: do nothing more and return any value.
   */
  charge (units: bigint): boolean
  /** Only for a guest that imports a function that suspends. */
  readonly family?: Family
  /**
   * End the guest: the code after this host call executes `unreachable`, which no guest can catch.
   * Return any value afterwards. The first ending wins. A host function never throws.
   */
  end (ending: Ending): void
}

/** What a guest needs to have children. */
export interface Family {
  readonly compute: Compute
  /** The guest is suspended until this child is over. */
  onWait (at: number): void
  /** Fuel left for the guest itself. */
  fuelLeft (): bigint
  /** Set fuel aside for a child; no more than is left. Until it is returned it is neither left nor burnt. */
  carve (units: bigint): void
  /** A child is over: of what was carved for it so much was burnt, and the rest is left again. */
  uncarve (units: bigint, burnt: bigint): void
}

/** One importable function. */
export interface HostFunction {
  /** WebAssembly signature, `i` = i32, `I` = i64, `f` = f32, `F` = f64: "iiii:i". */
  readonly type: string
  /** Fuel of a call before its length-dependent part, burnt by the wrapper. */
  readonly fuel: number
  /**
   * True: it waits, for a promise, and the guest is suspended. False: it begins what is to be waited for at the end. A module that
   * imports such a function runs on a stack of its own (JSPI); where this is absent it runs in one go.
   */
  readonly suspends?: boolean
}

/** One run's live host functions, and what is left when it is over. */
export interface GuestSession {
  readonly functions: Readonly<Record<string, (...args: never[]) => number | bigint | undefined>>
  /** Those that suspend. */
  readonly waits?: Readonly<Record<string, (...args: never[]) => Promise<number>>>
  /** Wait for what the guest began and did not wait for. Called once, after the guest has ended, before `finish`. */
  settle? (): Promise<void>
  /** What the guest has written. Called once, after the guest has ended. */
  finish (): Pick<Outcome, 'result' | 'stderr'>
  /**
   * The files left at the run's outputs, as an archive of at most `bytesMax` bytes, null for none; a text
   * says why they cannot be given back. Only where the interface has files; called after `finish`.
   */
  archive? (bytesMax: number): Uint8Array | null | string
}

export interface GuestInterface {
  /** Module name guests import from. */
  readonly name: string
  readonly functions: Readonly<Record<string, HostFunction>>
  /** A guest that imports it names its result through it, and not by writing to stdout. */
  readonly namesResult?: true
  /** What guests leave with it is gone after a call, so that a module which keeps a state cannot import it. */
  readonly forgets?: true
  open (context: GuestContext): GuestSession
}
