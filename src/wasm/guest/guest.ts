/**
 * The seam between the engine and what a guest may import. Each interface in this folder is a
 * `GuestInterface`; the engine looks imports up in them by module name, checks the signature,
 * and reaches them only through metered wrapper functions it writes into the module.
 */
import type { Ranges } from '../ranges.ts'
import type { Outcome, Run } from '../runtime.ts'

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
  /**
   * End the guest: the code after this host call executes `unreachable`, which no guest can catch.
   * Return any value afterwards. The first ending wins. A host function never throws.
   */
  end (ending: Ending): void
}

/** One importable function. */
export interface HostFunction {
  /** WebAssembly signature, `i` = i32, `I` = i64, `f` = f32, `F` = f64: "iiii:i". */
  readonly type: string
  /** Fuel of a call before its length-dependent part, burnt by the wrapper. */
  readonly fuel: number
}

/** One run's live host functions, and what is left when it is over. */
export interface GuestSession {
  readonly functions: Readonly<Record<string, (...args: never[]) => number | bigint | undefined>>
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
