/** QUIC between nodes keeps the contract of every network, and other programs speak it too; whoever comes says who it is, and what strangers send ends nothing. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { noise } from '@libp2p/noise'
import type { Libp2p, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { join } from '../src/index.ts'
import type { Network } from '../src/network/network.ts'
import { transportOf } from '../src/network/places.ts'
import { createNetwork, startNode } from '../src/node/libp2p.ts'
import { type Application, Configuration } from '../src/node/quic/application.ts'
import { createNodeCertificate } from '../src/node/quic/certificate.ts'
import { connect } from '../src/node/quic/connect.ts'
import { loadQuiche } from '../src/node/quic/native.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { ECHO } from './guests.ts'
import { isCode, pause, suite, until } from './suites/network.ts'

const LISTEN = '/ip4/127.0.0.1/udp/0/quic-v1'
const MS = { timeout: 60_000 }
const NOBODY = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'
const soon = (): AbortSignal => AbortSignal.timeout(20_000)
const start = (listen = [LISTEN]): Promise<Network> => createNetwork({ seed: randomBytes(32), listen })

const folder = await mkdtemp(joinPath(tmpdir(), 'inos-quic-'))
after(async () => { await rm(folder, { recursive: true, force: true }) })

suite({
  name: 'quic',
  test,
  factory: start,
  nowhere: '/ip4/127.0.0.1/udp/9/quic-v1',
  nobody: NOBODY,
  // The window of a stream, and what is on its way.
  windowBytesMax: 2 * LIMITS.wire.streamWindowBytesMax
})

// Goal: both ends know who is there and how they are connected, also by IPv6 and by name; whoever is somebody else is not taken for the one that was dialled.
// Method: dial by each, then with another node's id.
test('quic: a peer is who it says', MS, async () => {
  const [server, six, client] = await Promise.all([start(), start(['/ip6/::1/udp/0/quic-v1']), start([])])
  try {
    const [address, other] = [server.addresses()[0]!, six.addresses()[0]!]
    await assert.rejects(client.dial(address.replace(/[^/]+$/, NOBODY), soon()))
    await until(() => server.peers().length === 0)
    assert.equal(await client.dial(address.replace('/ip4/127.0.0.1', '/dns4/localhost'), soon()), server.id)
    assert.equal(await client.dial(other, soon()), six.id)
    await until(() => [server, six].every(network => network.peers().length === 1))
    for (const network of [server, six]) assert.deepEqual(network.peers().map(({ id, addresses }) => [id, transportOf(addresses[0]!)]), [[client.id, 'quic-v1']])
    assert.deepEqual(client.peers().map(({ addresses }) => transportOf(addresses[0]!)), ['quic-v1', 'quic-v1'])
  } finally {
    await Promise.all([server, six, client].map(network => network.stop()))
  }
})

const neighbour = Object.entries(networkInterfaces()).flatMap(([name, places = []]) => places.filter(({ address }) => address.startsWith('fe80')).map(({ address }) => `${address}%${name}`))[0]

// Goal: a peer with an address that only means something in its own network ends nobody, and is let in. Method: a way out to this machine's own link-local address; the handshake is done and
// the server asks who it is.
test('quic: a peer with a link-local address is let in', { ...MS, skip: neighbour === undefined ? 'no interface has a link-local IPv6 address' : false }, async () => {
  const server = await start(['/ip6/::/udp/0/quic-v1'])
  try {
    const port = Number(/udp\/(\d+)/.exec(server.addresses()[0]!)![1])
    const link = await connect(await loadQuiche(), application(), { host: neighbour!, port }, 6, () => ({ established () {}, accept: () => ({ isReady: false, take () {}, end () {}, reset () {} }), closed () {} }), soon())
    await until(() => server.peers().length === 1)
    link.close(0)
    await until(() => server.peers().length === 0)
  } finally {
    await server.stop()
  }
})

// Goal: who cannot listen is told why. Method: a port that another program has.
test('quic: a port that is taken', MS, async () => {
  const other = createSocket('udp4')
  await new Promise<void>(resolve => { other.bind(0, '127.0.0.1', resolve) })
  await assert.rejects(start([`/ip4/127.0.0.1/udp/${other.address().port}/quic-v1`]), error => isCode('ERR_LISTEN')(error) && /in use/.test((error as Error).message))
  other.close()
})

// Goal: where nobody is, that is found out at once. Method: dial a port of UDP that was just given back; the system says that it is closed.
test('quic: nobody there', { ...MS, skip: process.platform === 'linux' ? false : 'systems differ in what they say of a closed port' }, async () => {
  const client = await start([])
  try {
    const began = performance.now()
    await assert.rejects(client.dial(`/ip4/127.0.0.1/udp/9/quic-v1/p2p/${NOBODY}`, soon()))
    assert.ok(performance.now() - began < LIMITS.wire.dialMsMax)
  } finally {
    await client.stop()
  }
})

/** Of a node that is nobody else's. */
function application (): Application {
  const certificate = createNodeCertificate(randomBytes(32))
  return { protocol: 'libp2p', certificate: () => certificate, isMutual: true, oneWayStreamsMax: 0, hasDatagrams: false, codes: { end: 0, late: 0, refused: 0, givenUp: 0 } }
}

/** The first packets of a handshake that then says no more, past the retry. */
async function fallSilent (port: number): Promise<() => void> {
  const quiche = await loadQuiche()
  const { current } = new Configuration(quiche, application())
  const socket = createSocket('udp4')
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const here = { host: '127.0.0.1', port: socket.address().port }
  const there = { host: '127.0.0.1', port }
  const connection = quiche.Connection.connect(null, randomBytes(16), here, there, current)
  const post = (): void => {
    const packet = new Uint8Array(quiche.MAX_DATAGRAM_SIZE)
    for (let sent = connection.send(packet); sent !== null; sent = connection.send(packet)) socket.send(packet.slice(0, sent[0]))
  }
  const again = setInterval(() => {
    connection.onTimeout()
    post()
  }, 100)
  post()
  const [retry] = await once(socket, 'message') as [Uint8Array]
  connection.recv(retry, { from: there, to: here })
  post()
  // It has been taken in: this is the server's part of the handshake.
  await once(socket, 'message')
  clearInterval(again)
  return () => { socket.close() }
}

// Goal: strangers keep nobody out. Method: garbage of all lengths, 200 first packets that never come again, and as many handshakes as may wait but one that never end; then a peer dials
// at once. One more, and a peer has to wait until those are given up, and then gets in.
test('quic: strangers keep nobody out', MS, async () => {
  const [server, client] = await Promise.all([start(), start([])])
  const address = server.addresses()[0]!
  const port = Number(address.split('/')[4])
  const socket = createSocket('udp4')
  const post = (packet: Uint8Array): Promise<void> => new Promise(resolve => { socket.send(packet, port, '127.0.0.1', () => { resolve() }) })
  const closers: (() => void)[] = []
  try {
    for (let bytes = 0; bytes < 1_300; bytes += 7) await post(randomBytes(bytes))
    for (let i = 0; i < 200; i++) {
      const packet = randomBytes(1_200)
      packet[0] = 0xc3
      packet.writeUInt32BE(1, 1)
      packet.set([8], 5)
      packet.set([8], 14)
      packet.set([0, 0x44, 0x80], 23)
      await post(packet)
    }
    for (let i = 0; i < LIMITS.quic.unsettledMax - 1; i++) closers.push(await fallSilent(port))
    assert.equal(await client.dial(address, AbortSignal.timeout(5_000)), server.id)
    await client.hangUp(server.id)
    closers.push(await fallSilent(port))
    await assert.rejects(client.dial(address, AbortSignal.timeout(1_000)))
    await until(async () => await client.dial(address, AbortSignal.timeout(2_000)).then(() => true, () => false))
  } finally {
    for (const close of closers) close()
    socket.close()
    await Promise.all([server.stop(), client.stop()])
  }
})

// Goal: a listener ends whoever is dialling it. Method: stop it ten times while five others dial; nothing is left open, and the port can be had again.
test('quic: stopped while others dial', MS, async () => {
  const clients = await Promise.all(Array.from({ length: 5 }, () => start([])))
  let place = LISTEN
  try {
    for (let round = 0; round < 10; round++) {
      const server = await start([place])
      const address = server.addresses()[0]!
      place = address.replace(/\/p2p\/.*/, '')
      const dials = clients.map(client => client.dial(address, AbortSignal.timeout(2_000)).catch(() => null))
      await pause(round * 5)
      await server.stop()
      await Promise.all(dials)
      await until(() => clients.every(client => client.peers().length === 0))
    }
  } finally {
    await Promise.all(clients.map(client => client.stop()))
  }
})

/** A node of libp2p with the QUIC of others (quinn, in Rust). */
async function startOther (): Promise<Libp2p> {
  const { quic } = await import('@chainsafe/libp2p-quic')
  return await createLibp2p({ addresses: { listen: [LISTEN] }, transports: [quic()], connectionEncrypters: [noise()] })
}

const ECHO_PROTOCOL = '/test/echo/1'

async function echo (from: Libp2p, to: Libp2p): Promise<void> {
  await to.handle(ECHO_PROTOCOL, (stream: Stream) => {
    stream.addEventListener('message', ({ data }) => { stream.send(data) })
    stream.addEventListener('remoteCloseWrite', () => { stream.close().catch(() => {}) })
  })
  const stream = await from.dialProtocol(multiaddr(to.getMultiaddrs()[0]!.toString()), ECHO_PROTOCOL, { signal: soon() })
  const words = randomBytes(50_000)
  const heard: Uint8Array[] = []
  stream.addEventListener('message', ({ data }) => { heard.push(data.subarray()) })
  const ended = new Promise(resolve => { stream.addEventListener('remoteCloseWrite', resolve) })
  for (let at = 0; at < words.length; at += 10_000) if (!stream.send(words.subarray(at, at + 10_000))) await stream.onDrain()
  await stream.close()
  await ended
  assert.deepEqual(Buffer.concat(heard), words)
}

// Goal: it is the QUIC of libp2p, not one of our own. Method: another implementation dials us, and is dialled; each knows the other by its PeerId, and bytes come back.
test('quic: speaks with another implementation', MS, async () => {
  const [ours, other] = await Promise.all([startNode({ seed: randomBytes(32), listen: [LISTEN] }), startOther()])
  try {
    await echo(other, ours)
    await other.hangUp(ours.peerId)
    await until(() => ours.getConnections().length === 0)
    await echo(ours, other)
    assert.deepEqual(ours.getConnections().map(({ remotePeer, multiplexer }) => [remotePeer.toString(), multiplexer]), [[other.peerId.toString(), '/quic-v1']])
  } finally {
    await Promise.all([ours.stop(), other.stop()])
  }
})

/** A seller in a process of its own. */
async function sell (name: string): Promise<{ child: ChildProcess, id: string, address: string }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../cli/main.ts', import.meta.url)), 'up', '--json', '--slots', '1', '--listen', LISTEN, '--data', joinPath(folder, name)], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    const { event, id, addresses } = JSON.parse(line) as { event: string, id: string, addresses: string[] }
    if (event === 'ready') return { child, id, address: addresses[0]! }
  }
  throw new Error('the seller did not begin')
}

// Goal: jobs are bought and paid over QUIC, and a seller that dies amid a map costs a retry, nothing else. Method: two sellers in processes of their own, a map over both,
// SIGKILL for one when a few results are there; every result is right, and what was spent is what the books say.
test('quic: a map outlives a seller', { timeout: 120_000 }, async () => {
  const sellers = await Promise.all(['one', 'two'].map(sell))
  await using buyer = await join({ dataDir: joinPath(folder, 'buyer'), serve: false, peers: sellers.map(({ address }) => address) })
  try {
    await until(() => buyer.peers().filter(({ offer }) => offer !== null).length === 2)
    assert.deepEqual(buyer.peers().map(({ transport }) => transport), ['quic-v1', 'quic-v1'])
    const inputs = Array.from({ length: 400 }, (_, i) => `item ${i} ${'x'.repeat(2_000)}`)
    const results = new Map<number, string>()
    for await (const item of buyer.map(ECHO, inputs)) {
      results.set(item.index, item.text())
      if (results.size === 20) sellers[0]!.child.kill('SIGKILL')
    }
    assert.deepEqual(inputs.map((_, i) => results.get(i)), inputs)
    assert.ok(buyer.credits().spent > 0n)
  } finally {
    for (const { child } of sellers) child.kill('SIGKILL')
  }
})
