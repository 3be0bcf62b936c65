/**
 * The invariants of credits when a machine fails: killed at each write in turn, a full disk. Random
 * sequences are `npm run prop:credits`, a slice of which runs beside its mutants.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertSettled, Disk, type Node, World } from '../../test/suites/credits-world.ts'

/** Each job is on at most one cheque, for what its receipt says, and all receipts are paid. */
async function assertPaidOnce (nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) {
    const entries = await Array.fromAsync(node.credits.history())
    const charges = new Map((await Array.fromAsync(node.credits.receipts())).map(facts => [facts.order, facts] as const))
    assert.equal(new Set(entries.map(({ order }) => order)).size, entries.length)
    assert.equal(entries.length, charges.size)
    for (const { order, amount } of entries) assert.equal(charges.get(order)?.charge, amount)
  }
}

/** Three jobs each way with restarts in between, driven by somebody who only remembers what was returned to him. */
async function scenario (crashAt: number): Promise<{ writes: number, totals: bigint[] }> {
  const world = new World({ lineMax: 10n ** 12n, poolMax: 10n ** 12n })
  const nodes = [await world.node('a'), await world.node('b')] as const
  await nodes[0].meet(nodes[1])
  await nodes[1].meet(nodes[0])
  let writes = 0
  const killed = Promise.withResolvers<Node>()
  let wasKilled = false
  for (const node of nodes) {
    node.disk.beforeWrite = () => {
      if (writes++ !== crashAt) return
      wasKilled = true
      node.disk.detach()
      killed.resolve(node)
    }
  }
  /** @returns whether it came to its end; else a node died under it, and is up again */
  const attempt = async (work: () => Promise<unknown>): Promise<boolean> => {
    const end = work().then(() => null)
    const dead = await (wasKilled ? end : Promise.race([end, killed.promise]))
    if (dead === null) return true
    await dead.start()
    world.wire.length = 0
    return false
  }
  for (let job = 0; job < 3; job++) {
    for (const [buyer, seller] of [nodes, nodes.toReversed()] as [Node, Node][]) {
      const bought = async (): Promise<number> => (await Array.fromAsync(buyer.credits.receipts())).filter(({ role }) => role === 'bought').length
      const wanted = job + 1
      while (await bought() < wanted) {
        if (!await attempt(async () => { await world.buy(buyer, seller); await world.settle() })) await world.drain(nodes)
      }
      await attempt(async () => { await world.pay(buyer, seller); await world.settle() })
    }
  }
  for (const { disk } of nodes) disk.beforeWrite = () => {}
  await world.drain(nodes)
  await assertSettled(...nodes)
  await assertPaidOnce(nodes)
  return { writes, totals: [(await Array.fromAsync(nodes[0].credits.history())).length].map(BigInt) }
}

// Goal: invariant 9. Method: the same six jobs, killing the writing process at each of its writes in turn.
test('killed at any write, the end is the same', async () => {
  const { writes, totals } = await scenario(-1)
  assert.deepEqual(totals, [6n])
  assert.ok(writes > 30)
  for (let crashAt = 0; crashAt < writes; crashAt++) assert.deepEqual((await scenario(crashAt)).totals, totals, `write ${crashAt}`)
})

// Goal: a failing disk never leads to a signed cheque on the wire. Method: fail one write, ask again.
test('when the disk fails, nothing is sent and the books stop', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  await a.buyFrom(b)
  a.disk.beforeWrite = () => { throw new Error('disk full') }
  await assert.rejects(a.credits.nextCheque(b.id), { code: 'ERR_STORE' })
  a.disk.beforeWrite = () => {}
  await assert.rejects(a.order(b), { code: 'ERR_STORE' })
  await a.start()
  await a.pay(b)
  await assertSettled(a, b)
})

// Goal: the disk of these tests loses what it should. Method: two batches, one synced, cut.
test('a power cut loses what was not synced', async () => {
  const disk = new Disk()
  const store = disk.attach()
  await store.batch([{ type: 'put', key: 'safe', value: Uint8Array.of(1) }], { sync: true })
  await store.batch([{ type: 'put', key: 'loose', value: Uint8Array.of(1) }], { sync: false })
  disk.cut(0)
  assert.deepEqual([...disk.rows().keys()], ['safe'])
})
