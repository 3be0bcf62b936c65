/** A stream of chunks against peers that do not keep to its rules, on both sides. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCode } from '../../test/suites/network.ts'
import { encodeCanonical } from '../packet/cbor.ts'
import { rawCid, recordCid } from '../packet/cid.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { type Giver, ROOM_BYTES } from './chunks.ts'
import { encodePacket, encodeWithResult } from './framing.ts'
import { createMemoryHub } from './memory.ts'
import { HandClock, joinNode, never, openRaw, RawStream, settle } from './network.fixture.ts'

const NAME = recordCid(Uint8Array.of(1))
const { chunkBytes, stallMsMax, windowChunks } = LIMITS.blobs
const room = (): Uint8Array<ArrayBuffer> => new Uint8Array(ROOM_BYTES)
const body = (value: object): Uint8Array<ArrayBuffer> => Uint8Array.from(encodeCanonical(value))
const want = (chunk: unknown = 0): Partial<Packet> => ({ kind: 'want', id: Uint8Array.from(NAME.bytes), body: body({ chunk, insist: false }) })

/** A node that gives chunks, and a raw stream to it. */
async function holder (give: Giver['give']): Promise<RawStream> {
  const hub = createMemoryHub()
  joinNode(hub, 'b', { timers: new HandClock(), blobs: { get: async () => null, giver: { give } } })
  return await openRaw(hub.network('evil'), 'b')
}

// Goal: wishes that break the rules end the stream with a refusal, and nothing is read for them. Method: each kind of nonsense.
test('wishes that are none', async () => {
  const wishes: Partial<Packet>[] = [
    want('0'), want(-1), want(1.5), { ...want(), body: body({ chunk: 0 }) }, { ...want(), body: Uint8Array.of(0xff) }, { ...want(), id: Uint8Array.of(9) },
    { ...want(), body: body({ chunk: 0, insist: false, more: 1 }) }
  ]
  for (const wish of wishes) {
    const raw = await holder(async () => { throw new Error('it was asked') })
    raw.send(wish)
    await settle()
    assert.equal(raw.packets[0]?.code, 'ERR_BAD_PACKET')
  }
})

// Goal: only so many wishes wait at once. Method: one more than the window to a holder that never answers.
test('a flood of wishes', async () => {
  let asked = 0
  const raw = await holder(() => {
    asked++
    return new Promise(() => {})
  })
  for (let i = 0; i <= windowChunks; i++) raw.send(want(i))
  await settle()
  assert.equal(raw.packets[0]?.code, 'ERR_BAD_PACKET')
  assert.equal(asked, windowChunks)
})

// Goal: answers that are none, a silence, and a refusal end the wish with the right code. Method: a raw holder that says each.
test('answers that are none', async () => {
  const bytes = Uint8Array.of(1, 2, 3)
  const given = { chunk: 0, here: null, others: [], shared: true }
  const answers: [Uint8Array[], string][] = [
    [[encodePacket({ kind: 'chunk', result: bytes })], 'ERR_BAD_PACKET'],
    [[encodePacket({ kind: 'chunk', result: bytes, body: body({ ...given, chunk: 1 }) })], 'ERR_BAD_PACKET'],
    [[encodePacket({ kind: 'chunk', result: new Uint8Array(chunkBytes + 1), body: body(given) })], 'ERR_BAD_PACKET'],
    [[encodePacket({ kind: 'chunk', body: body({ ...given, others: Array(9).fill('/a') }) })], 'ERR_BAD_PACKET'],
    [[encodePacket({ kind: 'chunk', body: body({ ...given, here: new Uint8Array(4096) }) })], 'ERR_BAD_PACKET'],
    [[encodePacket({ kind: 'answer' })], 'ERR_BAD_PACKET'],
    [[encodePacket({ kind: 'refusal', code: 'ERR_GONE', text: 'no' })], 'ERR_GONE'],
    [[], 'ERR_BAD_PACKET']
  ]
  for (const [frames, code] of answers) {
    const hub = createMemoryHub()
    const timers = new HandClock()
    const a = joinNode(hub, 'a', { timers })
    hub.network('evil').handle(wire => {
      void new RawStream(wire)
      for (const frame of frames) wire.write(frame)
    })
    const tap = await a.sessions.tap('evil', NAME.toString(), never)
    const wish = assert.rejects(tap.ask(0, false, room()), isCode(code))
    await timers.turn(stallMsMax)
    await wish
  }
})

// Goal: chunks that arrive in pieces are put where they are asked to be, none over another. Method: two wishes, two packets in one row of pieces that are cut anywhere.
test('chunks in pieces go to their rooms', async () => {
  const hub = createMemoryHub()
  const a = joinNode(hub, 'a', { timers: new HandClock() })
  const bytes = [0, 1].map(chunk => new Uint8Array(chunkBytes).map((_, i) => (i + chunk) % 251))
  const given = { others: [], here: null, shared: true }
  const frames = bytes.flatMap((result, chunk) => [...encodeWithResult({ kind: 'chunk', body: body({ ...given, chunk }) }, result)])
  hub.network('b').handle(wire => {
    const raw = new RawStream(wire)
    const row = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0))
    frames.reduce((at, frame) => {
      row.set(frame, at)
      return at + frame.length
    }, 0)
    for (let at = 0; at < row.length; at += 60_001) wire.write(row.slice(at, at + 60_001))
    void raw
  })
  const tap = await a.sessions.tap('b', NAME.toString(), never)
  const rooms = [room(), room()]
  const chunks = await Promise.all(rooms.map((place, chunk) => tap.ask(chunk, false, place)))
  for (const [chunk, { bytes: got }] of chunks.entries()) {
    assert.equal(got!.buffer, rooms[chunk]!.buffer)
    assert.equal(rawCid(got!).toString(), rawCid(bytes[chunk]!).toString())
  }
})

// Goal: what two parts of a packet say is what one would. Method: a packet whose result is put behind it, read back by a tap.
test('a chunk in two parts', async () => {
  for (const length of [1, 127, 128, 20_000, chunkBytes]) {
    const bytes = new Uint8Array(length).map((_, i) => i % 251)
    const hub = createMemoryHub()
    const a = joinNode(hub, 'a', { timers: new HandClock() })
    joinNode(hub, 'b', { timers: new HandClock(), blobs: { get: async () => null, giver: { give: async () => ({ bytes, others: [], here: null, shared: false }) } } })
    const tap = await a.sessions.tap('b', NAME.toString(), never)
    const given = await tap.ask(7, true, room())
    assert.equal(rawCid(given.bytes!).toString(), rawCid(bytes).toString())
    assert.equal(given.shared, false)
  }
  assert.throws(() => encodeWithResult({ kind: 'chunk' }, new Uint8Array(LIMITS.wire.frameBytesMax)), isCode('ERR_INPUT_TOO_LARGE'))
})
