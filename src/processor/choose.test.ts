/** Who gets a job, and what is said of the others: between nodes of one mesh in this process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ECHO, UNKNOWN_IMPORT } from '../../test/guests.ts'
import { seal } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS as ALL } from '../packet/limits.ts'
import type { Offer } from '../packet/records.ts'
import { createTestMesh } from '../testing/mesh.ts'
import { Mesh, type MeshNode, type NodeOptions, signerOf, until } from './mesh.fixture.ts'
import type { ComputeOptions } from './processor.ts'
import { startRogue } from './rogue.fixture.ts'

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
  const next = await buyer!.compute(ECHO, 'y', AWAY)
  assert.deepEqual([asked.length, next.executor, next.attempts], [3, second, []])
  const { bids } = await buyer!.quote(ECHO, 'x', AWAY)
  assert.deepEqual(bids.map(({ peer }) => peer), [second, first])
  assert.ok(bids[0]!.burden! < bids[1]!.burden!)
})

// Goal: whoever offers work for nothing at a speed no machine has, and never does it, costs jobs no more than a few vain tries.
// Method: such a peer for each refusal it may give, beside an honest one; jobs one after the other.
test('an offer that lies is soon passed over', async () => {
  const free = { base: 0n, perMFuel: 0n, perPageSec: 0n, perKiB: 0n, fuelPerSec: Number.MAX_SAFE_INTEGER }
  for (const code of ['ERR_NO_OFFER', 'ERR_BUDGET', 'ERR_BUSY', 'ERR_POLICY', 'ERR_UNKNOWN_KIND'] as const) {
    await using mesh = new Mesh()
    const { buyer, honest } = await buyerAnd(mesh, { honest: {} })
    const liar = startRogue(mesh, 'liar', () => { throw new InosError(code, 'No.') }, free)
    await mesh.connect(buyer, liar)
    const done = []
    for (let job = 0; job < 16; job++) done.push(await buyer.compute(ECHO, String(job), AWAY))
    assert.ok(done.every(({ executor }) => executor === honest!.id))
    assert.deepEqual([done[0]!.attempts.length, done.at(-1)!.attempts.length], [1, 0], code)
    // One more than suffice, for what was seen fades.
    assert.ok(liar.jobs.length <= ALL.market.distrustMin + 1, `${code}: asked ${liar.jobs.length} times`)
  }
})

// Goal: a peer that makes another offer whenever it is asked does not use up the tries of a job. Method: one that does, for nothing, beside an honest one.
test('prices that flap', async () => {
  await using mesh = new Mesh()
  const { buyer, honest } = await buyerAnd(mesh, { honest: {} })
  const priceOf = async (peer: string): Promise<bigint> => (await buyer.quote(ECHO, 'x', AWAY)).bids.find(bid => bid.peer === peer)!.costMax!
  const liar = startRogue(mesh, 'liar', async ({ offer: { payload } }) => {
    // Offers that follow each other sooner wait.
    mesh.ahead += ALL.market.offerMsMin
    const base = await priceOf(liar.id) + 1n
    liar.sessions.notify(buyer.id, { kind: 'offer', records: [Uint8Array.from(seal<Offer>('offer', { ...payload, base }, signerOf('liar')).bytes)] })
    await until(async () => await priceOf(liar.id) === base, 'the offer has come')
    throw new InosError('ERR_NO_OFFER', 'No longer.')
  }, { base: 0n, perMFuel: 0n, perPageSec: 0n, perKiB: 0n })
  await mesh.connect(buyer, liar)
  const { executor, attempts } = await buyer.compute(ECHO, 'x', AWAY)
  assert.deepEqual([executor, attempts.map(({ peer }) => peer)], [honest!.id, [liar.id, liar.id]])
})

// Goal: what a peer says last counts, however soon it says so: else one that takes no work any more would be asked until its offer expires. Method: three offers at once.
test('the last of several offers', async () => {
  await using mesh = new Mesh()
  const { buyer } = await buyerAnd(mesh, {})
  const seller = startRogue(mesh, 'hasty', async () => { throw new InosError('ERR_NO_OFFER', 'Never.') }, { base: 0n })
  await mesh.connect(buyer, seller)
  const price = async (): Promise<bigint> => (await buyer.quote(ECHO, 'x', AWAY)).bids.find(({ peer }) => peer === seller.id)!.costMax!
  const first = await price()
  for (const base of [1n, 2n, 3n]) seller.sessions.notify(buyer.id, { kind: 'offer', records: [Uint8Array.from(seal<Offer>('offer', { ...seller.offer.payload, base }, signerOf('hasty')).bytes)] })
  await until(async () => await price() === first + 3n, 'the last has come')
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
  assert.match(budget.message, /^No node takes this job for 0.00001 cr at these limits; the cheapest of 2 may charge up to [\d.]+ cr\.$/)
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
