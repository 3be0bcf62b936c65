import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as vectors from '../../test/suites/record-vectors.ts'
import { createSigner, verify } from '../node/keys.ts'
import { encodeCanonical } from '../packet/cbor.ts'
import { rawCid } from '../packet/cid.ts'
import { seal } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import type { Offer, Order, Receipt } from '../packet/records.ts'
import { checkBundle, encodeBundle, openBundle, readBundle } from './bundle.ts'

const { bundles, receiptPayload } = vectors
const payer = createSigner(vectors.PAYER_SEED)
const executor = createSigner(vectors.EXECUTOR_SEED)
const stranger = createSigner(new Uint8Array(32).fill(9))

/** A bundle that is right in every signature and link, but for what is changed. */
function forge ({ receipt = {}, order = {}, offer = {}, by = executor, orderBy = payer, offerBy = executor }: {
  receipt?: Partial<Receipt>, order?: Partial<Order>, offer?: Partial<Offer>, by?: typeof payer, orderBy?: typeof payer, offerBy?: typeof payer
}): Uint8Array {
  const sealedOffer = seal<Offer>('offer', { ...vectors.offer.payload, ...offer }, offerBy)
  const sealedOrder = seal<Order>('order', { ...vectors.order.payload, offer: sealedOffer.id, ...order }, orderBy)
  const sealedReceipt = seal<Receipt>('receipt', { ...receiptPayload, order: sealedOrder.id, ...receipt }, by)
  return encodeCanonical({ receipt: sealedReceipt.bytes, order: sealedOrder.bytes, offer: sealedOffer.bytes })
}

const refuses = (bytes: Uint8Array, field: string): void => {
  assert.throws(() => openBundle(bytes, verify), (error: unknown) => {
    assert.ok(error instanceof InosError)
    assert.equal(error.code, 'ERR_RECEIPT_INVALID')
    assert.ok(error.message.includes(`"${field}"`), `${field}: ${error.message}`)
    return true
  })
}

// Goal: what is right passes, with its facts. Method: the three committed bundles.
test('a true receipt is accepted', () => {
  const sold = openBundle(bundles.sold.bytes, verify)
  assert.equal(sold.selfExecuted, false)
  assert.equal(sold.receipt.id.toString(), vectors.receipt.id.toString())
  assert.equal(sold.receipt.payload.charge, receiptPayload.charge)
  assert.equal(openBundle(bundles.batched.bytes, verify).receipt.id.toString(), vectors.receipt.id.toString(), 'an id does not depend on how it was signed')
  assert.equal(openBundle(bundles.own.bytes, verify).selfExecuted, true)
  assert.equal(openBundle(forge({}), verify).order.payload.costMax, 20_000_000n)
  assert.deepEqual(readBundle(bundles.sold.bytes).receipt.payload, sold.receipt.payload)
})

// Goal: every link, party and amount is checked. Method: receipts rightly signed, wrong in one thing each.
test('a lie in any field is refused by name', () => {
  const other = rawCid(Uint8Array.of(1))
  refuses(forge({ receipt: { order: vectors.order.id }, order: { nonce: new Uint8Array(16) } }), 'order')
  refuses(forge({ receipt: { spec: other } }), 'spec')
  refuses(forge({ receipt: { payer: stranger.publicKey } }), 'payer')
  refuses(forge({ receipt: { executor: stranger.publicKey } }), 'executor')
  refuses(forge({ receipt: { net: new Uint8Array(32) } }), 'net')
  refuses(forge({ offer: { net: new Uint8Array(32) } }), 'net')
  refuses(forge({ order: { offer: other } }), 'offer')
  refuses(forge({ order: { offer: null } }), 'offer')
  refuses(forge({ offer: { executor: stranger.publicKey }, offerBy: stranger }), 'executor')
  refuses(forge({ offer: { profile: 'inos/2' } }), 'profile')
  refuses(forge({ offer: { classes: [] } }), 'class')
  refuses(forge({ receipt: { charge: receiptPayload.charge + 1n } }), 'charge')
  refuses(forge({ receipt: { charge: receiptPayload.charge - 1n } }), 'charge')
  refuses(forge({ receipt: { fuel: receiptPayload.fuel + 1_000_000n } }), 'charge')
  refuses(forge({ order: { costMax: receiptPayload.charge - 1n } }), 'charge')
  refuses(forge({ offer: { base: 99n } }), 'charge')
  refuses(forge({ receipt: { exitCode: null } }), 'exitCode')
})

/** Rightly signed: the committed job ordered again and answered from memory, but for what is changed. */
function repeat ({ receipt = {}, by = executor, parts = {} }: { receipt?: Partial<Receipt>, by?: typeof payer, parts?: object }): Uint8Array {
  const { again, repeated, offer } = vectors
  const sealed = seal<Receipt>('receipt', { ...repeated.payload, ...receipt }, by)
  return encodeCanonical({ receipt: sealed.bytes, order: again.bytes, offer: offer.bytes, original: bundles.sold.bytes, ...parts })
}

// Goal: a result from memory costs the base price, and only with the receipt of the run, by the same executor, of the same spec, that says
// the same. Method: the committed one; then one thing changed in it, or another original, each rightly signed where that is not the point.
test('a receipt that repeats a run stands on the receipt of that run', () => {
  const bundle = openBundle(repeat({}), verify)
  assert.deepEqual([bundle.receipt.payload.charge, bundle.original?.receipt.id.toString()], [100n, vectors.receipt.id.toString()])
  assert.deepEqual(encodeBundle(readBundle(bundle.bytes)).bytes, bundles.repeated.bytes)
  // A run of its own for the executor itself is an original, too.
  const ownOrder = seal<Order>('order', { ...vectors.order.payload, payer: executor.publicKey, offer: null, costMax: 0n }, executor)
  const ownRun = seal<Receipt>('receipt', { ...receiptPayload, payer: executor.publicKey, order: ownOrder.id, charge: 0n }, executor)
  const own = encodeBundle({ receipt: ownRun, order: ownOrder, offer: null })
  assert.equal(openBundle(repeat({ receipt: { cached: ownRun.id }, parts: { original: own.bytes } }), verify).original?.receipt.id.toString(), ownRun.id.toString())

  refuses(encodeCanonical({ receipt: vectors.repeated.bytes, order: vectors.again.bytes, offer: vectors.offer.bytes }), 'original')
  refuses(repeat({ receipt: { cached: null } }), 'original')
  refuses(repeat({ receipt: { cached: vectors.repeated.id } }), 'original')
  refuses(repeat({ parts: { original: own.bytes } }), 'original')
  refuses(repeat({ parts: { original: null } }), 'original')
  refuses(repeat({ parts: { original: new Uint8Array(0) } }), 'original')
  refuses(repeat({ parts: { more: null } }), 'bytes')
  refuses(repeat({ receipt: { charge: 101n } }), 'charge')
  refuses(repeat({ receipt: { charge: receiptPayload.charge } }), 'charge')
  for (const lie of [{ fuel: 1n }, { pages: 1 }, { outcome: 'trap', exitCode: null, files: null, filesBytes: 0 }, { result: rawCid(Uint8Array.of(1)) }, { resultBytes: 1 }, { files: rawCid(Uint8Array.of(1)) }, { input: rawCid(Uint8Array.of(1)) }]) {
    refuses(repeat({ receipt: lie }), 'original')
  }
  // Forged: not the executor's, of another spec, a repetition itself.
  const original = (change: Partial<Receipt>, by = executor, parts: object = {}): Uint8Array => {
    const receipt = seal<Receipt>('receipt', { ...receiptPayload, ...change }, by)
    const bytes = encodeCanonical({ receipt: receipt.bytes, order: vectors.order.bytes, offer: vectors.offer.bytes, ...parts })
    return repeat({ receipt: { cached: receipt.id }, parts: { original: bytes } })
  }
  assert.ok(openBundle(original({}), verify).original !== undefined)
  refuses(original({}, stranger), 'original')
  refuses(original({ executor: stranger.publicKey }, stranger), 'original')
  refuses(original({ spec: rawCid(Uint8Array.of(1)) }), 'original')
  refuses(original({ charge: receiptPayload.charge + 1n }), 'original')
  refuses(repeat({ receipt: { cached: vectors.repeated.id }, parts: { original: bundles.repeated.bytes } }), 'original')
})

// Goal: receipts that were stored before there was a memory of results are read as they were. Method: one without the field, rightly signed.
test('a receipt of an older version is accepted', () => {
  const { cached: _, ...old } = receiptPayload
  const receipt = seal<object>('receipt', old, executor)
  assert.equal(openBundle(encodeCanonical({ receipt: receipt.bytes, order: vectors.order.bytes, offer: vectors.offer.bytes }), verify).receipt.id.toString(), receipt.id.toString())
})

// Goal: this node never makes a bundle that others refuse. Method: records that do not belong together.
test('records of two jobs make no bundle', () => {
  const { receipt, order, offer } = vectors
  assert.deepEqual(encodeBundle({ receipt, order, offer }).bytes, bundles.sold.bytes)
  assert.throws(() => encodeBundle({ receipt, order: bundles.own.order, offer: null }), { code: 'ERR_RECEIPT_INVALID', message: /"order"/ })
})

// Goal: nobody signs for another. Method: each of the three records signed by a wrong key.
test('a signature by another key is refused', () => {
  refuses(forge({ by: stranger }), 'receipt')
  refuses(forge({ by: payer }), 'receipt')
  refuses(forge({ orderBy: executor }), 'order')
  refuses(forge({ offerBy: payer }), 'offer')
})

// Goal: rules of a job of one's own. Method: break each of them.
test('a job of one’s own has no offer and costs nothing', () => {
  const order = seal<Order>('order', { ...vectors.order.payload, executor: payer.publicKey, offer: null }, payer)
  const own = (change: Partial<Receipt>, parts: object = {}): Uint8Array => {
    const receipt = seal<Receipt>('receipt', { ...receiptPayload, executor: payer.publicKey, order: order.id, charge: 0n, ...change }, payer)
    return encodeCanonical({ receipt: receipt.bytes, order: order.bytes, offer: null, ...parts })
  }
  assert.equal(openBundle(own({}), verify).selfExecuted, true)
  refuses(own({ charge: 1n }), 'charge')
  refuses(own({}, { offer: vectors.offer.bytes }), 'offer')
  refuses(encodeCanonical({ receipt: bundles.sold.receipt.bytes, order: bundles.sold.order.bytes, offer: null }), 'offer')
})

// Goal: the form is strict. Method: not cbor, other shapes, other keys, too long, parts swapped.
test('what is no bundle is refused', () => {
  const { receipt, order, offer } = vectors
  refuses(new Uint8Array(0), 'bytes')
  refuses(encodeCanonical([receipt.bytes]), 'bytes')
  refuses(encodeCanonical({ receipt: receipt.bytes, order: order.bytes }), 'bytes')
  refuses(encodeCanonical({ receipt: receipt.bytes, order: order.bytes, other: null }), 'offer')
  refuses(encodeCanonical({ receipt: 'x', order: order.bytes, offer: offer.bytes }), 'receipt')
  refuses(encodeCanonical({ receipt: order.bytes, order: receipt.bytes, offer: offer.bytes }), 'receipt')
  refuses(new Uint8Array(20_000), 'bytes')
  refuses(Uint8Array.of(...bundles.sold.bytes, 0), 'bytes')
  refuses(bundles.sold.bytes.subarray(0, -1), 'bytes')
})

// Goal: no bit of a receipt file can be turned (invariant 11). Method: turn each one of a sold job's; of the
// others each of the batch proof's, and every seventh, which meets every place in a byte.
test('every flipped bit is refused', () => {
  const proof = Buffer.from(bundles.batched.bytes).indexOf('batch')
  const payload = Buffer.from(bundles.batched.bytes).indexOf('payload', proof)
  assert.ok(proof > 0 && payload > proof)
  const isTried = (name: string, bit: number): boolean => name === 'sold' || bit % 7 === 0 || (name === 'batched' && bit >= proof * 8 && bit < payload * 8)
  for (const [name, { bytes }] of Object.entries(bundles)) {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      if (!isTried(name, bit)) continue
      const flipped = bytes.with(bit >> 3, bytes[bit >> 3]! ^ (1 << (bit & 7)))
      assert.throws(() => openBundle(flipped, verify), { code: 'ERR_RECEIPT_INVALID' }, `bit ${bit} of the bundle ${name}`)
    }
  }
})

// Goal: the short way around known records checks only the receipt's signature, and no record that differs takes it. Method:
// count checks of known records, then known records under bytes that differ.
test('only equal bytes count as known', () => {
  const known = { order: () => vectors.order, offer: () => vectors.offer }
  let checks = 0
  checkBundle(readBundle(bundles.sold.bytes), (...of) => { checks++; return verify(...of) }, known)
  assert.equal(checks, 1)
  for (const forged of [forge({ orderBy: stranger }), forge({ offerBy: stranger })]) {
    assert.throws(() => checkBundle(readBundle(forged), verify, known), { code: 'ERR_RECEIPT_INVALID' })
  }
})
