/** Jobs whose guests have other WASM computed: on one node and on several, what it costs, and what is left where something is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAN, fanInput, fanSize, type FanOptions } from '../../test/family-guests.ts'
import { verify } from '../node/keys.ts'
import { CREDIT } from '../packet/limits.ts'
import { openTree } from '../credits/tree.ts'
import { Mesh, type MeshNode, settled } from './mesh.fixture.ts'
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
