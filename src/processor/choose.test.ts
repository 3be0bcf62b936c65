/** Who gets a job, and what is said of the others: between nodes of one mesh in this process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ECHO, UNKNOWN_IMPORT } from '../../test/guests.ts'
import { InosError } from '../packet/errors.ts'
import { createTestMesh } from '../testing/mesh.ts'
import { Mesh, type MeshNode, type NodeOptions } from './mesh.fixture.ts'
import type { ComputeOptions } from './processor.ts'

const LIMITS = { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 }
const AWAY = { where: 'remote', limits: LIMITS } satisfies ComputeOptions

async function buyerAnd (mesh: Mesh, sellers: Readonly<Record<string, NodeOptions>>): Promise<{ buyer: MeshNode } & Record<string, MeshNode>> {
  const buyer = await mesh.start('buyer', { serve: false })
  const nodes: Record<string, MeshNode> = {}
  for (const [name, options] of Object.entries(sellers)) {
    nodes[name] = await mesh.start(name, options)
    await mesh.connect(buyer, nodes[name]!)
  }
  return { ...nodes, buyer }
}

async function failure (work: Promise<unknown>): Promise<InosError> {
  const error = await work.then(() => null, (error: unknown) => error)
  assert.ok(error instanceof InosError)
  return error
}

// Goal: of several the lowest of price × time × experience wins, and the quote says so before it happens.
// Method: three sellers that differ in one thing at a time; what a quote says against who then runs the job.
test('price, speed and experience decide', async () => {
  for (const [sellers, winner] of [
    [{ dear: { prices: { perMFuel: 2_000n } }, cheap: { prices: { perMFuel: 500n } }, usual: {} }, 'cheap'],
    [{ slow: { fuelPerSec: 1_000_000 }, fast: { fuelPerSec: 4_000_000_000 }, unknown: {} }, 'fast'],
    [{ full: { slots: 1, machine: { memoryPagesMax: 200, gpu: null, diskBytes: () => null } }, usual: {} }, 'usual'],
    [{ first: {}, second: {} }, 'first']
  ] as const) {
    await using mesh = new Mesh()
    const { buyer, ...nodes } = await buyerAnd(mesh, sellers)
    const quote = await buyer.quote(ECHO, 'x', AWAY)
    assert.equal(quote.chosen, nodes[winner]!.id, quote.reason)
    assert.equal(quote.bids.length, Object.keys(sellers).length)
    assert.deepEqual([buyer.credits().held, nodes[winner]!.runs()], [0n, 0], 'nothing was held or run')
    const result = await buyer.compute(ECHO, 'x', AWAY)
    assert.equal(result.executor, quote.chosen)
    assert.ok(result.cost <= quote.bids[0]!.costMax!)
    // Now it is known what the module uses, which is far less than it may.
    const next = await buyer.quote(ECHO, 'x', AWAY)
    assert.equal(next.bids.find(({ peer }) => peer === result.executor)!.cost, result.cost)
  }
})

// Goal: a peer that failed is passed over for one that did not, next time as well. Method: whichever of two equals is asked first fails once;
// on a clock of the mesh's own, because how fast a node answers counts as well.
test('who failed comes second', async () => {
  const asked: number[] = []
  const before = (index: number) => async (): Promise<void> => { if (asked.push(index) === 1) throw new InosError('ERR_EXECUTOR_LOST', 'Gone.') }
  await using mesh = await createTestMesh({ nodes: 3, node: index => ({ serve: index > 0, before: before(index) }) })
  const [buyer] = mesh.nodes
  const moved = await buyer!.compute(ECHO, 'x', AWAY)
  const [first, second] = asked.map(index => mesh.nodes[index]!.id)
  assert.deepEqual([asked.length, moved.executor, moved.attempts.map(({ peer }) => peer)], [2, second, [first]])
  assert.notEqual(first, second)
  const next = await buyer!.compute(ECHO, 'x', AWAY)
  assert.deepEqual([asked.length, next.executor, next.attempts], [3, second, []])
  const { bids } = await buyer!.quote(ECHO, 'x', AWAY)
  assert.deepEqual(bids.map(({ peer }) => peer), [second, first])
  assert.ok(bids[0]!.burden! < bids[1]!.burden!)
})

// Goal: a module nobody can run, a budget nobody meets and memory nobody has are three messages that name the cause
// and each peer. Method: two sellers; each job refused by both, without an order where the offers already say no.
test('why nobody takes a job', async () => {
  await using mesh = new Mesh()
  const little = { machine: { memoryPagesMax: 300, gpu: null, diskBytes: () => null } }
  const { buyer, a, b } = await buyerAnd(mesh, { a: little, b: { ...little, prices: { base: 1n } } })
  const module = await failure(buyer.compute(UNKNOWN_IMPORT, 'x', AWAY))
  assert.deepEqual([module.code, /import/.test(module.message)], ['ERR_UNSUPPORTED_IMPORT', true])
  const budget = await failure(buyer.compute(ECHO, 'x', { ...AWAY, costMax: 10n }))
  assert.equal(budget.code, 'ERR_BUDGET')
  assert.match(budget.message, /^No node takes this job for 10 µcr at these limits; the cheapest of 2 may charge up to \d+ µcr\.$/)
  const memory = await failure(buyer.compute(ECHO, 'x', { ...AWAY, limits: { ...LIMITS, memoryPagesMax: 16_384 } }))
  assert.equal(memory.code, 'ERR_NO_OFFER')
  assert.equal(memory.message, 'No node has 1024 MiB of memory for a job; the largest of 2 offers 18 MiB.')
  for (const { attempts } of [budget, memory]) assert.deepEqual(attempts.map(({ peer }) => peer), [a!.id, b!.id])
  assert.equal(a!.runs() + b!.runs(), 1, 'the module was refused by the first, for all')
  const quote = await buyer.quote(ECHO, 'x', { ...AWAY, costMax: 10n })
  assert.deepEqual([quote.chosen, quote.code, quote.reason], [null, 'ERR_BUDGET', budget.message])
  const nobody = await failure(buyer.compute(ECHO, 'x', { ...AWAY, avoid: [a!.id, b!.id] }))
  assert.deepEqual([nobody.code, nobody.attempts.length], ['ERR_NO_OFFER', 2])
})

// Goal: a quote for a node that runs it itself still shows the others. Method: a node with free slots and one peer.
test('a quote shows others beside this node', async () => {
  await using mesh = new Mesh()
  const { buyer, other } = await buyerAnd(mesh, { other: {} })
  const quote = await buyer.quote(ECHO, 'x', { limits: LIMITS })
  assert.deepEqual([quote.chosen, quote.bids.map(({ peer }) => peer)], [buyer.id, [other!.id]])
  assert.deepEqual((await buyer.quote(ECHO, 'x', { where: 'local' })).bids, [])
  await assert.rejects(buyer.quote(ECHO, 'x', { where: 'mars' }), { code: 'ERR_USAGE' })
})
