/** What a browser does in webtransport.test.ts: dials by the stock transport, and echoes. */
import type { Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { webTransport } from '@libp2p/webtransport'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'

const ECHO = '/test/echo/1'
const SINK = '/test/sink/1'
const CHUNK_BYTES = 65_536
/** A stream that takes nothing for so long is full. */
const STILL_MS = 3_000
const WAIT_MS = 50

async function start (): Promise<Libp2p> {
  return await createLibp2p({ transports: [webTransport()], connectionEncrypters: [noise()], connectionGater: { denyDialMultiaddr: () => false }, connectionMonitor: { enabled: false } })
}

/** Sends `bytes` and hears them again. */
async function echo (stream: Stream, bytes: number): Promise<boolean> {
  const chunk = Uint8Array.from({ length: 16_384 }, (_value, i) => i * 31)
  let heard = 0
  let isSame = true
  const done = Promise.withResolvers<void>()
  stream.addEventListener('message', ({ data }) => {
    for (const part of data instanceof Uint8Array ? [data] : data) {
      for (const byte of part) isSame &&= byte === chunk[heard++ % chunk.length]
    }
    if (heard >= bytes) done.resolve()
  })
  stream.addEventListener('close', ({ error }) => { done.reject(error ?? new Error(`closed after ${heard} bytes`)) })
  for (let sent = 0; sent < bytes; sent += chunk.length) {
    if (!stream.send(chunk.subarray(0, Math.min(chunk.length, bytes - sent)))) await stream.onDrain()
  }
  await done.promise
  return isSame && heard === bytes
}

const ACTIONS = {
  /** One stream back and forth, closed by both. */
  async echo (node: Libp2p, address: string, bytes: number): Promise<boolean> {
    const stream = await node.dialProtocol(multiaddr(address), ECHO)
    const isSame = await echo(stream, bytes)
    await stream.close()
    return isSame
  },
  async many (node: Libp2p, address: string, bytes: number): Promise<boolean> {
    const streams = await Promise.all(Array.from({ length: 16 }, () => node.dialProtocol(multiaddr(address), ECHO)))
    return (await Promise.all(streams.map(stream => echo(stream, bytes)))).every(Boolean)
  },
  /** A stream that is given up, and one after it. */
  async reset (node: Libp2p, address: string): Promise<boolean> {
    const stream = await node.dialProtocol(multiaddr(address), ECHO)
    stream.send(new Uint8Array(1_000))
    stream.abort(new Error('given up'))
    return await ACTIONS.echo(node, address, 1_000)
  },
  /** @returns how many bytes a reader that does not read let through, once no more go */
  async stuff (node: Libp2p, address: string, bytes: number): Promise<number> {
    const stream = await node.dialProtocol(multiaddr(address), SINK)
    let sent = 0
    for (let waits = 0; sent < bytes && waits < STILL_MS / WAIT_MS;) {
      if (stream.writableNeedsDrain) {
        waits++
        await new Promise(resolve => { setTimeout(resolve, WAIT_MS) })
      } else {
        waits = 0
        sent += CHUNK_BYTES
        stream.send(new Uint8Array(CHUNK_BYTES))
      }
    }
    stream.abort(new Error('enough'))
    return sent
  }
}

Object.assign(globalThis, {
  inosDial: async (action: keyof typeof ACTIONS, address: string, bytes: number): Promise<unknown> => {
    const node = await start()
    try {
      return await ACTIONS[action](node, address, bytes)
    } catch (error) {
      return `${error instanceof AggregateError ? error.errors.map(String).join() : error}`
    } finally {
      await node.stop()
    }
  }
})
