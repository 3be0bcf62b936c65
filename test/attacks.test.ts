/**
 * What each attack on credits can cost, one test a row of SECURITY.md's bounds that no other file holds:
 * forged answers are in `src/processor/fraud.test.ts`, floods in `hostile-peer.test.ts`, two cheques
 * and two receipts in `src/credits/frauds.test.ts`, names against the pool in `credits.test.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeBundle, openBundle } from '../src/credits/bundle.ts'
import { charge } from '../src/credits/pricing.ts'
import { receiptOf } from '../src/credits/seller.ts'
import { verify } from '../src/node/keys.ts'
import { seal } from '../src/packet/envelope.ts'
import { LIMITS } from '../src/packet/limits.ts'
import type { Cheque, Offer, Order, Receipt } from '../src/packet/records.ts'
import { Mesh } from '../src/processor/mesh.fixture.ts'
import { startRogue } from '../src/processor/rogue.fixture.ts'
import { ECHO } from './guests.ts'
import { assertSettled, CHEAP_KEYS, factsOf, LIMITS_OF_JOB, type Node, offerOf, World } from './suites/credits-world.ts'

const LINE = 20_000_000n
const POOL = 100_000_000n

/** Buy until refused. @returns jobs got */
async function buyAll (buyer: Node, seller: Node, most = 1_000): Promise<number> {
  for (let jobs = 0; jobs < most; jobs++) {
    try {
      await buyer.buyFrom(seller)
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'ERR_INSUFFICIENT_CREDITS')
      return jobs
    }
  }
  return most
}

// Payer never signs: one line. Method: a buyer that takes results and writes no cheque, until nothing is given.
test('a payer that never signs costs one line', async () => {
  const world = new World({ lineMax: LINE, poolMax: POOL })
  const [a, b] = [await world.node('a'), await world.node('b')]
  assert.ok(await buyAll(a, b) > 1)
  const { due, earned } = b.credits.balance()
  assert.ok(due <= LINE && due > 0n)
  assert.equal(earned, 0n)
  // What is due was proven by signed orders, after a restart too.
  await b.credits.close()
  await b.start()
  await assert.rejects(a.buyFrom(b), { code: 'ERR_INSUFFICIENT_CREDITS' })
})

// Sybil newcomers as buyers: S + ρT. Method: 1,000 new identities, each takes what it gets and never pays; an hour
// later the same again.
test('a thousand new buyers get the pool, not more', async () => {
  const perHour = 50_000_000n
  const world = new World({ lineMax: LINE, poolMax: POOL, poolPerHour: perHour })
  const b = await world.node('b')
  const round = async (name: string): Promise<void> => { for (let i = 0; i < 1_000; i++) await buyAll(await world.node(`${name} ${i}`), b, 1) }
  await round('early')
  const first = b.credits.balance().due
  assert.ok(first <= POOL && first > POOL / 2n, String(first))
  world.now += 3_600
  await round('late')
  assert.ok(b.credits.balance().due <= POOL + perHour)
  assert.ok(b.credits.balance().due > first)
})

// Sybil newcomers as sellers: nothing but what verified work earned. Method: 1,000 new identities each show a buyer a
// receipt for work it never ordered from them; one of them an order that names another.
test('a thousand new sellers are owed nothing for what was not ordered', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const real = await a.order(b)
  const held = a.credits.balance()
  for (let i = 0; i < 1_000; i++) {
    const seller = await world.node(`seller ${i}`)
    const order = seal<Order>('order', { ...real.payload, executor: seller.signer.publicKey, offer: seller.offer.id }, i % 2 === 0 ? seller.signer : b.signer)
    const facts = factsOf(order.id)
    const receipt = seal<Receipt>('receipt', receiptOf(order, facts, charge(seller.offer.payload, facts)), seller.signer)
    await assert.rejects(a.credits.acceptReceipt(seller.id, encodeBundle({ receipt, order, offer: seller.offer }).bytes), { code: 'ERR_RECEIPT_INVALID' })
  }
  assert.deepEqual(a.credits.balance(), held)
})

// Sybil newcomers as sellers: S + ρT, whatever they sell is worth. Method: 1,000 new identities sell as often as they are let,
// are paid, and spend that at once as buyers; three quarters of an hour later 200 others. What the buyer has promised, and the work it did for them.
test('a thousand new sellers are promised the pool, and get no more by spending it', async () => {
  const world = new World({ lineMax: LINE, poolMax: POOL, poolPerHour: 0n, sellerPoolMax: POOL }, CHEAP_KEYS)
  const a = await world.node('a')
  const round = async (name: string, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const seller = await world.node(`${name} ${i}`)
      await buyAll(a, seller, 2)
      await a.pay(seller)
      await buyAll(seller, a, 2)
    }
  }
  const promised = (): bigint => { const { owed, spent } = a.credits.balance(); return owed + spent }
  const worked = (): bigint => { const { due, earned } = a.credits.balance(); return due + earned }
  await round('early', 1_000)
  const first = promised()
  assert.ok(first <= POOL && first > POOL / 2n, String(first))
  assert.ok(worked() <= 2n * POOL, 'what was promised, and what strangers get on credit')
  world.now += 2_700
  await round('late', 200)
  const refilled = LIMITS.credits.sellerPoolPerHour * 3n / 4n
  assert.ok(promised() > first && promised() <= POOL + refilled)
  assert.ok(worked() <= 2n * POOL + refilled)
})

// The same by orders that their sellers disown, so that nothing is held for them, and answer later. Method: 200 identities
// keep their receipts until all have said that they know no such order; then they show them, twice.
test('receipts for disowned orders wait for room in the pool', async () => {
  const world = new World({ lineMax: LINE, poolMax: POOL, sellerPoolMax: LINE }, CHEAP_KEYS)
  const a = await world.node('a')
  const late: { seller: Node, bytes: Uint8Array, charge: bigint }[] = []
  for (let i = 0; i < 200; i++) {
    const seller = await world.node(`seller ${i}`)
    const order = await a.order(seller)
    await a.restart()
    await a.meet(seller)
    const facts = factsOf(order.id)
    const receipt = seal<Receipt>('receipt', receiptOf(order, facts, charge(seller.offer.payload, facts)), seller.signer)
    late.push({ seller, bytes: encodeBundle({ receipt, order, offer: seller.offer }).bytes, charge: receipt.payload.charge })
  }
  assert.ok(late.reduce((sum, { charge }) => sum + charge, 0n) > LINE, 'together they are more than the pool')
  let deferred = 0
  for (const { seller, bytes } of [...late, ...late]) {
    await a.credits.acceptReceipt(seller.id, bytes).catch(error => { assert.equal(error.code, 'ERR_BUSY'); deferred++ })
  }
  assert.ok(deferred > 0)
  assert.ok(a.credits.balance().owed <= LINE && a.credits.balance().owed > LINE / 2n)
  // None of them is lost.
  for (let hour = 0; hour < 2; hour++) {
    world.now += 3_600
    for (const { seller, bytes } of late) await a.credits.acceptReceipt(seller.id, bytes).catch(() => {})
  }
  assert.equal(a.credits.balance().owed, late.reduce((sum, { charge }) => sum + charge, 0n))
})

// Wash trading: 0. Method: two names of one owner trade as much as they like; a third node gives them no more than
// to anybody.
test('trade among friends buys nothing from others', async () => {
  const world = new World({ lineMax: LINE, poolMax: POOL })
  const [a, friend, b, stranger] = [await world.node('a'), await world.node('friend'), await world.node('b'), await world.node('stranger')]
  for (let i = 0; i < 50; i++) {
    for (const [buyer, seller] of [[a, friend], [friend, a]] as const) {
      await buyAll(buyer, seller, 1)
      await buyer.pay(seller)
    }
  }
  assert.ok(a.credits.balance().earned > 0n)
  const { acceptable, lineMax } = b.credits.explain(a.id)
  assert.deepEqual([acceptable, lineMax], [b.credits.explain(stranger.id).acceptable, LINE])
})

// Replay: 0. Method: every message of a paid job again, in its order and backwards.
test('a replay of everything moves nothing', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const log: typeof world.wire = []
  const drain = async (): Promise<void> => {
    for (let message = world.wire.shift(); message !== undefined; message = world.wire.shift()) {
      log.push(message)
      await world.deliver(message)
    }
  }
  await world.buy(a, b)
  await drain()
  assert.equal(await world.pay(a, b), false, 'the first cheque waits for a sync')
  await drain()
  assert.equal(await world.pay(a, b), true)
  await drain()
  const before = [a.credits.balance(), b.credits.balance()]
  for (const message of [...log, ...log.toReversed()]) await world.deliver(message)
  await world.settle()
  assert.deepEqual([a.credits.balance(), b.credits.balance()], before)
  await assertSettled(a, b)
})

// Cross-mesh replay: 0. Method: order, offer, receipt and cheque of another mesh, rightly signed.
test('records of another mesh move nothing', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const net = new Uint8Array(32).fill(7)
  const order = await a.order(b)
  const abroad = seal<Order>('order', { ...order.payload, net }, a.signer)
  await assert.rejects(b.credits.acceptOrder(a.id, abroad, b.offer, LIMITS_OF_JOB), { code: 'ERR_WRONG_MESH', message: /"net"/ })
  const offer = offerOf(b.signer, { net } satisfies Partial<Offer>)
  await assert.rejects(a.order({ ...b, id: b.id, offer } as typeof b), { code: 'ERR_WRONG_MESH', message: /"net"/ })
  const facts = factsOf(order.id)
  const receipt = seal<Receipt>('receipt', { ...receiptOf(order, facts, charge(b.offer.payload, facts)), net }, b.signer)
  assert.throws(() => encodeBundle({ receipt, order, offer: b.offer }), { code: 'ERR_RECEIPT_INVALID', message: /"net"/ })
  const cheque = seal<Cheque>('cheque', {
    net, from: a.signer.publicKey, to: b.signer.publicKey, via: null, epoch: 0, n: 1, prev: null, total: 1n, items: [{ order: order.id, amount: 1n, kind: 'job' }], ack: 0
  }, a.signer)
  await assert.rejects(b.credits.takeCheque(a.id, cheque.bytes), { code: 'ERR_WRONG_MESH', message: /"net"/ })
  assert.equal(b.credits.balance().earned + b.credits.balance().due, 0n)
})

// Fuel inflation: one charge, refuted by running again. Method: a seller that bills more fuel than was burnt, within the limit,
// so that the receipt itself holds; the same module, input and limits are run again by the buyer.
test('inflated fuel is refuted by running again', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const liar = startRogue(mesh, 'liar', job => job.answer(job.receipt({ fuel: job.facts.fuel + 1_000n })))
  await mesh.connect(buyer, liar)
  const limits = { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 }
  const result = await buyer.compute(ECHO, 'true', { where: 'remote', limits })
  const { receipt } = openBundle(result.receipt, verify)
  const { owed, spent } = buyer.credits()
  assert.equal(owed + spent, receipt.payload.charge)
  const again = await buyer.compute(ECHO, 'true', { where: 'local', limits })
  assert.equal(again.fuel + 1_000n, receipt.payload.fuel)
  assert.ok(receipt.payload.charge <= liar.jobs[0]!.order.payload.costMax)
})

// Closing the stream before the reply: 0. Method: the buyer's wire loses the answer; the receipt comes as due and is paid.
test('a payer that hangs up before the answer owes it all the same', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  await world.buy(a, b)
  await world.deliver(world.wire.shift()!)
  assert.equal(world.wire.shift()?.kind, 'due')
  const { due } = b.credits.balance()
  assert.ok(due > 0n)
  await world.drain([a, b])
  assert.equal(b.credits.balance().earned, due)
  await assertSettled(a, b)
})
