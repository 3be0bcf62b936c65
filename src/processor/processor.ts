/**
 * The public Processor: what a program, the command line, the layers in `emergent/` and the
 * dashboard know of a node. Nothing here names a platform.
 */
import type { AccountView, AuditReport, Balance, FraudView, HistoryEntry, LineReport, LineView, ReceiptView, RefundView } from '../credits/views.ts'
import type { BlobRef, Blobs } from './blob-views.ts'
import type { Attempt, ErrorCode } from '../packet/errors.ts'
import type { PriceList } from '../packet/limits.ts'
import type { PeerTest, Reachability } from '../network/reachability.ts'
import type { Capacity } from '../packet/capacity.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'
import type { OutcomeKind, RunLimits } from '../wasm/runtime.ts'
import type { KeptState } from '../packet/state-views.ts'

export type { PeerTest, Reachability }
export type { BlobOptions, BlobProgress, BlobRef, Blobs, BlobSource, BlobView, PutOptions } from './blob-views.ts'
export type { AccountView, AuditReport, Balance, FraudView, HistoryEntry, LineReport, LineView, ReceiptView, RefundView }

/** Where a job may run: anywhere, here, never here, or at one peer. */
export type Where = 'any' | 'local' | 'remote' | (string & {})

export interface ComputeOptions {
  /** Exported function to call. @default '_start', else 'run' */
  entry?: string
  args?: readonly string[]
  env?: Readonly<Record<string, string>>
  /** Absolute path → content: the guest's file system at its start. A blob above 1 MiB is mounted read-only: read where it lies, not held in memory. */
  files?: Readonly<Record<string, Uint8Array | BlobRef>>
  /** Paths, absolute or from "/": the files the guest leaves at or below one of them come back as `Result.files`. @default none */
  outputs?: readonly string[]
  /**
   * @default LIMITS.job
   * `descendantsMax` is how many other WASM the guest may have computed, with all that they have again; where it is said, what the job may cost
   * covers a base price for each, so that a node that runs it can have them computed by others.
   */
  limits?: Partial<RunLimits>
  /** Modules that the guest may name by CID to have them computed, beside its own. @default none */
  modules?: readonly Uint8Array[]
  /** 32 bytes for the guest's randomness. @default derived from the spec */
  seed?: Uint8Array
  /** Most this job may cost, µcr; a node whose worst case at these limits is higher is not asked. @default the offer's worst case, refused above 20 credits */
  costMax?: bigint
  /**
   * How an answer is checked beyond its signatures, its bill and its hashes: `{ audit: 0.1 }` runs one in ten again on this node,
   * and the first few of each peer, before they are accepted. One that differs in result, fuel or pages is not paid, and done elsewhere. @default 'receipt'
   */
  verify?: 'receipt' | { readonly audit: number }
  /** False: run it, also where it ran before, and let nobody keep its result for the next who asks. @default true */
  cache?: boolean
  /** Tries of one job at several nodes share it: the first right answer is taken and paid, no other. @default none */
  once?: { taken: boolean }
  /**
   * The caller's name for this job, 1 to 128 characters: the same key is never paid twice. A call with a key that was used before gives the
   * earlier result with its receipt (its `stderr` is not kept) and buys nothing; an order that had no answer yet, because this node was killed, is
   * presented again; two calls at once are one. With another module, input or option that the spec holds: ERR_USAGE. A result that is
   * paid and kept nowhere any more: ERR_GONE. @default none
   */
  key?: string
  /**
   * The job is a call of a module that keeps a state: memory, globals and tables are put back as they were after the call before, and
   * `Result.state` is what they are after this one. The entry is `run` unless it is named. @default it keeps none
   */
  step?: Step
  /** A budget this job shares with others: no order is placed that it does not cover. @default none */
  purse?: Purse
  /** @default 'any' */
  where?: Where
  /** Peers not to ask, as PeerIds. */
  avoid?: readonly string[]
  /** PeerId of who gets the job if it may run there and takes it; else it is chosen as always. @default nobody */
  prefer?: string
  /** Tries at other nodes after a lost or faulty one. @default LIMITS.job.retries */
  retries?: number
  signal?: AbortSignal
  onProgress?: (state: JobState) => void
}

/** One call of a module that keeps a state. */
export interface Step {
  /** What `Result.state` of the call before was; null for the first call. */
  readonly before: KeptState | null
  /**
   * Keep the state after the call and its result; waited for before its receipt is accepted, so that a crash in between leaves the order open.
   * @param delta what `applyDelta` makes it of, with the state before
   */
  keep? (after: KeptState, delta: Uint8Array, result: Uint8Array): Promise<void>
  /** What was kept before, by the id of the state, for a call with a key that was made before. */
  find? (id: string): Promise<{ readonly state: KeptState, readonly result: Uint8Array } | null>
}

/** The part of an offer that a run is billed by, µcr. */
type RunPrices = Readonly<Pick<PriceList, 'base' | 'perMFuel' | 'perPageSec' | 'perKiB'>>

/** A budget that several jobs share. Nothing in it waits: whoever looks holds at once, or waits for a change and looks again. */
export interface Purse {
  /** µcr that nobody has spent or holds. */
  readonly free: bigint
  /** The same for an order at these prices, where it depends on them. @default free */
  freeAt? (prices: RunPrices): bigint
  /** µcr that jobs under way may still cost. */
  readonly held: bigint
  /** @param prices of the order that may cost so much */
  hold (amount: bigint, prices?: RunPrices): void
  /** For what is bought for the children of a job that runs here, each with limits of its own. @default this one */
  below? (limits: SpecLimits, claimed?: bigint): Purse
  [Symbol.dispose]? (): void
  /** A job that held `amount` is over, was charged so much of it and has burnt so much fuel. */
  end (amount: bigint, charged: bigint, fuel?: bigint): void
  /** The next change; to be asked before one looks. */
  change (): Promise<void>
}

/** The time a node lives by: real, or a simulation's. */
export interface Clock {
  /** Unix milliseconds. */
  now (): number
  /** @throws when the signal aborts */
  sleep (ms: number, signal: AbortSignal): Promise<void>
}

/** States of a job, each with what a person would ask next. The last three are ends; a job without one is at work. */
export type JobState =
  | { readonly state: 'queued', readonly reason: string }
  /** This peer was chosen; at most `costMax` µcr will be set aside for it. */
  | { readonly state: 'offered', readonly peer: string, readonly costMax: bigint }
  | { readonly state: 'sending', readonly peer: string }
  /** `fuelPerSec` is what the peer says it burns; null: it does not say. */
  | { readonly state: 'running', readonly peer: string, readonly fuelPerSec: number | null }
  | { readonly state: 'retrying', readonly peer: string, readonly reason: string }
  | { readonly state: 'verifying', readonly peer: string }
  /** Its result is verified; what it costs is owed, or paid. */
  | { readonly state: 'settled', readonly peer: string }
  | { readonly state: 'failed', readonly code: ErrorCode, readonly reason: string }
  | { readonly state: 'cancelled', readonly reason: string }

/** A job of this node's own callers. */
export interface JobView {
  /** Short text, unique as long as the node runs. */
  readonly id: string
  /** CIDs as text. */
  readonly module: string
  readonly input: string
  readonly spec: string
  readonly where: Where
  readonly state: JobState['state']
  /** Who has it, or had it last; null while nobody does. */
  readonly peer: string | null
  /** What it waits for, or why it ended so; null for the others. */
  readonly reason: string | null
  /** Of a running job: about what has burnt, by the speed its peer says it has, at most its `fuelMax`. Null: it does not run, or nobody said. */
  readonly fuelEstimate: bigint | null
  /** Unix milliseconds; `ended` is null while it is at work. */
  readonly began: number
  readonly ended: number | null
  readonly tries: number
  /** Of a job that is settled. */
  readonly outcome: OutcomeKind | null
  readonly fuel: bigint | null
  readonly cost: bigint | null
  readonly receipt: string | null
  /** Of a job that failed or was cancelled. */
  readonly code: ErrorCode | null
}

/** Everything that is known of one job: every peer asked, each bid or refusal, and why one won. */
export interface JobReport extends JobView {
  readonly steps: readonly { readonly at: number, readonly state: JobState['state'], readonly peer: string | null, readonly reason: string | null }[]
  /** Each time a node was to be chosen: who was, why, how many were weighed, and those, best first. */
  readonly rounds: readonly { readonly at: number, readonly chosen: string | null, readonly reason: string, readonly asked: number, readonly bids: readonly Bid[] }[]
  /** Tries that failed, oldest first. */
  readonly attempts: readonly Attempt[]
  readonly hint: string | null
}

/** One peer as it was weighed for one job. */
export interface Bid {
  readonly peer: string
  /** The most it may charge at the job's limits, µcr; what is held. */
  readonly costMax: bigint | null
  /** Expected charge, µcr, and time, by earlier runs of the module; at first by all that the limits allow. */
  readonly cost: bigint | null
  readonly seconds: number | null
  /** By how much it counts as dearer and slower for what this node has seen of it; 1 for nothing bad. */
  readonly burden: number | null
  /** (cost + 1 µcr) × seconds × burden; the lowest wins. Null for who does not get the job. */
  readonly score: number | null
  /** It will take the job when earlier ones are settled; `reason` says which. */
  readonly waits: boolean
  /** Why it does not get the job, and what would help; null for who could. */
  readonly code: ErrorCode | null
  readonly reason: string | null
  readonly hint: string | null
  /** Its most memory for a job, where that is the reason. */
  readonly memoryPagesMax: number | null
}

/** Who would take a job, and for what; nothing was run or held. */
export interface Quote {
  /** PeerId of who would get it now, this node's own for here; null where nobody takes it. */
  readonly chosen: string | null
  /** Why that one, or why nobody. */
  readonly reason: string
  /** Of nobody, the code that running it would end with. */
  readonly code: ErrorCode | null
  /** Everyone weighed, the best first; empty where this node runs it itself. */
  readonly bids: readonly Bid[]
}

/** What came back. Present for every outcome the guest may end with. */
export interface Result {
  readonly outcome: OutcomeKind
  /** The guest's own exit code; null unless the outcome is ok. */
  readonly exitCode: number | null
  readonly bytes: Uint8Array
  /** Absolute path → content of the files that `outputs` asked for, in the shape of the option `files`; none unless the outcome is ok. */
  readonly files: Readonly<Record<string, Uint8Array>>
  /** Of a `step` that returned: the state after it. One that ended otherwise leaves the state as it was. */
  readonly state?: KeptState | undefined
  /** First 64 KiB of the guest's stderr; unsigned. */
  readonly stderr: Uint8Array
  readonly fuel: bigint
  readonly pages: number
  /** µcr charged. */
  readonly cost: bigint
  /** PeerId of who ran it. */
  readonly executor: string
  /** It had run there before: nothing was run again, and the offer's base price alone was charged. The receipt says by which run. */
  readonly cached: boolean
  /** The receipt file: receipt, order, offer, and those of all that the guest had computed. Feed it to `verifyReceipt`. */
  readonly receipt: Uint8Array
  /** The receipt's CID as text. */
  readonly receiptId: string
  /** Canonical dag-cbor of everything that decided it, which the receipt names by hash. */
  readonly spec: Uint8Array
  /** Its name in `jobs()`. */
  readonly job: string
  /** What was tried before, oldest first. */
  readonly attempts: readonly Attempt[]
  text (): string
  json (): unknown
}

/** How a try at a peer ended: answered right, lost, refused by it, or answered wrongly. */
export type Experience = 'ok' | 'lost' | 'refused' | 'wrong'

/** Counts that fade with time, so they are no whole numbers. */
export interface PeerHistory extends Readonly<Record<Experience, number>> {
  /** How many times longer than its offer promised its jobs took lately; 1 for as promised or faster. */
  readonly pace: number
}

export interface PeerView {
  readonly id: string
  readonly addresses: readonly string[]
  readonly direction: 'in' | 'out'
  /** How the bytes travel, such as "tcp". */
  readonly transport: string
  /** PeerId of the relay they go through; null: straight to the peer. */
  readonly via: string | null
  /** Of the last ping: one when it connected, further ones while it is quiet; null: not measured. */
  readonly latencyMs: number | null
  /** Null for a peer without a session (four fields only). */
  readonly offer: { readonly slots: number, readonly idle: number, readonly fuelPerSec: number | null, readonly perMFuel: bigint, readonly profile: string, readonly expires: number } | null
  readonly inFlight: number
  /** How this node's own jobs there ended: counts that fade, and how many times longer than promised they took; null: none yet. */
  readonly history: PeerHistory | null
  /** What it would still accept from this node, and what both owe each other, µcr. */
  readonly line: LineView
}

/** What this node takes for work, and from whom. */
export interface TradeView extends Capacity {
  /** Whether it takes work at all. */
  readonly serving: boolean
  /** What its offer says now, µcr. */
  readonly prices: PriceList
  /** Prices its owner has set; the others move with the load. */
  readonly fixed: readonly (keyof PriceList)[]
  /** Quarters of the default list that the load asks for, and the load of late in percent of the slots. */
  readonly quarters: number
  readonly loadPercent: number
  readonly slots: number
  /** PeerIds that may buy; null: anyone. */
  readonly buyers: readonly string[] | null
  /** What it charges as a relay, µcr per MiB beyond what is free. */
  readonly relayPerMiB: bigint
}

/** What the owner of a node decides about its trade; the rest it decides itself. */
export interface Tariff {
  /** µcr. Prices that are not set move with the load, between half and five quarters of the default list. */
  readonly prices: Partial<PriceList>
  /** PeerIds that may buy; null: anyone who gets here. */
  readonly buyers: readonly string[] | null
  /** µcr per MiB relayed beyond what is free. @default DEFAULT_RELAY_PRICE */
  readonly relayPerMiB?: bigint | undefined
}

export interface ProcessorEvents {
  'peer:connect': { readonly peer: string }
  'peer:disconnect': { readonly peer: string }
  /** The status of `reachability()` is another one. */
  'reach:change': Reachability
  /** `job` is the name in `jobs()` for a buyer, the order's CID for a seller. */
  'job:state': { readonly job: string, readonly role: 'buyer' | 'seller', readonly state: JobState['state'], readonly peer?: string }
  /** Once for each job of this node's callers, and each that a peer ordered here: how it ended, by its guest or by an error, and after how long. */
  'job:end': { readonly role: 'buyer' | 'seller', readonly end: OutcomeKind | ErrorCode, readonly ms: number }
  'credits:change': Balance
  /** The books could not be written: nothing is bought, sold or paid until the node is started again. */
  'credits:broken': { readonly code: ErrorCode, readonly message: string, readonly hint: string | null }
  receipt: ReceiptView
}

/** A module hashed once, to be computed with many times. */
export interface Module {
  /** Raw CID of the bytes, as text. */
  readonly id: string
  readonly bytes: Uint8Array
}

export interface Processor extends AsyncDisposable {
  /** PeerId. */
  readonly id: string
  /** Jobs that run here at once. */
  readonly slots: number
  readonly clock: Clock
  /** Bytes of any size by name: put, read, fetched from others, pinned and collected. */
  readonly blobs: Blobs
  addresses (): string[]
  /** Hash a module once; `compute` takes the result in place of its bytes. The bytes must not change afterwards. */
  load (wasm: Uint8Array): Promise<Module>
  /**
   * Run a module. The guest's non-zero exit is a result; traps and limits throw.
   * @param wasm module bytes, what `load` made of them, or a blob by its CID
   * @param input bytes, text, or a blob by its CID: whoever runs the job fetches it from whoever has it; stdin of a WASI command, or what `input_read` gives
   * @throws {InosError} with code, hint, and for lost peers the attempts
   */
  compute (wasm: Uint8Array | Module | BlobRef, input?: Uint8Array | string | BlobRef, options?: ComputeOptions): Promise<Result>
  /** Like `compute`, but traps and limits come back as results too. */
  run (wasm: Uint8Array | Module | BlobRef, input?: Uint8Array | string | BlobRef, options?: ComputeOptions): Promise<Result>
  /**
   * Who would take this job and for what, as `compute` would choose now; nothing is run or held.
   * @throws {InosError} ERR_USAGE, ERR_INVALID_MODULE, ERR_INVALID_SPEC, ERR_INPUT_TOO_LARGE
   */
  quote (wasm: Uint8Array | Module | BlobRef, input?: Uint8Array | string | BlobRef, options?: ComputeOptions): Promise<Quote>
  credits (): Balance
  /** In a private mesh: what this node has at the issuer; null in the open mesh, and for the issuer itself. */
  account (): AccountView | null
  /** As the issuer of a mesh: what a member has, µcr. @throws {InosError} ERR_USAGE when this node is no issuer */
  accountOf (peer: string): bigint
  /**
   * As a seller: give back a part or all of what an order cost, once; durable when this resolves, and paid out at the next contact.
   * @param order CID as text, as `history` and `receipts` have it @param amount µcr @default all of it
   * @throws {InosError} ERR_USAGE when this node did not sell it, gave something back before, or charged less
   */
  refund (order: string, amount?: bigint): Promise<RefundView>
  /**
   * As the issuer: give a member credit; durable when this resolves, and paid out at the next contact.
   * @param certificate CID of what promises it, as text; the same one again gives nothing
   * @throws {InosError} ERR_USAGE when this node is no issuer, ERR_BUDGET
   */
  giveGrant (peer: string, amount: bigint, certificate: string): Promise<void>
  /** Pay what is owed to connected peers now, and resolve when they have acknowledged it; never throws. */
  settle (): Promise<void>
  /** Every payment, job by job, oldest first. */
  history (): AsyncIterable<HistoryEntry>
  /** What a peer would accept from this node and this node from it, and why. @throws {InosError} ERR_USAGE */
  explainLine (peer: string): LineReport
  /** Jobs of this node's own callers: those at work and the latest that are over, oldest first. */
  jobs (): JobView[]
  /** Every peer asked for a job, each bid or refusal with its reason, and why one won. @throws {InosError} ERR_USAGE for a job that is not among `jobs()` */
  explain (job: string): JobReport
  /** End a job that is at work; whoever waits for it gets ERR_CANCELLED. @throws {InosError} ERR_USAGE */
  cancel (job: string): void
  /** Proofs of fraud these books keep; such a peer has no line and gets no jobs. */
  frauds (): AsyncIterable<FraudView>
  /** Every row of the books, for a copy of them. */
  dump (): AsyncIterable<readonly [key: string, value: Uint8Array]>
  audit (): Promise<AuditReport>
  receipts (): AsyncIterable<ReceiptView>
  /** A stored receipt bundle by its receipt's CID; null when there is none. */
  receipt (id: string): Promise<Uint8Array | null>
  peers (): PeerView[]
  /** How others get to this node, and why; null for one that works alone or within its process. */
  reachability (): Reachability | null
  /**
   * Have a connected peer dial this node back, and tell what lies between the two.
   * @throws {InosError} ERR_NOT_REACHABLE, ERR_PEER_LOST, ERR_BAD_PACKET, ERR_CANCELLED
   */
  testReach (peer: string, signal?: AbortSignal): Promise<PeerTest>
  /** What this node takes for work now. */
  trade (): TradeView
  /** Take work for others or none, from now on; what is at work is finished. */
  serve (on: boolean): void
  /** Take other prices, or work for others, from now on; offers made before are honoured. @throws {InosError} ERR_USAGE */
  setTariff (tariff: Tariff): void
  /** Connect to a multiaddr and agree on a session. @returns its PeerId */
  connect (address: string, signal?: AbortSignal): Promise<string>
  on<E extends keyof ProcessorEvents> (event: E, listener: (detail: ProcessorEvents[E]) => void): () => void
  /** Finish what must be paid (at most 5 s), then close everything. */
  stop (): Promise<void>
}
