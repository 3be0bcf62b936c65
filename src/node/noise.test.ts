import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import type { Wire } from '../network/network.ts'
import { createNetwork } from './libp2p.ts'
import { holdUpdates, joinBuffers } from './noise.ts'

type Data = Uint8Array | Uint8ArrayList

/** What reached the transport, a buffer a write. */
function recorder (): { sent: Data[], send (data: Data): boolean } {
  const sent: Data[] = []
  return { sent, send (data) { sent.push(data); return true } }
}

/** A Yamux frame: its header, and data behind it. */
function frame (type: number, flags: number, stream: number, length: number, data = new Uint8Array(0)): Uint8ArrayList {
  const header = new Uint8Array(12)
  const view = new DataView(header.buffer)
  view.setUint8(1, type)
  view.setUint16(2, flags)
  view.setUint32(4, stream)
  view.setUint32(8, length)
  return new Uint8ArrayList(header, data)
}

// Goal: a message of several buffers reaches the transport as one, and of bulk only what is large by itself, not copied, byte for byte. Method: lists and plain bytes, compared.
test('buffers are joined', () => {
  const { sent, send } = recorder()
  const connection = joinBuffers({ send })
  connection.send(new Uint8ArrayList(Uint8Array.of(1), Uint8Array.of(2, 3)))
  connection.send(Uint8Array.of(4))
  assert.deepEqual(sent, [Uint8Array.of(1, 2, 3), Uint8Array.of(4)])
  const bulk = new Uint8ArrayList(...Array.from({ length: 80 }, (_, at) => new Uint8Array(at % 4 === 1 ? 65_519 : 1 + at % 4).fill(at)))
  connection.send(bulk)
  const last: Data = sent.at(-1)!
  assert.deepEqual(last.subarray(), bulk.subarray())
  const large = Array.from(bulk).filter(buffer => buffer.length === 65_519)
  assert.ok(last instanceof Uint8ArrayList)
  assert.deepEqual(Array.from(last).filter(buffer => large.includes(buffer)).length, large.length)
  assert.ok(Array.from(last).length <= 2 * large.length + 1)
})

// Goal: whatever is sent arrives whole, every frame as it was and in its order but for the updates that wait, and what waits is little.
// Method: random frames; what has left is cut into frames again after each and compared.
test('window updates wait for the next frame', () => {
  const frames = fc.array(fc.oneof(
    fc.record({ type: fc.constant(1), flags: fc.constantFrom(0, 0, 0, 1, 4, 8), length: fc.integer({ min: 1, max: 40_000 }) }),
    fc.record({ type: fc.constant(0), flags: fc.constantFrom(0, 2), length: fc.integer({ min: 0, max: 300 }) }),
    fc.record({ type: fc.constantFrom(2, 3), flags: fc.constant(0), length: fc.integer({ min: 0, max: 9 }) })
  ), { maxLength: 600 })
  fc.assert(fc.property(frames, all => {
    const { sent, send } = recorder()
    const connection = holdUpdates({ send })
    const given: string[] = []
    let waiting = 0
    for (const [stream, { type, flags, length }] of all.entries()) {
      const bytes = frame(type, flags, stream, length, type === 0 ? new Uint8Array(length).fill(stream) : undefined)
      given.push(Buffer.from(bytes.subarray()).toString('hex'))
      const before = sent.length
      assert.equal(connection.send(bytes), true)
      waiting = sent.length > before ? 0 : waiting + length
      assert.ok(waiting < 128 * 1024)
      if (type !== 1 || flags !== 0) assert.equal(sent.length, before + 1, 'nothing but an update waits')
    }
    const left = Buffer.concat(sent.map(data => data.subarray())).toString('hex')
    assert.equal(given.join('').slice(0, left.length), left, 'in their order')
  }), { numRuns: 200 })
})

// Goal: a message over a real connection is one write to the socket. Method: an echo over one stream, and the writes of both nodes counted.
test('one write a message', async context => {
  const a = await createNetwork({ seed: new Uint8Array(32).fill(1), listen: ['/ip4/127.0.0.1/tcp/0'] })
  const b = await createNetwork({ seed: new Uint8Array(32).fill(2) })
  try {
    // It ends when the other node stops.
    a.handle(wire => { echo(wire).catch(() => {}) })
    const { signal } = new AbortController()
    const wire = await b.open(await b.dial(a.addresses()[0]!, signal), signal)
    const chunks = wire.read()[Symbol.asyncIterator]()
    const ask = async (bytes: number): Promise<void> => {
      wire.write(new Uint8Array(bytes))
      for (let back = 0; back < bytes;) back += (await chunks.next()).value!.length
    }
    // By then what the two tell one another after they have met is said.
    for (let i = 0; i < 50; i++) await ask(100)
    const write = context.mock.method(Socket.prototype, 'write')
    const rounds = 100
    for (let i = 0; i < rounds; i++) await ask(i % 2 === 0 ? 100 : 3_000)
    // A few are another protocol's.
    assert.ok(write.mock.callCount() >= 2 * rounds && write.mock.callCount() < 3 * rounds, `${write.mock.callCount()} writes for ${2 * rounds} messages`)
  } finally {
    await Promise.all([a.stop(), b.stop()])
  }
})

async function echo (wire: Wire): Promise<void> {
  for await (const chunk of wire.read()) wire.write(chunk)
}
