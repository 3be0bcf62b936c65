/** What a node keeps of peers: bounded, in a useful order, and not to be pushed out by hearsay. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createSigner } from '../node/keys.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { checkKnownPeers, KnownPeers, type KnownPeer } from './known-peers.ts'

const DAY = 86_400
const A = '/ip4/192.0.2.1/tcp/1'
const B = '/ip4/192.0.2.2/tcp/2'

function book (peers: readonly KnownPeer[] = [], limits = {}): { known: KnownPeers, clock: { now: number }, changes: () => number } {
  const clock = { now: 1_000_000 }
  let changes = 0
  const known = new KnownPeers({ self: 'self', now: () => clock.now, peers, limits: { ...LIMITS.peers, ...limits } })
  known.onChange(() => { changes++ })
  return { known, clock, changes: () => changes }
}

// Goal: who was met last is tried first, and listeners hear of news only. Method: peers met and heard of in turns, on a clock of its own.
test('peers come in an order worth trying', () => {
  const { known, clock, changes } = book()
  known.hear('rumour', [A])
  known.meet('first', [`${A}/p2p/first`])
  clock.now += 10
  known.meet('second', [A])
  known.meet('self', [A])
  known.meet('nowhere', [])
  assert.deepEqual(known.list().map(({ id }) => id), ['second', 'first', 'rumour'])
  assert.deepEqual(known.list()[1]!.addresses, [A], 'without the PeerId')
  assert.equal(changes(), 3)
  known.meet('second', [A])
  known.hear('second', [B])
  assert.equal(changes(), 3)
  assert.deepEqual(known.list()[0]!.addresses, [A], 'hearsay adds nothing to what is known')
  known.meet('second', [B])
  assert.deepEqual(known.list()[0]!.addresses, [B, A], 'the latest address first')
  clock.now += LIMITS.peers.metSeconds + 1
  known.meet('second', [B])
  assert.equal(changes(), 5, 'the time of a meeting is news now and then')
  assert.equal(known.forget('first'), true)
  assert.equal(known.forget('first'), false)
})

// Goal: vain dials come ever more rarely, and a rumour that leads nowhere ends. Method: dial in vain whenever one is due, and count.
test('vain dials back off, and rumours end', () => {
  const { known } = book()
  known.meet('met', [A])
  known.hear('rumour', [B])
  const dials: Record<string, number[]> = { met: [], rumour: [] }
  for (let now = 0; now < 20_000_000; now += 1_000) {
    for (const { id } of known.due(now)) {
      dials[id]!.push(now)
      known.dialled(id, now, 0.5)
    }
  }
  const waits = dials['met']!.map((at, i, all) => at - (all[i - 1] ?? 0)).slice(1)
  assert.deepEqual(waits.slice(0, 4), [5_000, 10_000, 20_000, 40_000])
  assert.equal(Math.max(...waits), LIMITS.peers.retryMsMax)
  assert.equal(dials['rumour']!.length, LIMITS.peers.heardFailuresMax + 1)
  assert.deepEqual(known.list().map(({ id }) => id), ['met'])
  known.meet('met', [A])
  known.dialled('met', 0, 0)
  assert.deepEqual(known.due(LIMITS.peers.retryMsMin / 2).map(({ id }) => id), ['met'], 'a meeting wipes out the failures')
})

// Goal: nobody can fill the book. Method: floods of rumours and of meetings, beside a peer that was met; then a month passes.
test('the book is bounded, and hearsay pushes nobody out', () => {
  const { known, clock } = book([], { knownMax: 20, heardMax: 5 })
  known.meet('friend', [A])
  for (let i = 0; i < 1_000; i++) known.hear(`rumour ${i}`, [A, B])
  assert.deepEqual(known.list().map(({ id }) => id), ['friend', ...[999, 998, 997, 996, 995].map(i => `rumour ${i}`)])
  clock.now += 1
  for (let i = 0; i < 19; i++) known.meet(`peer ${i}`, [A])
  assert.equal(known.list().length, 20)
  assert.equal(known.list().at(-1)!.id, 'friend')
  known.meet('one more', [A])
  assert.deepEqual([known.list().length, known.list().some(({ id }) => id === 'friend')], [20, false])
  known.meet('one more', Array.from({ length: 50 }, (_, i) => `/ip4/192.0.2.9/tcp/${i + 1}`))
  assert.equal(known.list()[0]!.addresses.length, LIMITS.peers.addressesMax)
  known.hear('long', [`/dns4/${'x'.repeat(LIMITS.peers.addressCharsMax)}/tcp/1`])
  assert.equal(known.list().some(({ id }) => id === 'long'), false)
  clock.now += 31 * DAY
  assert.deepEqual(known.due(0), [])
})

// Goal: a list survives a restart, and one that was tampered with is refused whole. Method: a list of one's own there and back; lists wrong in one thing each.
test('a list from outside is checked', () => {
  const { id } = createSigner(randomBytes(32))
  const good: KnownPeer[] = [{ id, addresses: [A], met: 999_999 }]
  assert.deepEqual(book(checkKnownPeers(JSON.parse(JSON.stringify(good)))).known.list(), good)
  const [peer] = good
  const bad: unknown[] = [
    null, {}, 'text', [null], [{ ...peer, id: 'x' }], [{ ...peer, id: 7 }], [{ ...peer, addresses: [] }], [{ ...peer, addresses: 'x' }], [{ ...peer, addresses: ['x'] }], [{ ...peer, addresses: [A, 7] }],
    [{ ...peer, addresses: Array(9).fill(A) }], [{ ...peer, addresses: [`/${'x'.repeat(300)}`] }], [{ ...peer, met: -1 }], [{ ...peer, met: 1.5 }], [{ ...peer, met: 'x' }], [{ id, addresses: [A] }],
    Array(LIMITS.peers.knownMax + 1).fill(peer)
  ]
  for (const value of bad) assert.throws(() => checkKnownPeers(value), error => error instanceof InosError, JSON.stringify(value)?.slice(0, 80))
})
