/** libp2p over TCP on loopback keeps the contract of every network; its own ways to fail to start. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createNetwork } from '../src/node/libp2p.ts'
import { createSigner } from '../src/node/keys.ts'
import { timers } from '../src/node/timers.ts'
import { createSessions, type Sessions } from '../src/network/sessions.ts'
import type { Network } from '../src/network/network.ts'
import { rawCid } from '../src/packet/cid.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { isCode, suite } from './suites/network.ts'

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
const start = (listen = [LOOPBACK], seed = randomBytes(32)): ReturnType<typeof createNetwork> => createNetwork({ seed, listen })

suite({
  name: 'libp2p',
  test,
  factory: () => start(),
  nowhere: '/ip4/127.0.0.1/tcp/9',
  nobody: '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp',
  // Its muxer's window, its socket's buffers on both sides, and a batch.
  windowBytesMax: LIMITS.wire.streamWindowBytesMax + 12 * 1024 * 1024
})

// Goal: the network's identity is the key that signs records. Method: one seed, both ways.
test('libp2p: PeerId comes from the seed', async () => {
  const seed = randomBytes(32)
  const network = await start([LOOPBACK], seed)
  try {
    assert.equal(network.id, createSigner(seed).id)
  } finally {
    await network.stop()
  }
})

// Goal: a port in use is named as such, and leaves nothing running. Method: listen twice, once with a
// second address that works: that one must be free again afterwards.
test('libp2p: a port in use is ERR_LISTEN', async () => {
  const first = await start()
  const taken = first.addresses()[0]!.replace(/\/p2p\/.*$/, '')
  try {
    await assert.rejects(start([LOOPBACK, taken]), error => {
      assert(isCode('ERR_LISTEN')(error))
      assert.match(String((error as Error).message), /in use/)
      return true
    })
  } finally {
    await first.stop()
  }
  await (await start([taken])).stop()
})

// Goal: bad configuration is refused before anything starts. Method: a bad address, a short seed.
test('libp2p: bad options are ERR_USAGE', async () => {
  await assert.rejects(start(['nonsense']), isCode('ERR_USAGE'))
  await assert.rejects(start([LOOPBACK], randomBytes(16)), isCode('ERR_USAGE'))
})

// Goal: a node that only dials finds its mesh by itself. Method: a bootstrap address, no dial.
test('libp2p: bootstrap connects', async () => {
  const first = await start()
  const second = await createNetwork({ seed: randomBytes(32), bootstrap: [first.addresses()[0]!] })
  try {
    const connected = Promise.withResolvers<string>()
    second.on({ connect: connected.resolve, disconnect: () => {} })
    if (second.peers().length === 0) assert.equal(await connected.promise, first.id)
    assert.deepEqual(second.addresses(), [])
  } finally {
    await Promise.all([first.stop(), second.stop()])
  }
})

// Goal: a search with nobody to ask ends by itself; the DHT would wait for somebody to come. Method: a node alone, then with
// a peer that only dials and so serves no DHT: as soon as it has said so, nothing needs to break the search off.
test('libp2p: a search without company ends', { timeout: 60_000 }, async () => {
  const alone = await start()
  const caller = await createNetwork({ seed: randomBytes(32) })
  const endsByItself = async (): Promise<boolean> => {
    const late = AbortSignal.timeout(2_000)
    assert.deepEqual(await Array.fromAsync(alone.find('compute', late)), [])
    return !late.aborted
  }
  try {
    assert.ok(await endsByItself())
    await caller.dial(alone.addresses()[0]!, AbortSignal.timeout(10_000))
    while (!await endsByItself());
  } finally {
    await Promise.all([alone.stop(), caller.stop()])
  }
})

function join (network: Network, blob: Uint8Array = new Uint8Array(0)): Sessions {
  return createSessions({
    network,
    timers,
    hello: () => ({ profile: 'inos/1', net: 'test', records: [] }),
    serve: { request: async (_peer, { input }) => ({ result: input }), oneShot: async () => ({}) },
    blobs: { get: async () => blob }
  })
}

// Goal: over real sockets too, requests stay quick while a blob is on its way, both sides may open at
// once, and stopping leaves nothing. Method: 40 MB and small requests both ways; then stop.
test('libp2p: sessions, blobs and small requests at once', async () => {
  const blob = randomBytes(40_000_000)
  const [one, two] = await Promise.all([start(), start()])
  const [a, b] = [join(one), join(two, blob)]
  try {
    await one.dial(two.addresses()[0]!, AbortSignal.timeout(10_000))
    await Promise.all([a.connect(two.id, AbortSignal.timeout(10_000)), b.connect(one.id, AbortSignal.timeout(10_000))])
    assert.deepEqual([a.list().length, b.list().length], [1, 1])
    let arrived = false
    const fetching = a.fetch(two.id, rawCid(blob).toString(), { bytesMax: blob.length }).finally(() => { arrived = true })
    let slowest = 0
    for (let i = 0; !arrived || i < 10; i++) {
      const at = performance.now()
      const answers = await Promise.all([a.request(two.id, { kind: 'job', input: Uint8Array.of(i) }), b.request(one.id, { kind: 'job', input: Uint8Array.of(i) })])
      assert.deepEqual(answers.map(({ result }) => result[0]), [i & 255, i & 255])
      slowest = Math.max(slowest, performance.now() - at)
    }
    assert(blob.equals(await fetching))
    assert(slowest < 3_000, `a request took ${slowest} ms beside a blob`)
  } finally {
    await Promise.all([a.stop(), b.stop()])
    await Promise.all([one.stop(), two.stop()])
  }
})

// Goal: a machine that stops answering without closing anything is noticed. Method: a process that is
// stopped by a signal, its socket open; a short pulse.
test('libp2p: a peer that falls silent is cut', { timeout: 30_000 }, async () => {
  const child = fork(new URL('network-peer.fixture.ts', import.meta.url))
  const address = await new Promise<string>(resolve => { child.once('message', message => { resolve(String(message)) }) })
  const network = await createNetwork({ seed: randomBytes(32), limits: { ...LIMITS.wire, pulseMs: 300 } })
  try {
    const gone = Promise.withResolvers<string>()
    network.on({ connect: () => {}, disconnect: gone.resolve })
    const peer = await network.dial(address, AbortSignal.timeout(10_000))
    await new Promise(resolve => { setTimeout(resolve, 1_500) })
    assert.equal(network.peers().length, 1, 'a peer that answers pings stays')
    child.kill('SIGSTOP')
    assert.equal(await gone.promise, peer)
  } finally {
    child.kill('SIGKILL')
    await network.stop()
  }
})
