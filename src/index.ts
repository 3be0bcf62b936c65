/** The public door: everything a program imports from `inos`. */
import type { Bundle } from './credits/bundle.ts'
import { openBundle } from './credits/bundle.ts'
import { openChain, type VerifiedChain } from './credits/chain.ts'
import { verify } from './node/keys.ts'
import { peerIdOfKey } from './packet/identity.ts'

export { join, type JoinOptions, type Node } from './node/join.ts'
export { type CharterOptions, createMesh, type CreateMeshOptions, type InviteOptions, type MemberView, type MeshView } from './node/create-mesh.ts'
export { InosError, type Attempt, type ErrorCode } from './packet/errors.ts'
export { CREDIT, DEFAULT_PRICES, LIMITS } from './packet/limits.ts'
export type {
  AuditReport, Balance, Bid, ComputeOptions, HistoryEntry, JobReport, JobState, JobView, Module, PeerTest, PeerView, Processor, ProcessorEvents, Quote, Reachability, ReceiptView, RefundView, Result, Step, Where
} from './processor/processor.ts'
export type { Actor, ActorOptions, ActorView, CallOptions, Reply, SnapshotView } from './emergent/actor.ts'
export type { SpawnOptions } from './emergent/actors.ts'
export type { VerifiedChain } from './credits/chain.ts'
export type { Inputs, MapFailure, MapItem, MapMethod, MapOptions, MapProgress } from './emergent/map.ts'

/** What a valid receipt proves: who claims what, and what it costs. */
export interface VerifiedReceipt {
  /** CIDs as text. */
  readonly id: string
  readonly order: string
  readonly spec: string
  readonly module: string
  readonly input: string
  readonly result: string
  /** PeerIds. */
  readonly executor: string
  readonly payer: string
  /** Payer and executor are one: nobody else vouches for it, nothing was charged. */
  readonly selfExecuted: boolean
  readonly outcome: string
  readonly exitCode: number | null
  readonly resultBytes: number
  /** CID of the archive of files the guest left, null when there are none: canonical dag-cbor of path → bytes, as in `Result.files`. */
  readonly files: string | null
  readonly filesBytes: number
  readonly fuel: bigint
  readonly pages: number
  /** µcr. */
  readonly charge: bigint
  readonly costMax: bigint
  readonly class: string
  readonly profile: string
  /** CID of the receipt of the run that this one repeats: nothing was run again, and that receipt, checked as well, is in the file. Null for a run. */
  readonly original: string | null
  /** Of a step that returned: CID of the state after it; null for a job that keeps none. */
  readonly state: string | null
}

/**
 * Check a receipt file offline: form, signatures, links between receipt, order and offer, the bill, and for a result from memory the same of its run.
 * @param receipt the bytes of `Result.receipt`, or of a file that `--receipt` wrote
 * @throws {InosError} ERR_RECEIPT_INVALID naming the field that is wrong
 */
export async function verifyReceipt (receipt: Uint8Array): Promise<VerifiedReceipt> {
  return factsOf(openBundle(receipt, verify))
}

/**
 * Check the history of an actor offline: every receipt file, and that the messages follow one another from the first on, each from the state that the one before has left.
 * @param chain the bytes of `Actor.chain`, or of a file that `inos actor verify --save` wrote
 * @throws {InosError} ERR_RECEIPT_INVALID naming the message that is wrong
 */
export async function verifyChain (chain: Uint8Array): Promise<VerifiedChain> {
  return openChain(chain, verify)
}

function factsOf ({ receipt: { id, payload }, order, selfExecuted }: Bundle): VerifiedReceipt {
  const { outcome, exitCode, resultBytes, files, filesBytes, fuel, pages, charge, profile } = payload
  return {
    id: id.toString(),
    order: order.id.toString(),
    spec: payload.spec.toString(),
    module: payload.module.toString(),
    input: payload.input.toString(),
    result: payload.result.toString(),
    executor: peerIdOfKey(payload.executor),
    payer: peerIdOfKey(payload.payer),
    selfExecuted,
    outcome,
    exitCode,
    resultBytes,
    files: files?.toString() ?? null,
    filesBytes,
    fuel,
    pages,
    charge,
    costMax: order.payload.costMax,
    class: payload.class,
    profile,
    original: payload.cached?.toString() ?? null,
    state: payload.state?.toString() ?? null
  }
}
