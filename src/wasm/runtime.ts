/**
 * The contract of this room: what a runtime takes, what it gives back, and how it refuses.
 * Two things implement it: the engine of this room (`engine.ts`, in the calling thread) and the
 * pools of executors, which run that engine where it can be ended: processes in `node/`, Web Workers in `browser/`.
 */

import type { Content } from './ranges.ts'

/** Name of the rules under which a run is deterministic; changing any rule is a new profile. */
export const PROFILE = 'inos/1'

export interface RunLimits {
  /** Fuel one run may burn; a unit is one executed WASM instruction. */
  fuelMax: bigint
  /** Each memory may grow to this many pages of 64 KiB. */
  memoryPagesMax: number
  /** Bytes a guest may give back: its result, and the archive of the files it leaves. */
  outputBytesMax: number
  /** WASM a guest may have computed, with all that they have computed again. @default LIMITS.guest */
  descendantsMax?: number
  /** Levels of those below it. @default LIMITS.guest */
  levelsMax?: number
}

/** Everything that decides an outcome, by value. */
export interface Run {
  /** CID of the module as text: the key under which a compiled module is cached. */
  moduleId: string
  /** The module; a function is called only if no executor at hand has it compiled. */
  wasm: Uint8Array | (() => Promise<Uint8Array>)
  input: Content
  /** Exported function to call; '' means `_start`, else `run`. */
  entry: string
  /** argv without argv[0], which is always "main". */
  args: readonly string[]
  env: Readonly<Record<string, string>>
  /** Absolute path → content, read and written in memory only; what lies elsewhere is only read. */
  files: Readonly<Record<string, Content>>
  /** Absolute paths, none below another: the files at or below them come back. */
  outputs: readonly string[]
  limits: RunLimits
  /** 32 bytes from which all randomness of the guest is drawn. */
  seed: Uint8Array
  /** What the module was after the call before; null for the first one, absent for a run that keeps no state. */
  state?: State | null
}

/** What a module is between two calls, by value. */
export interface State {
  /** One for each 64 KiB of memory; null for one that is all zero. */
  readonly pages: ReadonlyArray<Uint8Array | null>
  /** Globals that change, in their order: 8 bytes for each 64 bits or less, the lowest first. */
  readonly globals: Uint8Array
  /** Per table its entries: functions by index, or null. None where code changes no table. */
  readonly tables: ReadonlyArray<ReadonlyArray<number | null>>
  /** Passive segments that were dropped, by their number among those that can be, ascending. */
  readonly dropped: readonly number[]
}

/** A state after a call, told by what changed. */
export interface StateChange extends Omit<State, 'pages'> {
  /** How many pages there are. */
  readonly pages: number
  /** Those that differ from the state before, or for a fresh instance from zero. */
  readonly changed: ReadonlyMap<number, Uint8Array | null>
}

/** How a run can end; every one is deterministic and charged. */
export const OUTCOMES = ['ok', 'trap', 'fuel', 'memory', 'output', 'stack'] as const
export type OutcomeKind = typeof OUTCOMES[number]

export interface Outcome {
  outcome: OutcomeKind
  /** The guest's own exit code, 0 … 2³¹−1; null unless the outcome is ok. */
  exitCode: number | null
  /** What the guest wrote to stdout (WASI) or `output_write`; empty unless the outcome is ok. */
  result: Uint8Array
  /** Archive (`packet/files.ts`) of the regular files at or below the run's outputs; null when there are none, or the outcome is not ok. */
  files: Uint8Array | null
  /** First 64 KiB of stderr or `log`; not part of any proof. */
  stderr: Uint8Array
  /** Units burnt; equals `fuelMax` if the outcome is fuel. */
  fuel: bigint
  /** Pages all memories held at the end (memories never shrink). */
  pages: number
  /** What happened, one line, when the outcome is not ok; not part of any proof. */
  message: string
  /** Of a run with a state whose entry returned; one that ended otherwise leaves the state as it was. */
  state?: StateChange
}

/** Other WASM that a guest wants computed. Its limits are carved from the guest's own. */
export interface Child {
  /** CID as text; null is the guest's own module. */
  readonly module: string | null
  readonly input: Uint8Array
  readonly entry: string
  readonly args: readonly string[]
  readonly limits: Required<RunLimits>
}

/** All that a guest learns of a child; the same on every node. */
export interface ChildEnd {
  /** `refused`: its bytes are no module that can run so. */
  readonly outcome: OutcomeKind | 'refused'
  /** As `Outcome`. */
  readonly exitCode: number | null
  readonly result: Uint8Array
  /** Units burnt by it and all below it. */
  readonly fuel: bigint
  /** WASM that was computed below it. */
  readonly descendants: number
}

/**
 * Have a child computed, anywhere.
 * @param at its number among the children of its guest, from 0
 * @throws {InosError} whatever ends the guest's whole job as a fault of this host; nothing of it is seen by the guest
 */
export type Compute = (child: Child, at: number) => Promise<ChildEnd>

export interface ExecuteOptions {
  /** Whose job this is: guests of two payers never share an executor at one time. */
  payer: string
  signal?: AbortSignal
  /** What children of the guest are computed with. @default none: a module that imports `compute` is refused */
  compute?: Compute
  /** Told when the guest is suspended until a child is over, by its number; once for each child. */
  onWait?: (at: number) => void
}

export interface ModuleReport {
  bytes: number
  functions: number
  /** 'wasi_snapshot_preview1', 'wasi_unstable', 'inos' or 'plain'. */
  abi: string
  imports: string[]
  exports: string[]
  features: string[]
  /** Memory it has from its start; a job's `memoryPagesMax` must be as much. */
  memoryPagesMin: number
  /** Estimated compile cost: CPU milliseconds and peak bytes. */
  estimate: { cpuMs: number, peakBytes: number }
  /** Bytes after the rewrite. */
  meteredBytes: number
}

export interface Load {
  slots: number
  busy: number
  queued: number
  /** Fuel that a slot has lately burnt in a second of running; absent until measured. */
  fuelPerSec?: number
}

/** @throws {InosError} ERR_INVALID_MODULE, ERR_MISSING_EXPORT, ERR_UNSUPPORTED_IMPORT, ERR_INVALID_SPEC before
 * anything ran; ERR_EXECUTOR_LOST, ERR_DEADLINE, ERR_CANCELLED for host faults. */
export interface Runtime {
  execute (run: Run, options: ExecuteOptions): Promise<Outcome>
  /** Decode, admit, meter and validate without running. */
  inspect (wasm: Uint8Array): Promise<ModuleReport>
  /** Jobs that can run at once, how many do and how many wait. */
  load (): Load
  stop (): Promise<void>
}
