/** The public door: everything a program imports from `inos`. */
import { factsOfReceipt, type VerifiedReceipt } from './assembly/verify.ts'
import { openChain, type VerifiedChain } from './credits/chain.ts'
import { verify } from './node/keys.ts'

export { join, type JoinOptions, type Node } from './node/join.ts'
export { type CharterOptions, createMesh, type CreateMeshOptions, type InviteOptions, type MemberView, type MeshView } from './node/create-mesh.ts'
export { InosError, type Attempt, type ErrorCode } from './packet/errors.ts'
export { CREDIT, DEFAULT_PRICES, LIMITS } from './packet/limits.ts'
export type {
  AuditReport, Balance, Bid, ComputeOptions, HistoryEntry, JobReport, JobState, JobView, Module, PeerTest, PeerView, Processor, ProcessorEvents, Quote, Reachability, ReceiptView, RefundView, Result, Step, Where
} from './processor/processor.ts'
export type { Actor, ActorOptions, ActorView, CallOptions, Reply, SnapshotView } from './emergent/actor.ts'
export type { SpawnOptions } from './emergent/actors.ts'
export type { VerifiedReceipt } from './assembly/verify.ts'
export type { VerifiedChain } from './credits/chain.ts'
export type { Inputs, MapFailure, MapItem, MapMethod, MapOptions, MapProgress } from './emergent/map.ts'

/**
 * Check a receipt file offline: form, signatures, links between receipt, order and offer, the bill, for a result from memory the same of its run,
 * and for a guest that had other WASM computed the same of all of that, with its sums of fuel and charges.
 * @param receipt the bytes of `Result.receipt`, or of a file that `--receipt` wrote
 * @throws {InosError} ERR_RECEIPT_INVALID naming the field that is wrong
 */
export async function verifyReceipt (receipt: Uint8Array): Promise<VerifiedReceipt> {
  return factsOfReceipt(receipt, verify)
}

/**
 * Check the history of an actor offline: every receipt file, and that the messages follow one another from the first on, each from the state that the one before has left.
 * @param chain the bytes of `Actor.chain`, or of a file that `inos actor verify --save` wrote
 * @throws {InosError} ERR_RECEIPT_INVALID naming the message that is wrong
 */
export async function verifyChain (chain: Uint8Array): Promise<VerifiedChain> {
  return openChain(chain, verify)
}
