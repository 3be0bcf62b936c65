/** Peers that vanish are noticed, busy and quiet ones are left alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../packet/limits.ts'
import { HandClock } from './network.fixture.ts'
import { Pulse } from './pulse.ts'

const MS = LIMITS.wire.pulseMs

function watch (ping: (signal: AbortSignal) => Promise<unknown>): { timers: HandClock, pulse: Pulse, cuts: string[], pings: () => number } {
  const timers = new HandClock()
  const cuts: string[] = []
  let pings = 0
  const peers = new Set(['p'])
  const pulse = new Pulse({
    timers,
    limits: LIMITS.wire,
    peers: () => [...peers],
    ping: (_peer, signal) => { pings++; return ping(signal) },
    cut: peer => { cuts.push(peer); peers.delete(peer) }
  })
  return { timers, pulse, cuts, pings: () => pings }
}

const silence = (signal: AbortSignal): Promise<unknown> => new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { reject(signal.reason) }) })

// Goal: a vanished peer is cut within three beats, once. Method: a ping that is never answered.
test('a silent peer is cut', async () => {
  const { timers, pulse, cuts } = watch(silence)
  await timers.turn(2 * MS - 1)
  assert.deepEqual(cuts, [])
  await timers.turn(MS + 1)
  assert.deepEqual(cuts, ['p'])
  await timers.turn(10 * MS)
  assert.deepEqual(cuts, ['p'])
  pulse.stop()
  assert.equal(timers.pending, 0)
})

// Goal: a quiet peer that answers, even with a refusal, stays. Method: pings that resolve, or fail at once.
test('an answer of any kind is life', async () => {
  for (const ping of [async () => {}, async () => { throw new Error('unsupported') }]) {
    const { timers, cuts, pings } = watch(ping)
    await timers.turn(20 * MS)
    assert.deepEqual(cuts, [])
    assert(pings() >= 5)
  }
})

// Goal: a busy peer is not pinged, and one whose ping waits behind bulk is not cut. Method: bytes
// are heard all the time; then only while the ping is under way.
test('bytes are life', async () => {
  const busy = watch(silence)
  for (let i = 0; i < 50; i++) {
    await busy.timers.turn(MS / 5)
    busy.pulse.heard('p')
  }
  assert.equal(busy.pings(), 0)
  await busy.timers.turn(MS + MS / 5)
  assert.equal(busy.pings(), 1)
  busy.pulse.heard('p')
  await busy.timers.turn(MS)
  assert.deepEqual(busy.cuts, [])
})
