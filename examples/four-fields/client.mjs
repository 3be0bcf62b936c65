/**
 * node client.mjs MULTIADDR FILE.wasm [INPUT]
 *
 * Sends one job to an INOS node and prints the result. A job is one frame on a stream of its own:
 * its length as a varint, then protobuf fields 1 (wasm), 2 (input) and 4 (cost). The answer is a
 * frame with fields 3 (result) and 4 (what it would have cost), or a refusal with a text in field 13.
 */
import { readFileSync } from 'node:fs'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const [address, file, input = ''] = process.argv.slice(2)
const node = await createLibp2p({ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] })
try {
  const stream = await node.dialProtocol(multiaddr(address), '/inos/packet/1')
  const job = Buffer.concat([bytesField(1, readFileSync(file)), bytesField(2, Buffer.from(input)), varint(4 << 3), varint(1_000)])
  if (!stream.send(Buffer.concat([varint(job.length), job]))) await stream.onDrain()
  await stream.close()
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk.subarray())
  const answer = decode(unframe(Buffer.concat(chunks)))
  if (answer[13] !== undefined) {
    console.error(`refused: ${answer[13]}`)
    process.exitCode = 1
  } else {
    process.stdout.write(answer[3] ?? '')
    console.error(`would have cost ${answer[4] ?? 0} µcr`)
  }
} finally {
  await node.stop()
}

function varint (value) {
  const bytes = []
  for (; value > 127; value = Math.floor(value / 128)) bytes.push(value % 128 + 128)
  return Buffer.from([...bytes, value])
}

function bytesField (number, bytes) {
  return Buffer.concat([varint(number << 3 | 2), varint(bytes.length), bytes])
}

function readVarint (bytes, at) {
  let value = 0
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++]
    if (byte === undefined) throw new Error('the answer ends in the middle of a number')
    value += (byte & 127) * scale
    if (byte < 128) return [value, at]
  }
}

function unframe (bytes) {
  const [length, at] = readVarint(bytes, 0)
  if (bytes.length < at + length) throw new Error('the answer was cut off')
  return bytes.subarray(at, at + length)
}

/** Field number → bytes or number; fields beyond ours are skipped by their wire type. */
function decode (bytes) {
  const fields = {}
  for (let at = 0; at < bytes.length;) {
    let tag, value
    ;[tag, at] = readVarint(bytes, at)
    ;[value, at] = readVarint(bytes, at)
    if ((tag & 7) === 2) {
      fields[tag >> 3] = bytes.subarray(at, at + value)
      at += value
    } else fields[tag >> 3] = value
  }
  return fields
}
