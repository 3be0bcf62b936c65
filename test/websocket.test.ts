/** WebSocket keeps the contract of every network, and its listener the guards that TCP has. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { createNetwork } from '../src/node/libp2p.ts'
import { transportOf } from '../src/network/places.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { isCode, suite } from './suites/network.ts'

const LISTEN = '/ip4/127.0.0.1/tcp/0/ws'
const start = (): ReturnType<typeof createNetwork> => createNetwork({ seed: randomBytes(32), listen: [LISTEN] })

suite({
  name: 'websocket',
  test,
  factory: start,
  nowhere: '/ip4/127.0.0.1/tcp/9/ws',
  nobody: '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp',
  // Its muxer's window, what the socket queues, its buffers on both sides, and a batch.
  windowBytesMax: 2 * LIMITS.wire.streamWindowBytesMax + 12 * 1024 * 1024
})

/** A socket to the listener's port that writes `bytes`; ends when the listener closes it. */
async function closedAfter (address: string, bytes: Uint8Array | string): Promise<string> {
  const socket = connect(Number(address.split('/')[4]), '127.0.0.1').setEncoding('latin1')
  // A reset is as good an end as another.
  socket.on('error', () => {})
  if (bytes.length > 0) socket.write(bytes)
  let heard = ''
  socket.on('data', (text: string) => { heard += text })
  await once(socket, 'close')
  return heard
}

/** https://www.rfc-editor.org/rfc/rfc6455#section-5.2: a final binary frame, masked by zeros, of 8 bytes of length. */
function headOfFrame (bytes: number): Buffer {
  const head = Buffer.alloc(14)
  head.set([0x82, 0xff])
  head.writeBigUInt64BE(BigInt(bytes), 2)
  return head
}

const UPGRADE = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'

// Goal: nobody who has not said who it is makes this node hold much. Method: raw sockets that announce one message above the limit, send too many
// headers, ask for a page, and say nothing at all: each is closed by the listener, which then still serves a peer.
test('websocket: what comes before the handshake is limited', { timeout: 60_000 }, async () => {
  const [server, client] = await Promise.all([start(), createNetwork({ seed: randomBytes(32) })])
  const address = server.addresses()[0]!
  const met = new Promise<string>(resolve => { server.on({ connect: resolve, disconnect () {} }) })
  try {
    const silent = closedAfter(address, '')
    assert.match(await closedAfter(address, Buffer.concat([Buffer.from(UPGRADE), headOfFrame(LIMITS.webSocket.messageBytesMax + 1)])), /^HTTP\/1.1 101 [\s\S]*\x03\xf1/, 'closed with 1009, too big')
    assert.match(await closedAfter(address, UPGRADE.replace('\r\n\r\n', `\r\nx: ${'x'.repeat(LIMITS.webSocket.headersBytesMax)}\r\n\r\n`)), /^HTTP\/1.1 431 /)
    assert.match(await closedAfter(address, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'), /^HTTP\/1.1 400 /)
    assert.equal(await silent, '')
    assert.equal(await client.dial(address, AbortSignal.timeout(10_000)), server.id)
    assert.equal(await met, client.id)
    assert.deepEqual(client.peers().map(({ addresses }) => transportOf(addresses[0]!)), ['ws'])
    assert.deepEqual(server.peers().map(({ addresses }) => transportOf(addresses[0]!)), ['ws'])
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
})

// Goal: what cannot work is said at once. Method: listen for wss:// without a certificate.
test('websocket: wss is not listened on', async () => {
  await assert.rejects(createNetwork({ seed: randomBytes(32), listen: ['/ip4/127.0.0.1/tcp/0/tls/ws'] }), isCode('ERR_LISTEN'))
})
