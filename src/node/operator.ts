/**
 * What a command needs of a node, in one shape: the node lives in this process, or it runs in
 * another one and is reached through the control socket of its data directory. Only jobs, books
 * and peers are here; events, serving and the library's comforts stay with the Processor.
 */
import type {
  AccountView, AuditReport, Balance, BlobRef, ComputeOptions, FraudView, HistoryEntry, JobReport, JobView, LineReport, PeerTest, PeerView, Quote, Reachability, ReceiptView, RefundView, Result
} from '../processor/processor.ts'
import { type ActorAnswers, type ActorRequest, operateActor } from '../assembly/actor-requests.ts'
import type { OperatorBlobs } from './control-blobs.ts'
import type { Node } from './node.ts'
import type { Inputs, MapFailure, MapItem, MapOptions } from '../emergent/map.ts'
import type { SettingsChange } from '../assembly/settings.ts'
import type { NodeTrade } from '../assembly/trade.ts'
import type { KnownPeer } from '../network/known-peers.ts'
import type { CharterOptions, InviteOptions, MemberView, MeshView } from '../network/mesh-views.ts'

/** A result without the library's methods: what travels over the control socket. */
export type PlainResult = Omit<Result, 'text' | 'json' | 'state'>

/** The same for an item of a map. */
export type PlainItem = Omit<MapItem, 'text' | 'json' | 'state'>

export interface Operator extends AsyncDisposable {
  /** PeerId of the node. */
  readonly id: string
  /** Process that owns the data directory. */
  readonly pid: number
  addresses (): Promise<string[]>
  /** Traps and limits are results. @throws {InosError} as `Processor.run` */
  run (wasm: Uint8Array | BlobRef, input: Uint8Array | BlobRef, options: ComputeOptions): Promise<PlainResult>
  /** Run a module once per input; an item that failed comes with its error. @throws {InosError} as `map` */
  map (wasm: Uint8Array | BlobRef, inputs: Inputs, options: Omit<MapOptions, 'onError'>): AsyncGenerator<PlainItem | MapFailure, void>
  /** Do one thing with actors; see `ActorAnswers` for what comes back. @throws {InosError} as the methods of `Node` and `Actor` */
  actor<R extends ActorRequest> (request: R, signal?: AbortSignal): Promise<ActorAnswers[R['do']]>
  /** Who would take that job and for what. @throws {InosError} as `Processor.quote` */
  quote (wasm: Uint8Array | BlobRef, input: Uint8Array | BlobRef, options: ComputeOptions): Promise<Quote>
  readonly blobs: OperatorBlobs
  /** @returns PeerId of who answered at the multiaddr */
  connect (address: string, signal?: AbortSignal): Promise<string>
  credits (): Promise<Balance>
  /** In a private mesh: what the node has at its issuer; null elsewhere, and for the issuer. */
  account (): Promise<AccountView | null>
  history (): AsyncIterable<HistoryEntry>
  explainLine (peer: string): Promise<LineReport>
  jobs (): Promise<JobView[]>
  explain (job: string): Promise<JobReport>
  cancel (job: string): Promise<void>
  frauds (): AsyncIterable<FraudView>
  /** Every row of the books, in order of keys. */
  dump (): AsyncIterable<readonly [key: string, value: Uint8Array]>
  audit (): Promise<AuditReport>
  receipts (): AsyncIterable<ReceiptView>
  /** @param amount µcr; null: all of it */
  refund (order: string, amount: bigint | null): Promise<RefundView>
  /** A stored bundle by its receipt's CID; null when there is none. */
  receipt (id: string): Promise<Uint8Array | null>
  peers (): Promise<PeerView[]>
  reachability (): Promise<Reachability | null>
  /** @throws {InosError} as `Processor.testReach` */
  testReach (peer: string, signal?: AbortSignal): Promise<PeerTest>
  knownPeers (): Promise<KnownPeer[]>
  /** @returns whether it was known */
  forget (peer: string): Promise<boolean>
  trade (): Promise<NodeTrade>
  setTrade (change: SettingsChange): Promise<NodeTrade>
  /** The private mesh of the node; null on the open one. The others below throw ERR_NOT_MEMBER then. */
  mesh (): Promise<MeshView | null>
  amend (changes: CharterOptions): Promise<MeshView>
  invite (options: InviteOptions): Promise<string>
  members (): Promise<MemberView[]>
  grant (peer: string, amount: bigint): Promise<void>
  revoke (peer: string): Promise<void>
  /** Let go: a node of this process pays what it owes and stops, one behind the socket runs on. */
  [Symbol.asyncDispose] (): Promise<void>
}

/** A node of this process as an Operator. */
export function operatorOf (node: Node): Operator {
  return {
    id: node.id,
    pid: process.pid,
    addresses: async () => node.addresses(),
    run: async (wasm, input, options) => {
      const { text: _text, json: _json, state: _state, ...plain } = await node.run(wasm, input, options)
      return plain
    },
    map: (wasm, inputs, options) => plainItems(node.map(wasm, inputs, { ...options, onError: 'yield' })),
    actor: (request, signal) => operateActor(node, request, signal),
    quote: (wasm, input, options) => node.quote(wasm, input, options),
    blobs: { ...node.blobs, usage: async () => node.blobs.usage() },
    connect: (address, signal) => node.connect(address, signal),
    credits: async () => node.credits(),
    account: async () => node.account(),
    history: () => node.history(),
    explainLine: async peer => node.explainLine(peer),
    jobs: async () => node.jobs(),
    explain: async job => node.explain(job),
    cancel: async job => { node.cancel(job) },
    frauds: () => node.frauds(),
    dump: () => node.dump(),
    audit: () => node.audit(),
    receipts: () => node.receipts(),
    receipt: id => node.receipt(id),
    refund: (order, amount) => node.refund(order, amount ?? undefined),
    peers: async () => node.peers(),
    reachability: async () => node.reachability(),
    testReach: async (peer, signal) => await node.testReach(peer, signal),
    knownPeers: async () => node.knownPeers(),
    forget: async peer => node.forget(peer),
    trade: async () => node.trade(),
    setTrade: change => node.setTrade(change),
    mesh: async () => node.mesh(),
    amend: changes => node.amend(changes),
    invite: options => node.invite(options),
    members: async () => node.members(),
    grant: (peer, amount) => node.grant(peer, amount),
    revoke: peer => node.revoke(peer),
    [Symbol.asyncDispose]: () => node.stop()
  }
}

async function * plainItems (items: AsyncGenerator<MapItem | MapFailure, void>): AsyncGenerator<PlainItem | MapFailure, void> {
  for await (const item of items) {
    if (item.error !== undefined) yield item
    else {
      const { text: _text, json: _json, state: _state, error: _error, ...plain } = item
      yield plain
    }
  }
}
