/** Checks of receipts and of histories of actors, offline: what a program on any platform can ask of what it was given. */
import type { Bundle } from '../credits/bundle.ts'
import { openTree } from '../credits/tree.ts'
import { peerIdOfKey, type Verify } from '../packet/identity.ts'

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
  /** Receipts of all that the guest had computed, each before its own children; every one of them is in the file and was checked. */
  readonly below: readonly VerifiedReceipt[]
  /** CIDs of those that are its own children, in the order of their start. */
  readonly children: readonly string[]
  /** CID of the receipt of the run that this one repeats: nothing was run again, and that receipt, checked as well, is in the file. Null for a run. */
  readonly original: string | null
  /** Of a step that returned: CID of the state after it; null for a job that keeps none. */
  readonly state: string | null
}

/** As the public `verifyReceipt`. @param verify the platform's signatures @throws {InosError} ERR_RECEIPT_INVALID */
export function factsOfReceipt (receipt: Uint8Array, verify: Verify): VerifiedReceipt {
  const { root, below } = openTree(receipt, verify)
  return factsOf(root, below.map(bundle => factsOf(bundle, [])))
}

function factsOf ({ receipt: { id, payload }, order, selfExecuted }: Bundle, below: readonly VerifiedReceipt[]): VerifiedReceipt {
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
    below,
    children: payload.children.map(String),
    original: payload.cached?.toString() ?? null,
    state: payload.state?.toString() ?? null
  }
}
