/** Proofs of fraud: made where contradicting records are taken, checked by anyone, acted on, kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { factsOf, LIMITS_OF_JOB, type Node, signerOf, World } from '../../test/suites/credits-world.ts'
import * as vectors from '../../test/suites/record-vectors.ts'
import { createSigner, verify } from '../node/keys.ts'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { openEnvelope, seal, type Sealed, sealBatch } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { checkCheque, checkReceipt, type Cheque, type Head, type Receipt } from '../packet/records.ts'
import { type Bundle, encodeBundle } from './bundle.ts'
import { encodeFraud, openFraud } from './frauds.ts'
import { charge } from './pricing.ts'
import { receiptOf } from './seller.ts'

async function pair (): Promise<{ world: World, a: Node, b: Node }> {
  const world = new World()
  return { world, a: await world.node('a'), b: await world.node('b') }
}

/** What a node does with a peer that was convicted. */
async function assertShunned (node: Node, peer: Node): Promise<void> {
  assert.equal(node.credits.isFraud(peer.id), true)
  assert.equal(node.credits.spendable(peer.id), 0n)
  await assert.rejects(node.order(peer), { code: 'ERR_POLICY' })
  const { lineMax, acceptable, frauds, reasons } = node.credits.explain(peer.id)
  assert.deepEqual([lineMax, frauds], [0n, 1])
  assert.match(reasons[0]!, /fraud/)
  const order = await peer.order(node)
  await assert.rejects(node.credits.acceptOrder(peer.id, order, node.offer, LIMITS_OF_JOB), { code: 'ERR_POLICY' })
  assert.equal(acceptable, 0n)
  assert.equal(await node.credits.nextCheque(peer.id), null)
  await peer.credits.refuseOrder(order.id.toString())
}

async function reopened (node: Node): Promise<void> {
  await node.credits.close()
  node.disk.detach()
  await node.start()
}

/** Two cheques that b holds of a: the one it took, and a forgery rightly signed by a. */
async function twoCheques (): Promise<{ a: Node, b: Node, forged: Sealed<Cheque>, taken: Sealed<Cheque> }> {
  const { a, b } = await pair()
  await a.buyFrom(b)
  const taken = await a.credits.nextCheque(b.id)
  assert.ok(taken !== null)
  await b.credits.takeCheque(a.id, taken.bytes)
  const forged = seal<Cheque>('cheque', { ...taken.payload, total: 5n, items: [{ ...taken.payload.items[0]!, amount: 5n }] }, a.signer)
  return { a, b, forged, taken }
}

// Goal: a payer that signs two cheques with one number is convicted, at once and for good, and owes what it owed.
// Method: pay, then a forgery with the same number; look, restart, look again; the same again changes nothing.
test('two cheques with one number convict their payer', async () => {
  const { a, b, forged, taken } = await twoCheques()
  const before = b.credits.balance()
  for (let i = 0; i < 3; i++) await assert.rejects(b.credits.takeCheque(a.id, forged.bytes), { code: 'ERR_RECORD_INVALID', message: /"n"/ })
  assert.deepEqual(b.credits.balance(), before)
  await assertShunned(b, a)
  const [fraud, ...more] = await Array.fromAsync(b.credits.frauds())
  assert.deepEqual(more, [])
  assert.deepEqual([fraud!.peer, fraud!.kind, new Set([fraud!.first, fraud!.second])], [a.id, 'cheque', new Set([forged.id.toString(), taken.id.toString()])])
  const opened = openFraud(fraud!.bytes, verify)
  assert.deepEqual([opened.peer, opened.id.toString()], [a.id, fraud!.id])
  await reopened(b)
  await assertShunned(b, a)
  assert.equal((await b.credits.audit()).ok, true)
  // The same cheque again is no fraud, and is still acknowledged.
  assert.equal((await b.credits.takeCheque(a.id, taken.bytes)).kind, 'ack')
})

// Goal: an executor that signs two receipts for one job is convicted; the first stays in the books and is not paid any more.
// Method: an honest answer, then another receipt for the order, rightly billed and signed.
test('two receipts for one job convict their executor', async () => {
  const { a, b } = await pair()
  const order = await a.order(b)
  const receiptFor = (fuel: bigint): Uint8Array => {
    const facts = { ...factsOf(order.id), fuel }
    return encodeBundle({ receipt: seal<Receipt>('receipt', receiptOf(order, facts, charge(b.offer.payload, facts)), b.signer), order, offer: b.offer }).bytes
  }
  const hold = await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
  const { bytes } = await hold.settle({ ...factsOf(order.id), fuel: 1_000n }, bundle => bundle.bytes)
  await a.credits.acceptReceipt(b.id, bytes)
  const { owed } = a.credits.balance()
  await assert.rejects(a.credits.acceptReceipt(b.id, receiptFor(2_000_000n)), { code: 'ERR_RECEIPT_INVALID', message: /another receipt/ })
  assert.equal(a.credits.balance().owed, owed)
  await assertShunned(a, b)
  await reopened(a)
  await assertShunned(a, b)
  const [fraud] = await Array.fromAsync(a.credits.frauds())
  assert.deepEqual([fraud!.kind, openFraud(fraud!.bytes, verify).peer], ['receipt', b.id])
  await a.pay(b)
  assert.deepEqual([a.credits.balance().owed, b.credits.balance().due], [owed, owed])
  assert.ok((await a.credits.audit()).ok)
})

// Goal: an executor that lost a receipt, or what it remembered of the run, and runs the order again, is no fraud for it; what it says
// otherwise of the run, or of the price alone, still is. Method: a job from memory is bought, then a receipt for the same order of a run is shown;
// pairs of receipts for one order, rightly signed.
test('from memory and run again is no fraud', async () => {
  const { a, b } = await pair()
  const [first, second] = [await a.order(b), await a.order(b)]
  const facts = factsOf('same')
  const settle = async (order: typeof first, original?: Bundle): Promise<Bundle> => {
    const hold = await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
    const bundle = await hold.settle(facts, bundle => bundle.bytes, original)
    await a.credits.acceptReceipt(b.id, bundle.bytes)
    return bundle
  }
  const original = await settle(first)
  const { owed } = a.credits.balance()
  const repeated = await settle(second, original)
  const { base } = b.offer.payload
  assert.deepEqual([a.credits.balance().owed - owed, b.credits.balance().due - owed], [base, base])
  const run = seal<Receipt>('receipt', receiptOf(second, facts, charge(b.offer.payload, facts)), b.signer)
  await assert.rejects(a.credits.acceptReceipt(b.id, encodeBundle({ receipt: run, order: second, offer: b.offer }).bytes), { code: 'ERR_RECEIPT_INVALID', message: /another receipt/ })
  assert.equal(a.credits.isFraud(b.id), false)
  assert.ok((await a.credits.audit()).ok)

  const claim = (changes: Partial<Receipt>): Sealed<Receipt> => seal<Receipt>('receipt', { ...repeated.receipt.payload, ...changes }, b.signer)
  const { cached: _, ...old } = run.payload
  const honest: [Sealed, Sealed][] = [[run, claim({})], [run, claim({ cached: first.id })], [claim({}), claim({ cached: first.id })], [run, openEnvelope(seal<object>('receipt', old, b.signer).bytes, 'receipt', checkReceipt)]]
  for (const [one, other] of honest) assert.throws(() => encodeFraud('receipt', one, other), { code: 'ERR_RECORD_INVALID', message: /"second"/ })
  for (const lie of [{ fuel: 5n }, { result: first.id }, { payer: b.signer.publicKey }]) assert.equal(encodeFraud('receipt', run, claim(lie)).peer, b.id)
  assert.equal(encodeFraud('receipt', claim({}), claim({ charge: base + 1n })).peer, b.id)
})

// Goal: nobody is convicted by what an honest node does. Method: the same receipt signed twice, alone and in a batch;
// a payer that shows the executor another receipt of its own making; a second lane; two orders.
test('the same content twice is no fraud', async () => {
  const { a, b } = await pair()
  const order = await a.order(b)
  const facts = factsOf(order.id)
  const payload = receiptOf(order, facts, charge(b.offer.payload, facts))
  const bundles = [seal<Receipt>('receipt', payload, b.signer), sealBatch<Receipt>('receipt', [payload, { ...payload, item: 1 }], b.signer)[0]!]
    .map(receipt => encodeBundle({ receipt, order, offer: b.offer }).bytes)
  for (const bytes of bundles) await a.credits.acceptReceipt(b.id, bytes)
  assert.equal(a.credits.isFraud(b.id), false)
  const [one] = sealBatch<Receipt>('receipt', [payload], b.signer) as [Sealed<Receipt>]
  const cheque = (changes: Partial<Cheque>): Sealed<Cheque> => seal<Cheque>('cheque', {
    net: null, from: a.signer.publicKey, to: b.signer.publicKey, via: null, epoch: 0, n: 1, prev: null, total: 1n, items: [{ order: order.id, amount: 1n, kind: 'job' }], ack: 0, ...changes
  }, a.signer)
  const pairs: [kind: 'cheque' | 'receipt', first: Sealed, second: Sealed][] = [
    ['receipt', one, one],
    ['receipt', one, seal<Receipt>('receipt', { ...payload, item: 1 }, b.signer)],
    ['receipt', one, seal<Receipt>('receipt', { ...payload, order: b.offer.id }, b.signer)],
    ['receipt', one, seal<Receipt>('receipt', { ...payload, executor: a.signer.publicKey, fuel: 1n }, a.signer)],
    ['receipt', one, seal<Receipt>('receipt', { ...payload, net: new Uint8Array(32) }, b.signer)],
    ['cheque', cheque({}), cheque({})],
    ['cheque', cheque({}), cheque({ n: 2, prev: order.id, total: 2n })],
    ['cheque', cheque({}), cheque({ epoch: 1 })],
    ['cheque', cheque({}), cheque({ to: signerOf('c').publicKey })],
    ['cheque', cheque({}), cheque({ from: signerOf('c').publicKey })],
    ['cheque', cheque({}), cheque({ net: new Uint8Array(32) })]
  ]
  for (const [kind, first, second] of pairs) {
    const refused = { code: 'ERR_RECORD_INVALID', message: /"second"/ }
    assert.throws(() => encodeFraud(kind, first, second), refused)
    const sorted = [first, second].sort((x, y) => Buffer.compare(x.id.multihash.digest, y.id.multihash.digest))
    assert.throws(() => openFraud(encodeCanonical({ kind, first: sorted[0]!.bytes, second: sorted[1]!.bytes }), verify), refused)
  }
})

// Goal: no bit of a proof can be changed, nobody can be framed, and there is one file for two records. Method: flip
// every bit in turn, at random for long ones; halves signed by another; the order of the halves.
test('a proof that was touched is refused', async () => {
  const { a, forged, taken } = await twoCheques()
  const { bytes } = encodeFraud('cheque', forged, taken)
  assert.deepEqual(encodeFraud('cheque', taken, forged).bytes, bytes)
  const refused = (proof: Uint8Array): void => assert.throws(() => openFraud(proof, verify), (error: unknown) => error instanceof InosError && error.code === 'ERR_RECORD_INVALID')
  fc.assert(fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), bit => {
    refused(bytes.with(bit >> 3, bytes[bit >> 3]! ^ 1 << (bit & 7)))
  }), { numRuns: 2_000 })
  const { kind, first, second } = decodeCanonical(bytes) as Record<string, Uint8Array>
  refused(encodeCanonical({ kind, first: second, second: first }))
  const framed = seal('cheque', openEnvelope(first!, 'cheque', checkCheque).payload, signerOf('enemy'))
  refused(encodeCanonical({ kind, first: framed.bytes, second }))
  for (const wrong of [{ kind, first }, { kind, first, second, more: 1 }, { kind: 'order', first, second }, { kind: 'receipt', first, second }, { kind, first: null, second }, [kind, first, second]]) refused(encodeCanonical(wrong))
  refused(new Uint8Array(LIMITS.credits.fraudBytesMax + 1))
  assert.equal(openFraud(bytes, verify).peer, a.id)
  assert.equal(openFraud(bytes, verify).witness, null)
})

// Goal: a proof about heads names who hid a cheque and whom alone that convinces, and is made of nothing else. Method: the
// committed records; the same with one field changed, or signed by another.
test('a proof about heads holds for its witness alone', () => {
  const { head, frauds } = vectors
  const [payer, executor] = [createSigner(vectors.PAYER_SEED), createSigner(vectors.EXECUTOR_SEED)]
  const { first: denying, second: denied } = frauds.hidden
  for (const { kind, bytes, id } of [frauds.heads, frauds.hidden]) {
    const fraud = openFraud(bytes, verify)
    assert.deepEqual([fraud.kind, fraud.peer, fraud.witness, fraud.id.equals(id)], [kind, executor.id, payer.id, true])
  }
  const said = (changes: Partial<Head>, signer = executor): Sealed<Head> => seal<Head>('head', { ...head.payload, ...changes }, signer)
  const refused = { code: 'ERR_RECORD_INVALID', message: /"second"/ }
  for (const changes of [{ nonce: new Uint8Array(16) }, { n: 2, net: new Uint8Array(32) }, { n: 2, epoch: 1 }, { n: 2, to: payer.publicKey }]) assert.throws(() => encodeFraud('head', head, said(changes)), refused)
  assert.throws(() => encodeFraud('hidden', said({ n: 2 }), denied), refused)
  for (const [kind, first, second] of [['hidden', said({ n: 0, cheque: null }, payer), denied], ['hidden', denying, seal('cheque', denied.payload, executor)]] as const) {
    assert.throws(() => openFraud(encodeFraud(kind, first, second).bytes, verify), { code: 'ERR_RECORD_INVALID', message: /signature/ })
  }
})

// Goal: proofs kept are bounded. Method: more forgeries than are kept.
test('one peer’s proofs are limited', async () => {
  const { a, b, taken } = await twoCheques()
  for (let i = 0; i < LIMITS.credits.fraudsPerPeerMax + 5; i++) {
    const forged = seal<Cheque>('cheque', { ...taken.payload, ack: i + 1 }, a.signer)
    await assert.rejects(b.credits.takeCheque(a.id, forged.bytes))
  }
  assert.equal((await Array.fromAsync(b.credits.frauds())).length, LIMITS.credits.fraudsPerPeerMax)
})

// Goal: the audit finds a fraud that lies in the books, and names a proof that was damaged. Method: plant both.
test('the audit convicts, and checks what is kept', async () => {
  const { a, b, forged } = await twoCheques()
  const [key] = [...b.disk.rows().keys()].filter(key => key.startsWith('in!'))
  b.disk.damage(key!.replace(/1$/, '2'), forged.bytes)
  assert.equal(b.credits.isFraud(a.id), false)
  const report = await b.credits.audit()
  assert.deepEqual(report.bad.map(({ key }) => key), [key!.replace(/1$/, '2')])
  await b.credits.close()
  assert.equal(b.credits.isFraud(a.id), true)
  const proof = [...b.disk.rows()].find(([key]) => key.startsWith('fraud!'))!
  b.disk.damage(proof[0], proof[1].with(100, proof[1][100]! ^ 1))
  assert.ok((await b.credits.audit()).bad.some(({ key }) => key === proof[0]))
  assert.deepEqual(await Array.fromAsync(b.credits.frauds()), [])
})
