import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import { COUNTER, counted, number } from '../../test/actor-guests.ts'
import { ECHO } from '../../test/guests.ts'
import { wasm } from '../../test/wasm-builder.ts'
import { openChain } from '../credits/chain.ts'
import { verify } from '../node/keys.ts'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { LIMITS } from '../packet/limits.ts'
import { Mesh, type MeshNode } from '../processor/mesh.fixture.ts'
import type { ActorStore } from './actor-log.ts'
import { type ActorMethods, actorsOf } from './actors.ts'
import { map } from './map.ts'

const SMALL = { limits: { fuelMax: 1_000_000n, memoryPagesMax: 64, outputBytesMax: 1_024 } }

/** The actors of a node, on rows that outlive it. */
function actorsAt (processor: MeshNode, rows: MemoryLevel<string, Uint8Array>): ActorMethods {
  const store: ActorStore = { get: key => rows.get(key), batch: ops => rows.batch(ops), iterator: range => rows.iterator(range) }
  return actorsOf({ processor, store: async () => store, digest: bytes => createHash('sha256').update(bytes).digest(), randomBytes })
}
const newRows = (): MemoryLevel<string, Uint8Array> => new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })

/** A buyer with its actors, and hosts it is connected to. */
async function meshOf (mesh: Mesh, ...names: string[]): Promise<{ buyer: MeshNode, hosts: MeshNode[], actors: ActorMethods, rows: MemoryLevel<string, Uint8Array> }> {
  const buyer = await mesh.start('buyer', { serve: false })
  const hosts = await Promise.all(names.map(name => mesh.start(name)))
  for (const host of hosts) await mesh.connect(buyer, host)
  const rows = newRows()
  return { buyer, hosts, actors: actorsAt(buyer, rows), rows }
}

// Goal: messages are handled in the order of their calls, one at a time, and the history proves each.
// Method: twenty calls at once, two of which trap; the replies count on, and the chain verifies with all of them.
test('an actor counts', async () => {
  await using mesh = new Mesh()
  const { actors, buyer } = await meshOf(mesh, 'host')
  const actor = await actors.spawn(COUNTER, { name: 'counter', where: 'remote', ...SMALL })
  const replies = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => actor.call(number(i % 10))))
  const told = replies.map(reply => reply.status === 'fulfilled' ? counted(reply.value.bytes).count : String((reply.reason as { code: string }).code))
  assert.deepEqual(told, Array.from({ length: 20 }, (_, i) => i % 10 === 0 ? 'ERR_TRAP' : i < 10 ? i : i - 1))
  const chain = openChain(await actor.chain(), verify)
  assert.deepEqual([chain.messages, chain.unchanged, chain.payer, chain.state, chain.actor], [20, 2, buyer.id, actor.view().state, actor.id])
  assert.deepEqual((await actors.actors()).map(({ name, n, pages, queued }) => [name, n, pages, queued]), [['counter', 20, 3, 0]])
})

// Goal: an actor stays where it is while that node takes its messages, moves when it is told to, and goes elsewhere when its host is lost.
// Method: two hosts; the executors of replies tell where each message ran.
test('an actor has a home, moves, and survives its host', async () => {
  await using mesh = new Mesh()
  const { actors, hosts, buyer } = await meshOf(mesh, 'one', 'two')
  const actor = await actors.spawn(COUNTER, { name: 'counter', where: 'remote', ...SMALL })
  const { executor } = await actor.call(number(1))
  const [home, other] = executor === hosts[0]!.id ? [hosts[0]!, hosts[1]!] : [hosts[1]!, hosts[0]!]
  assert.equal((await actor.call(number(2))).executor, home.id)
  await actor.migrate(other.id)
  assert.equal((await actor.call(number(3))).executor, other.id)
  await mesh.kill(other)
  const after = await actor.call(number(4))
  assert.deepEqual([after.executor, counted(after.bytes)], [home.id, { count: 4, sum: 10 }])
  await assert.rejects(actor.migrate(other.id), { code: 'ERR_NOT_REACHABLE' })
  await assert.rejects(actor.migrate(buyer.id), { code: 'ERR_USAGE' })
  assert.deepEqual(new Set(openChain(await actor.chain(), verify).executors), new Set([home.id, other.id]))
})

// Goal: an actor goes on after a restart where it was, and a message that was not acknowledged is counted once when it is sent again.
// Method: the caller is killed at random points of a message, by a store that fails from the n-th write on or a node that is lost with the reply
// on its way; then it starts again on the books and rows it left, and sends the same message with and without a name.
test('a caller that is killed counts nothing twice', async () => {
  await fc.assert(fc.asyncProperty(fc.nat({ max: 3 }), fc.boolean(), fc.boolean(), async (writes, isNamed, isLocal) => {
    await using mesh = new Mesh()
    const { actors, buyer, hosts, rows } = await meshOf(mesh, 'host')
    const options = { name: 'counter', where: isLocal ? 'local' : 'remote', ...SMALL } as const
    const actor = await actors.spawn(COUNTER, options)
    await actor.call(number(5))
    let left = writes
    const batch = rows.batch.bind(rows)
    Object.assign(rows, { batch: async (...args: Parameters<typeof batch>) => { if (left-- <= 0) throw new Error('killed'); return await batch(...args) } })
    const id = isNamed ? { id: 'second' } : {}
    const first = await actor.call(number(6), id).then(() => true, () => false)
    Object.assign(rows, { batch })
    await mesh.kill(buyer)
    const again = await mesh.start('buyer', { serve: false })
    await mesh.connect(again, hosts[0]!)
    const revived = await actorsAt(again, rows).spawn(COUNTER, options)
    // What was acknowledged is sent again only by a name.
    if (!first || isNamed) assert.deepEqual(counted((await revived.call(number(6), id)).bytes), { count: 2, sum: 11 })
    assert.deepEqual(counted((await revived.call(number(7))).bytes), { count: 3, sum: 18 })
    const chain = openChain(await revived.chain(), verify)
    assert.equal(chain.messages, 3)
  }), { numRuns: 16 })
})

// Goal: messages with a name are answered again, also when they failed, and only so many are remembered.
// Method: send each name again, at once, later and after a restart.
test('a message with a name is handled once', async () => {
  await using mesh = new Mesh()
  const { actors, rows, buyer } = await meshOf(mesh, 'host')
  const actor = await actors.spawn(COUNTER, { name: 'counter', where: 'local', ...SMALL })
  const [one, two] = await Promise.all([actor.call(number(1), { id: 'a' }), actor.call(number(1), { id: 'a' })])
  assert.deepEqual([one.repeated, two.repeated, one.n, two.n, one.receiptId], [false, true, 1, 1, two.receiptId])
  await assert.rejects(actor.call(number(0), { id: 'trap' }), { code: 'ERR_TRAP' })
  await assert.rejects(actor.call(number(0), { id: 'trap' }), { code: 'ERR_TRAP' })
  const later = await actorsAt(buyer, rows).actor('counter')
  assert.deepEqual([(await later.call(number(1), { id: 'a' })).repeated, later.view().n], [true, 2])
  for (const id of ['', 'x'.repeat(129), 1, '\ud800']) await assert.rejects(actor.call('', { id: id as string }), { code: 'ERR_USAGE' })
})

// Goal: old states are collected, the latest can be read, and a snapshot keeps its own.
// Method: more messages than two images take, with a snapshot early; then states by number, also after a restart.
test('states are collected, snapshots are kept', async () => {
  await using mesh = new Mesh()
  const { actors, rows, buyer } = await meshOf(mesh)
  const actor = await actors.spawn(COUNTER, { name: 'counter', where: 'local', ...SMALL })
  await assert.rejects(actor.snapshot(), { code: 'ERR_USAGE' })
  const messages = 2 * LIMITS.actor.imageEvery + 40
  const states: Array<string | null> = [null]
  for (let i = 1; i <= messages; i++) {
    states.push((await actor.call(number(i))).state)
    if (i === 10) assert.deepEqual([(await actor.snapshot()).n, (await actor.snapshot()).state], [10, states[10]])
  }
  const later = await actorsAt(buyer, rows).actor('counter')
  for (const each of [actor, later]) {
    assert.deepEqual(await each.snapshots(), [10])
    for (const n of [0, 10, LIMITS.actor.imageEvery, LIMITS.actor.imageEvery + 7, messages]) assert.equal((await each.stateAt(n))?.id ?? null, states[n], `state ${n}`)
    for (const n of [1, 9, 11, LIMITS.actor.imageEvery - 1]) await assert.rejects(each.stateAt(n), { code: 'ERR_GONE' })
  }
  // A state by hand goes on from there.
  const branch = await buyer.compute(COUNTER, number(1), { ...SMALL, where: 'local', step: { before: await actor.stateAt(10) } })
  assert.deepEqual(counted(branch.bytes), { count: 11, sum: 56 })
  await actor.release(10)
  await assert.rejects(actor.stateAt(10), { code: 'ERR_GONE' })
  const deltas = (await rows.keys().all()).filter(key => key.startsWith('delta!'))
  assert.ok(deltas.length <= 2 * LIMITS.actor.imageEvery)
})

// Goal: names, modules and ends are what they say. Method: spawn, stop, spawn again, forget.
test('names, stops and ends', async () => {
  await using mesh = new Mesh()
  const { actors, rows, buyer } = await meshOf(mesh)
  const local = { where: 'local', ...SMALL } as const
  for (const name of ['', 'x'.repeat(65), 'a\nb', 1]) await assert.rejects(actors.spawn(COUNTER, { name: name as string }), { code: 'ERR_USAGE' })
  const [one, two] = await Promise.all([actors.spawn(COUNTER, { name: 'a', ...local }), actors.spawn(COUNTER, { name: 'a', ...local })])
  assert.equal(one, two)
  await assert.rejects(actors.spawn(ECHO, { name: 'a' }), { code: 'ERR_USAGE', message: /another module/ })
  await assert.rejects(actors.actor('b'), { code: 'ERR_USAGE' })
  const waiting = one.call(number(3))
  const stopping = one.stop()
  await assert.rejects(one.call(number(4)), { code: 'ERR_USAGE', message: /stopped/ })
  assert.deepEqual([counted((await waiting).bytes).count, await stopping], [1, undefined])
  assert.deepEqual((await actors.actors()).map(({ stopped, n }) => [stopped, n]), [[true, 1]])
  await assert.rejects(actors.actor('a'), { code: 'ERR_USAGE', message: /stopped/ })
  const again = await actorsAt(buyer, rows).spawn(COUNTER, { name: 'a', ...local, costMax: 5n })
  assert.deepEqual([again.id, counted((await again.call(number(4))).bytes)], [one.id, { count: 2, sum: 7 }])
  await again.stop({ forget: true })
  assert.deepEqual(await rows.keys().all(), [])
})

// Goal: only so many messages wait. Method: one more than may.
test('the queue has an end', async () => {
  await using mesh = new Mesh()
  const { actors } = await meshOf(mesh)
  const actor = await actors.spawn(wasm({ functions: [{ code: '', export: 'run' }] }), { name: 'a', where: 'local', ...SMALL })
  const gone = AbortSignal.abort(new Error('not any more'))
  const calls = Array.from({ length: LIMITS.actor.queueMax }, () => actor.call('', { signal: gone }).catch(() => {}))
  await assert.rejects(actor.call(''), { code: 'ERR_BUSY' })
  await Promise.all(calls)
  assert.equal((await actor.call('')).n, 1)
})

// Goal: a history that lacks a message, repeats one, or mixes in another's, is refused, and says where.
// Method: a true history of four messages, with one thing changed at a time.
test('a history that is not whole is refused', async () => {
  await using mesh = new Mesh()
  const { actors } = await meshOf(mesh, 'host')
  const histories: Uint8Array[] = []
  for (const name of ['a', 'b']) {
    const actor = await actors.spawn(COUNTER, { name, where: 'remote', ...SMALL })
    for (const value of [1, 0, 2, 3]) await actor.call(number(value)).catch(() => {})
    histories.push(await actor.chain())
  }
  const [mine, other] = histories.map(bytes => decodeCanonical(bytes) as { actor: Uint8Array, steps: Uint8Array[][] }) as [{ actor: Uint8Array, steps: Uint8Array[][] }, { actor: Uint8Array, steps: Uint8Array[][] }]
  const { actor, steps } = mine
  assert.deepEqual([openChain(histories[0]!, verify).messages, openChain(histories[0]!, verify).unchanged], [4, 1])
  const wrong: Array<[object, RegExp]> = [
    [{ actor, steps: [] }, /no message/],
    [{ actor, steps: steps.slice(1) }, /message 1: /],
    [{ actor, steps: steps.toSpliced(1, 1) }, /message 2: /],
    [{ actor, steps: steps.toSpliced(2, 0, steps[2]!) }, /message 4: /],
    [{ actor, steps: [steps[0], steps[2], steps[1], steps[3]] }, /message 2: /],
    [{ actor, steps: steps.with(3, other.steps[3]!) }, /message 4: /],
    [{ actor: other.actor, steps }, /message 1: /],
    [{ actor, steps: steps.with(2, [steps[2]![0]!, steps[3]![1]!]) }, /message 3: its receipt is for another spec/],
    [{ actor, steps: steps.with(2, [steps[2]![0]!, steps[2]![1]!.with(200, 0)]) }, /message 3: /],
    [{ actor, steps: steps.with(0, [steps[0]![0]!]) }, /message 1: it is not/],
    [{ actor, steps, more: 1 }, /as a file/],
    [{ actor: actor.subarray(1), steps }, /as a file/]
  ]
  for (const [file, message] of wrong) assert.throws(() => openChain(encodeCanonical(file), verify), { code: 'ERR_RECEIPT_INVALID', message }, String(message))
  // Without its last message it is a history that ends earlier.
  assert.equal(openChain(encodeCanonical({ actor, steps: steps.slice(0, 3) }), verify).messages, 3)
})

// Goal: the module of an actor and of a map may be only a name: whoever runs it fetches it, and the caller never holds its bytes.
// Method: a third node has the module; messages and items go to a host that has not, also after a restart of the caller; given its bytes the actor is the same.
test('a module by its name', async () => {
  await using mesh = new Mesh()
  const { actors, hosts: [host], buyer, rows } = await meshOf(mesh, 'host')
  const holder = await mesh.start('holder', { serve: false })
  await mesh.connect(host!, holder)
  const [counter, echo] = await Promise.all([COUNTER, ECHO].map(async bytes => ({ cid: await holder.blobs.put(bytes) })))
  const actor = await actors.spawn(counter!, { name: 'counter', where: 'remote', ...SMALL })
  for (const count of [1, 2]) assert.equal(counted((await actor.call(number(1))).bytes).count, count)
  const again = await actorsAt(buyer, rows).actor('counter')
  assert.equal(counted((await again.call(number(1))).bytes).count, 3)
  assert.deepEqual([again.view().module, again.view().home], [counter!.cid, host!.id])
  const items = await Array.fromAsync(map(buyer, echo!, ['a', 'b', 'c'], { where: 'remote', limits: { ...SMALL.limits, memoryPagesMax: 256 } }), item => item.text())
  assert.deepEqual(items, ['a', 'b', 'c'])
  assert.deepEqual([counter!, echo!].filter(({ cid }) => buyer.stored.has(cid)), [])
  const given = await actorsAt(buyer, rows).spawn(COUNTER, { name: 'counter', where: 'remote', ...SMALL })
  assert.equal(counted((await given.call(number(1))).bytes).count, 4)
  await assert.rejects(actors.spawn({ cid: 'x' }, { name: 'other' }), { code: 'ERR_USAGE' })
})
