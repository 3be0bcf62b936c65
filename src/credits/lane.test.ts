/**
 * Cheques, acks, reconciliation and audit of one line, against peers that lie or forget.
 */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import { assertSettled, factsOf, LIMITS_OF_JOB, type Node, signerOf, World } from '../../test/suites/credits-world.ts'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { CID, rawCid } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed, sealBatch } from '../packet/envelope.ts'
import { toHex } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { type Ack, checkCheque, type Cheque } from '../packet/records.ts'
import { decodeAnswer, decodeQuestion, encodeAnswer, encodeQuestion, type SyncAnswer } from './sync.ts'

const NOTHING: SyncAnswer = { n: 0, last: null, head: null, cheques: [], receipts: [], kept: [], lacking: [], done: [], running: [], unknown: [] }

async function pair (): Promise<{ world: World, a: Node, b: Node }> {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  await a.meet(b)
  await b.meet(a)
  return { world, a, b }
}

/** Nothing on disk and no sum may change while `work` runs; a proof of fraud may be kept. */
async function changesNothing (node: Node, work: () => Promise<unknown>): Promise<void> {
  await node.credits.close()
  const before = node.credits.balance()
  const look = (): string[] => [...node.disk.rows()].filter(([key]) => !key.startsWith('fraud!')).map(([key, value]) => `${key} ${toHex(value)}`)
  const rows = look()
  await work()
  await node.credits.close()
  assert.deepEqual(node.credits.balance(), before)
  assert.deepEqual(look(), rows)
}

// Goal: every field of a cheque is checked (invariants 3, 10, 11). Method: cheques rightly signed by the payer, wrong in one field each.
test('a cheque that lies is refused by field and changes nothing', async () => {
  const { a, b } = await pair()
  await a.buyFrom(b)
  await a.pay(b)
  await a.buyFrom(b)
  await a.buyFrom(b)
  const cheque = await a.credits.nextCheque(b.id)
  assert.ok(cheque)
  const { payload } = cheque
  const [one, two] = payload.items as [typeof payload.items[0], typeof payload.items[0]]
  const lies: [RegExp, Partial<Cheque>][] = [
    [/"from"/, { from: signerOf('c').publicKey }],
    [/"to"/, { to: signerOf('c').publicKey }],
    [/"epoch"/, { epoch: 1 }],
    [/"prev"/, { prev: rawCid(Uint8Array.of(1)) }],
    [/"total"/, { total: payload.total + 1n }],
    [/"total"/, { items: [one] }],
    [/"items"/, { items: [{ ...one, amount: one.amount + 1n }, { ...two, amount: two.amount - 1n }] }],
    [/"items"/, { items: [one, one], total: payload.total - two.amount + one.amount }],
    [/"ack"/, { ack: 1 }],
    [/"n"/, { n: 1, prev: null }]
  ]
  await changesNothing(b, async () => {
    for (const [field, lie] of lies) {
      await assert.rejects(b.credits.takeCheque(a.id, seal<Cheque>('cheque', { ...payload, ...lie }, a.signer).bytes), { code: 'ERR_RECORD_INVALID', message: field })
    }
    await assert.rejects(b.credits.takeCheque(a.id, seal<Cheque>('cheque', { ...payload, net: new Uint8Array(32) }, a.signer).bytes), { code: 'ERR_WRONG_MESH' })
    await assert.rejects(b.credits.takeCheque(a.id, seal<Cheque>('cheque', payload, signerOf('c')).bytes), { message: /signature/ })
    await assert.rejects(b.credits.takeCheque(signerOf('c').id, cheque.bytes), { message: /"from"/ })
    await assert.rejects(b.credits.takeCheque(a.id, a.offer.bytes), { code: 'ERR_RECORD_INVALID' })
    for (let bit = 0; bit < cheque.bytes.length * 8; bit += 7) {
      await assert.rejects(b.credits.takeCheque(a.id, cheque.bytes.with(bit >> 3, cheque.bytes[bit >> 3]! ^ (1 << (bit & 7)))), { code: 'ERR_RECORD_INVALID' })
    }
  })
  // Paid orders cannot be paid again.
  const [paid] = await Array.fromAsync(b.credits.history())
  const again = { ...payload, items: [{ order: CID.parse(paid!.order), amount: paid!.amount, kind: 'job' as const }], total: payload.total - one.amount - two.amount + paid!.amount }
  await changesNothing(b, async () => await assert.rejects(b.credits.takeCheque(a.id, seal<Cheque>('cheque', again, a.signer).bytes), { message: /"items"/ }))
  assert.equal((await b.credits.takeCheque(a.id, cheque.bytes)).kind, 'ack')
})

// Goal: amounts are whole, in range and exact (invariant 10). Method: odd values in each amount of a signed cheque, NaN and long forms by hand.
test('odd amounts are refused and change nothing', async () => {
  const { a, b } = await pair()
  await a.buyFrom(b)
  const cheque = await a.credits.nextCheque(b.id)
  assert.ok(cheque)
  const odd = [-1, -1n, 2 ** 53 - 1, 2n ** 53n, 2n ** 53n + 1n, 2n ** 62n - 1n, 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n, 0.5, '1', null, true, [], new Uint8Array(8)]
  const item = cheque.payload.items[0]!
  const sealAny = (payload: object): Uint8Array => seal('cheque', payload, a.signer).bytes
  await changesNothing(b, async () => {
    for (const value of odd) {
      for (const change of [{ total: value }, { items: [{ ...item, amount: value }] }, { total: value, items: [{ ...item, amount: value }] }, { n: value }, { ack: value }, { epoch: value }]) {
        await b.credits.takeCheque(a.id, sealAny({ ...cheque.payload, ...change })).then(answer => assert.equal(answer.kind, 'behind'), error => assert.equal(error.code, 'ERR_RECORD_INVALID'))
      }
    }
    assert.throws(() => sealAny({ ...cheque.payload, total: Number.NaN }))
    assert.throws(() => sealAny({ ...cheque.payload, total: 2n ** 64n }))
    const text = toHex(cheque.bytes)
    const total = toHex(encodeCanonical({ total: cheque.payload.total })).slice(2)
    assert.ok(text.includes(total))
    const name = toHex(encodeCanonical('total'))
    const long = cheque.payload.total.toString(16).padStart(16, '0')
    for (const value of [`1b${long}`, 'f97e00', 'fb7ff8000000000000', `fb${'0'.repeat(16)}`, `c249${'01'.padStart(18, '0')}`, '3b7fffffffffffffff']) {
      await assert.rejects(b.credits.takeCheque(a.id, Buffer.from(text.replace(total, name + value), 'hex')), { code: 'ERR_RECORD_INVALID' })
    }
  })
  assert.equal((await b.credits.takeCheque(a.id, cheque.bytes)).kind, 'ack')
})

// Goal: cheques that overtake each other all arrive. Method: hand over the third first; send what the answer asks for.
test('a cheque that comes too early asks for those before it', async () => {
  const { world, a, b } = await pair()
  const cheques: Sealed<Cheque>[] = []
  for (let i = 0; i < 3; i++) {
    await a.buyFrom(b)
    cheques.push((await a.credits.nextCheque(b.id))!)
  }
  const early = await b.credits.takeCheque(a.id, cheques[2]!.bytes)
  assert.ok(early.kind === 'behind')
  const { resend } = await a.credits.applySync(b.id, early.body)
  assert.deepEqual(await Array.fromAsync(resend), cheques.map(({ bytes }) => ({ kind: 'cheque', bytes })), 'the stored bytes, not new ones')
  for (const { bytes } of cheques) assert.equal((await b.credits.takeCheque(a.id, bytes)).kind, 'ack')
  assert.equal(a.credits.creditors().length, 1)
  await world.drain([a, b])
  await assertSettled(a, b)
})

// Goal: a payer needs no patience with a payee that never acknowledges. Method: cheques without acks until none is written.
test('unacknowledged cheques are limited', async () => {
  const { world, a, b } = await pair()
  for (let i = 0; i < LIMITS.credits.unackedChequesMax; i++) {
    await a.buyFrom(b)
    const cheque = (await a.credits.nextCheque(b.id))!
    await b.credits.takeCheque(a.id, cheque.bytes)
  }
  await a.buyFrom(b)
  assert.equal(await a.credits.nextCheque(b.id), null)
  await world.drain([a, b])
  assert.equal(a.credits.spendable(b.id), LIMITS.credits.strangerLineMax - a.credits.balance().spent)
  await assertSettled(a, b)
})

// Goal: an ack counts only for the cheque it names, by the payee. Method: acks wrong in one thing each.
test('an ack that lies is refused', async () => {
  const { a, b } = await pair()
  await a.buyFrom(b)
  const cheque = (await a.credits.nextCheque(b.id))!
  const right: Ack = { net: null, from: a.signer.publicKey, to: b.signer.publicKey, epoch: 0, n: 1, cheque: cheque.id }
  const ack = (change: Partial<Ack>, by = b.signer): Uint8Array => seal('ack', { ...right, ...change }, by).bytes
  await changesNothing(a, async () => {
    for (const wrong of [ack({}, a.signer), ack({ n: 2 }), ack({ n: 0 }), ack({ cheque: rawCid(Uint8Array.of(1)) }), ack({ epoch: 1 }), ack({ to: signerOf('c').publicKey }), ack({ from: b.signer.publicKey })]) {
      await assert.rejects(a.credits.takeAck(b.id, wrong), { code: 'ERR_RECORD_INVALID' })
    }
    await assert.rejects(a.credits.takeAck(b.id, ack({ net: new Uint8Array(32) })), { code: 'ERR_WRONG_MESH' })
  })
  assert.equal(a.credits.creditors().length, 1)
  await a.credits.takeAck(b.id, ack({}))
  assert.deepEqual(a.credits.creditors(), [])
  await changesNothing(a, async () => await a.credits.takeAck(b.id, ack({})))
})

// Goal: reconciliation knows three kinds of orders. Method: one done, one running, one that never arrived, one still awaited.
test('a sync releases what the seller never had', async () => {
  const { a, b } = await pair()
  const [done, running, never] = [await a.order(b), await a.order(b), await a.order(b)]
  const accept = async (order: typeof done) => await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
  await (await accept(done)).settle(factsOf(done.id), bundle => bundle.bytes)
  const hold = await accept(running)
  await a.restart()
  const awaited = await a.order(b)
  const [question] = await a.credits.syncQuestions(b.id)
  const answer = await b.credits.answerSync(a.id, question!)
  // A peer that disowns an order which is still awaited releases nothing.
  const wider = { ...decodeAnswer(answer), unknown: [never.id, awaited.id, rawCid(Uint8Array.of(1))] }
  const result = await a.credits.applySync(b.id, encodeAnswer(wider))
  assert.deepEqual([result.done, result.running, result.released].map(String), [done.id, running.id, never.id].map(String))
  assert.equal(a.credits.balance().held, 30_000_000n)
  await hold.release()
  // The other way round: b brings what is due to it.
  const theirs = await b.credits.applySync(a.id, await a.credits.answerSync(b.id, (await b.credits.syncQuestions(a.id))[0]!))
  const due = await Array.fromAsync(theirs.resend)
  assert.equal(due.length, 1)
  await a.credits.acceptReceipt(b.id, due[0]!.bytes)
  await a.pay(b)
  for (const order of [running, awaited]) await a.credits.refuseOrder(order.id.toString())
  await assertSettled(a, b)
})

// Goal: a debt outlives the books of the debtor, and a receipt those of the creditor. Method: cut the power of
// each side right after the run, losing all that was not synced; the other brings the record.
test('a lost order is still paid, a lost receipt is taken back', async () => {
  const { world, a, b } = await pair()
  await a.buyFrom(b)
  a.disk.cut(0)
  await a.start()
  assert.equal(a.credits.balance().owed, 0n)
  await world.sync(a, b)
  await world.sync(b, a)
  await world.settle()
  assert.ok(a.credits.balance().owed > 0n)
  b.disk.cut(0)
  await b.start()
  assert.equal(b.credits.balance().due, 0n)
  const cheque = (await a.credits.nextCheque(b.id))!
  const answer = await b.credits.takeCheque(a.id, cheque.bytes)
  assert.ok(answer.kind === 'behind')
  assert.equal(decodeAnswer(answer.body).lacking.length, 1)
  world.send(b, a, 'answer', answer.body)
  await world.settle()
  assert.equal(b.credits.balance().earned, cheque.payload.total)
  await assertSettled(a, b)
})

// Goal: receipts of third parties are nobody's business. Method: ask for another seller's, hand over a stranger's.
test('a peer gets and gives only its own receipts', async () => {
  const { world, a, b } = await pair()
  const c = await world.node('c')
  const id = await a.buyFrom(b)
  const bundle = (await b.credits.storedReply(a.id, id)) as Uint8Array
  const nosy = encodeAnswer({ ...NOTHING, lacking: [CID.parse(id)] })
  assert.deepEqual(await Array.fromAsync((await a.credits.applySync(c.id, nosy)).resend), [])
  assert.equal((await Array.fromAsync((await a.credits.applySync(b.id, nosy)).resend)).length, 1)
  await assert.rejects(c.credits.acceptReceipt(a.id, bundle), { code: 'ERR_RECEIPT_INVALID', message: /"payer"/ })
  await assert.rejects(a.credits.acceptReceipt(c.id, bundle), { code: 'ERR_RECEIPT_INVALID', message: /"payer"/ })
  assert.equal(decodeAnswer(await b.credits.answerSync(c.id, encodeQuestion({ orders: [CID.parse(id)], lacking: [], nonce: new Uint8Array(16), from: 0, keep: [] }))).unknown.length, 1)
})

// Goal: one order, one receipt. Method: the executor signs a second, dearer one for an order that was answered.
test('a second receipt for an order is refused', async () => {
  const { a, b } = await pair()
  const id = await a.buyFrom(b)
  const { order } = openParts((await b.credits.storedReply(a.id, id)) as Uint8Array)
  const receipt = openReceipt((await b.credits.storedReply(a.id, id)) as Uint8Array)
  const dearer = { ...receipt, fuel: 0n, charge: receipt.charge }
  const free = seal('receipt', { ...dearer, outcome: 'trap', exitCode: null, fuel: receipt.fuel }, b.signer)
  const second = encodeCanonical({ receipt: free.bytes, order, offer: b.offer.bytes })
  await changesNothing(a, async () => await assert.rejects(a.credits.acceptReceipt(b.id, second), { code: 'ERR_RECEIPT_INVALID', message: /another receipt/ }))
})

function openParts (bytes: Uint8Array): { receipt: Uint8Array, order: Uint8Array } {
  return decodeCanonical(bytes) as { receipt: Uint8Array, order: Uint8Array }
}

function openReceipt (bytes: Uint8Array) {
  return openEnvelope(openParts(bytes).receipt, 'receipt', value => value as { charge: bigint, fuel: bigint }).payload
}

// Goal: books that are older than the peer's are noticed before anything is signed on them. Method: a peer that
// knows a cheque 3 where 1 was written, and another cheque 1.
test('a peer that knows more cheques than these books is an error', async () => {
  const { a, b } = await pair()
  await a.buyFrom(b)
  await a.pay(b)
  const answer = (n: number, last: CID | null): Uint8Array => encodeAnswer({ ...NOTHING, n, last })
  for (const [n, last] of [[3, rawCid(Uint8Array.of(1))], [1, rawCid(Uint8Array.of(1))]] as const) {
    await assert.rejects(a.credits.applySync(b.id, answer(n, last)), { code: 'ERR_RECORD_INVALID' })
  }
  const fewer = await a.credits.applySync(b.id, answer(0, null))
  assert.deepEqual((await Array.fromAsync(fewer.resend)).map(({ kind }) => kind), ['cheque'], 'a peer that lost cheques gets them again')
})

// Goal: sync bodies are hostile until read. Method: mangled and random ones.
test('a malformed sync is refused', () => {
  const good = NOTHING
  const asked = { orders: [], lacking: [], nonce: new Uint8Array(16), from: 0, keep: [] }
  const many = Array.from({ length: 1_025 }, () => rawCid(Uint8Array.of(1)))
  for (const change of [{ n: -1 }, { n: 1 }, { last: rawCid(Uint8Array.of(1)) }, { n: 1, last: 'x' }, { lacking: null }, { done: ['x'] }, { unknown: many }, { head: 1 }, { cheques: [1] }, { kept: null }, { more: 1 }]) {
    assert.throws(() => decodeAnswer(encodeCanonical({ ...good, ...change })), { code: 'ERR_BAD_PACKET' })
  }
  for (const body of [null, {}, { ...asked, orders: 1 }, { ...asked, orders: many }, { ...asked, nonce: new Uint8Array(15) }, { ...asked, from: -1 }, { ...asked, keep: [1] }, { ...asked, more: 1 }]) {
    assert.throws(() => decodeQuestion(encodeCanonical(body)), { code: 'ERR_BAD_PACKET' })
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
    assert.throws(() => decodeAnswer(bytes), { code: 'ERR_BAD_PACKET' })
    assert.throws(() => decodeQuestion(bytes), { code: 'ERR_BAD_PACKET' })
  }), { seed: 3 })
})

// Goal: a lost order list of any length is asked about in bounded pages. Method: 1,100 lost orders.
test('questions come in pages', async () => {
  const { a, b } = await pair()
  for (let i = 0; i < 1_100; i++) await a.order(b, 1n)
  await a.restart()
  assert.deepEqual((await a.credits.syncQuestions(b.id)).map(page => decodeQuestion(page).orders.length), [1_024, 76])
  assert.deepEqual((await a.credits.syncQuestions(signerOf('c').id)).map(page => decodeQuestion(page).orders.length), [0])
})

// Goal: the audit names a damaged record and counts the rest (invariant 12). Method: change one byte of every
// signed row in turn, in the running node and after a restart.
test('one changed byte is named by the audit', async () => {
  const { a, b } = await pair()
  for (let i = 0; i < 3; i++) {
    await a.buyFrom(b)
    await a.pay(b)
  }
  await b.buyFrom(a)
  await a.buyFrom(b)
  await a.order(b)
  await a.credits.recordOwn(rawCid(Uint8Array.of(1)), factsOf('own'))
  await a.credits.close()
  const clean = await a.credits.audit()
  assert.equal(clean.ok, true)
  assert.deepEqual([clean.records, clean.id], [3 + 6 + 1, a.id])
  const signed = [...a.disk.rows().keys()].filter(key => /^(receipt|order|in|out)!/.test(key))
  assert.equal(signed.length, clean.records)
  for (const key of signed) {
    const value = a.disk.rows().get(key)!
    for (const at of [10, value.length >> 1, value.length - 3]) {
      a.disk.damage(key, value.with(at, value[at]! ^ 1))
      const { ok, bad, records } = await a.credits.audit()
      assert.deepEqual([ok, bad.map(({ key }) => key), records], [false, [key], clean.records - 1], `${key} at ${at}`)
      assert.equal((await Array.fromAsync(a.credits.receipts())).length <= 6, true)
      await Array.fromAsync(a.credits.history())
    }
    a.disk.detach()
    await a.start()
    assert.deepEqual((await a.credits.audit()).bad.map(({ key }) => key), [key])
    a.disk.damage(key, value)
    a.disk.detach()
    await a.start()
  }
  assert.equal((await a.credits.audit()).ok, true)
})

// Goal: the audit believes signatures, not rows. Method: rows moved, taken away and made up.
test('the audit finds rows that do not belong', async () => {
  const { a, b } = await pair()
  for (let i = 0; i < 3; i++) {
    await a.buyFrom(b)
    await a.pay(b)
  }
  await b.credits.close()
  const rows = b.disk.rows()
  const lane = (n: number): string => `in!${a.id}!${String(n).padStart(14, '0')}`
  const check = async (key: string, value: Uint8Array, named: string[]): Promise<void> => {
    const before = rows.get(key)
    b.disk.damage(key, value)
    const { ok, bad } = await b.credits.audit()
    assert.equal(ok, false)
    assert.deepEqual(bad.map(({ key }) => key), named)
    if (before !== undefined) b.disk.damage(key, before)
  }
  await check(lane(2), rows.get(lane(1))!, [lane(2)])
  const [receipt, other] = [...rows.keys()].filter(key => key.startsWith('receipt!')) as [string, string]
  await check(receipt, rows.get(other)!, [receipt])
  const third = openEnvelope(rows.get(lane(3))!, 'cheque', checkCheque)
  const forged = (change: Partial<Cheque>): Uint8Array => seal<Cheque>('cheque', { ...third.payload, ...change }, a.signer).bytes
  await check(lane(3), forged({ total: third.payload.total + 1n }), [lane(3)])
  await check(lane(3), forged({ prev: rawCid(Uint8Array.of(1)) }), [lane(3)])
  await check(lane(5), forged({ n: 5 }), [lane(5)])
})

// Goal: nothing is said of a cheque that a power cut could unsay (R1). Method: a disk that writes nothing until it is told; meanwhile the
// cheque comes twice, and its payer asks what is held.
test('acks and heads wait for the disk, those of a repeat as well', async () => {
  const { a, b } = await pair()
  await a.buyFrom(b)
  const cheque = await a.credits.nextCheque(b.id)
  const [question] = await a.credits.syncQuestions(b.id)
  assert.ok(cheque !== null && question !== undefined)
  await b.credits.close()
  const disk = Promise.withResolvers<void>()
  b.disk.gate = disk.promise
  const said: string[] = []
  const note = (what: string, work: Promise<unknown>): Promise<unknown> => work.then(() => said.push(what))
  const waiting = [note('ack', b.credits.takeCheque(a.id, cheque.bytes))]
  await turn()
  waiting.push(note('ack of a repeat', b.credits.takeCheque(a.id, cheque.bytes)), note('head', b.credits.answerSync(a.id, question)))
  for (let turns = 0; turns < 20; turns++) await turn()
  assert.deepEqual(said, [])
  disk.resolve()
  await Promise.all(waiting)
  assert.equal(said.length, 3)
})

// Goal: receipts under one signature settle like others. Method: three receipts sealed as a batch, brought as due.
test('receipts of a batch are paid', async () => {
  const { a, b } = await pair()
  const orders = [await a.order(b), await a.order(b), await a.order(b)]
  const holds = await Promise.all(orders.map(order => b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)))
  const bundles = await Promise.all(holds.map((hold, i) => hold.settle(factsOf(orders[i]!.id), bundle => bundle.bytes)))
  const sealed = sealBatch('receipt', bundles.map(({ receipt }) => receipt.payload), b.signer)
  for (const [i, receipt] of sealed.entries()) {
    await a.credits.acceptReceipt(b.id, encodeCanonical({ receipt: receipt.bytes, order: orders[i]!.bytes, offer: b.offer.bytes }))
    await a.credits.acceptReceipt(b.id, bundles[i]!.bytes)
  }
  await a.pay(b)
  await assertSettled(a, b)
})

// Goal: all that two members of a mesh sign carries its name, and books of another mesh take none of it (invariant 11).
// Method: one line within a mesh from order to audit; each of its records at a node of another mesh, and at one of none.
test('records stay in their mesh', async () => {
  const net = new Uint8Array(32).fill(1)
  const rules = { net, issuer: signerOf('a').publicKey, feePpm: 0, offlineMax: 10n ** 12n }
  const world = new World({ charter: rules })
  const [a, b] = [await world.node('a'), await world.node('b')]
  await a.buyFrom(b)
  const order = await a.order(b)
  const cheque = (await a.credits.nextCheque(b.id))!
  const answer = await b.credits.takeCheque(a.id, cheque.bytes)
  assert.ok(answer.kind === 'ack')
  const bundle = [...b.disk.rows()].find(([key]) => key.startsWith('receipt!'))![1]
  for (const options of [{ charter: { ...rules, net: new Uint8Array(32).fill(2) } }, {}]) {
    const elsewhere = new World(options)
    const [buyer, seller] = [await elsewhere.node('a'), await elsewhere.node('b')]
    const refused = { code: 'ERR_WRONG_MESH' }
    await changesNothing(buyer, async () => {
      await assert.rejects(buyer.credits.placeOrder({ executor: b.id, offer: b.offer, spec: order.payload.spec, costMax: 1n, seconds: 1 }), refused)
      await assert.rejects(buyer.credits.acceptReceipt(b.id, bundle), refused)
      await assert.rejects(buyer.credits.takeAck(b.id, answer.bytes), refused)
    })
    await changesNothing(seller, async () => {
      await assert.rejects(seller.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB), refused)
      await assert.rejects(seller.credits.takeCheque(a.id, cheque.bytes), refused)
    })
  }
  await a.credits.refuseOrder(order.id.toString())
  await a.credits.takeAck(b.id, answer.bytes)
  await assertSettled(a, b)
})
