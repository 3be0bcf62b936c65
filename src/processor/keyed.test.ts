/** Jobs with a key, and maps with a name: asked again, broken off, killed and started again, and what was paid each time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ECHO, TRAP } from '../../test/guests.ts'
import type { Credits } from '../credits/credits.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { Mesh, type MeshNode, settled, until } from './mesh.fixture.ts'
import type { ComputeOptions } from './processor.ts'

const THERE = { where: 'remote', limits: { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 } } satisfies ComputeOptions

/** What each of the payments of a node was for. */
async function paidOrders (node: MeshNode): Promise<string[]> {
  return (await Array.fromAsync(node.history())).filter(({ direction }) => direction === 'spent').map(({ order }) => order ?? '')
}

/** Orders that a node knows the receipts of. */
async function bought (node: MeshNode): Promise<string[]> {
  return (await Array.fromAsync(node.receipts())).filter(({ role }) => role === 'bought').map(({ order }) => order)
}

async function sound (...nodes: MeshNode[]): Promise<void> {
  for (const node of nodes) assert.deepEqual((await node.audit()).bad, [])
}

/** A seller whose first run waits until it is let go. */
function held (): { before: () => Promise<void>, began: Promise<void>, go: () => void } {
  const began = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  return { before: () => { began.resolve(); return gate.promise }, began: began.promise, go: gate.resolve }
}

/** A buyer ordered a job under the key "k" and was killed while the seller was at it. */
async function killedWaiting (mesh: Mesh, name: string): Promise<{ gate: ReturnType<typeof held>, seller: MeshNode }> {
  const gate = held()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start(name, { before: gate.before })
  await mesh.connect(buyer, seller)
  const lost = assert.rejects(buyer.compute(ECHO, 'x', { ...THERE, key: 'k' }))
  await gate.began
  await mesh.kill(buyer)
  await lost
  return { gate, seller }
}

// Goal: a key is paid once, and what it gave comes back as it was. Method: the same call again, after a restart, without the
// kept bytes, with the seller away; traps too.
test('a key that was used gives its result and receipt again, and buys nothing', async () => {
  await using mesh = new Mesh()
  let buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const first = await buyer.compute(ECHO, 'hello', { ...THERE, key: 'a/b!c "1"' })
  await settled(buyer, seller)
  const again = async (): Promise<void> => {
    const result = await buyer.compute(ECHO, 'hello', { ...THERE, key: 'a/b!c "1"' })
    assert.deepEqual([result.text(), result.receiptId, result.cost, result.executor], ['hello', first.receiptId, first.cost, seller.id])
    assert.deepEqual(result.receipt, first.receipt)
    assert.equal(seller.runs(), 1)
  }
  await again()
  await mesh.lose(buyer)
  buyer = await mesh.start('buyer', { serve: false })
  // Nobody has to be reached for what is kept.
  await again()
  buyer.stored.clear()
  await again()
  assert.equal(buyer.stored.size, 1)
  await assert.rejects(buyer.compute(TRAP, '', { ...THERE, key: 'trap' }), { code: 'ERR_TRAP' })
  await assert.rejects(buyer.compute(TRAP, '', { ...THERE, key: 'trap' }), { code: 'ERR_TRAP' })
  assert.equal(seller.runs(), 2)
  await settled(buyer, seller)
  assert.equal((await paidOrders(buyer)).length, 2)
  await sound(buyer, seller)
})

// Goal: what is paid and nowhere any more is said to be so, and never bought again silently. Method: forget the bytes at both
// ends after the order has expired, and take the seller away.
test('a result that is kept nowhere is an error with a hint', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  await buyer.compute(ECHO, 'x', { ...THERE, key: 'k' })
  await settled(buyer, seller)
  buyer.stored.clear()
  await mesh.lose(seller)
  await assert.rejects(buyer.compute(ECHO, 'x', { ...THERE, key: 'k' }), (error: unknown) => {
    assert.ok(error instanceof InosError)
    assert.equal(error.code, 'ERR_NOT_REACHABLE')
    assert.match(error.hint ?? '', /is paid; its result is at/)
    return true
  })
  // The answer of an order that is paid and has expired is forgotten by its seller's upkeep.
  mesh.ahead = (LIMITS.job.orderSeconds + 1) * 1_000
  let books: Credits | undefined
  const back = await mesh.start('seller', { books: credits => { books = credits; return {} } })
  await books!.expire()
  await mesh.connect(buyer, back)
  await assert.rejects(buyer.compute(ECHO, 'x', { ...THERE, key: 'k' }), (error: unknown) => {
    assert.ok(error instanceof InosError)
    assert.equal(error.code, 'ERR_GONE')
    assert.match(error.hint ?? '', /another key/)
    return true
  })
  assert.equal(back.runs(), 0)
  assert.equal((await bought(buyer)).length, 1)
})

// Goal: a key is for one job, and two calls at once are one. Method: other inputs and limits; calls together, one of them cancelled.
test('a key is one job', async () => {
  await using mesh = new Mesh()
  const gate = held()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller', { before: gate.before })
  await mesh.connect(buyer, seller)
  const gaveUp = new AbortController()
  const cancelled = buyer.compute(ECHO, 'x', { ...THERE, key: 'k', signal: gaveUp.signal })
  const both = [1, 2].map(() => buyer.compute(ECHO, 'x', { ...THERE, key: 'k' }))
  await gate.began
  await assert.rejects(buyer.compute(ECHO, 'y', { ...THERE, key: 'k' }), { code: 'ERR_USAGE' })
  // The others go on by themselves; what was given up is not paid.
  gaveUp.abort()
  await assert.rejects(cancelled, { code: 'ERR_CANCELLED' })
  gate.go()
  const [one, two] = await Promise.all(both)
  assert.equal(one!.receiptId, two!.receiptId)
  await assert.rejects(buyer.compute(ECHO, 'y', { ...THERE, key: 'k' }), { code: 'ERR_USAGE', message: /another job/ })
  await assert.rejects(buyer.compute(ECHO, 'x', { ...THERE, limits: { fuelMax: 5n }, key: 'k' }), { code: 'ERR_USAGE' })
  for (const key of ['', 'x'.repeat(129), '\ud800', 7]) await assert.rejects(buyer.compute(ECHO, 'x', { ...THERE, key: key as string }), { code: 'ERR_USAGE' })
  await settled(buyer, seller)
  assert.deepEqual(await paidOrders(buyer), await bought(buyer))
  assert.equal((await bought(buyer)).length, 1)
  await sound(buyer, seller)
})

// Goal: a job that was ordered when its buyer was killed is not ordered again. Method: kill the buyer while the seller runs; start it
// again, and ask before the run ends.
test('the order of a buyer that was killed is presented again', async () => {
  await using mesh = new Mesh()
  const { gate, seller } = await killedWaiting(mesh, 'seller')
  const buyer = await mesh.start('buyer', { serve: false })
  assert.ok(buyer.credits().held > 0n)
  await mesh.connect(buyer, seller)
  const result = buyer.compute(ECHO, 'x', { ...THERE, key: 'k' })
  gate.go()
  assert.equal((await result).text(), 'x')
  assert.equal(seller.runs(), 1)
  await settled(buyer, seller)
  assert.equal((await paidOrders(buyer)).length, 1)
  await sound(buyer, seller)
})

// Goal: a receipt that comes by itself after a restart brings its result along. Method: the buyer is killed, the run ends, both meet,
// and only then does somebody ask, with the seller away for good.
test('the result of a lost order is kept when its receipt comes late', async () => {
  await using mesh = new Mesh()
  const { gate, seller } = await killedWaiting(mesh, 'seller')
  gate.go()
  await until(() => seller.credits().due > 0n, 'the run ends')
  const buyer = await mesh.start('buyer', { serve: false })
  await mesh.connect(buyer, seller)
  await settled(buyer, seller)
  await until(() => buyer.stored.size === 1, 'the result is kept')
  await mesh.lose(seller)
  assert.equal((await buyer.compute(ECHO, 'x', { ...THERE, key: 'k' })).text(), 'x')
  assert.equal((await paidOrders(buyer)).length, 1)
  await sound(buyer)
})

// Goal: where the first seller stays away the job is bought from another one, and the first is never paid for it. Method: both
// lose power; the buyer starts again beside another seller; then the first comes back with its receipt.
test('an order whose seller stays away is given up before it is bought elsewhere', async () => {
  await using mesh = new Mesh()
  const { gate, seller: first } = await killedWaiting(mesh, 'first')
  gate.go()
  await until(() => first.credits().due > 0n, 'the run ends')
  await mesh.lose(first)
  const buyer = await mesh.start('buyer', { serve: false })
  const second = await mesh.start('second')
  await mesh.connect(buyer, second)
  const result = await buyer.compute(ECHO, 'x', { ...THERE, key: 'k' })
  assert.equal(result.executor, second.id)
  assert.deepEqual(result.attempts.map(({ peer }) => peer), [first.id])
  await settled(buyer, second)
  const back = await mesh.start('first')
  await mesh.connect(back, buyer)
  await settled(back, buyer)
  assert.equal(back.credits().earned, 0n)
  assert.equal((await paidOrders(buyer)).length, 1)
  assert.equal((await buyer.compute(ECHO, 'x', { ...THERE, key: 'k' })).receiptId, result.receiptId)
  await sound(buyer, back, second)
})

// Goal: a map asks a second node under the same key; one of both is paid. Method: the first node hangs, the second try shares its
// job, answers, and the first is cancelled; then the key is asked for again.
test('two tries of one job share its key', async () => {
  await using mesh = new Mesh()
  const gate = held()
  const buyer = await mesh.start('buyer', { serve: false })
  const slow = await mesh.start('slow', { before: gate.before })
  await mesh.connect(buyer, slow)
  const cancel = new AbortController()
  const shared = { ...THERE, key: 'k', once: { taken: false } }
  const first = assert.rejects(buyer.compute(ECHO, 'x', { ...shared, signal: cancel.signal }), { code: 'ERR_CANCELLED' })
  await gate.began
  const quick = await mesh.start('quick')
  await mesh.connect(buyer, quick)
  const result = await buyer.compute(ECHO, 'x', { ...shared, avoid: [slow.id] })
  assert.equal(result.executor, quick.id)
  cancel.abort()
  await first
  gate.go()
  assert.equal((await buyer.compute(ECHO, 'x', { ...THERE, key: 'k' })).receiptId, result.receiptId)
  await settled(buyer, slow, quick)
  assert.equal(slow.credits().earned, 0n)
  assert.equal((await paidOrders(buyer)).length, 1)
  await sound(buyer, slow, quick)
})

// Goal: a job of one's own has its key, too. Method: run it alone, start again, forget its bytes.
test('an own job with a key runs once', async () => {
  await using mesh = new Mesh()
  let node = await mesh.start('one', { alone: true })
  const first = await node.compute(ECHO, 'mine', { key: 'k' })
  await mesh.lose(node)
  node = await mesh.start('one', { alone: true })
  assert.equal((await node.compute(ECHO, 'mine', { key: 'k' })).receiptId, first.receiptId)
  assert.equal(node.runs(), 0)
  node.stored.clear()
  const third = await node.compute(ECHO, 'mine', { key: 'k' })
  assert.equal(node.runs(), 1)
  assert.equal((await node.compute(ECHO, 'mine', { key: 'k' })).receiptId, third.receiptId)
})

// Goal: a map that is begun again by name pays each item once. Method: kill its buyer in the middle, once and again, then let it end; another
// input in an old place is refused, not bought.
test('a map with a name pays each item once, however often its buyer is killed', async () => {
  await using mesh = new Mesh()
  const sellers = [await mesh.start('first'), await mesh.start('second')]
  const inputs = Array.from({ length: 30 }, (_, i) => `item ${i}`)
  const options = { ...THERE, resume: 'sweep-42', concurrency: 6 }
  for (const items of [5, 12]) {
    const buyer = await mesh.start('buyer', { serve: false })
    for (const seller of sellers) await mesh.connect(buyer, seller)
    let left = items
    let dead = Promise.resolve()
    await assert.rejects(async () => {
      for await (const item of buyer.map(ECHO, inputs, options)) {
        assert.equal(item.text(), inputs[item.index])
        if (--left === 0) dead = mesh.kill(buyer)
      }
    }, { code: 'ERR_CANCELLED' })
    await dead
  }
  const buyer = await mesh.start('buyer', { serve: false })
  for (const seller of sellers) await mesh.connect(buyer, seller)
  const texts = (await Array.fromAsync(buyer.map(ECHO, inputs, options))).map(item => item.text())
  assert.deepEqual(texts, inputs)
  await settled(buyer, ...sellers)
  const paid = await paidOrders(buyer)
  assert.equal(paid.length, inputs.length)
  assert.equal(new Set(paid).size, inputs.length)
  await assert.rejects(Array.fromAsync(buyer.map(ECHO, ['other'], options)), { code: 'ERR_USAGE' })
  await assert.rejects(Array.fromAsync(buyer.map(ECHO, inputs, { ...options, resume: 'x'.repeat(101) })), { code: 'ERR_USAGE' })
  await sound(buyer, ...sellers)
})
