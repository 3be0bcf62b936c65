/** The kit itself: time, faults and sameness of a mesh that whoever builds on INOS tests with. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COUNTER, counted, number } from '../../test/actor-guests.ts'
import { ECHO, ENDLESS } from '../../test/guests.ts'
import { verifyChain } from '../index.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createTestMesh } from './mesh.ts'
import type { TestMesh, TestMeshOptions } from './options.ts'

const REMOTE = { where: 'remote', limits: { fuelMax: 100_000_000n, outputBytesMax: 10_000 } } as const

function code (...codes: string[]): (error: unknown) => boolean {
  return error => error instanceof InosError && codes.includes(error.code)
}

function sumOf (mesh: TestMesh): bigint {
  return mesh.nodes.reduce((sum, node) => sum + node.credits().balance, 0n)
}

// Goal: a mesh is a mesh: jobs run elsewhere, are paid, and books agree. Method: buy from a node that was never named.
test('nodes buy from each other and their books agree', async () => {
  await using mesh = await createTestMesh({ nodes: 3, node: index => ({ serve: index === 2 }) })
  const [, buyer, seller] = mesh.nodes
  assert.equal((await buyer!.quote(ECHO, 'hello', REMOTE)).chosen, seller!.id)
  const result = await buyer!.compute(ECHO, 'hello', REMOTE)
  assert.equal(result.text(), 'hello')
  assert.equal(result.executor, seller!.id)
  await mesh.settled()
  assert.equal(seller!.credits().earned, result.cost)
  assert.equal(sumOf(mesh), 0n)
  const items = []
  for await (const item of buyer!.map(ECHO, ['a', 'b', 'c'], REMOTE)) items.push(item.text())
  assert.deepEqual(items, ['a', 'b', 'c'])
})

// Goal: a node takes work only while it serves, and peers know. Method: a seller that stops and begins again, twice; a job at work when it stops is finished; while it
// does not serve it is no candidate, and an order on the offer of before is refused without a charge.
test('serving begins and ends while a node runs', async () => {
  await using mesh = await createTestMesh({ nodes: 2, node: index => ({ serve: index === 1 }) })
  const [buyer, seller] = [mesh.nodes[0]!, mesh.nodes[1]!]
  for (const text of ['first', 'second']) {
    const running = new Promise<void>(resolve => { seller.on('job:state', ({ state }) => { if (state === 'running') resolve() }) })
    const job = buyer.compute(ECHO, text, REMOTE)
    await running
    seller.serve(false)
    assert.equal((await job).text(), text)
    assert.equal(seller.trade().serving, false)
    await assert.rejects(buyer.compute(ECHO, 'nobody', REMOTE), code('ERR_NO_OFFER', 'ERR_POLICY'))
    await mesh.advance(LIMITS.market.measureMs)
    seller.serve(true)
    await mesh.advance(LIMITS.market.measureMs)
  }
  await mesh.settled()
  assert.equal(sumOf(mesh), 0n)
  assert.equal(seller.runs(), 2)
})

// Goal: time is the mesh's own. Method: a guest that burns a tenth of a second, a wait longer than any call may take, and a clock that stands in between.
test('time passes only when it is asked to', async () => {
  await using mesh = await createTestMesh({ nodes: 2, latencyMs: [10, 10] })
  const begun = mesh.now()
  await assert.rejects(mesh.nodes[1]!.compute(ENDLESS, '', REMOTE), code('ERR_OUT_OF_FUEL'))
  assert.equal(mesh.now() - begun, 120)
  await new Promise(setImmediate)
  assert.equal(mesh.now() - begun, 120)
  await mesh.advance(2 * 3_600_000)
  assert.equal(mesh.now() - begun, 2 * 3_600_000 + 120)
})

async function play (options: TestMeshOptions): Promise<string> {
  await using mesh = await createTestMesh({ nodes: 5, ...options })
  const jobs = mesh.nodes.map((node, i) => node.compute(ECHO, `job ${i}`, REMOTE).then(({ executor }) => executor, (error: InosError) => error.code))
  const ends = await Promise.all(jobs)
  mesh.weather({ loss: 0, duplicate: 0 })
  await mesh.settled()
  return `${mesh.trace()} ${mesh.now()} ${ends.join()}`
}

// Goal: a seed decides everything. Method: the same mesh twice under bad weather, and once with another seed.
test('the same seed gives the same bytes at the same times', async () => {
  const storm = { seed: 7, loss: 0.2, duplicate: 0.01, latencyMs: [1, 300] } as const
  const first = await play(storm)
  assert.equal(await play(storm), first)
  assert.notEqual(await play({ ...storm, seed: 8 }), first)
})

// Goal: a border is a border until it is healed. Method: a job that has to cross it fails; the next, healed, is served.
test('a partition severs and heals', async () => {
  await using mesh = await createTestMesh({ nodes: 2 })
  mesh.partition([0], [1])
  await assert.rejects(mesh.nodes[1]!.compute(ECHO, 'x', REMOTE), code('ERR_NO_OFFER', 'ERR_NOT_REACHABLE'))
  mesh.heal()
  assert.equal((await mesh.nodes[1]!.compute(ECHO, 'x', REMOTE)).text(), 'x')
})

// Goal: a killed node says and writes nothing more, and comes back with what it had. Method: kill the seller while the job
// runs, at an instant of our choice; the buyer's job ends at another; the first returns, and nobody owes anybody.
test('a killed node comes back on its books', async () => {
  await using mesh = await createTestMesh({ nodes: 3, latencyMs: [10, 10] })
  const [, , buyer] = mesh.nodes
  const first = await buyer!.compute(ECHO, 'paid', { ...REMOTE, where: mesh.nodes[0]!.id })
  await mesh.settled()
  const before = mesh.nodes[0]!.credits()
  const running = buyer!.run(ENDLESS, '', REMOTE)
  await mesh.advance(60)
  await mesh.kill(0)
  const { executor, attempts } = await running
  assert.deepEqual([executor, attempts.map(({ peer }) => peer)], [mesh.nodes[1]!.id, [first.executor]])
  await mesh.restart(0)
  assert.deepEqual(mesh.nodes[0]!.credits(), before)
  await mesh.settled()
  assert.equal(sumOf(mesh), 0n)
  await assert.rejects(mesh.restart(0), code('ERR_USAGE'))
})

// Goal: what never happens is told, not waited for. Method: a promise that nobody settles.
test('a wait without an end ends', async () => {
  await using mesh = await createTestMesh({ nodes: 1 })
  await assert.rejects(mesh.wait(new Promise(() => {})), code('ERR_DEADLINE'))
  await assert.rejects(createTestMesh({ nodes: 0 }), code('ERR_USAGE'))
  await assert.rejects(createTestMesh({ loss: 1 }), code('ERR_USAGE'))
})

// Goal: actors are there as on any node, and outlive their host and their caller. Method: a host that loses its power between messages, a caller
// that comes back on its rows; the count goes on, and the history verifies.
test('an actor counts on over lost machines', async () => {
  await using mesh = await createTestMesh({ nodes: 4, node: index => ({ serve: index > 1 }) })
  const options = { name: 'counter', where: 'remote', limits: { fuelMax: 1_000_000n, memoryPagesMax: 64, outputBytesMax: 1_024 } } as const
  const actor = await mesh.nodes[1]!.spawn(COUNTER, options)
  const begun = mesh.now()
  const { executor, bytes } = await actor.call(number(1))
  assert.equal(counted(bytes).count, 1)
  assert.ok(mesh.now() > begun)
  await mesh.kill(mesh.nodes.findIndex(({ id }) => id === executor))
  assert.equal(counted((await actor.call(number(2))).bytes).sum, 3)
  await mesh.kill(1)
  await mesh.restart(1)
  const again = await mesh.nodes[1]!.actor('counter')
  assert.deepEqual(counted((await again.call(number(3))).bytes), { count: 3, sum: 6 })
  assert.deepEqual((await mesh.nodes[1]!.actors()).map(({ name, n }) => [name, n]), [['counter', 3]])
  assert.equal((await verifyChain(await again.chain())).messages, 3)
})
