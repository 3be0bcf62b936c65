/** Orders given up: what runs ends uncharged, what is due is dropped, what is paid stays paid; and a payer's word is worth only what it says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { charterOf, grant } from '../../test/suites/credits-mesh.ts'
import { assertSettled, factsOf, LIMITS_OF_JOB, type Node, signerOf, World } from '../../test/suites/credits-world.ts'
import { rawCid } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { checkCheque, type Cheque, type Order } from '../packet/records.ts'
import { Sheet } from './sheet.ts'

const isCode = (code: string) => (error: unknown): boolean => error instanceof InosError && error.code === code

async function pair (): Promise<{ world: World, a: Node, b: Node }> {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  await a.meet(b)
  await b.meet(a)
  return { world, a, b }
}

/** Run an order at its seller. @returns the answer: its bundle */
async function run (b: Node, a: Node, order: Sealed<Order>): Promise<Uint8Array> {
  await using hold = await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
  return (await hold.settle(factsOf(order.id), bundle => bundle.bytes)).bytes
}

/** Give up, and tell. */
async function giveUp (a: Node, b: Node, order: Sealed<Order>): Promise<void> {
  await a.credits.giveUpOrder(order.id.toString())
  const cancels = await a.credits.untoldCancels(b.id)
  for (const cancel of cancels) await b.credits.takeCancel(a.id, cancel)
  await a.credits.toldCancels(b.id, cancels)
}

// Goal: giving up frees the hold and ends the debt, for good. Method: an order that was run and whose answer was lost;
// the receipt is shown before and after the seller has heard; both start again.
test('what is given up is not paid, and not due', async () => {
  const { a, b } = await pair()
  const order = await a.order(b)
  const id = order.id.toString()
  const receipt = await run(b, a, order)
  await a.credits.giveUpOrder(id)
  assert.equal(a.credits.balance().held, 0n)
  assert.ok(a.disk.isSafe(`cancel!${id}`), 'durable before it is said')
  await assert.rejects(a.credits.acceptReceipt(b.id, receipt), isCode('ERR_GONE'))
  await a.start()
  const [cancel] = await a.credits.untoldCancels(b.id)
  assert.deepEqual(await a.credits.cancelOf(id), cancel)
  const seen = async (): Promise<object[]> => (await Array.fromAsync(b.credits.receipts())).map(({ paid, givenUp }) => ({ paid, givenUp }))
  assert.deepEqual(await seen(), [{ paid: false, givenUp: false }])
  for (let i = 0; i < 2; i++) assert.equal(await b.credits.takeCancel(a.id, cancel!), id)
  assert.deepEqual(await seen(), [{ paid: false, givenUp: true }])
  await a.credits.toldCancels(b.id, [cancel!])
  assert.deepEqual(await a.credits.untoldCancels(b.id), [])
  for (const node of [a, b]) await node.start()
  assert.deepEqual(await a.credits.untoldCancels(b.id), [], 'told once is told')
  await assert.rejects(a.credits.acceptReceipt(b.id, receipt), isCode('ERR_GONE'))
  await a.meet(b)
  await b.meet(a)
  await assertSettled(a, b)
  // The answer is no longer given out either.
  assert.equal(await b.credits.storedReply(a.id, id), 'gone')
  await assert.rejects(b.credits.refund(id), isCode('ERR_USAGE'))
  await assert.rejects(b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB), isCode('ERR_GONE'))
})

// Goal: an order that runs cannot be settled any more, one that was answered or never came stays what it is. Method: a
// cancel during the run, also while its receipt waits to be signed; giving up after the receipt; a cancel of an unknown order.
test('only what is unanswered can be given up', async () => {
  const { a, b } = await pair()
  const order = await a.order(b)
  await using hold = await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
  await giveUp(a, b, order)
  await assert.rejects(hold.settle(factsOf(order.id), bundle => bundle.bytes), isCode('ERR_CANCELLED'))
  await hold.release()
  const late = await a.order(b)
  await using settling = await b.credits.acceptOrder(a.id, late, b.offer, LIMITS_OF_JOB)
  await a.credits.giveUpOrder(late.id.toString())
  const [cancel] = await a.credits.untoldCancels(b.id)
  const settled = assert.rejects(settling.settle(factsOf(late.id), bundle => bundle.bytes), isCode('ERR_CANCELLED'))
  // Before anything is written.
  await Promise.all([b.credits.takeCancel(a.id, cancel!), settled])
  await a.credits.toldCancels(b.id, [cancel!])
  await settling.release()
  const answered = await a.order(b)
  await a.credits.acceptReceipt(b.id, await run(b, a, answered))
  await giveUp(a, b, answered)
  assert.equal(await a.credits.cancelOf(answered.id.toString()), null)
  await giveUp(a, b, await a.order(b))
  await a.pay(b)
  await assertSettled(a, b)
  assert.ok(b.credits.balance().earned > 0n)
  assert.equal(b.credits.explain(a.id).acceptable, LIMITS.credits.strangerLineMax - b.credits.balance().earned)
})

// Goal: what was given up after the work was done narrows the line and the pool like a debt, until ten times as much was
// paid. Method: take answers and give them up until nothing is free; pay for other work.
test('giving up what was done is not free work without end', async () => {
  const world = new World({ lineMax: 12_000_000n })
  const [a, b] = [await world.node('a'), await world.node('b')]
  await a.meet(b)
  const free = (): bigint => b.credits.explain(a.id).acceptable
  const before = { free: free(), pool: b.credits.explain(a.id).poolFree }
  let taken = 0n
  for (let i = 0; i < 8; i++) {
    const order = await a.order(b)
    await run(b, a, order)
    taken += b.credits.balance().due
    await giveUp(a, b, order)
  }
  assert.deepEqual([free(), b.credits.explain(a.id).poolFree], [before.free - taken, before.pool - taken])
  await b.start()
  assert.equal(free(), before.free - taken)
  await a.buyFrom(b)
  await a.pay(b)
  const { earned } = b.credits.balance()
  assert.equal(free(), before.free - taken - earned + earned / LIMITS.credits.waivedFactor)
})

// Goal: a payer that has forgotten its word is not kept waiting by it. Method: books put back to when the order was open ask the
// seller what became of it; and what the seller counts as unpaid.
test('a seller knows nothing more of what was given up', async () => {
  const { a, b } = await pair()
  const order = await a.order(b)
  await a.credits.close()
  const copy = new Map(a.disk.rows())
  await run(b, a, order)
  await giveUp(a, b, order)
  a.disk.restore(copy)
  await a.start()
  assert.equal(a.credits.balance().held, order.payload.costMax)
  await a.meet(b)
  await assertSettled(a, b)
  const sheet = new Sheet(b.id, b.signer.publicKey)
  const debt = { order: order.id, amount: 1n, kind: 'job' as const }
  sheet.addDue(sheet.known(a.id), debt)
  sheet.waive(a.id, order.id)
  assert.deepEqual([sheet.unpaid, sheet.sums.due], [0, 0n])
  sheet.unwaive(a.id, debt)
  assert.deepEqual([sheet.unpaid, sheet.sums.due], [1, 1n])
})

// Goal: a refusal is final: who refuses to free what is held, and shows receipts later, is paid nothing. Method: a seller that
// runs an order and refuses it; its receipt is shown at once, and after the buyer has started again.
test('what its seller refused is not paid', async () => {
  const { a, b } = await pair()
  const order = await a.order(b)
  const id = order.id.toString()
  const receipt = await run(b, a, order)
  for (let i = 0; i < 2; i++) await a.credits.refuseOrder(id)
  assert.deepEqual([a.credits.balance().held, await a.credits.untoldCancels(b.id)], [0n, []])
  await assert.rejects(a.credits.acceptReceipt(b.id, receipt), isCode('ERR_GONE'))
  await a.credits.close()
  await a.start()
  await assert.rejects(a.credits.acceptReceipt(b.id, receipt), isCode('ERR_GONE'))
  await b.credits.takeCancel(a.id, (await a.credits.cancelOf(id))!)
  await assertSettled(a, b)
})

// Goal: a cheque counts whatever was said before it. Method: the payer gives an order up from a copy of its books in which it
// is open, then the cheque that pays for it comes home.
test('an order that is on a cheque stays paid', async () => {
  const { a, b } = await pair()
  const order = await a.order(b)
  const copy = new Map(a.disk.rows())
  await a.credits.acceptReceipt(b.id, await run(b, a, order))
  const cheque = await a.credits.nextCheque(b.id)
  a.disk.restore(copy)
  await a.start()
  await giveUp(a, b, order)
  assert.equal(b.credits.balance().due, 0n)
  const taken = await b.credits.takeCheque(a.id, cheque!.bytes)
  assert.equal(taken.kind, 'ack')
  await a.meet(b)
  await a.meet(b)
  await assertSettled(a, b)
  assert.ok(b.credits.balance().earned > 0n)
})

// Goal: a cheque that is not taken changes nothing, whatever was given up. Method: cheques that pay for such an order and are
// wrong in one thing each; then the right one.
test('a refused cheque brings nothing back', async () => {
  const { a, b } = await pair()
  const order = await a.order(b)
  const copy = new Map(a.disk.rows())
  await a.credits.acceptReceipt(b.id, await run(b, a, order))
  const right = (await a.credits.nextCheque(b.id))!
  a.disk.restore(copy)
  await a.start()
  await giveUp(a, b, order)
  await b.credits.close()
  const rows = new Map(b.disk.rows())
  const { total, items: [item] } = openEnvelope(right.bytes, 'cheque', checkCheque).payload
  const wrong: Partial<Cheque>[] = [
    { prev: rawCid(Uint8Array.of(1)), n: 1 }, { total: total + 1n }, { total: total - 1n, items: [{ ...item!, amount: total - 1n }] }, { total: total * 2n, items: [item!, item!] },
    { total: total + 1n, items: [item!, { ...item!, order: rawCid(Uint8Array.of(1)), amount: 1n }] }
  ]
  for (const change of wrong) {
    const bytes = (): Uint8Array => seal<Cheque>('cheque', { ...right.payload, ...change }, a.signer).bytes
    await b.credits.takeCheque(a.id, bytes()).then(taken => { assert.equal(taken.kind, 'behind') }, error => { assert.ok(error instanceof InosError) })
    await b.credits.close()
    assert.deepEqual(b.disk.rows(), rows)
    assert.equal(b.credits.balance().due, 0n)
  }
  assert.equal((await b.credits.takeCheque(a.id, right.bytes)).kind, 'ack')
  assert.deepEqual([b.credits.balance().due, b.credits.balance().earned], [0n, total])
})

// Goal: nor is it between members. Method: one answer given up; what the other one still gives, before and after.
test('a member gives less to who gave up what was done', async () => {
  const world = new World({ charter: charterOf(signerOf('hub').publicKey) })
  const [hub, a, b] = [await world.node('hub'), await world.node('a'), await world.node('b')]
  await grant(world, hub, a, 20_000_000n)
  await a.meet(b)
  const before = b.credits.explain(a.id).acceptable
  const order = await a.order(b)
  await run(b, a, order)
  const { due } = b.credits.balance()
  await giveUp(a, b, order)
  assert.deepEqual([b.credits.balance().due, b.credits.explain(a.id).acceptable], [0n, before - due])
})

// Goal: at the issuer of a mesh, too, what was given up after it was done is no free work. Method: answers given up there until
// the account covers no more, across a restart.
test('an account pays for what was given up at the issuer, or gets no more', async () => {
  const world = new World({ charter: charterOf(signerOf('hub').publicKey) })
  const [hub, a] = [await world.node('hub'), await world.node('a')]
  await grant(world, hub, a, 12_000_000n)
  await a.meet(hub)
  const before = hub.credits.explain(a.id).acceptable
  let taken = 0n
  for (let i = 0; i < 4; i++) {
    const order = await a.order(hub)
    await run(hub, a, order)
    taken += hub.credits.balance().due
    await giveUp(a, hub, order)
  }
  assert.ok(taken > 0n)
  assert.equal(hub.credits.explain(a.id).acceptable, before - taken)
  assert.equal(hub.credits.accountOf(a.id), before, 'the account itself is not touched')
  await hub.start()
  assert.equal(hub.credits.explain(a.id).acceptable, before - taken)
})

// Goal: of an order that was not taken nothing is kept. Method: a cancel that comes while its order is checked and found to have
// no room; the same order again when there is room.
test('a cancel of an order that is refused is forgotten with it', async () => {
  const world = new World({ lineMax: 12_000_000n })
  const [a, b] = [await world.node('a'), await world.node('b')]
  const [first, order] = [a.forgeOrder(b, 10_000_000n), a.forgeOrder(b, 10_000_000n)]
  const hold = await b.credits.acceptOrder(a.id, first, b.offer, LIMITS_OF_JOB)
  const accepted = b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
  const cancel = seal('cancel', { net: null, payer: a.signer.publicKey, executor: b.signer.publicKey, order: order.id }, a.signer)
  await Promise.all([b.credits.takeCancel(a.id, cancel.bytes), assert.rejects(accepted, isCode('ERR_INSUFFICIENT_CREDITS'))])
  await hold.release()
  await run(b, a, order)
  assert.ok(b.credits.balance().due > 0n)
})

// Goal: nobody's word but the payer's. Method: cancels signed by others, for another executor, of another mesh, from another peer,
// for an order that is due and for one that runs; then the right one.
test('a cancel that is not its payer’s changes nothing', async () => {
  const { world, a, b } = await pair()
  const c = await world.node('c')
  const [order, running] = [await a.order(b), await a.order(b)]
  await run(b, a, order)
  await using hold = await b.credits.acceptOrder(a.id, running, b.offer, LIMITS_OF_JOB)
  const payload = { net: null, payer: a.signer.publicKey, executor: b.signer.publicKey, order: order.id }
  const wrong: [Node, Sealed][] = [
    [a, seal('cancel', payload, c.signer)],
    [c, seal('cancel', payload, a.signer)],
    [c, seal('cancel', { ...payload, payer: c.signer.publicKey, executor: c.signer.publicKey }, c.signer)],
    [a, seal('cancel', { ...payload, executor: c.signer.publicKey }, a.signer)],
    [a, seal('cancel', { ...payload, net: signerOf('net').publicKey }, a.signer)]
  ]
  const { due } = b.credits.balance()
  for (const [from, cancel] of wrong) await assert.rejects(b.credits.takeCancel(from.id, cancel.bytes), InosError)
  // One of its own, for an order that is not its own, is no word on that.
  for (const { id } of [order, running]) await b.credits.takeCancel(c.id, seal('cancel', { ...payload, payer: c.signer.publicKey, order: id }, c.signer).bytes)
  assert.equal(b.credits.balance().due, due)
  await hold.settle(factsOf(running.id), bundle => bundle.bytes)
  assert.ok(b.credits.balance().due > due)
  // What a payer said is not this node's own word.
  await b.credits.takeCancel(a.id, seal('cancel', payload, a.signer).bytes)
  assert.equal(await b.credits.cancelOf(order.id.toString()), null)
})
