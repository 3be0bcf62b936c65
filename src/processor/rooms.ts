/**
 * What the processor is made of: the rooms and what the platform lends, put together once in
 * `create.ts`. The ways of a job and of money take it as their first argument.
 */
import type { Allowance } from '../credits/allowance.ts'
import type { Bundle } from '../credits/bundle.ts'
import type { Credits } from '../credits/credits.ts'
import type { Sessions } from '../network/sessions.ts'
import type { Signer, Verify } from '../packet/identity.ts'
import type { Runtime } from '../wasm/runtime.ts'
import type { Bring } from './blob-fetch.ts'
import type { Desk } from './desk.ts'
import type { Events } from './events.ts'
import type { History } from './history.ts'
import type { Grown } from './family.ts'
import type { Digest, Job } from './job.ts'
import type { JobEntry } from './jobs.ts'
import type { AtKey } from './keyed.ts'
import type { Kinship } from './kin.ts'
import type { Market } from './market.ts'
import type { ComputeOptions, ProcessorEvents, ReceiptView, Where } from './processor.ts'
import type { ResultCache } from './result-cache.ts'
import type { Rounds } from './rounds.ts'
import type { Settlement } from './settle.ts'
import type { Shelf } from './shelf.ts'
import type { BlobStore } from './store.ts'
import type { StateCache } from './states.ts'

/** What only a platform has. */
export interface Platform {
  readonly signer: Signer
  readonly verify: Verify
  readonly digest: Digest
  /** Unix milliseconds. */
  now (): number
  /** @throws when the signal aborts */
  sleep (ms: number, signal: AbortSignal): Promise<void>
  randomBytes (length: number): Uint8Array
  /** Faults of the background, for whoever keeps a log; `what` says what was being done. */
  log (what: string, error: unknown): void
}

export interface Rooms {
  readonly platform: Platform
  readonly runtime: Runtime
  readonly credits: Credits
  readonly allowance: Allowance
  readonly blobs: BlobStore
  /** Have a blob here, from wherever it is. */
  readonly bring: Bring
  /** Of calls that ran here for others. */
  readonly states: StateCache
  /** Null: every job is run. */
  readonly results: ResultCache | null
  readonly market: Market
  readonly history: History
  readonly shelf: Shelf
  readonly desk: Desk
  readonly rounds: Rounds
  /** Calls of this node's own callers that are at work under a key. */
  readonly atKeys: Map<string, AtKey>
  readonly settlement: Settlement
  readonly events: Events<ProcessorEvents>
  /** Compute a child like any other job: here, or bought. As `submitJob`. */
  submit (job: Job, options: ComputeOptions, entry: JobEntry, kinship: Kinship): Promise<Grown>
  /** Aborts when this node stops. */
  readonly stopping: AbortSignal
  /** @throws {InosError} ERR_NO_OFFER when this node works alone */
  sessions (): Sessions
  /** Whether a session with a peer is open. */
  isOpen (peer: string): boolean
  /** Look for nodes that could take a job wanted at `where`. @returns whether anyone new was reached */
  seek (where: Where, signal: AbortSignal): Promise<boolean>
  /** Balances or the market changed: whoever waits for that looks again. */
  changed (): void
  /** The next such change. To be asked before one looks, or the change that comes in between is missed. */
  change (): Promise<void>
  /** Tell listeners of a new receipt. */
  announce (role: ReceiptView['role'], bundle: Bundle): void
}
