/**
 * A node against bytes that nobody well-behaved would send. Whatever comes, the node neither throws
 * nor hangs, keeps nothing, and goes on serving others. Seeds are fixed: a failure repeats.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodePacket } from '../../src/network/framing.ts'
import { encodeHello } from '../../src/network/hello.ts'
import { createMemoryHub } from '../../src/network/memory.ts'
import { HandClock, joinNode, never, openRaw, RawStream, settle } from '../../src/network/network.fixture.ts'
import { LIMITS } from '../../src/packet/limits.ts'
import { rawCid } from '../../src/packet/cid.ts'
import type { Packet } from '../../src/packet/packet.pb.js'
import { afterGarbage, collect } from '../garbage.ts'

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300)

const BLOB = new Uint8Array(1000)

const bytesOf = (max: number): fc.Arbitrary<Uint8Array<ArrayBuffer>> => fc.uint8Array({ maxLength: max }).map(bytes => Uint8Array.from(bytes))
const hello = encodeHello({ profile: 'inos/1', net: 'test', records: [] }, LIMITS.wire)

/** Packets as peers send them, and some they should not. */
const packet: fc.Arbitrary<Partial<Packet>> = fc.oneof(
  fc.constant(hello),
  fc.constant({ kind: 'want', id: Uint8Array.from(rawCid(BLOB).bytes) }),
  fc.record({ wasm: bytesOf(50), input: bytesOf(50), cost: fc.bigInt(0n, 1000n) }),
  fc.record({
    kind: fc.constantFrom('hello', 'job', 'answer', 'refusal', 'cheque', 'ack', 'sync', 'due', 'want', 'chunk', 'cancel', 'offer', 'else', ''),
    id: bytesOf(10),
    input: bytesOf(50),
    result: bytesOf(50),
    size: fc.bigInt(0n, 2000n),
    records: fc.array(bytesOf(10), { maxLength: 2 }),
    text: fc.string({ maxLength: 20 }),
    body: bytesOf(30)
  })
)

/** Bytes on a stream: noise, packets, and packets with bytes changed, cut out or doubled. */
const stream: fc.Arbitrary<Uint8Array[]> = fc.array(fc.oneof(
  bytesOf(200),
  packet.map(value => encodePacket(value)),
  fc.tuple(packet, fc.nat(), fc.nat(255), fc.nat(3)).map(([value, at, byte, how]) => {
    const frame = encodePacket(value).slice()
    const place = at % frame.length
    if (how === 0) frame[place] = byte
    if (how === 1) return Buffer.concat([frame.subarray(0, place), frame.subarray(place + 1)])
    if (how === 2) return Buffer.concat([frame.subarray(0, place), frame])
    return frame
  })
), { maxLength: 12 })

interface Course { greets: boolean, chunks: Uint8Array[], ends: boolean }
const course: fc.Arbitrary<Course> = fc.record({ greets: fc.boolean(), chunks: stream, ends: fc.boolean() })

async function play (raw: RawStream, { greets, chunks, ends }: Course): Promise<void> {
  try {
    if (greets) raw.greet()
    for (const chunk of chunks) {
      raw.wire.write(chunk)
      if (chunk.length % 3 === 0) await settle()
    }
    if (ends) await raw.wire.end()
  } catch {
    // The node has cut the stream, as it may.
  }
}

// Goal: no bytes of a peer harm a node that accepts its streams. Method: random courses of a stream; then
// the clock runs, nothing may be left, and a good peer is served.
test('a node survives any incoming stream', async () => {
  await fc.assert(fc.asyncProperty(fc.array(course, { minLength: 1, maxLength: 3 }), async courses => {
    const hub = createMemoryHub()
    const timers = new HandClock()
    const node = joinNode(hub, 'node', { timers, blobs: { get: async () => BLOB } })
    const evil = hub.network('evil')
    const raws = await Promise.all(courses.map(() => openRaw(evil, 'node')))
    await Promise.all(courses.map((course, i) => play(raws[i]!, course)))
    await timers.turn(120_000)
    assert(node.sessions.list().length <= 1)
    for (const raw of raws) raw.wire.abort(new Error('bye'))
    await timers.turn(1)
    assert.deepEqual(node.sessions.list(), [])
    assert.equal(timers.pending, 0)
    const good = joinNode(hub, 'good', { timers })
    assert.equal((await good.sessions.request('node', { kind: 'job' })).kind, 'answer')
  }), { seed: 7, numRuns: RUNS })
})

// Goal: no bytes of a peer harm a node that opened the stream. Method: a request, a fetch and their
// answers out of random courses; both must settle.
test('a node survives any answer', async () => {
  await fc.assert(fc.asyncProperty(course, async course => {
    const hub = createMemoryHub()
    const timers = new HandClock()
    const node = joinNode(hub, 'node', { timers })
    hub.network('evil').handle(wire => { void play(new RawStream(wire), course) })
    const outcomes = [
      node.sessions.request('evil', { kind: 'job', input: new Uint8Array(10) }, { signal: never }),
      node.sessions.fetch('evil', rawCid(BLOB).toString(), { bytesMax: 5000 })
    ].map(promise => promise.then(() => 'ok', (error: { code?: string }) => error.code ?? `crash: ${error}`))
    await timers.turn(120_000)
    hub.drop('evil')
    const codes = await Promise.all(outcomes)
    assert(codes.every(code => code === 'ok' || code.startsWith('ERR_')), codes.join())
    assert(codes.every(code => code !== 'ERR_INTERNAL') || course.chunks.length > 0, codes.join())
    await timers.turn(1)
    assert.equal(timers.pending, 0)
  }), { seed: 11, numRuns: RUNS })
})

// Goal: hostile streams leave no memory behind. Method: many rounds of large noise; what the process
// holds in buffers at the end is what it held after the first.
test('hostile streams leave no memory behind', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  joinNode(hub, 'node', { timers })
  const evil = hub.network('evil')
  const frame = encodePacket({ kind: 'job', input: new Uint8Array(1_000_000) })
  const round = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      const raw = await openRaw(evil, 'node')
      await play(raw, { greets: i % 2 === 0, chunks: [frame.subarray(0, 500_000 + i)], ends: i % 3 === 0 })
    }
    await timers.turn(120_000)
    collect()
  }
  await round()
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 10; i++) await round()
  const grown = await afterGarbage(() => process.memoryUsage().arrayBuffers - before, 5_000_000)
  assert(grown < 5_000_000, `${grown} bytes more`)
})
