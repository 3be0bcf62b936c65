/** The in-process network keeps the contract of every network, and has the faults that tests want. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCode, suite } from '../../test/suites/network.ts'
import { createMemoryHub } from './memory.ts'
import type { Wire } from './network.ts'

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
