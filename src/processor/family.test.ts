/** Jobs whose guests have other WASM computed: on one node and on several, what it costs, and what is left where something is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { childSpec, FAN, fanInput, fanSize, type FanOptions, guestOf } from '../../test/family-guests.ts'
import { verify } from '../node/keys.ts'
import { rawCid } from '../packet/cid.ts'
import { CREDIT, LIMITS } from '../packet/limits.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { openTree } from '../credits/tree.ts'
import { Mesh, type MeshNode, settled, until } from './mesh.fixture.ts'
import type { ComputeOptions, Result } from './processor.ts'

const FUEL = 2n ** 36n
const FAN_LIMITS = { fuelMax: FUEL, memoryPagesMax: 4, outputBytesMax: 1_024 }

function fan (node: MeshNode, shape: Pick<FanOptions, 'levels' | 'width' | 'work'>, options: ComputeOptions = {}): Promise<Result> {
  return node.run(FAN, fanInput({ ...shape, fuel: FUEL }), { limits: FAN_LIMITS, costMax: 100n * CREDIT, ...options })
}

function u32 (bytes: Uint8Array): number { return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) }

// Goal: one node with one slot computes a tree of three levels, and its receipts are a tree that verifies.
// Method: a mesh of one; the tree is opened from the bytes of the result alone.
test('a mesh of one, with one slot', async () => {
  await using mesh = new Mesh()
  const a = await mesh.start('a', { alone: true, slots: 1 })
  const shape = { levels: 3, width: 3 }
  const { outcome, exitCode, bytes, fuel, receipt, cost } = await fan(a, shape)
  assert.deepEqual([outcome, exitCode, u32(bytes), cost], ['ok', 0, 1 + fanSize(shape), 0n])
  const { root, below } = openTree(receipt, verify)
  assert.equal(below.length, fanSize(shape))
  assert.equal(root.receipt.payload.fuel, fuel)
  const leaves = below.filter(({ receipt: { payload } }) => payload.children.length === 0)
  assert.equal(leaves.length, 27)
})

// Goal: the same result and fuel on one, two and three nodes, where parents and children are bought from one another; every µcr of it
// is billed and paid, and the payer's charge is what the tree says.
// Method: a root run at home and one bought; all nodes alike but for their slots; trees opened from the bytes of the results.
test('one, two and three nodes', async () => {
  const shape = { levels: 3, width: 4, work: 20_000 }
  const seen = new Set<string>()
  for (const others of [0, 1, 2]) {
    for (const where of others === 0 ? ['local'] as const : ['any', 'remote'] as const) {
      await using mesh = new Mesh()
      const a = await mesh.start('a', { slots: 1, resultCache: false, lineMax: 10_000n * CREDIT, sellerPoolMax: 10_000n * CREDIT })
      const nodes = [a]
      for (let at = 0; at < others; at++) {
        const node = await mesh.start(`seller ${at}`, { slots: 2, resultCache: false, lineMax: 10_000n * CREDIT, poolMax: 100_000n * CREDIT, sellerPoolMax: 10_000n * CREDIT })
        for (const known of nodes) await mesh.connect(known, node)
        nodes.push(node)
      }
      const { outcome, bytes, fuel, receipt, cost } = await fan(a, shape, { where, limits: { ...FAN_LIMITS, descendantsMax: fanSize(shape) } })
      const { root, below } = openTree(receipt, verify)
      const executors = new Set(below.map(({ receipt: { payload } }) => payload.executor.join()))
      seen.add(`${outcome} ${u32(bytes)} ${fuel} ${below.length}`)
      assert.equal(root.receipt.payload.charge, cost)
      if (others > 0) assert.ok(executors.size > 1, `${where} on ${others + 1} nodes: ${executors.size} executors`)
      await settled(...nodes)
      for (const node of nodes) {
        const { ok, bad } = await node.audit()
        assert.deepEqual([ok, bad], [true, []])
      }
      const spent = nodes.reduce((sum, node) => sum + node.credits().spent - node.credits().earned, 0n)
      assert.equal(spent, 0n)
      assert.equal(a.credits().spent - a.credits().earned >= 0n, true)
      assert.equal(a.credits().spent >= cost, true)
    }
  }
  assert.deepEqual([...seen].length, 1, [...seen].join('; '))
})

// Goal: a node that vanishes in the middle of a tree costs a retry of what it had, and neither result nor fuel.
// Method: the busier of two sellers is killed at its fifth guest; the same tree at home alone to compare with.
test('a killed node costs a retry, not the tree', async () => {
  await using mesh = new Mesh()
  const shape = { levels: 2, width: 6, work: 20_000 }
  const limits = { ...FAN_LIMITS, descendantsMax: fanSize(shape) }
  const alone = await mesh.start('alone', { alone: true, resultCache: false })
  const expected = await fan(alone, shape, { limits })
  const rich = { slots: 2, resultCache: false, lineMax: 10_000n * CREDIT, poolMax: 100_000n * CREDIT, sellerPoolMax: 10_000n * CREDIT }
  const a = await mesh.start('a', { ...rich, slots: 1 })
  const b = await mesh.start('b', rich)
  let seen = 0
  const [dying, dead] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const c: MeshNode = await mesh.start('c', { ...rich, before: async () => { if (++seen >= 5) { dying.resolve(); await dead.promise } } })
  await mesh.connect(a, b)
  await mesh.connect(a, c)
  await mesh.connect(b, c)
  const work = fan(a, shape, { where: a.id, limits })
  await dying.promise
  const killed = mesh.kill(c)
  dead.resolve()
  await killed
  const { outcome, bytes, fuel, receipt, attempts } = await work
  assert.deepEqual([outcome, u32(bytes), fuel, attempts.length], ['ok', u32(expected.bytes), expected.fuel, 0])
  assert.equal(openTree(receipt, verify).below.length, fanSize(shape))
})

// Goal: what children may cost is what the job may, to the µcr, and a fork bomb ends where its fuel does; nothing stays held.
// Method: a fan whose budget is not enough to buy anything, and one with little fuel that wants far more children than that pays for.
test('a budget that is spent, and a fork bomb', async () => {
  await using mesh = new Mesh()
  const a = await mesh.start('a', { slots: 1, resultCache: false })
  const b = await mesh.start('b', { slots: 4, resultCache: false })
  await mesh.connect(a, b)
  const shape = { levels: 1, width: 8 }
  const poor = await fan(a, shape, { where: a.id, costMax: 1_000n })
  assert.deepEqual([poor.outcome, poor.cost, u32(poor.bytes)], ['ok', 0n, 9])
  const fuelMax = 100_000_000n
  const bomb = await a.run(FAN, fanInput({ levels: 8, width: 8, fuel: fuelMax, descendants: 4_000 }), { where: a.id, costMax: 100n * CREDIT, limits: { ...FAN_LIMITS, fuelMax, descendantsMax: 4_000 } })
  const { root, below } = openTree(bomb.receipt, verify)
  assert.ok(bomb.fuel <= fuelMax && below.length <= 100, `${bomb.fuel} ${below.length}`)
  assert.ok(root.receipt.payload.charge <= 100n * CREDIT)
  await settled(a, b)
})

// Goal: a guest names a module by its CID, and whoever computes it gets it by way of who ordered the parent; without it the job fails as a
// fault of the host, and the guest never learns of it. What is no module is a number to the guest.
// Method: a parent at a seller, whose child another seller has to run; the same without handing the module over; and with bytes that are none.
test('modules by CID, from the caller to where they run', async () => {
  await using mesh = new Mesh()
  const [a, b] = [await mesh.start('a'), await mesh.start('b', { slots: 1 })]
  await mesh.connect(a, b)
  const leaf = guestOf('i32.const 0 i32.const 3 i32.store8 i32.const 0 i32.const 1 call 1 drop i32.const 0')
  const parent = guestOf('i32.const 0 i32.const 56 call 2 call 3')
  const call = (module: Uint8Array, modules: Uint8Array[], where: string): Promise<Result> => {
    const name = new TextEncoder().encode(rawCid(module).toString())
    return a.run(parent, new Uint8Array([...childSpec({ module: [56, name.length], fuel: 1_000_000n }), ...name]), { where, modules, limits: { fuelMax: 100_000_000n, memoryPagesMax: 4, descendantsMax: 1 }, retries: 0 })
  }
  for (const where of [a.id, b.id]) {
    await assert.rejects(call(leaf, [], where), { code: where === a.id ? 'ERR_GONE' : 'ERR_EXECUTOR_LOST' })
    assert.equal((await call(leaf, [leaf], where)).exitCode, 1)
    const none = new Uint8Array([1, 2, 3])
    assert.equal((await call(none, [none], where)).exitCode, -106 & 0x7fff_ffff)
  }
})

// Goal: cancel reaches the whole tree. Method: children that never end at a seller; the root is cancelled, and the seller's guests end.
test('cancel reaches the whole tree', async () => {
  await using mesh = new Mesh()
  const a = await mesh.start('a', { slots: 1 })
  const stuck: AbortSignal[] = []
  const began = Promise.withResolvers<void>()
  const b = await mesh.start('b', {
    slots: 2,
    before: async (_run, { signal }) => {
      stuck.push(signal!)
      began.resolve()
      await new Promise((_resolve, reject) => { signal!.addEventListener('abort', () => { reject(signal!.reason as Error) }) })
    }
  })
  await mesh.connect(a, b)
  const cancel = new AbortController()
  const work = fan(a, { levels: 1, width: 8 }, { where: a.id, signal: cancel.signal, limits: { ...FAN_LIMITS, descendantsMax: 8 } })
  const cancelled = assert.rejects(work, { code: 'ERR_CANCELLED' })
  await began.promise
  cancel.abort()
  await cancelled
  await until(() => stuck.every(signal => signal.aborted), 'the guests at the seller are ended')
  await settled(a, b)
})

/** What `b` has bought of others: orders with what was charged, one entry for each payment that is owed or made. */
async function bought (node: MeshNode): Promise<string[]> {
  const orders: string[] = []
  for await (const { role, order } of node.receipts()) if (role === 'bought') orders.push(order)
  return orders
}

// Goal: an executor that is killed in the middle of a tree pays no child twice: what it has bought is there when the same order comes again, on both levels,
// and the tree verifies. Method: a parent at a node with one slot, whose children another one runs; the first is killed when so many of them
// are paid or owed, and again later; its buyer presents the order again. Then all receipts at all nodes are counted.
for (const levels of [1, 2]) {
  test(`an executor killed in the middle pays for no child twice, ${levels} levels`, async () => {
    await using mesh = new Mesh()
    const shape = { levels, width: levels === 1 ? 24 : 6, work: 2_000 }
    const size = fanSize(shape)
    const rich = { resultCache: false, lineMax: 10_000n * CREDIT, poolMax: 100_000n * CREDIT, sellerPoolMax: 10_000n * CREDIT }
    const a = await mesh.start('a', { ...rich, serve: false })
    let seen = 0
    let gate = Promise.withResolvers<void>()
    const c = await mesh.start('c', { ...rich, slots: 2, before: async () => { if (++seen === 4 || seen === 8) { gate.resolve(); await new Promise(resolve => { setTimeout(resolve, 50) }) } } })
    const parts = { ...rich, slots: 1 }
    let b = await mesh.start('b', parts)
    const meet = async (): Promise<void> => {
      await mesh.connect(a, b)
      await mesh.connect(b, c)
    }
    await meet()
    const work = fan(a, shape, { where: b.id, key: 'tree', limits: { ...FAN_LIMITS, descendantsMax: 2 * size } })
    let [kills, isOver] = [0, false]
    void work.finally(() => { isOver = true })
    for (; kills < 2; kills++) {
      await Promise.race([gate.promise, work])
      if (isOver) break
      gate = Promise.withResolvers()
      await mesh.kill(b)
      b = await mesh.start('b', parts)
      await meet()
    }
    const { outcome, bytes, receipt } = await work
    assert.deepEqual([outcome, u32(bytes)], ['ok', 1 + size])
    const { root, below } = openTree(receipt, verify)
    assert.equal(below.length, size)
    assert.ok(kills > 0)
    await settled(a, b, c)
    const ofB = below.filter(({ selfExecuted, order }) => !selfExecuted && peerIdOfKey(order.payload.payer) === b.id)
    assert.deepEqual((await bought(b)).toSorted(), ofB.map(({ order }) => order.id.toString()).toSorted())
    assert.equal(b.credits().spent, root.receipt.payload.below!.charge)
    assert.equal(c.credits().earned, b.credits().spent)
  })
}

// Goal: a receipt that comes alone, because its payer was killed before the answer, is owed with the receipts of all that was bought for it, and not
// without. Method: the buyer of a tree is killed while it runs and starts again when it is over, where the seller has lost the tree, and then
// has it again, small enough for the packet and too large for it.
for (const width of [4, 180]) {
  test(`a late receipt is not paid without its tree, ${width} children`, async () => {
    await using mesh = new Mesh()
    const rich = { resultCache: false, lineMax: 10_000n * CREDIT, poolMax: 100_000n * CREDIT, sellerPoolMax: 10_000n * CREDIT }
    const began = Promise.withResolvers<void>()
    const killed = Promise.withResolvers<void>()
    let a = await mesh.start('a', { ...rich, serve: false })
    const b = await mesh.start('b', { ...rich, before: async () => { began.resolve(); await killed.promise } })
    await mesh.connect(a, b)
    const shape = { levels: 1, width }
    const work = assert.rejects(fan(a, shape, { where: b.id, limits: { ...FAN_LIMITS, descendantsMax: width } }))
    await began.promise
    await mesh.kill(a)
    killed.resolve()
    await work
    await until(() => b.credits().due > 0n, 'the job is over')
    const tree = [...b.stored.keys()].find(cid => rawCid(b.stored.get(cid)!).toString() === cid && b.stored.get(cid)![0]! >> 5 === 4)!
    const bytes = b.stored.get(tree)!
    assert.equal(bytes.length > LIMITS.wire.inlineBytesMax, width > 4)
    b.stored.delete(tree)
    a = await mesh.start('a', { ...rich, serve: false })
    await mesh.connect(a, b)
    await until(() => b.log.some(line => line.startsWith('presenting a receipt')), 'the receipt is refused')
    assert.deepEqual([a.credits().owed, a.credits().spent, b.credits().due > 0n], [0n, 0n, true])
    b.stored.set(tree, bytes)
    await mesh.lose(a)
    a = await mesh.start('a', { ...rich, serve: false })
    await mesh.connect(a, b)
    await settled(a, b)
    assert.ok(a.credits().spent > 0n)
    const [receipt] = await Array.fromAsync(a.receipts())
    assert.equal(openTree((await a.receipt(receipt!.id))!, verify).below.length, width)
  })
}
