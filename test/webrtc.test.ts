/** WebRTC without anybody between keeps the contract of every network; what comes before it is known who it is has limits. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import type { Listener, Transport } from '@libp2p/interface'
import type { Network } from '../src/network/network.ts'
import { transportOf } from '../src/network/places.ts'
import { createNetwork } from '../src/node/libp2p.ts'
import { type Inside, limitNewcomers } from '../src/node/webrtc-newcomers.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { suite, until } from './suites/network.ts'

const LISTEN = '/ip4/127.0.0.1/udp/0/webrtc-direct'
const start = (seed = randomBytes(32)): ReturnType<typeof createNetwork> => createNetwork({ seed, listen: [LISTEN] })

suite({
  name: 'webrtc-direct',
  test,
  factory: start,
  nowhere: '/ip4/127.0.0.1/udp/9/webrtc-direct/certhash/uEiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  nobody: '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp',
  // The muxer's window, what the channel queues, buffers of SCTP on both sides, and a batch.
  windowBytesMax: LIMITS.wire.streamWindowBytesMax + 12 * 1024 * 1024
})

/** Processes of ours that speak WebRTC, as Linux tells. */
async function speakers (): Promise<number[]> {
  const children = (await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')).split(' ').filter(text => text !== '').map(Number)
  const lines = await Promise.all(children.map(async pid => await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return children.filter((_pid, i) => lines[i]!.includes('webrtc-process'))
}

const LINUX = { skip: process.platform === 'linux' ? false : 'children are looked up in /proc', timeout: 120_000 } as const

// Goal: an address somebody was given stays good over a restart, as far as the port is the same. Method: the same identity twice, the certificate in its addresses;
// a peer dials the second, and both ends say how they are connected.
test('webrtc-direct: the certificate outlives a restart', { timeout: 60_000 }, async () => {
  const seed = randomBytes(32)
  const first = await start(seed)
  const certificateOf = (network: Network): string => network.addresses()[0]!.replace(/.*(?=\/certhash)/, '')
  const certificate = certificateOf(first)
  await first.stop()
  const [again, client] = [await start(seed), await start()]
  try {
    assert.equal(certificateOf(again), certificate)
    assert.notEqual(certificateOf(client), certificate)
    assert.equal(await client.dial(again.addresses()[0]!, AbortSignal.timeout(20_000)), again.id)
    for (const network of [again, client]) assert.deepEqual(network.peers().map(({ addresses }) => transportOf(addresses[0]!)), ['webrtc-direct'])
  } finally {
    await Promise.all([again.stop(), client.stop()])
  }
})

/** RFC 8489: a binding request with a user name. */
function binding (username: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil(username.length / 4) * 4)
  padded.set(username)
  const head = Buffer.alloc(24)
  head.writeUInt16BE(1, 0)
  head.writeUInt16BE(padded.length + 4, 2)
  head.writeUInt32BE(0x2112a442, 4)
  head.set(randomBytes(12), 8)
  head.writeUInt16BE(6, 20)
  head.writeUInt16BE(username.length, 22)
  return Buffer.concat([head, padded])
}

// Goal: packets of strangers neither end this node nor keep others out. Method: garbage, and requests under names good and bad, more than may wait;
// then a peer dials.
test('webrtc-direct: packets of strangers keep nobody out', { timeout: 60_000 }, async () => {
  const [server, client] = await Promise.all([start(), start()])
  const address = server.addresses()[0]!
  const socket = createSocket('udp4')
  const post = (packet: Uint8Array): Promise<void> => new Promise(resolve => { socket.send(packet, Number(address.split('/')[4]), '127.0.0.1', () => { resolve() }) })
  try {
    for (let bytes = 0; bytes < 1_300; bytes += 13) await post(randomBytes(bytes))
    for (const name of ['', ':', 'a:b', `${'x'.repeat(300)}:y`, '\0:\0', 'libp2p+webrtc+v1/\n:\n']) await post(binding(Buffer.from(name)))
    for (let i = 0; i < 2 * LIMITS.webRtc.unsettledMax; i++) {
      const name = `libp2p+webrtc+v1/${randomBytes(16).toString('hex')}`
      await post(binding(Buffer.from(`${name}:${name}`)))
    }
    assert.equal(await client.dial(address, AbortSignal.timeout(20_000)), server.id)
  } finally {
    socket.close()
    await Promise.all([server.stop(), client.stop()])
  }
})

// Goal: who cannot listen is told why, and nothing is left running. Method: a port that another program has, and an address that is not this machine's.
test('webrtc-direct: a port that is taken', { timeout: 60_000 }, async () => {
  const other = createSocket('udp4')
  await new Promise<void>(resolve => { other.bind(0, '127.0.0.1', resolve) })
  const { port } = other.address()
  await assert.rejects(createNetwork({ seed: randomBytes(32), listen: [`/ip4/127.0.0.1/udp/${port}/webrtc-direct`] }), { code: 'ERR_LISTEN', message: /in use/ })
  other.close()
  await assert.rejects(createNetwork({ seed: randomBytes(32), listen: [`/ip4/192.0.2.77/udp/${port}/webrtc-direct`] }), { code: 'ERR_LISTEN' })
  if (LINUX.skip === false) assert.deepEqual(await speakers(), [])
})

// Goal: who only is on this machine gets nowhere. Method: connections that say nothing, garbage, or a line with another token, at the port where newcomers are brought; then a peer dials.
test('webrtc-direct: strangers of this machine', LINUX, async () => {
  const [server, client] = await Promise.all([start(), start()])
  try {
    const ports = (await readFile('/proc/self/net/tcp', 'utf8')).split('\n').map(line => line.trim().split(/\s+/)).filter(([, local, , state]) => state === '0A' && local?.startsWith('0100007F:')).map(([, local]) => Number.parseInt(local!.split(':')[1]!, 16))
    assert.ok(ports.length >= 2)
    const line = Buffer.from(JSON.stringify({ token: 'x'.repeat(43), peer: client.id, address: '/ip4/127.0.0.1/udp/1' }))
    const words = [Buffer.alloc(0), randomBytes(2_000), Buffer.concat([Buffer.from([0, 0, 0, line.length]), line]), Buffer.from([0, 0, 0, 2, 0x5b, 0x5d])]
    const sockets = ports.flatMap(port => words.map(bytes => connect(port, '127.0.0.1').on('error', () => {}).once('connect', function (this: Socket) { this.write(bytes) })))
    assert.equal(await client.dial(server.addresses()[0]!, AbortSignal.timeout(20_000)), server.id)
    assert.deepEqual(server.peers().map(({ id }) => id), [client.id])
    for (const socket of sockets) socket.destroy()
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
})

// Goal: those that have not said who they are have a limit. Method: a listener of which none ever does; the oldest are told to go, the newest wait.
test('webrtc-direct: the oldest stranger makes way', async () => {
  const signals: AbortSignal[] = []
  const inside: Inside = { incomingConnection: async (_ufrag, _host, _port, signal) => await new Promise((_resolve, reject) => {
    signals.push(signal)
    signal.addEventListener('abort', () => { reject(signal.reason) })
  }) }
  const listener = limitNewcomers({ createListener: () => inside as Listener & Inside } as Partial<Transport> as Transport).createListener({ upgrader: null as never }) as Listener & Inside
  const most = LIMITS.webRtc.unsettledMax
  for (let i = 0; i < most + 3; i++) listener.incomingConnection(`${i}`, '127.0.0.1', 1, new AbortController().signal).catch(() => {})
  assert.deepEqual(signals.map(({ aborted }) => aborted), [...Array<boolean>(3).fill(true), ...Array<boolean>(most).fill(false)])
})

// Goal: what ends the process that speaks WebRTC ends nothing else: who was connected is told, and the address is good again. Method: kill it under a connection, and dial.
test('webrtc-direct: the speaking process is killed', LINUX, async () => {
  const [server, client] = await Promise.all([start(), start()])
  try {
    const address = server.addresses()[0]!
    const serving = await speakers()
    await client.dial(address, AbortSignal.timeout(20_000))
    for (const pid of serving) process.kill(pid, 'SIGKILL')
    await until(() => server.peers().length === 0)
    await until(async () => await client.dial(address, AbortSignal.timeout(5_000)).then(() => server.peers().length === 1, () => false))
    assert.deepEqual(server.addresses(), [address])
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
  assert.deepEqual(await speakers(), [])
})

// Goal: a port that is lost to another program is tried again without end, by one process at a time. Method: kill the process, take its port, wait for three more that fail; then free the port, and dial.
test('webrtc-direct: the port is taken meanwhile', LINUX, async () => {
  const [server, client] = await Promise.all([start(), start()])
  const other = createSocket('udp4')
  try {
    const address = server.addresses()[0]!
    const before = await speakers()
    const { port } = new URL(address.replace(/.*\/udp\/(\d+)\/.*/, 'udp://127.0.0.1:$1'))
    for (const pid of before) process.kill(pid, 'SIGKILL')
    await new Promise<void>(resolve => {
      const bind = (): void => { other.bind(Number(port), '127.0.0.1', resolve) }
      other.on('error', () => { setImmediate(bind) })
      bind()
    })
    const seen = new Set<number>()
    await until(async () => {
      const now = await speakers()
      for (const pid of now) seen.add(pid)
      return seen.size >= before.length + 3
    })
    // That of the client, and at most one that tries, and one that is just being ended.
    assert.ok((await speakers()).length <= before.length + 1, `${(await speakers()).length} processes`)
    other.close()
    await until(async () => await client.dial(address, AbortSignal.timeout(5_000)).then(() => true, () => false))
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
})

// Goal: a node can stop while others dial it, any number of times, and leaves no process and no port behind. Method: two who dial without end, and nodes that come and go at one port.
test('webrtc-direct: stopped while others dial', LINUX, async () => {
  const seed = randomBytes(32)
  const first = await start(seed)
  const address = first.addresses()[0]!
  const callers = await Promise.all([start(), start()])
  let isOver = false
  let dials = 0
  const dialing = callers.map(async caller => {
    while (!isOver) {
      await caller.dial(address, AbortSignal.timeout(5_000)).then(() => { dials++ }, () => {})
      await caller.hangUp(first.id).catch(() => {})
    }
  })
  let server = first
  for (let i = 0; i < 4; i++) {
    const before = dials
    await until(() => dials > before)
    await server.stop()
    server = await createNetwork({ seed, listen: [address.replace(/\/certhash.*/, '')] })
    assert.deepEqual(server.addresses(), [address])
  }
  isOver = true
  await Promise.all(dialing)
  await Promise.all([server, ...callers].map(network => network.stop()))
  assert.deepEqual(await speakers(), [])
})
