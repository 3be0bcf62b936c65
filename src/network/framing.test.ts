/** Frames: what is written is read, whatever the chunks; what breaks a rule is named before it costs memory. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { isCode } from '../../test/suites/network.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { decodePacket, encodePacket, FrameDecoder, refusalOf } from './framing.ts'

const SMALL = { ...LIMITS.wire, frameBytesMax: 1000, recordsPerPacketMax: 3 }

function framesOf (chunks: Uint8Array[], limits = LIMITS.wire as typeof SMALL): Uint8Array[] {
  const decoder = new FrameDecoder(limits)
  const frames: Uint8Array[] = []
  for (const chunk of chunks) decoder.feed(chunk, frame => { frames.push(frame) })
  return frames
}

/** Cut bytes at any places. */
function cut (bytes: Uint8Array, places: number[]): Uint8Array[] {
  const at = [0, ...places.map(place => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end))
}

const bytesOf = (max: number): fc.Arbitrary<Uint8Array<ArrayBuffer>> => fc.uint8Array({ maxLength: max }).map(bytes => Uint8Array.from(bytes))
const somePacket: fc.Arbitrary<Partial<Packet>> = fc.record({
  wasm: bytesOf(300), input: bytesOf(20), cost: fc.bigInt(0n, 2n ** 63n - 1n), kind: fc.constantFrom('', 'job', 'answer'), id: bytesOf(36), records: fc.array(bytesOf(20), { maxLength: 3 })
})

// Goal: chunks of any size carry the same packets. Method: random packets, joined, cut anywhere, read back.
test('frames survive any cutting', () => {
  fc.assert(fc.property(fc.array(somePacket, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 20 }), (packets, places) => {
    const stream = Uint8Array.from(Buffer.concat(packets.map(packet => encodePacket(packet))))
    const back = framesOf(cut(stream, places)).map(frame => decodePacket(frame))
    assert.equal(back.length, packets.length)
    back.forEach((packet, i) => {
      const { wasm, input, cost, kind, id, records } = packet
      assert.deepEqual({ wasm, input, cost, kind, id, records }, { ...packets[i] })
    })
  }), { seed: 1, numRuns: 300 })
})

// Goal: the bytes a frame is counted with are those on the wire. Method: sum them.
test('a frame counts with its prefix', () => {
  const stream = [encodePacket({}), encodePacket({ input: new Uint8Array(200) })]
  let counted = 0
  new FrameDecoder().feed(Buffer.concat(stream), (_frame, bytes) => { counted += bytes })
  assert.equal(counted, stream[0]!.length + stream[1]!.length)
})

// Goal: a length above the limit is refused by its prefix alone. Method: only the prefix arrives.
test('an oversized frame is refused before it arrives', () => {
  assert.throws(() => framesOf([Uint8Array.of(0xe9, 0x07)], SMALL), isCode('ERR_BAD_PACKET'))
  assert.throws(() => framesOf([Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x01)]), isCode('ERR_BAD_PACKET'))
  assert.throws(() => framesOf([Uint8Array.of(0x80, 0x80, 0x80, 0x80)]), isCode('ERR_BAD_PACKET'))
  assert.throws(() => encodePacket({ input: new Uint8Array(1000) }, SMALL), isCode('ERR_INPUT_TOO_LARGE'))
  assert.equal(framesOf([encodePacket({ input: new Uint8Array(990) }, SMALL)], SMALL).length, 1)
})

// Goal: a frame that claims much and sends little holds little memory. Method: claim 4 MiB, send 3,000
// single bytes, and measure what the process holds.
test('memory follows what has arrived, not what was claimed', () => {
  const frame = encodePacket({ input: new Uint8Array(LIMITS.wire.frameBytesMax - 20) })
  const decoders = Array.from({ length: 200 }, () => new FrameDecoder())
  const before = process.memoryUsage().arrayBuffers
  for (const decoder of decoders) {
    for (let i = 0; i < 3_000; i++) decoder.feed(frame.subarray(i, i + 1), () => assert.fail('no frame is complete'))
  }
  const held = (process.memoryUsage().arrayBuffers - before) / decoders.length
  assert(decoders.every(({ begun }) => begun))
  assert(held < 64 * 1024, `a dribbled frame holds ${held} bytes`)
})

// Goal: pieces are not copied again and again. Method: 4 MiB in 1 KiB pieces; copied anew
// for each piece that would be 8 GiB, so the processor's time tells, whatever else the machine does.
test('a frame in many pieces is read in linear time', () => {
  const frame = encodePacket({ input: new Uint8Array(LIMITS.wire.frameBytesMax - 20) })
  const pieces = Array.from({ length: Math.ceil(frame.length / 1024) }, (_, i) => frame.subarray(i * 1024, i * 1024 + 1024))
  const before = process.cpuUsage()
  assert.equal(framesOf(pieces)[0]!.length, frame.length - 4)
  const { user, system } = process.cpuUsage(before)
  assert((user + system) / 1_000 < 800)
})

// Goal: every rule of a packet is kept and named. Method: one packet that breaks each.
test('what is wrong with a packet is named', () => {
  const wrong: Array<[string, Partial<Packet> | Uint8Array]> = [
    ['kind', { kind: 'k'.repeat(65) }],
    ['id', { id: new Uint8Array(65) }],
    ['code', { code: 'c'.repeat(65) }],
    ['text', { text: 't'.repeat(4097) }],
    ['cost', { cost: -1n }],
    ['size', { size: 2n ** 60n }],
    ['by_reference', { byReference: 32 }],
    ['3 records', { records: [1, 2, 3, 4].map(byte => Uint8Array.of(byte)) }],
    ['protobuf', Uint8Array.of(0x0a, 0x05, 1)],
    ['inside a field', Uint8Array.of(0x20, 0x80, 0x80, 0x80)]
  ]
  for (const [name, packet] of wrong) {
    const bytes = packet instanceof Uint8Array ? packet : framesOf([encodePacket(packet)])[0]!
    assert.throws(() => decodePacket(bytes, SMALL), (error: unknown) => {
      assert(isCode('ERR_BAD_PACKET')(error))
      assert((error as Error).message.includes(name), `${(error as Error).message} does not name ${name}`)
      return true
    })
  }
})

// Goal: cutting a packet short is noticed wherever it is cut, unless what is left is a packet itself.
// Method: every prefix of a packet either fails or encodes back to just those bytes.
test('a truncated packet is refused', () => {
  const [whole] = framesOf([encodePacket({ kind: 'job', id: Uint8Array.of(1, 2, 3), cost: 1_000_000n, input: Uint8Array.of(9), size: 77n, text: 'é' })])
  let refused = 0
  for (let end = 1; end < whole!.length; end++) {
    const short = whole!.subarray(0, end)
    let packet: Packet
    try {
      packet = decodePacket(short)
    } catch (error) {
      assert(isCode('ERR_BAD_PACKET')(error))
      refused++
      continue
    }
    assert.deepEqual([...framesOf([encodePacket(packet)])[0]!], [...short])
  }
  assert(refused > whole!.length / 2)
})

// Goal: deep nesting of unknown groups exhausts no stack. Method: a megabyte of group openers.
test('nested groups are refused, not followed forever', () => {
  // Field 16 opens a group (83 01); each 0b opens one more within.
  const nested = new Uint8Array(1024 * 1024).fill(0x0b)
  nested.set([0x83, 0x01])
  assert.throws(() => decodePacket(nested), isCode('ERR_BAD_PACKET'))
})

// Goal: the four fields keep their bytes forever. Method: committed frames, both ways.
test('the vectors of four fields', () => {
  const url = new URL('../../test/vectors/four-fields.json', import.meta.url)
  const { job, answer } = JSON.parse(readFileSync(url, 'utf8')) as Record<string, { fields: Record<string, string>, frame: string }>
  for (const { fields, frame } of [job!, answer!]) {
    const { cost, ...bytes } = fields
    const packet = { cost: BigInt(cost!), ...Object.fromEntries(Object.entries(bytes).map(([name, hex]) => [name, Uint8Array.from(Buffer.from(hex, 'hex'))])) }
    assert.equal(Buffer.from(encodePacket(packet)).toString('hex'), frame)
    const read = decodePacket(framesOf([Buffer.from(frame, 'hex')])[0]!)
    assert.equal(Buffer.from(encodePacket(read)).toString('hex'), frame)
  }
})

// Goal: nothing of the inside travels. Method: errors of several origins as refusals.
test('refusals say our sentences and nothing of the inside', () => {
  assert.deepEqual(refusalOf(new Error('password in /home/x')), { code: 'ERR_INTERNAL', text: 'internal error' })
  assert.deepEqual(refusalOf('string'), { code: 'ERR_INTERNAL', text: 'internal error' })
  assert.deepEqual(refusalOf(new InosError('ERR_STORE', 'cannot write /home/x')), { code: 'ERR_INTERNAL', text: 'internal error' })
  assert.deepEqual(refusalOf(new InosError('ERR_BUSY', 'All slots are taken.')), { code: 'ERR_BUSY', text: 'All slots are taken.' })
  assert(encodePacket(refusalOf(new InosError('ERR_BUSY', '\u{fffd}'.repeat(10_000)))).length <= LIMITS.wire.textBytesMax + 20)
})
