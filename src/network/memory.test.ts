/** The in-process network keeps the contract of every network, and has the faults that tests want. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCode, suite } from '../../test/suites/network.ts'
import { createMemoryHub } from './memory.ts'
import { HandClock } from './network.fixture.ts'
import type { Network, Wire } from './network.ts'

const hub = createMemoryHub()
let count = 0
suite({
  name: 'memory',
  test,
  factory: async () => hub.network(`node-${count++}`),
  nowhere: '/memory/nobody',
  nobody: 'nobody',
  windowBytesMax: 512 * 1024
})

// Goal: a cut pair is out of reach until healed, others are not. Method: three nodes, one cut.
test('memory: a cut severs one pair', async () => {
  const cuts = createMemoryHub()
  const [a, b, c] = ['a', 'b', 'c'].map(id => cuts.network(id))
  const wires: Wire[] = []
  for (const node of [b!, c!]) node.handle(wire => { wires.push(wire) })
  const signal = new AbortController().signal
  await a!.open('b', signal)
  await a!.open('c', signal)
  cuts.cut('b', 'a')
  assert.throws(() => wires[0]!.write(new Uint8Array(1)), isCode('ERR_PEER_LOST'))
  assert.equal(wires[1]!.write(new Uint8Array(1)), true)
  await assert.rejects(a!.dial('/memory/b', signal), isCode('ERR_NOT_REACHABLE'))
  cuts.heal('a', 'b')
  assert.equal(await a!.dial('/memory/b', signal), 'b')
})

// Goal: a way takes its time by the handed-in clock, in order. Method: a clock that is turned by hand.
test('memory: bytes on their way run on the handed-in timers', async () => {
  const due: Array<() => void> = []
  const slow = createMemoryHub({ timers: { now: () => 0, after: (_ms, run) => { due.push(run); return () => {} } } })
  const [a, b] = [slow.network('a'), slow.network('b')]
  const incoming = Promise.withResolvers<Wire>()
  b.handle(incoming.resolve)
  const wire = await a.open('b', new AbortController().signal)
  slow.carry(() => ({ ms: 50, copies: 1 }))
  wire.write(Uint8Array.of(1))
  wire.write(Uint8Array.of(2))
  await wire.end()
  const read: number[] = []
  const reading = (async () => { for await (const chunk of (await incoming.promise).read()) read.push(...chunk) })()
  await new Promise(setImmediate)
  assert.deepEqual([due.length, read], [3, []])
  for (const run of due) run()
  await reading
  assert.deepEqual(read, [1, 2])
})

const never = new AbortController().signal

async function all (found: AsyncIterable<string>): Promise<string[]> {
  const ids: string[] = []
  for await (const id of found) ids.push(id)
  return ids
}

// Goal: a lookup knows a part of the mesh, as in the DHT, and may name who has left. Method: fifty providers, two who ask, one that is gone.
test('memory: a lookup names a part of the providers', async () => {
  const mesh = createMemoryHub()
  const providers = Array.from({ length: 50 }, (_, i) => mesh.network(`provider-${i}`))
  for (const node of providers) await node.provide('compute', never)
  const [a, b] = [mesh.network('a'), mesh.network('b')]
  const [ofA, ofB] = [await all(a.find('compute', never)), await all(b.find('compute', never))]
  assert.equal(ofA.length, 20)
  assert.equal(new Set(ofA).size, 20)
  assert.notDeepEqual(ofA.toSorted(), ofB.toSorted())
  assert.deepEqual(await all(a.find('compute', never)), ofA)
  await providers[Number(ofA[0]!.split('-')[1])]!.stop()
  assert.deepEqual(await all(a.find('compute', never)), ofA)
  await assert.rejects(a.open(ofA[0]!, never), isCode('ERR_NOT_REACHABLE'))
})

// Goal: groups are out of each other's reach, and of those in none, until there are no groups. Method: three nodes, one group of two.
test('memory: a mesh in parts', async () => {
  const mesh = createMemoryHub()
  const [a, b, c] = ['a', 'b', 'c'].map(id => mesh.network(id)) as [Network, Network, Network]
  await a.dial('/memory/c', never)
  mesh.part([['a', 'b']])
  assert.deepEqual(c.peers(), [])
  assert.equal(await a.dial('/memory/b', never), 'b')
  await assert.rejects(c.dial('/memory/a', never), isCode('ERR_NOT_REACHABLE'))
  await c.provide('compute', never)
  assert.deepEqual(await all(b.find('compute', never)), ['c'])
  mesh.part([])
  assert.equal(await c.dial('/memory/a', never), 'a')
})

// Goal: a stream stays a stream: what was sent first arrives first, however long it takes; a copy comes twice; what breaks is lost for both sides.
// Method: ways of our choice, one for each write, on a clock that is turned by hand.
test('memory: bytes keep their order on every way', async () => {
  const clock = new HandClock()
  const mesh = createMemoryHub({ timers: clock })
  const [a, b] = [mesh.network('a'), mesh.network('b')]
  const incoming = Promise.withResolvers<Wire>()
  b.handle(incoming.resolve)
  const wire = await a.open('b', never)
  const ways = [{ ms: 30, copies: 1 }, { ms: 10, copies: 2 }, { ms: 50, copies: 1 }, null]
  mesh.carry((_from, _to, bytes) => ways[bytes[0]!]!)
  const read: number[] = []
  const reading = (async () => { for await (const chunk of (await incoming.promise).read()) read.push(...chunk) })()
  for (const byte of [0, 1, 2]) wire.write(Uint8Array.of(byte))
  await clock.turn(29)
  assert.deepEqual(read, [])
  await clock.turn(1)
  assert.deepEqual(read, [0, 1, 1])
  await clock.turn(20)
  assert.deepEqual(read, [0, 1, 1, 2])
  wire.write(Uint8Array.of(3))
  await assert.rejects(reading, isCode('ERR_PEER_LOST'))
  assert.deepEqual(a.peers(), [])
})
