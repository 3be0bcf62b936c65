/**
 * The baseline of what goes over the wire: bare libp2p streams, one on which frames are echoed, with no packet decoded and no id
 * matched, and one for many bytes one way. It runs in Node and in pages.
 */
import type { Libp2p, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { concat } from 'uint8arrays'
import { encodePacket, FrameDecoder } from '../src/network/framing.ts'

const BARE_PROTOCOL = '/inos/bench/echo/1'
const BULK_PROTOCOL = '/inos/bench/bulk/1'
const BULK_BYTES = 64 * 2 ** 20
/** One write: about the most that one message of Noise takes. */
const WRITE_BYTES = 64 * 2 ** 10

/**
 * A bare stream to whoever runs `serveBare`: each call echoes one frame.
 * @param target an address, or the PeerId of one that is connected
 * @param inputBytes makes the frame as long as a session's request with that input
 */
export async function openBare (node: Libp2p, target: string, inputBytes: number): Promise<() => Promise<void>> {
  const stream = await dial(node, target, BARE_PROTOCOL)
  const frame = encodePacket({ kind: 'job', id: new Uint8Array(8), input: new Uint8Array(inputBytes) })
  const waiting: PromiseWithResolvers<void>[] = []
  let done = 0
  const send = batching(stream)
  listen(stream, () => { waiting[done++]!.resolve() })
  // A bench that waits for what nobody sends would never end.
  stream.addEventListener('close', ({ error }) => { for (const { reject } of waiting.slice(done)) reject(error ?? closed()) })
  return () => {
    const echo = Promise.withResolvers<void>()
    waiting.push(echo)
    send(frame)
    return echo.promise
  }
}

/** Send 64 MiB one way to whoever runs `serveBare`, and wait until it says that all are there. @param target as in `openBare` @returns megabytes per second */
export async function sendBulk (node: Libp2p, target: string): Promise<number> {
  const stream = await dial(node, target, BULK_PROTOCOL)
  const arrived = new Promise<unknown>((resolve, reject) => {
    stream.addEventListener('message', resolve, { once: true })
    stream.addEventListener('close', ({ error }) => { reject(error ?? closed()) }, { once: true })
  })
  const bytes = new Uint8Array(WRITE_BYTES)
  const began = performance.now()
  for (let sent = 0; sent < BULK_BYTES; sent += WRITE_BYTES) if (!stream.send(bytes)) await Promise.race([stream.onDrain(), arrived])
  await arrived
  const seconds = (performance.now() - began) / 1_000
  await stream.close()
  return BULK_BYTES / 1e6 / seconds
}

/** Echo frames, and say when as much as a bulk has is there. */
export async function serveBare (node: Libp2p): Promise<void> {
  await node.handle(BULK_PROTOCOL, (stream: Stream) => {
    let came = 0
    stream.addEventListener('message', ({ data }) => {
      came += data.byteLength
      if (came === BULK_BYTES) stream.send(Uint8Array.of(1))
    })
  })
  await node.handle(BARE_PROTOCOL, (stream: Stream) => {
    const send = batching(stream)
    listen(stream, frame => {
      // Lengths up to 2¹⁴ − 1 take one or two varint bytes.
      send(frame.length < 128 ? Uint8Array.of(frame.length) : Uint8Array.of(frame.length % 128 + 128, frame.length >> 7))
      send(frame)
    })
  })
}

function closed (): Error { return new Error('the bare stream was closed') }

async function dial (node: Libp2p, target: string, protocol: string): Promise<Stream> {
  return await node.dialProtocol(target.startsWith('/') ? multiaddr(target) : peerIdFromString(target), protocol)
}

function listen (stream: Stream, onFrame: (frame: Uint8Array) => void): void {
  const decoder = new FrameDecoder()
  stream.addEventListener('message', ({ data }) => {
    for (const chunk of data instanceof Uint8Array ? [data] : data) decoder.feed(chunk, onFrame)
  })
}

/** All frames of a tick in one write, as a session does. */
function batching (stream: Stream): (frame: Uint8Array) => void {
  let frames: Uint8Array[] = []
  const flush = (): void => {
    stream.send(concat(frames))
    frames = []
  }
  return frame => {
    if (frames.push(frame) === 1) queueMicrotask(flush)
  }
}
