/**
 * Nodes that nobody can dial, on loopback: jobs through a relay, its limits, who gets a reservation, a relay
 * that dies, and a hole punch that fails. Real routers are played in test/nat/.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { circuitRelayServer, RELAY_V2_STOP_CODEC } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { createMesh, join, type JoinOptions, type Node, verifyReceipt } from '../src/index.ts'
import type { Admission } from '../src/network/admission.ts'
import { openMembership } from '../src/network/membership.ts'
import type { Network, Wire } from '../src/network/network.ts'
import { Passage } from '../src/network/passage.ts'
import { Relay, type RelayLimits } from '../src/network/relay.ts'
import { createSessions, type Sessions } from '../src/network/sessions.ts'
import { findNode } from '../src/node/control-client.ts'
import { verify } from '../src/node/keys.ts'
import { createNetwork, type NetworkOptions, startNode } from '../src/node/libp2p.ts'
import { timers } from '../src/node/timers.ts'
import { decodeInvitation } from '../src/packet/invite.ts'
import { CREDIT, DEFAULT_RELAY_PRICE, LIMITS } from '../src/packet/limits.ts'
import { ECHO } from './guests.ts'
import { type MeshNode, MeshWorld, serve } from './suites/mesh-network.ts'
import { pause, until } from './suites/network.ts'

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
const CIRCUIT = '/p2p-circuit'
const MAIN = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const MIB = 2 ** 20
const soon = (): AbortSignal => AbortSignal.timeout(30_000)
const scratch = mkdtempSync(joinPath(tmpdir(), 'inos-relay-'))
after(() => { rmSync(scratch, { recursive: true, force: true }) })
let nodes = 0

const start = (options: Partial<NetworkOptions> = {}): Promise<Network> => createNetwork({ seed: randomBytes(32), ...options })
const startRelay = (options: Partial<NetworkOptions> = {}): Promise<Network> => start({ listen: [LOOPBACK], relay: true, ...options })
const member = (options: JoinOptions): Promise<Node> => join({ dataDir: joinPath(scratch, String(nodes++)), slots: 1, ...options })
/** Wait until relays lead to a node. */
const sheltered = async (node: { addresses (): string[] }, relays = 1): Promise<string> => {
  await until(() => node.addresses().filter(address => address.includes(CIRCUIT)).length >= relays)
  return node.addresses()[0]!
}
/** Send so many bytes over a stream of packets and read them back. */
async function echo (from: Network, to: string, bytes: number): Promise<number> {
  const wire = await from.open(to, soon())
  let back = 0
  const reading = (async () => { for await (const chunk of wire.read()) back += chunk.length })()
  // Where the writing fails first, that is what is told.
  reading.catch(() => {})
  for (let left = bytes; left > 0; left -= 65_536) if (!wire.write(new Uint8Array(Math.min(left, 65_536)))) await wire.drained(soon())
  await wire.end()
  await reading
  return back
}
function answerEcho (network: Network): void {
  network.handle(wire => {
    void (async () => {
      for await (const chunk of wire.read()) if (!wire.write(Uint8Array.from(chunk))) await wire.drained(soon())
      await wire.end()
    })().catch(() => {})
  })
}

// Goal: a node that only a relay leads to sells a job, and both sides say how they are connected. Method: a seller that listens at
// relays only, a relay, and a buyer that is given the seller's address there; a job with 1 MB in and out, far more than a default relay carries.
test('a job through a relay', { timeout: 120_000 }, async () => {
  await using relay = await member({ listen: [LOOPBACK], relay: true, serve: false })
  await using seller = await member({ listen: [CIRCUIT], peers: relay.addresses() })
  const address = await sheltered(seller)
  assert.deepEqual([seller.reachability()?.status, seller.reachability()?.relays], ['relayed', [relay.id]])
  await using buyer = await member({ serve: false, peers: [address] })
  const input = randomBytes(1_000_000)
  const result = await buyer.compute(ECHO, input, { where: seller.id })
  assert.ok(input.equals(result.bytes))
  const [seen] = buyer.peers().filter(({ id }) => id === seller.id)
  assert.deepEqual([seen?.via, seen?.transport], [relay.id, 'p2p-circuit'])
  assert.equal(relay.peers().find(({ id }) => id === seller.id)?.via, null)
  const { relaying, carried } = relay.reachability()!
  assert.equal(relaying, true)
  assert.deepEqual(carried.map(({ peer }) => peer), [seller.id])
  assert.ok(carried[0]!.bytes > 2_000_000, 'input and result are counted')
})

// Goal: who holds a reservation pays its relay for what goes beyond the free part, by orders, receipts and cheques like any other, at the
// relay's own price; whoever asks for more than was relayed gets nothing. Method: 8 MB each way three times; then the books of both.
test('what is relayed is paid for', { timeout: 120_000 }, async () => {
  await using relay = await member({ listen: [LOOPBACK], relay: true, serve: false })
  await relay.setTrade({ relayPerMiB: 2_048n })
  await using seller = await member({ listen: [CIRCUIT], peers: relay.addresses() })
  await using buyer = await member({ serve: false, peers: [await sheltered(seller)] })
  const input = randomBytes(8_000_000)
  for (let i = 0; i < 3; i++) assert.ok(input.equals((await buyer.compute(ECHO, input, { where: seller.id, cache: false })).bytes))
  const paid = async (node: Node, direction: 'earned' | 'spent'): Promise<bigint> => {
    await node.settle()
    const entries = (await Array.fromAsync(node.history())).filter(entry => entry.kind === 'relay' && entry.direction === direction)
    return entries.reduce((sum, { amount }) => sum + amount, 0n)
  }
  const { bytes, paid: paidBytes } = relay.reachability()!.carried[0]!
  assert.ok(bytes > 24_000_000 && paidBytes >= bytes - LIMITS.relay.freeBytesPerHour - LIMITS.relay.aheadBytesMax, `${paidBytes} of ${bytes}`)
  await until(async () => await paid(seller, 'spent') === BigInt(relay.reachability()!.carried[0]!.paid) / 1_024n * 2n)
  await until(async () => await paid(relay, 'earned') === await paid(seller, 'spent'))
  assert.equal(await paid(buyer, 'spent'), 0n)
  const receipts = (await Array.fromAsync(seller.receipts())).filter(({ role, peer }) => role === 'bought' && peer === relay.id)
  const receipt = await seller.receipt(receipts[0]!.id)
  assert.equal((await verifyReceipt(receipt!)).charge, receipts[0]!.charge)
  assert.deepEqual([(await seller.audit()).ok, (await relay.audit()).ok], [true, true])
})

// Goal: what the death of a relay costs is bounded: it never holds more than a slice of paid bytes, asks nobody it has carried little for to trust it with one, and a node pays a liar no more.
// Method: streams that count, a peer that pays whatever it is asked, at once, late or twice; then the payer's side against a relay that carries nothing.
test('no relay is paid more than a slice ahead', async () => {
  const { sliceBytes, lowBytes, aheadBytesMax } = LIMITS.relay
  let now = 0
  const relay = new Relay({ now: () => now, after: () => () => {} }, { ...LIMITS.relay, freeBytesPerHour: 0 }, () => true)
  let asked: number[] = []
  relay.onLow((_peer, bytes) => { asked.push(bytes) })
  const stream = { direction: 'outbound', send: (_data: unknown) => true, onData: () => {}, abort: () => {}, addEventListener: () => {} }
  const carry = (bytes: number): void => { stream.send({ byteLength: bytes }) }
  await relay.middleware(RELAY_V2_STOP_CODEC)[0]!(stream as unknown as Stream, { remotePeer: 'b' } as unknown as Connection, () => {})
  for (let i = 0; i < 400; i++) {
    carry(MIB / 3 | 0)
    // Late now and then, and what was asked for twice meanwhile is offered twice.
    if (i % 7 === 0) now += LIMITS.relay.tollMsMax / 4
    if (asked.length < 2 && i % 5 !== 0) continue
    for (const bytes of asked) {
      assert.ok(bytes <= sliceBytes + aheadBytesMax)
      if (relay.sells('b', bytes)) relay.credit('b', bytes)
    }
    asked = []
    const { left, bytes } = relay.accounts()[0]!
    assert.ok(left <= Math.min(sliceBytes, bytes), `${left} bytes are paid ahead after ${i}`)
  }
  assert.ok(relay.accounts()[0]!.paid > 4 * sliceBytes, 'it was paid all the time')
  assert.equal(relay.sells('b', sliceBytes + aheadBytesMax), false)
  assert.deepEqual([relay.owesFor('liar', lowBytes), relay.owesFor('liar', lowBytes + 1)], [true, false])
})

// Goal: kill -9 of a relay costs who paid it no more than a slice, and after its start it relays and is paid as before. Method: a relay in a process of its own, 24 MB each way,
// the books of the payer beside what the relay had carried; then the same again on the same data directory.
test('a relay is killed and goes on', { timeout: 180_000 }, async () => {
  const data = joinPath(scratch, 'killed')
  const place = `/ip4/127.0.0.1/tcp/${await freePort()}`
  const up = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, [MAIN, 'up', '--json', '--relay', '--listen', place, '--data', data], { stdio: ['ignore', 'pipe', 'ignore'] })
    await once(child.stdout, 'data')
    return child
  }
  let relay = await up()
  try {
    await using seller = await member({ listen: [CIRCUIT], peers: [place] })
    await using buyer = await member({ serve: false, peers: [await sheltered(seller)] })
    const input = randomBytes(8_000_000)
    const trade = async (): Promise<void> => { for (let i = 0; i < 3; i++) assert.ok(input.equals((await buyer.compute(ECHO, input, { where: seller.id, cache: false })).bytes)) }
    const spent = async (): Promise<number> => Number((await Array.fromAsync(seller.history())).filter(({ kind }) => kind === 'relay').reduce((sum, { amount }) => sum + amount, 0n))
    await trade()
    await until(async () => await spent() > 0)
    const { bytes, paid } = (await (await findNode(data))!.reachability())!.carried[0]!
    relay.kill('SIGKILL')
    await once(relay, 'exit')
    const bought = await spent() * 1_048_576 / Number(DEFAULT_RELAY_PRICE)
    assert.ok(bought >= paid && bought - (bytes - LIMITS.relay.freeBytesPerHour) <= LIMITS.relay.sliceBytes, `${bought} bytes were bought, ${bytes} carried`)
    relay = await up()
    await until(() => seller.connect(place).then(() => true, () => false))
    await until(() => buyer.connect(`${place}/p2p/${seller.reachability()!.relays[0] ?? ''}/p2p-circuit/p2p/${seller.id}`).then(() => true, () => false))
    const before = await spent()
    await trade()
    await until(async () => await spent() > before)
    assert.ok((await seller.audit()).ok)
  } finally {
    relay.kill('SIGKILL')
  }
})

// Goal: each limit of a relay holds. Method: relays with one tight limit each, and what must fail there.
test('a relay keeps its limits', { timeout: 120_000 }, async t => {
  const scene = async (limits: Partial<RelayLimits>, act: (relay: Network, hidden: Network, caller: Network) => Promise<void>): Promise<void> => {
    const relay = await startRelay({ relayLimits: { ...LIMITS.relay, ...limits } })
    const hidden = await start({ listen: [CIRCUIT], bootstrap: relay.addresses() })
    const caller = await start()
    answerEcho(hidden)
    try {
      await caller.dial(await sheltered(hidden), soon())
      await act(relay, hidden, caller)
    } finally {
      await Promise.all([caller.stop(), hidden.stop(), relay.stop()])
    }
  }
  await t.test('bytes of one connection', () => scene({ bytesMax: 1_000_000 }, async (_relay, hidden, caller) => {
    assert.equal(await echo(caller, hidden.id, 100_000), 100_000)
    await assert.rejects(echo(caller, hidden.id, 1_000_000), { code: 'ERR_PEER_LOST' })
  }))
  await t.test('its time', () => scene({ connectionMsMax: 1_500 }, async (_relay, hidden, caller) => {
    assert.equal(await echo(caller, hidden.id, 1_000), 1_000)
    await until(() => !caller.peers().some(({ id }) => id === hidden.id))
  }))
  await t.test('what is not paid', () => scene({ freeBytesPerHour: 300_000, lowBytes: 100_000, aheadBytesMax: 300_000 }, async (relay, hidden, caller) => {
    await assert.rejects(echo(caller, hidden.id, 1_000_000), { code: 'ERR_PEER_LOST' })
    await assert.rejects(caller.dial(hidden.addresses()[0]!, soon()), { code: 'ERR_NOT_REACHABLE' })
    relay.access!.relay.credit(hidden.id, 10_000_000)
    await caller.dial(hidden.addresses()[0]!, soon())
    assert.equal(await echo(caller, hidden.id, 1_000_000), 1_000_000)
  }))
  await t.test('connections to one peer', () => scene({ heldPerPeerMax: 1 }, async (_relay, hidden, caller) => {
    const second = await start()
    const address = hidden.addresses()[0]!
    try {
      await assert.rejects(second.dial(address, soon()), { code: 'ERR_NOT_REACHABLE' })
      await caller.hangUp(hidden.id)
      await until(() => second.dial(address, soon()).then(() => true, () => false))
    } finally {
      await second.stop()
    }
  }))
  await t.test('reservations; one that leaves makes room', () => scene({ reservationsMax: 1 }, async (relay, hidden) => {
    const second = await start({ listen: [CIRCUIT], bootstrap: relay.addresses(), relayLimits: { ...LIMITS.relay, retryMs: 200 } })
    try {
      await until(() => second.peers().length > 0)
      await hidden.stop()
      await sheltered(second)
    } finally {
      await second.stop()
    }
  }))
})

// Goal: when its relay dies, a node is found through another one. Method: two relays; the first is stopped, and a peer that knew both dials again.
test('another relay takes over', { timeout: 120_000 }, async () => {
  const relays = await Promise.all([startRelay(), startRelay(), startRelay()])
  const hidden = await start({ listen: [CIRCUIT], bootstrap: relays.flatMap(relay => relay.addresses()) })
  const caller = await start()
  answerEcho(hidden)
  try {
    await sheltered(hidden, LIMITS.relay.relaysMin)
    const used = relays.filter(({ id }) => hidden.access!.view().relays.includes(id))
    assert.equal(used.length, LIMITS.relay.relaysMin)
    await caller.dial(hidden.addresses().find(address => address.includes(used[0]!.id))!, soon())
    assert.equal(await echo(caller, hidden.id, 1_000), 1_000)
    // Identify has told of the second relay as well.
    await until(async () => (await caller.routesTo(hidden.id)).length >= LIMITS.relay.relaysMin)
    await used[0]!.stop()
    await until(() => !caller.peers().some(({ id }) => id === hidden.id))
    assert.equal(await echo(caller, hidden.id, 1_000), 1_000)
    // And a third one fills the gap.
    await until(() => hidden.access!.view().relays.length === LIMITS.relay.relaysMin && !hidden.access!.view().relays.includes(used[0]!.id))
  } finally {
    await Promise.all([caller, hidden, ...relays].map(network => network.stop()))
  }
})

// Goal: whom a node never asked for a place cannot relay to it, and have that paid. Method: a stock peer opens the stream of a relay to a node that has a place at another.
test('no relay but those asked', { timeout: 60_000 }, async () => {
  const relay = await startRelay()
  const hidden = await start({ listen: [LOOPBACK, CIRCUIT], bootstrap: relay.addresses() })
  const rogue = await createLibp2p({ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()], services: { identify: identify() } })
  try {
    await sheltered(hidden)
    const connection = await rogue.dial(multiaddr(hidden.addresses().find(address => !address.includes(CIRCUIT))!))
    const stream = await connection.newStream(RELAY_V2_STOP_CODEC, { signal: soon() })
    let answered = false
    stream.addEventListener('message', () => { answered = true })
    // Behind its length: CONNECT, from a peer that has no more than an id.
    const id = rogue.peerId.toMultihash().bytes
    if (stream.status === 'open') stream.send(Uint8Array.of(id.length + 6, 0x08, 0, 0x12, id.length + 2, 0x0a, id.length, ...id))
    await until(() => answered || stream.status !== 'open')
    assert.equal(answered, false)
  } finally {
    await Promise.all([hidden.stop(), relay.stop(), rogue.stop()])
  }
})

// Goal: a node that begins to relay is used by those that were connected to it before. Method: they meet and have told each other their protocols; then it begins.
test('who begins to relay says so', { timeout: 60_000 }, async () => {
  const relay = await start({ listen: [LOOPBACK], relay: false })
  const hidden = await start({ listen: [CIRCUIT], bootstrap: relay.addresses(), relayLimits: { ...LIMITS.relay, retryMs: 200 } })
  try {
    await until(() => hidden.peers().length === 1)
    await until(async () => (await hidden.access!.test(relay.id, soon()).catch(() => null))?.punches === true)
    await relay.access!.relay.start()
    assert.ok((await sheltered(hidden)).includes(relay.id))
  } finally {
    await Promise.all([hidden.stop(), relay.stop()])
  }
})

// Goal: a peer tells whether it can dial this node, and nothing else can be asked of it. Method: a node that listens and one that
// does not ask a third; then the ports are garbage.
test('a peer dials back', { timeout: 60_000 }, async () => {
  const [peer, open, closed] = await Promise.all([start({ listen: [LOOPBACK], relayLimits: { ...LIMITS.relay, dialBackMsMin: 0 } }), start({ listen: [LOOPBACK] }), start()])
  try {
    const address = peer.addresses()[0]!
    await Promise.all([open.dial(address, soon()), closed.dial(address, soon())])
    const [yes, no] = await Promise.all([open.access!.test(peer.id, soon()), closed.access!.test(peer.id, soon())])
    assert.deepEqual(yes.reached.map(reached => `${reached}/p2p/${open.id}`), open.addresses())
    assert.deepEqual([yes.via, yes.relays, yes.punches], [null, false, true])
    assert.deepEqual([no.ports, no.reached], [[], []])
    assert.match(no.seen ?? '', /^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/)
    await assert.rejects(open.access!.test(closed.id, soon()), { code: 'ERR_NOT_REACHABLE' })
  } finally {
    await Promise.all([peer, open, closed].map(network => network.stop()))
  }
})

// Goal: a session moves from the relay to a direct connection without losing what was asked, and goes on when the relay dies; a relayed
// connection that is of no more use is closed. Method: a request that is held back, then a direct dial, requests on both, and the end of the relay.
test('a session moves to a direct connection', { timeout: 60_000 }, async () => {
  const relay = await startRelay()
  const hidden = await start({ listen: [LOOPBACK, CIRCUIT], bootstrap: relay.addresses() })
  const caller = await start()
  const asked: string[] = []
  const gates = new Map<string, PromiseWithResolvers<void>>()
  const gateOf = (text: string): PromiseWithResolvers<void> => gates.get(text) ?? gates.set(text, Promise.withResolvers<void>()).get(text)!
  const sessionsOf = (network: Network): Sessions => createSessions({
    network,
    timers,
    hello: () => ({ profile: 'inos/1', net: '', records: [] }),
    serve: {
      async request (_peer, { input }) {
        const text = new TextDecoder().decode(input)
        asked.push(text)
        if (text.startsWith('slow')) await gateOf(text).promise
        return { result: Uint8Array.from(input) }
      },
      oneShot: async () => ({})
    },
    blobs: { get: async () => null }
  })
  const [serving, asking] = [sessionsOf(hidden), sessionsOf(caller)]
  const opened: string[] = []
  asking.on({ open: peer => { opened.push(peer) }, close: () => { opened.push('closed') } })
  const ask = async (text: string): Promise<string> => new TextDecoder().decode((await asking.request(hidden.id, { kind: 'job', input: Uint8Array.from(new TextEncoder().encode(text)) }, { signal: soon() })).result)
  try {
    await until(() => hidden.addresses().some(address => address.includes(CIRCUIT)))
    const [direct, relayed] = [hidden.addresses().find(address => !address.includes(CIRCUIT))!, hidden.addresses().find(address => address.includes(CIRCUIT))!]
    await asking.connect(relayed, soon())
    const slow = [ask('slow 1'), ask('slow 2')]
    await until(() => asked.length === 2)
    const carried = (): number => relay.access!.relay.accounts()[0]!.bytes
    await caller.dial(direct, soon())
    await until(() => asking.list()[0]?.inFlight === 0)
    const before = carried()
    const text = 'x'.repeat(50_000)
    assert.equal(await ask(text), text)
    assert.ok(carried() - before < 50_000, 'what is asked now goes directly')
    gateOf('slow 1').resolve()
    assert.equal(await slow[0], 'slow 1')
    assert.deepEqual(asked.filter(text => text.startsWith('slow')), ['slow 1', 'slow 2'], 'what was asked before is answered where it was')
    await relay.stop()
    await until(() => asked.filter(text => text === 'slow 2').length === 2)
    gateOf('slow 2').resolve()
    assert.equal(await slow[1], 'slow 2')
    assert.deepEqual(opened, [hidden.id], 'for those who look on it stayed one session')
  } finally {
    await Promise.all([asking.stop(), serving.stop()])
    await Promise.all([caller, hidden, relay].map(network => network.stop()))
  }
})

// Goal: two nodes that only relays lead to find a direct way by WebRTC, and lose nothing on it, in the open and as members of a private mesh. Method: jobs over the
// relayed connection until both say it goes over WebRTC; then the relay is stopped, and more jobs are run.
for (const isPrivate of [false, true]) test(`WebRTC takes over from a relay${isPrivate ? ' of a private mesh' : ''}`, { timeout: 120_000 }, async () => {
  const dataDir = joinPath(scratch, String(nodes++))
  if (isPrivate) await createMesh({ dataDir })
  await using relay = await join({ dataDir, slots: 1, listen: [LOOPBACK], relay: true, serve: false })
  const inside = async (): Promise<JoinOptions> => isPrivate ? { mesh: await relay.invite({ grant: 100n * CREDIT }) } : {}
  await using seller = await member({ ...await inside(), listen: ['/webrtc'], peers: relay.addresses() })
  await using buyer = await member({ ...await inside(), serve: false, peers: [await sheltered(seller)] })
  let jobs = 0
  const work = async (): Promise<void> => {
    const input = `job ${jobs++}`
    assert.equal((await buyer.compute(ECHO, input, { where: seller.id })).text(), input)
  }
  const ways = (): (string | undefined)[] => [[buyer, seller], [seller, buyer]].map(([from, to]) => from!.peers().find(({ id }) => id === to!.id)?.transport)
  await until(async () => {
    await work()
    return ways().every(way => way === 'webrtc')
  })
  await relay.stop()
  for (let i = 0; i < 3; i++) await work()
  assert.deepEqual(ways(), ['webrtc', 'webrtc'])
})

// Goal: over WebRTC, too, a writer learns when its reader does not read, nothing buffers without end, and nothing is lost. Method: write to a reader that does not read until
// told to stop and nothing moves, count; then read all of it.
test('WebRTC holds back a writer whose peer does not read', { timeout: 120_000 }, async () => {
  const relay = await startRelay()
  const hidden = await start({ listen: ['/webrtc'], bootstrap: relay.addresses() })
  const caller = await start()
  try {
    await caller.dial(await sheltered(hidden), soon())
    await until(() => caller.peers().some(({ id, addresses }) => id === hidden.id && addresses[0]!.includes('/webrtc')))
    const incoming = Promise.withResolvers<Wire>()
    hidden.handle(incoming.resolve)
    const ours = await caller.open(hidden.id, soon())
    const chunk = new Uint8Array(65_536)
    let written = 0
    for (let isFull = false; !isFull;) {
      assert.ok(written < LIMITS.wire.streamWindowBytesMax + 12 * MIB, `${written} bytes were taken for a peer that reads nothing`)
      written += chunk.length
      if (!ours.write(chunk)) isFull = await ours.drained(AbortSignal.timeout(1_000)).then(() => false, () => true)
      else await pause(0)
    }
    const theirs = await incoming.promise
    const ending = ours.drained(soon()).then(() => ours.end())
    let read = 0
    for await (const part of theirs.read()) read += part.length
    await ending
    assert.equal(read, written)
  } finally {
    await Promise.all([caller, hidden, relay].map(network => network.stop()))
  }
})

// Goal: WebRTC that fails leaves the relayed connection and what goes over it as they are. Method: a peer that lets itself be asked and hangs up each time; a stream
// is used before, meanwhile and after the last try.
test('WebRTC that fails leaves the relay in place', { timeout: 120_000 }, async () => {
  const relay = await startRelay()
  const hidden = await startNode({ seed: randomBytes(32), listen: [CIRCUIT] })
  const caller = await start()
  let asked = 0
  try {
    await hidden.handle('/webrtc-signaling/0.0.1', (stream: Stream) => {
      asked++
      stream.abort(new Error('no'))
    })
    await hidden.handle('/inos/packet/1', (stream: Stream) => { stream.addEventListener('message', ({ data }) => { stream.send(data) }) })
    await hidden.dial(multiaddr(relay.addresses()[0]!))
    const address = await sheltered({ addresses: () => hidden.getMultiaddrs().map(String) })
    const peer = await caller.dial(address, soon())
    const wire = await caller.open(peer, soon())
    const chunks = wire.read()[Symbol.asyncIterator]()
    const say = async (): Promise<void> => {
      wire.write(Uint8Array.of(1, 2, 3))
      assert.deepEqual([...(await chunks.next()).value!], [1, 2, 3])
    }
    await until(async () => {
      await say()
      return asked === LIMITS.webRtc.risesMax
    })
    await pause(2 * LIMITS.webRtc.againMs)
    await say()
    assert.equal(asked, LIMITS.webRtc.risesMax)
    assert.equal(caller.peers().find(({ id }) => id === peer)?.addresses.length, 1)
  } finally {
    await Promise.all([caller.stop(), hidden.stop(), relay.stop()])
  }
})

// Goal: a hole punch that fails leaves the relayed connection and its session as they are. Method: on loopback there is no public address to
// dial, so each try fails; requests before, meanwhile and after go over one session.
test('a failed hole punch leaves the relay in place', { timeout: 60_000 }, async () => {
  const relay = await startRelay()
  const limits = { ...LIMITS.relay, punchMsMax: 300 }
  const hidden = await start({ listen: [CIRCUIT], bootstrap: relay.addresses(), relayLimits: limits })
  const caller = await start({ relayLimits: limits })
  answerEcho(hidden)
  try {
    await caller.dial(await sheltered(hidden), soon())
    const wire = await caller.open(hidden.id, soon())
    const chunks = wire.read()[Symbol.asyncIterator]()
    for (const end = Date.now() + 2_000; Date.now() < end; await pause(100)) {
      wire.write(Uint8Array.of(1, 2, 3))
      assert.deepEqual([...(await chunks.next()).value!], [1, 2, 3])
    }
    assert.deepEqual(caller.peers().find(({ id }) => id === hidden.id)?.addresses.length, 1)
    assert.equal(await echo(caller, hidden.id, 10_000), 10_000)
  } finally {
    await Promise.all([caller, hidden, relay].map(network => network.stop()))
  }
})

// Goal: packets pass a relay that is none of ours and gives libp2p's usual 128 KiB. Method: a plain libp2p node as the relay; a little goes through, more does not.
test('a stock relay carries what it can', { timeout: 60_000 }, async () => {
  const relay = await createLibp2p({
    addresses: { listen: [LOOPBACK] }, transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false }, services: { identify: identify(), relay: circuitRelayServer() }
  })
  const address = relay.getMultiaddrs()[0]!.toString()
  const hidden = await start({ listen: [CIRCUIT], bootstrap: [address] })
  const caller = await start()
  answerEcho(hidden)
  try {
    await caller.dial(await sheltered(hidden), soon())
    assert.equal(await echo(caller, hidden.id, 10_000), 10_000)
    assert.equal(await echo(caller, hidden.id, 10_000), 10_000)
    await assert.rejects(echo(caller, hidden.id, 1_000_000))
  } finally {
    await Promise.all([caller.stop(), hidden.stop(), relay.stop()])
  }
})

// Goal: in a private mesh a relay serves members only: neither a reservation nor a connection for others. Method: a relay that is the issuer, a member behind
// it that works for another member, and a stranger that wants both.
test('a relay of a private mesh serves its members only', { timeout: 120_000 }, async () => {
  await using world = new MeshWorld((seed, membership) => createNetwork({ seed, membership, listen: [membership?.isIssuer === true ? LOOPBACK : CIRCUIT], relay: true }))
  const issuer = await world.found()
  const text = world.invite(issuer, { count: 2 })
  const [hidden, caller] = [await world.join(text, issuer), await world.join(text, issuer)]
  const address = await sheltered(hidden.network)
  answerEcho(hidden.network)
  await caller.network.dial(address, soon())
  assert.equal(await echo(caller.network, hidden.network.id, 10_000), 10_000)
  const stranger = await start({ listen: [CIRCUIT], bootstrap: issuer.network.addresses() })
  try {
    await assert.rejects(stranger.dial(address, soon()))
    await pause(1_500)
    assert.deepEqual(stranger.addresses(), [])
    assert.deepEqual(issuer.network.access!.relay.accounts().map(({ peer }) => peer), [hidden.network.id], 'nothing was relayed to anybody else')
  } finally {
    await stranger.stop()
  }
})

// Goal: the whole of a private mesh whose issuer nobody can dial: it lets in a relay that it dials itself, the text of an invite leads through that relay, and with it
// a newcomer gets in, works for the issuer, and is a member at the relay as well. Method: a newcomer that others can dial and whose invite leads nowhere; then one that cannot be dialled either.
test('an invite is redeemed through a relay', { timeout: 120_000 }, async () => {
  const dirs = ['founder', 'helper', 'guest'].map(name => joinPath(scratch, name))
  const place = `/ip4/127.0.0.1/tcp/${await freePort()}`
  await createMesh({ dataDir: dirs[0]!, name: 'home' })
  await using issuer = await join({ dataDir: dirs[0]!, slots: 1, serve: true, listen: [CIRCUIT] })
  await assert.rejects(issuer.invite(), { code: 'ERR_USAGE' })
  const nowhere = await issuer.invite({ routes: [`/ip4/127.0.0.1/tcp/9/p2p/${issuer.id}`] })
  const helping = join({ dataDir: dirs[1]!, slots: 1, mesh: nowhere, listen: [place], relay: true, serve: false })
  await until(() => issuer.connect(place).then(() => true, () => false))
  await using relay = await helping
  const address = await sheltered(issuer)
  const text = await issuer.invite({ grant: '50cr' })
  assert.deepEqual(decodeInvitation(text, verify).routes[0], address)
  await using guest = await join({ dataDir: dirs[2]!, slots: 1, mesh: text })
  await until(() => guest.credits().balance > 0n)
  const input = randomBytes(1_000_000)
  assert.ok(input.equals((await guest.compute(ECHO, input, { where: issuer.id })).bytes), 'more than a passage carries')
  assert.equal(guest.peers().find(({ id }) => id === issuer.id)?.via, relay.id)
  await until(() => relay.peers().some(({ id }) => id === guest.id))
  assert.deepEqual(issuer.members().map(({ id }) => id).toSorted(), [issuer.id, relay.id, guest.id].toSorted())
})

// Goal: what newcomers may do at a relay of a private mesh opens it to nobody: a stranger gets through to the door of the issuer, which stays shut, and neither to
// another member nor to a reservation. Method: a relay that is not the issuer, with the issuer and a member behind it.
test('a stranger gets no further than the door of the issuer', { timeout: 120_000 }, async () => {
  await using world = new MeshWorld((seed, membership) => createNetwork({ seed, membership, listen: [LOOPBACK], relay: true }))
  const founder = await world.found()
  const text = world.invite(founder, { count: 2 })
  const [relay, hidden] = [await world.join(text, founder), await world.join(text, founder)]
  await Promise.all([founder.network.stop(), hidden.network.stop()])
  const behind = async ({ seed, parts }: MeshNode): Promise<Network> => await createNetwork({ seed, membership: (await openMembership(parts))!, listen: [CIRCUIT], bootstrap: relay.network.addresses() })
  const nodes = [await behind(founder), await behind(hidden)]
  const stranger = await start({ listen: [CIRCUIT], bootstrap: relay.network.addresses() })
  try {
    const [issuer, member] = nodes as [Network, Network]
    const served = nodes.flatMap(node => serve(node))
    const [door, other] = [await sheltered(issuer), await sheltered(member)]
    await assert.rejects(stranger.dial(other, soon()), { code: 'ERR_NOT_REACHABLE' })
    await stranger.dial(door, soon()).catch(() => {})
    await assert.rejects(echo(stranger, issuer.id, 1_000))
    await until(() => !stranger.peers().some(({ id }) => id === issuer.id))
    assert.deepEqual([served, stranger.addresses(), nodes.some(node => node.peers().some(({ id }) => id === stranger.id))], [[], [], false])
  } finally {
    await Promise.all([stranger, ...nodes].map(network => network.stop()))
  }
})

// Goal: strangers at a relay can carry little to the issuer, one alone and all together, and a member what it wants. Method: streams that count, a peer that is admitted on the
// way, and a clock that is moved on.
test('a passage is narrow', async () => {
  let now = 0
  const inside = new Set<string>()
  const admission = { membership: { issuer: 'issuer', isPending: false }, isInside: (peer: string) => inside.has(peer), pass: async () => {} } as unknown as Admission
  const limits = { ...LIMITS.mesh, passageBytesMax: 100, passageBytesPerHour: 250 }
  const passage = new Passage(admission, { now: () => now, after: () => () => {} }, limits)
  const open = async (peer: string): Promise<{ send (bytes: number): void, aborted (): boolean }> => {
    let aborted = false
    const stream = { direction: 'inbound', send: () => true, onData: () => {}, abort: () => { aborted = true } }
    await passage.middleware(stream as unknown as Stream, { remotePeer: peer } as unknown as Connection, () => {})
    return { send: bytes => { (stream.send as (data: Uint8Array) => void)(new Uint8Array(bytes)) }, aborted: () => aborted }
  }
  assert.deepEqual([passage.denies('a', 'issuer'), passage.denies('a', 'b')], [false, true])
  const [a, b, c] = [await open('a'), await open('b'), await open('c')]
  a.send(60)
  a.send(41)
  b.send(100)
  assert.deepEqual([a.aborted(), b.aborted()], [true, false])
  assert.equal(passage.denies('d', 'issuer'), true, 'too little is left for another')
  inside.add('b')
  b.send(1_000)
  c.send(49)
  assert.deepEqual([b.aborted(), c.aborted(), passage.denies('b', 'a')], [false, true, false])
  now = 3_600_000
  assert.equal(passage.denies('d', 'issuer'), false)
})

// Goal: the command line tells what lies between two nodes. Method: `inos doctor --peer` against a node that relays, and `inos peers reach` there.
test('inos doctor tests itself against a peer', { timeout: 120_000 }, async () => {
  await using relay = await member({ listen: [LOOPBACK], relay: true, serve: false })
  const { status, stdout } = await run(process.execPath, [MAIN, 'doctor', '--json', '--data', joinPath(scratch, 'doctor'), '--peer', relay.addresses()[0]!])
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean, checks: { name: string, status: string, detail: string }[] }
  assert.deepEqual([status, ok], [0, true])
  const found = Object.fromEntries(checks.map(({ name, status }) => [name, status]))
  assert.deepEqual([found['peer'], found['dial back'], found['relay'], found['hole punch']], ['ok', 'ok', 'ok', 'ok'])
  assert.match(checks.find(({ name }) => name === 'dial back')!.detail, /has dialled this node at \/ip4\/127\.0\.0\.1/)
})

async function freePort (): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Run a program to its end. */
async function run (command: string, args: readonly string[]): Promise<{ status: number, stdout: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let stdout = ''
  child.stdout.on('data', chunk => { stdout += String(chunk) })
  const [status] = await once(child, 'close') as [number]
  return { status, stdout }
}

// Goal: a relay is found that nobody named. Method: a node in the middle that does not relay; behind it a relay announces itself, and a hidden node looks.
test('a relay is found by the DHT', { timeout: 120_000 }, async () => {
  const middle = await start({ listen: [LOOPBACK] })
  const relay = await startRelay({ bootstrap: middle.addresses() })
  await until(() => middle.peers().length === 1)
  const hidden = await start({ listen: [CIRCUIT], bootstrap: middle.addresses(), relayLimits: { ...LIMITS.relay, retryMs: 500 } })
  try {
    assert.ok((await sheltered(hidden)).includes(relay.id))
  } finally {
    await Promise.all([hidden, relay, middle].map(network => network.stop()))
  }
})
