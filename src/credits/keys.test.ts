/** Keys in the books: what they stand for, over restarts, with two orders, when there are too many. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawCid } from '../packet/cid.ts'
import { type Node, factsOf, LIMITS_OF_JOB, World } from '../../test/suites/credits-world.ts'
import { keyBelow, Keys } from './keys.ts'
import type { Op } from './store.ts'

const SPEC = rawCid(Uint8Array.of(1))
const OTHER = rawCid(Uint8Array.of(2))
const order = (name: string) => ({ order: name, peer: `peer of ${name}` })

/** The rows that are left when these are written. */
function written (...batches: readonly Op[][]): Map<string, Uint8Array> {
  const rows = new Map<string, Uint8Array>()
  for (const op of batches.flat()) {
    if (op.type === 'put') rows.set(op.key, op.value)
    else rows.delete(op.key)
  }
  return rows
}

// Goal: a key stands for one spec, for the orders under it, and for nothing when all are given up; the rows say the same. Method:
// one order, a second one, each given up, read again from the rows in between.
test('a key stands for its spec and its orders', () => {
  const keys = new Keys()
  const rows = [keys.add('k!"', SPEC, order('a'), 1, () => true), keys.add('k!"', SPEC, order('b'), 2, () => true)]
  assert.throws(() => keys.add('k!"', OTHER, order('c'), 3, () => true), { code: 'ERR_USAGE' })
  const again = new Keys()
  again.restore(Array.from(written(...rows), ([key, value]) => [key.slice('key!'.length), value] as const))
  for (const each of [keys, again]) {
    assert.deepEqual(each.orders('k!"', SPEC), [order('a'), order('b')])
    assert.throws(() => each.orders('k!"', OTHER), { code: 'ERR_USAGE' })
    assert.deepEqual(each.shared(), [[order('a'), order('b')]])
    rows.push(each.drop('a'))
    assert.deepEqual(each.orders('k!"', SPEC), [order('b')])
    assert.deepEqual(each.drop('a'), [])
    rows.push(each.drop('b'))
    assert.deepEqual(each.orders('k!"', OTHER), [])
    assert.equal(each.has('b'), false)
  }
  assert.equal(written(...rows).size, 0)
  assert.throws(() => new Keys().restore([['k', Uint8Array.of(0x80)]]), { code: 'ERR_STORE' })
})

// Goal: no more keys than the limit, and none is forgotten whose order is open. Method: a limit of three, the oldest open.
test('of too many keys the oldest that is settled is forgotten', () => {
  const keys = new Keys(3)
  const rows = ['a', 'b', 'c', 'd'].map((name, at) => keys.add(name, SPEC, order(name), at, each => each === 'a'))
  assert.deepEqual([...written(...rows).keys()], ['key!a', 'key!c', 'key!d'])
  assert.deepEqual(['a', 'b', 'c', 'd'].map(name => keys.orders(name, SPEC).length), [1, 0, 1, 1])
  assert.equal(keys.has('b'), false)
})

// Goal: children have keys of their own, beside those of callers: found and forgotten together, over a restart as well, and neither takes the other's room.
// Method: a limit of two keys and of three children of two jobs, a key that looks like a child's but for its beginning, read again from the rows.
test('the children of a job are kept and forgotten together', () => {
  const keys = new Keys(2, 3)
  const names = ['a', keyBelow('j', '0'), keyBelow('k', '0'), 'j/0', keyBelow('k', '1')]
  const rows = names.map((name, at) => keys.add(name, SPEC, order(name), at, () => false))
  assert.deepEqual(names.map(name => keys.orders(name, SPEC).length), [1, 1, 1, 1, 1])
  const again = new Keys(2, 3)
  again.restore(Array.from(written(...rows), ([key, value]) => [key.slice('key!'.length), value] as const))
  for (const each of [keys, again]) {
    assert.deepEqual(each.below('k'), [1, 2].map(at => [names[2 * at], [order(names[2 * at]!)]]))
    // One too many: the oldest child goes, and no caller's key.
    assert.equal(each.add(keyBelow('k', '2'), SPEC, order('z'), 9, () => false).length, 3)
    assert.deepEqual([each.below('j'), each.orders('a', SPEC)], [[], [order('a')]])
    assert.equal(each.forgetBelow('k').length, 6)
    assert.deepEqual([each.below('k'), each.has('z'), each.has('j/0')], [[], false, true])
  }
})

/** An order for a key, run by its seller. @returns its id and the receipt the buyer has not seen */
async function orderAndRun (a: Node, seller: Node): Promise<{ id: string, receipt: Uint8Array }> {
  const order = await a.credits.placeOrder({ executor: seller.id, offer: seller.offer, spec: SPEC, costMax: 10_000_000n, seconds: 3_600, key: 'k' })
  await using hold = await seller.credits.acceptOrder(a.id, order, seller.offer, LIMITS_OF_JOB)
  const { bytes } = await hold.settle(factsOf(order.id), bundle => bundle.bytes)
  return { id: order.id.toString(), receipt: bytes }
}

// Goal: a key is paid once even if its job was tried at two nodes when the buyer lost power. Method: two orders, no receipt or the
// second one's accepted, a power cut that takes all that was not synced; then both sellers show what they have.
test('of two orders under a key one is paid after a power cut', async () => {
  for (const accepted of [false, true]) {
    const world = new World()
    const [a, b, c] = [await world.node('a'), await world.node('b'), await world.node('c')]
    const [first, second] = [await orderAndRun(a, b), await orderAndRun(a, c)]
    if (accepted) {
      await a.credits.acceptReceipt(c.id, second.receipt)
      await a.credits.close()
    }
    const before = a.disk.rows().has(`receipt!${second.id}`)
    assert.equal(before, accepted)
    if (!accepted) a.disk.cut(0)
    a.disk.detach()
    await a.start()
    const [stays, goes] = accepted ? [second, first] : [first, second]
    const [winner, loser] = accepted ? [c, b] : [b, c]
    const found = await a.credits.recall('k', SPEC)
    assert.equal(found?.kind, accepted ? 'answered' : 'open')
    await assert.rejects(a.credits.acceptReceipt(loser.id, goes.receipt), { code: 'ERR_GONE' })
    await a.credits.acceptReceipt(winner.id, stays.receipt)
    const again = await a.credits.recall('k', SPEC)
    assert.equal(again?.kind === 'answered' ? again.bundle.order.id.toString() : '', stays.id)
    assert.equal(a.credits.balance().held, 0n)
    assert.deepEqual((await a.credits.untoldCancels(loser.id)).length, 1)
    assert.equal((await a.credits.audit()).ok, true)
  }
})

// Goal: what was released without a word, because it expired, is given up by one before it may be bought again. Method: let it
// expire, ask for the key, show its receipt.
test('an expired order under a key is given up before the key is free', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const { id, receipt } = await orderAndRun(a, b)
  world.now += 100_000
  assert.deepEqual(await a.credits.expire(), [id])
  assert.equal(await a.credits.recall('k', SPEC), null)
  await assert.rejects(a.credits.acceptReceipt(b.id, receipt), { code: 'ERR_GONE' })
  assert.equal(await a.credits.recall('k', OTHER), null)
  assert.equal(a.credits.isKeyed(id), false)
})

// Goal: an order that need only outlive its process is on the disk when it may be sent, and costs no sync; a power cut may take it, and
// then its receipt is still paid. Method: the batches of both kinds counted when the order is there, then a cut and the receipt.
test('an order under a key is written before it leaves, synced unless its caller asks for less', async () => {
  for (const outlives of ['process', 'power cut'] as const) {
    const world = new World()
    const [a, b] = [await world.node('a'), await world.node('b')]
    const { syncs } = a.disk
    const placed = await a.credits.placeOrder({ executor: b.id, offer: b.offer, spec: SPEC, costMax: 10_000_000n, seconds: 3_600, key: 'k', outlives })
    assert.ok(a.disk.rows().has(`order!${placed.id}`) && a.disk.rows().has('key!k'))
    assert.equal(a.disk.syncs - syncs, outlives === 'process' ? 0 : 1)
    await using hold = await b.credits.acceptOrder(a.id, placed, b.offer, LIMITS_OF_JOB)
    const { bytes } = await hold.settle(factsOf(placed.id), bundle => bundle.bytes)
    a.disk.cut(0)
    a.disk.detach()
    await a.start()
    assert.equal((await a.credits.recall('k', SPEC))?.kind, outlives === 'process' ? undefined : 'open')
    await a.credits.acceptReceipt(b.id, bytes)
    assert.ok(a.credits.line(b.id).owed > 0n)
  }
})
