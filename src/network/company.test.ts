/** Whom a node dials by itself, and how often. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../packet/limits.ts'
import { keepCompany } from './company.ts'
import { KnownPeers } from './known-peers.ts'
import { createMemoryHub, type MemoryHub } from './memory.ts'
import { HandClock } from './network.fixture.ts'
import type { Network } from './network.ts'

interface World { hub: MemoryHub, network: Network, timers: HandClock, known: KnownPeers, dials: string[], stop: () => void }

/** A node called "self" whose dials are written down; `given` as it was started with. */
function start (given: string[] = [], prepare: (hub: MemoryHub, known: KnownPeers) => void = () => {}): World {
  const [hub, timers, dials] = [createMemoryHub(), new HandClock(), [] as string[]]
  const network = hub.network('self')
  const dial = network.dial.bind(network)
  network.dial = (address, signal) => {
    dials.push(address)
    return dial(address, signal)
  }
  const known = new KnownPeers({ self: 'self', now: () => 1_000_000 })
  prepare(hub, known)
  const stop = keepCompany({ network, timers, random: () => 0.5, known, given })
  return { hub, network, timers, known, dials, stop }
}

const idsOf = (network: Network): string[] => network.peers().map(({ id }) => id).sort()

// Goal: a restarted node finds its mesh by what it knows, and a lost connection is replaced by another. Method: one known peer is there,
// one away; the one there vanishes, the other comes.
test('known peers are dialled at the start and when company is lost', async () => {
  const { hub, network, timers, known, stop } = start([], (hub, known) => {
    hub.network('a')
    known.meet('a', ['/memory/a'])
    known.meet('b', ['/memory/b'])
  })
  await timers.turn(LIMITS.peers.lookMs)
  assert.deepEqual(idsOf(network), ['a'])
  hub.drop('a')
  hub.network('b')
  assert.deepEqual(idsOf(network), [])
  await timers.turn(2 * LIMITS.peers.retryMsMin)
  assert.deepEqual(idsOf(network), ['b'])
  hub.network('c')
  known.hear('c', ['/memory/nowhere', '/memory/c'])
  await timers.turn(LIMITS.peers.lookMs)
  assert.deepEqual(idsOf(network), ['b', 'c'], 'each address is tried')
  stop()
  assert.equal(timers.pending, 0)
})

// Goal: who has enough connections of its own dials nobody; connections that others opened do not count. Method: crowds of both kinds.
test('enough is enough, and a crowd at the door is not company', async () => {
  const { hub, network, timers, known, dials } = start()
  const signal = new AbortController().signal
  for (let i = 0; i < 50; i++) await hub.network(`crowd ${i}`).dial('/memory/self', signal)
  hub.network('friend')
  known.meet('friend', ['/memory/friend'])
  await timers.turn(LIMITS.peers.lookMs)
  assert.ok(idsOf(network).includes('friend'))
  for (let i = 0; i < 20; i++) {
    hub.network(`peer ${i}`)
    known.meet(`peer ${i}`, [`/memory/peer ${i}`])
  }
  await timers.turn(10 * LIMITS.peers.retryMsMin)
  assert.equal(network.peers().filter(({ direction }) => direction === 'out').length, LIMITS.peers.connectedMin)
  assert.equal(dials.length, LIMITS.peers.connectedMin)
})

// Goal: rumours cannot make a node dial much. Method: a peer that tells of ever new nodes that are not there, for an hour.
test('rumours cost few dials', async () => {
  const { timers, known, dials, stop } = start()
  const minutes = 60
  for (let i = 0; i < 6 * minutes; i++) {
    for (let j = 0; j < LIMITS.peers.toldMax; j++) known.hear(`rumour ${i} ${j}`, ['/memory/nowhere'])
    await timers.turn(10_000)
  }
  assert.ok(dials.length >= minutes, String(dials.length))
  assert.ok(dials.length <= (minutes + 1) * LIMITS.peers.heardDialsPerMinuteMax, String(dials.length))
  stop()
})

// Goal: an address that was given is tried until somebody is there, at its own pace. Method: nobody there for a while.
test('given addresses are tried again', async () => {
  const { hub, network, timers, dials, stop } = start(['/memory/late'])
  await timers.turn(3 * LIMITS.wire.bootstrapMs)
  assert.ok(dials.length >= 3 && dials.length <= 5, String(dials.length))
  hub.network('late')
  await timers.turn(2 * LIMITS.wire.bootstrapMs)
  assert.deepEqual(idsOf(network), ['late'])
  stop()
})

// Goal: of several addresses of one peer each gets its turn, for dials of one peer at a time are one dial, which may take the first address alone.
// Method: a network that does so, given an address where nobody is before the right one.
test('given addresses of one peer are tried one after another', async () => {
  const [hub, timers] = [createMemoryHub(), new HandClock()]
  hub.network('b')
  const network = hub.network('self')
  const dial = network.dial.bind(network)
  let pending: Promise<string> | null = null
  network.dial = (address, signal) => pending ??= dial(address.replace('/p2p/b', ''), signal).finally(() => { pending = null })
  const stop = keepCompany({ network, timers, random: () => 0.5, known: new KnownPeers({ self: 'self', now: () => 1_000_000 }), given: ['/memory/nowhere/p2p/b', '/memory/b/p2p/b'] })
  await timers.turn(LIMITS.peers.lookMs)
  assert.deepEqual(idsOf(network), ['b'])
  stop()
})
