/**
 * The invariants of credits under a hostile wire and failing machines: random commands for two
 * nodes that both buy and sell, with loss, repetition, reordering and crashes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { assertSettled, Disk, type Node, World } from '../../test/suites/credits-world.ts'

const LINE = 60_000_000n

type Command =
  | { do: 'buy' | 'pay' | 'sync' | 'lose', who: number }
  | { do: 'deliver' | 'drop' | 'repeat', which: number }
  | { do: 'cut', who: number, kept: number }
  | { do: 'wait', seconds: number }

const who = fc.nat({ max: 1 })
const which = fc.nat({ max: 1_000 })
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('buy' as const), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pay' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sync' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), who }) },
  { weight: 14, arbitrary: fc.record({ do: fc.constant('deliver' as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('repeat' as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const), who, kept: fc.nat({ max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.nat({ max: 5_000 }) }) }
)

async function apply (world: World, nodes: readonly [Node, Node], command: Command): Promise<void> {
  const { wire } = world
  switch (command.do) {
    case 'wait':
      world.now += command.seconds
      for (const node of nodes) await node.credits.expire()
      return
    case 'deliver': case 'drop': case 'repeat': {
      if (wire.length === 0) return
      const at = command.which % wire.length
      const message = wire[at]!
      if (command.do !== 'repeat') wire.splice(at, 1)
      if (command.do !== 'drop') await world.deliver(message)
      return
    }
  }
  const node = nodes[command.who]!
  const other = nodes[1 - command.who]!
  switch (command.do) {
    case 'buy': await world.buy(node, other); break
    case 'pay': await world.pay(node, other); break
    case 'sync': await world.sync(node, other); break
    case 'lose': await world.loseAll(node); break
    case 'cut':
      node.disk.cut(command.kept)
      await node.start()
  }
}

/** What holds at every moment, on the way and at the end. */
function assertAlways (world: World, nodes: readonly [Node, Node]): void {
  const [a, b] = nodes
  for (const [payer, payee] of [[a, b], [b, a]] as const) {
    assert.ok(payee.credits.line(payer.id).earned <= payer.credits.line(payee.id).spent, 'a payee never counts more than was signed')
    assert.ok(payee.credits.line(payer.id).due <= LINE, 'debt stays within the line')
  }
  for (const { credits } of nodes) for (const [name, amount] of Object.entries(credits.balance())) assert.ok(name === 'balance' || amount >= 0n, name)
  assert.deepEqual(world.forks, [], 'no lane holds two signed contents for one number')
}

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

async function run (commands: readonly Command[], lying = false): Promise<void> {
  const world = new World({ lineMax: LINE, poolMax: 10n ** 12n })
  const nodes = [await world.node('a'), await world.node('b')] as const
  for (const { disk } of nodes) disk.lies = lying
  for (const command of commands) {
    await apply(world, nodes, command)
    assertAlways(world, nodes)
  }
  await world.drain(nodes)
  assertAlways(world, nodes)
  await assertSettled(...nodes)
  await assertPaidOnce(nodes)
}

// Goal: invariants 1, 3, 4, 5, 6, 7, 8, 9 and 12 on one line, whatever wire and machines do.
// Method: seeded random commands; after each what always holds, at the end what holds when all has arrived.
test('any sequence of buying, paying, loss and power cuts ends settled', async () => {
  await fc.assert(fc.asyncProperty(fc.array(command, { maxLength: 80, size: 'max' }), async commands => { await run(commands) }), { numRuns: 100, seed: 20_261_123 })
})

// Goal: the test above bites. Method: the mutant sends a cheque before it is on disk: the disk only says that it synced.
test('a cheque sent before it is durable is caught', async () => {
  const forking: Command[] = [
    { do: 'buy', who: 0 }, { do: 'deliver', which: 0 }, { do: 'deliver', which: 0 }, { do: 'pay', who: 0 },
    { do: 'cut', who: 0, kept: 2 }, { do: 'buy', who: 0 }, { do: 'deliver', which: 1 }, { do: 'deliver', which: 1 }, { do: 'pay', who: 0 }
  ]
  await run(forking)
  await assert.rejects(run(forking, true), { name: 'AssertionError' })
})

/** Three jobs each way with restarts in between, driven by somebody who only remembers what was returned to him. */
async function scenario (crashAt: number): Promise<{ writes: number, totals: bigint[] }> {
  const world = new World({ lineMax: 10n ** 12n, poolMax: 10n ** 12n })
  const nodes = [await world.node('a'), await world.node('b')] as const
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
