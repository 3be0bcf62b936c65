import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { LIMITS } from '../packet/limits.ts'
import { FrameError, FrameReader, writeFrame } from './executor-frames.ts'
import type { Frame } from './executor-frames.ts'

const LIMITS_OF_TEST = { headerBytesMax: 1_000, bodyBytesMax: 100_000 }

function encode (frame: Frame): Uint8Array {
  const stream = new PassThrough({ highWaterMark: 1 << 20 })
  writeFrame(stream, frame)
  return stream.read() as Uint8Array
}

function read (chunks: readonly Uint8Array[], limits = LIMITS_OF_TEST): Frame[] {
  const frames: Frame[] = []
  const reader = new FrameReader(() => limits, frame => { frames.push(frame) })
  for (const chunk of chunks) reader.push(chunk)
  return frames
}

/** A frame by hand, with lengths that need not be true. */
function forge (header: string, body: Uint8Array, headerBytes = Buffer.byteLength(header), bodyBytes = body.length): Uint8Array {
  const prefix = Buffer.alloc(8)
  prefix.writeUInt32LE(headerBytes, 0)
  prefix.writeUInt32LE(bodyBytes, 4)
  return Buffer.concat([prefix, Buffer.from(header), body])
}

// Goal: frames arrive as they were sent, wherever the stream is cut and whichever way they were written.
// Method: random parts, small ones (joined) and one above the joining limit, cut into random chunks.
test('frames survive any cut', () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 })
  fc.assert(fc.property(fc.array(parts, { minLength: 1, maxLength: 3 }), fc.boolean(), fc.infiniteStream(fc.integer({ min: 1, max: 2_000 })), (bodies, large, steps) => {
    const frames = bodies.map((body, job) => ({ header: { kind: 'any', job }, parts: large ? [...body, new Uint8Array(20_000).fill(job)] : body }))
    const bytes = Buffer.concat(frames.map(encode))
    const chunks: Uint8Array[] = []
    for (let at = 0; at < bytes.length;) chunks.push(bytes.subarray(at, at += steps.next().value as number))
    const got = read(chunks)
    assert.deepEqual(got.map(frame => frame.header.job), frames.map(frame => frame.header.job))
    got.forEach((frame, at) => { assert.equal(Buffer.compare(Buffer.concat(frame.parts), Buffer.concat(frames[at]!.parts)), 0) })
  }), { numRuns: 100 })
})

// Goal: no bytes do more than end the conversation.
// Method: random bytes, and random headers and bodies in a true frame; only a FrameError may come out.
test('garbage is a FrameError or nothing', () => {
  const header = fc.oneof(fc.json(), fc.string(), fc.array(fc.anything()).map(parts => JSON.stringify({ parts }) ?? ''))
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.tuple(header, fc.uint8Array({ maxLength: 40 })).map(([text, body]) => forge(text, body)))
  fc.assert(fc.property(bytes, chunk => {
    try {
      for (const frame of read([chunk])) assert.ok(Array.isArray(frame.header.parts))
    } catch (error) {
      assert.ok(error instanceof FrameError, String(error))
    }
  }), { numRuns: 1_000 })
})

// Goal: nothing is allocated or awaited beyond the limits.
// Method: prefixes that announce too much are refused before a single byte of content came.
test('a frame above its limits is refused by its prefix', () => {
  assert.throws(() => read([forge('', new Uint8Array(0), 1_001, 0)]), /header of 1001 bytes/)
  assert.throws(() => read([forge('', new Uint8Array(0), 2, 100_001)]), /body of 100001 bytes/)
  assert.throws(() => read([forge('', new Uint8Array(0), 0, 0)]), /no header/)
})

// Goal: parts cover the body exactly; they neither overlap, nor reach out, nor leave a rest.
// Method: headers whose lists of lengths are wrong in each way.
test('parts must fill the body', () => {
  for (const parts of ['[5]', '[3]', '[-1,5]', '[2,1.5,0.5]', '["4"]', '[9007199254740993]', '{}', 'null', `[4${',0'.repeat(LIMITS.executor.partsMax)}]`]) {
    const frame = forge(`{"parts":${parts}}`, new Uint8Array(4))
    assert.throws(() => read([frame], { headerBytesMax: 100_000, bodyBytesMax: 10 }), FrameError, parts)
  }
  assert.equal(read([forge('{"parts":[4,0]}', new Uint8Array(4))]).length, 1)
})
