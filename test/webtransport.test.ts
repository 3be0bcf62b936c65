/** WebTransport, the listener in Node: a real Chromium dials it with libp2p's own transport, and strangers send it packets. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Libp2p, Stream } from '@libp2p/interface'
import { build } from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import { transportOf } from '../src/network/places.ts'
import { startNode } from '../src/node/libp2p.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { launch, serveSite, type Site, skip } from './chromium.ts'

/** The machine may have much else to do. */
const MS_MAX = 120_000
const LISTEN = '/ip4/127.0.0.1/udp/0/quic-v1/webtransport'

let node: Libp2p
let address = ''
let browser: Browser | undefined
let page: Page
let sink = Promise.withResolvers<Stream>()
let site: Site | undefined

async function echo (stream: Stream): Promise<void> {
  for await (const data of stream) {
    if (stream.send(data)) continue
    stream.pause()
    await stream.onDrain()
    stream.resume()
  }
  await stream.close()
}

before(async () => {
  node = await startNode({ seed: randomBytes(32), listen: [LISTEN] })
  address = node.getMultiaddrs()[0]!.toString()
  // A stream that is reset ends its echo.
  await node.handle('/test/echo/1', (stream: Stream) => { echo(stream).catch(() => {}) })
  await node.handle('/test/sink/1', (stream: Stream) => {
    stream.pause()
    sink.resolve(stream)
  })
  if (skip !== false) return
  const bundle = await build({ entryPoints: [fileURLToPath(new URL('webtransport.page.ts', import.meta.url))], bundle: true, format: 'esm', platform: 'browser', target: 'es2024', write: false })
  site = await serveSite({ '/index.html': '<!doctype html><script type="module" src="/script.js"></script>', '/script.js': bundle.outputFiles[0]!.text })
  browser = await launch('--disable-dev-shm-usage')
  page = await browser.newPage()
  await page.goto(site.address, { timeout: MS_MAX })
  await page.waitForFunction('globalThis.inosDial', undefined, { timeout: MS_MAX })
})
after(async () => {
  await browser?.close()
  await site?.[Symbol.asyncDispose]()
  await node.stop()
})

const dial = async (action: string, bytes = 0, to = address): Promise<unknown> => await page.evaluate(`inosDial('${action}', '${to}', ${bytes})`)

// Goal: bytes come back as they went, few and many, one stream and several at once. Method: echoes in a tab, each byte compared there.
test('webtransport: echoes from a tab come back', { skip, timeout: MS_MAX }, async () => {
  assert.equal(await dial('echo', 1_000), true)
  assert.equal(await dial('echo', 20_000_000), true)
  assert.equal(await dial('many', 300_000), true)
})

// Goal: a stream that is given up takes no other one with it. Method: reset one in the tab, then echo over another of the same connection.
test('webtransport: a reset ends its stream alone', { skip, timeout: MS_MAX }, async () => {
  assert.equal(await dial('reset'), true)
})

// Goal: who does not read makes its sender wait, and holds no memory. Method: a paused stream here, and a tab that writes until nothing moves.
test('webtransport: a slow reader holds its sender back', { skip, timeout: MS_MAX }, async () => {
  sink = Promise.withResolvers()
  const through = dial('stuff', 24_000_000)
  const stream = await sink.promise
  const sent = await through
  assert.ok(typeof sent === 'number' && sent < 24_000_000, `${sent}`)
  assert.ok(stream.readBufferLength <= LIMITS.wire.streamWindowBytesMax)
})

// Goal: a tab is sure of whom it dials. Method: dial with the hash of another certificate, and with the id of another node.
test('webtransport: a wrong hash or id is refused', { skip, timeout: MS_MAX }, async () => {
  const hashless = address.replace(/\/certhash\/.*(?=\/p2p\/)/, '')
  assert.match(String(await dial('echo', 10, hashless.replace('/webtransport', `/webtransport/certhash/uEiD${'A'.repeat(43)}`))), /handshake/i)
  assert.match(String(await dial('echo', 10, address.replace(/[^/]+$/, '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'))), /error|not/i)
  assert.equal(await dial('echo', 10), true)
})

/** Sends a packet from a new socket. @returns what comes back until something does */
async function post (packet: Uint8Array): Promise<Buffer> {
  const socket = createSocket('udp4')
  const answer = new Promise<Buffer>(resolve => { socket.on('message', resolve) })
  const again = setInterval(() => { socket.send(packet, Number(address.split('/')[4]), '127.0.0.1') }, 50)
  const packetBack = await answer
  clearInterval(again)
  socket.close()
  return packetBack
}

// Goal: whoever writes an address that is not its own on packets cannot make this node flood it. Method: first packets of a version that is there and of one that is not;
// what comes back is a retry and a list of versions, smaller than what was sent. Garbage of all lengths before them gets nothing and ends nothing.
test('webtransport: an address is checked before anything is kept', { timeout: MS_MAX }, async () => {
  const socket = createSocket('udp4')
  for (let bytes = 0; bytes < 1_300; bytes += 7) socket.send(randomBytes(bytes), Number(address.split('/')[4]), '127.0.0.1')
  const initial = (version: number): Buffer => {
    const packet = randomBytes(1_200)
    packet[0] = 0xc3
    packet.writeUInt32BE(version, 1)
    packet.set([8], 5)
    packet.set([8], 14)
    // No token, and all the rest is its content.
    packet.set([0, 0x44, 0x80], 23)
    return packet
  }
  const retry = await post(initial(1))
  assert.equal(retry[0]! & 0xf0, 0xf0)
  assert.ok(retry.length < 200)
  const versions = await post(initial(0xbabababa))
  assert.equal(versions.readUInt32BE(1), 0)
  assert.ok(versions.length < 200)
  socket.close()
  assert.equal(transportOf(address), 'webtransport')
})
