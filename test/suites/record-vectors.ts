/**
 * One record of each kind, from fixed keys and fixed values: whoever implements INOS must get these
 * bytes. `node test/suites/record-vectors.ts > test/vectors/records.json` writes them anew, which
 * nobody should need while `inos/record/1` stands.
 */
import { encodeBundle } from '../../src/credits/bundle.ts'
import { encodeFraud } from '../../src/credits/frauds.ts'
import { charge } from '../../src/credits/pricing.ts'
import { createSigner } from '../../src/node/keys.ts'
import { rawCid } from '../../src/packet/cid.ts'
import { seal, type Sealed, sealBatch } from '../../src/packet/envelope.ts'
import { toHex } from '../../src/packet/identity.ts'
import { DEFAULT_PRICES } from '../../src/packet/limits.ts'
import { type Charter, type Invite, type Member, netOf, type Revocations } from '../../src/packet/mesh.ts'
import type { Ack, Cancel, Cheque, Clearing, Head, Offer, Order, Receipt } from '../../src/packet/records.ts'
import { encodeSpec } from '../../src/packet/spec.ts'
import { encodeState } from '../../src/packet/state.ts'

export interface Vector { readonly name: string, readonly id: string, readonly bytes: string }

export const PAYER_SEED = new Uint8Array(32).fill(1)
export const EXECUTOR_SEED = new Uint8Array(32).fill(2)

const payer = createSigner(PAYER_SEED)
const executor = createSigner(EXECUTOR_SEED)
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const EXPIRES = 1_800_003_600

export const spec = encodeSpec({
  module: rawCid(bytesOf('module')), input: rawCid(bytesOf('input')), entry: '', args: ['-v', 'ü'], env: { LANG: 'C' }, files: null, outputs: ['/out'],
  limits: { fuelMax: 10_000_000_000n, memoryPagesMax: 4_096, outputBytesMax: 16_777_216 }, seed: null, profile: 'inos/1'
})

export const offer: Sealed<Offer> = seal('offer', {
  net: null, executor: executor.publicKey, ...DEFAULT_PRICES, classes: ['deterministic'], profile: 'inos/1', slots: 2,
  fuelPerSec: 1_100_000_000, idle: 1, queued: 0, memoryPagesMax: 16_384, diskBytes: 68_719_476_736, bytesPerSec: null, gpu: null, expires: EXPIRES, nonce: new Uint8Array(16).fill(3)
}, executor)

export const order: Sealed<Order> = seal('order', {
  net: null, payer: payer.publicKey, executor: executor.publicKey, offer: offer.id, spec: spec.id, costMax: 20_000_000n, level: 0, tick: 0n, expires: EXPIRES, nonce: new Uint8Array(16).fill(4)
}, payer)

/** The payer gives it up. */
export const cancel: Sealed<Cancel> = seal('cancel', { net: null, payer: payer.publicKey, executor: executor.publicKey, order: order.id }, payer)

const usage = { fuel: 123_456_789n, pages: 17, resultBytes: 1_025, filesBytes: 999 }

export const receiptPayload: Receipt = {
  net: null, executor: executor.publicKey, payer: payer.publicKey, order: order.id, item: 0, spec: spec.id, module: spec.spec.module, input: spec.spec.input,
  outcome: 'ok', exitCode: 0, result: rawCid(bytesOf('result')), files: rawCid(bytesOf('files')), ...usage, charge: charge(DEFAULT_PRICES, usage), children: [],
  class: 'deterministic', profile: 'inos/1', cached: null, proof: null
}

export const receipt: Sealed<Receipt> = seal('receipt', receiptPayload, executor)

/** What a module keeps between two calls, the call after it, and its receipt. */
export const state = encodeState({
  module: spec.spec.module, profile: 'inos/1', pages: [rawCid(bytesOf('page')).multihash.digest, null], globals: new Uint8Array(8).fill(9), tables: [[3, null]], dropped: [1]
})
export const stepSpec = encodeSpec({ ...spec.spec, state: state.id })
const stepOrder: Sealed<Order> = seal('order', { ...order.payload, spec: stepSpec.id }, payer)
export const stepReceipt: Sealed<Receipt> = seal('receipt', { ...receiptPayload, order: stepOrder.id, spec: stepSpec.id, state: rawCid(bytesOf('state')) }, executor)

/** The last of three under one signature: the odd one out. */
export const batched: Sealed<Receipt> = sealBatch('receipt', [{ ...receiptPayload, item: 1 }, { ...receiptPayload, item: 2 }, receiptPayload], executor)[2]!

/** The same job ordered again, and answered from memory. */
export const again: Sealed<Order> = seal('order', { ...order.payload, nonce: new Uint8Array(16).fill(10) }, payer)
export const repeated: Sealed<Receipt> = seal('receipt', { ...receiptPayload, order: again.id, charge: DEFAULT_PRICES.base, cached: receipt.id }, executor)

const ownOrder: Sealed<Order> = seal('order', { ...order.payload, executor: payer.publicKey, offer: null, costMax: 0n }, payer)

export const cheque: Sealed<Cheque> = seal('cheque', {
  net: null, from: payer.publicKey, to: executor.publicKey, via: null, epoch: 0, n: 1, prev: null, total: receiptPayload.charge,
  items: [{ order: order.id, amount: receiptPayload.charge, kind: 'job' }], ack: 0
}, payer)

export const ack: Sealed<Ack> = seal('ack', { net: null, from: payer.publicKey, to: executor.publicKey, epoch: 0, n: 1, cheque: cheque.id }, executor)

/** The payee says that it holds that cheque. */
export const head: Sealed<Head> = seal('head', { net: null, from: payer.publicKey, to: executor.publicKey, epoch: 0, n: 1, cheque: cheque.id, nonce: new Uint8Array(16).fill(4) }, executor)

const nonce = new Uint8Array(16).fill(5)

/** Founded by the payer; the executor is a member. */
export const NET: Uint8Array = netOf(payer.publicKey, nonce)

export const charter: Sealed<Charter> = seal('charter', {
  net: NET, issuer: payer.publicKey, nonce, name: 'Büro', version: 1, feePpm: 10_000, offlineMax: 5_000_000n
}, payer)

export const invite: Sealed<Invite> = seal('invite', { net: NET, id: new Uint8Array(16).fill(6), expires: EXPIRES, count: 3, grant: 10_000_000n }, payer)

export const member: Sealed<Member> = seal('member', {
  net: NET, member: executor.publicKey, invite: invite.payload.id, issued: EXPIRES - 3_600, expires: EXPIRES, grant: 10_000_000n, nonce: new Uint8Array(16).fill(7)
}, payer)

export const revocations: Sealed<Revocations> = seal('revocations', { net: NET, version: 2, members: [executor.publicKey] }, payer)

/** Paid by one member to another, for the issuer to clear; neither is the issuer. */
const third = createSigner(new Uint8Array(32).fill(8))
export const meshCheque: Sealed<Cheque> = seal('cheque', { ...cheque.payload, net: NET, from: executor.publicKey, to: third.publicKey, via: payer.publicKey }, executor)

/** The issuer's own: a grant, and what it has cleared for a member. */
export const grantCheque: Sealed<Cheque> = seal('cheque', {
  ...cheque.payload, net: NET, total: 10_099_000n, items: [{ order: member.id, amount: 10_000_000n, kind: 'grant' }, { order: receipt.id, amount: 99_000n, kind: 'clearing' }]
}, payer)

/** Half of a cheque cleared; the rest has bounced. */
export const clearing: Sealed<Clearing> = seal('clearing', {
  net: NET, from: executor.publicKey, to: third.publicKey, epoch: 0, n: 1, cheque: meshCheque.id, total: meshCheque.payload.total, cleared: 100_000n, fee: 1_000n
}, payer)

/** A record of the mesh. */
export const meshOrder: Sealed<Order> = seal('order', { ...order.payload, net: NET }, payer)

export const bundles = {
  sold: encodeBundle({ receipt, order, offer }),
  batched: encodeBundle({ receipt: batched, order, offer }),
  repeated: encodeBundle({ receipt: repeated, order: again, offer, original: { receipt, order, offer } }),
  own: encodeBundle({
    receipt: seal<Receipt>('receipt', { ...receiptPayload, executor: payer.publicKey, order: ownOrder.id, charge: 0n }, payer), order: ownOrder, offer: null
  })
}

/** Two cheques with one number, two receipts for one job, two heads in which numbers fall, a head that denies a cheque. */
export const frauds = {
  cheques: encodeFraud('cheque', cheque, seal<Cheque>('cheque', { ...cheque.payload, ack: 1 }, payer)),
  receipts: encodeFraud('receipt', batched, seal<Receipt>('receipt', { ...receiptPayload, fuel: 1n }, executor)),
  heads: encodeFraud('head', head, seal<Head>('head', { ...head.payload, n: 2, nonce: new Uint8Array(16).fill(9) }, executor)),
  hidden: encodeFraud('hidden', seal<Head>('head', { ...head.payload, n: 0, cheque: null }, executor), cheque)
}

export function makeVectors (): Vector[] {
  const records = Object.entries({ spec, offer, order, cancel, receipt, batched, repeated, cheque, ack, head, charter, invite, member, revocations, 'order in a mesh': meshOrder, 'cheque in a mesh': meshCheque, 'cheque of the issuer': grantCheque, clearing }).map(([name, { id, bytes }]) => ({ name, id: id.toString(), bytes: toHex(bytes) }))
  const files = Object.entries(bundles).map(([name, { receipt, bytes }]) => ({ name: `bundle ${name}`, id: receipt.id.toString(), bytes: toHex(bytes) }))
  const proofs = Object.entries(frauds).map(([name, { id, bytes }]) => ({ name: `fraud ${name}`, id: id.toString(), bytes: toHex(bytes) }))
  const steps = Object.entries({ state, 'spec of the first step': encodeSpec({ ...spec.spec, state: null }), 'spec of a step': stepSpec, 'receipt of a step': stepReceipt }).map(([name, { id, bytes }]) => ({ name, id: id.toString(), bytes: toHex(bytes) }))
  return [...records, ...files, ...proofs, ...steps]
}

if (import.meta.main) console.log(JSON.stringify(makeVectors(), null, 2))
