/**
 * The baseline of what goes over the wire: a bare libp2p stream on which frames are echoed, with no packet decoded and no id
 * matched. It runs in Node and in pages.
 */
import type { Libp2p, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { concat } from 'uint8arrays'
import { encodePacket, FrameDecoder } from '../src/network/framing.ts'

const BARE_PROTOCOL = '/inos/bench/echo/1'

/**
 * A bare stream to whoever runs `serveBare`: each call echoes one frame.
 * @param target an address, or the PeerId of one that is connected
 * @param inputBytes makes the frame as long as a session's request with that input
 */
export async function openBare (node: Libp2p, target: string, inputBytes: number): Promise<() => Promise<void>> {
  const stream = await node.dialProtocol(target.startsWith('/') ? multiaddr(target) : peerIdFromString(target), BARE_PROTOCOL)
  const frame = encodePacket({ kind: 'job', id: new Uint8Array(8), input: new Uint8Array(inputBytes) })
  const waiting: Array<() => void> = []
  let done = 0
  const send = batching(stream)
  listen(stream, () => { waiting[done++]!() })
  return () => {
    send(frame)
    return new Promise(resolve => { waiting.push(resolve) })
  }
}

export async function serveBare (node: Libp2p): Promise<void> {
  await node.handle(BARE_PROTOCOL, (stream: Stream) => {
    const send = batching(stream)
    listen(stream, frame => {
      // Lengths up to 2¹⁴ − 1 take one or two varint bytes.
      send(frame.length < 128 ? Uint8Array.of(frame.length) : Uint8Array.of(frame.length % 128 + 128, frame.length >> 7))
      send(frame)
    })
  })
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
