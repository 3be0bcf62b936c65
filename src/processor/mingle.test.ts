/** Peers tell each other of peers, and what they tell is held to proof. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KnownPeers } from '../network/known-peers.ts'
import { encodeReferrals, type Referral } from '../network/referrals.ts'
import { createSessions, type Sessions } from '../network/sessions.ts'
import { CREDIT, DEFAULT_PRICES, LIMITS } from '../packet/limits.ts'
import { seal } from '../packet/envelope.ts'
import type { Packet } from '../packet/packet.pb.js'
import { UNMEASURED } from '../packet/capacity.ts'
import type { Offer } from '../packet/records.ts'
import { PROFILE } from '../wasm/runtime.ts'
import { timers } from '../node/timers.ts'
import { Mesh, signerOf, until } from './mesh.fixture.ts'

const now = (): number => Math.floor(Date.now() / 1000)
const book = (name: string): KnownPeers => new KnownPeers({ self: signerOf(name).id, now })

/** A peer of the mesh that answers requests as it likes. */
function intrude (mesh: Mesh, name: string, answer: () => Partial<Packet>): Sessions {
  const sessions = createSessions({
    network: mesh.hub.network(signerOf(name).id),
    timers,
    hello: () => ({ profile: PROFILE, net: '', records: [] }),
    serve: { request: async (_peer, packet) => packet.kind === 'peers' ? answer() : {}, oneShot: async () => ({}) },
    blobs: { get: async () => null }
  })
  mesh.opened.defer(() => sessions.stop())
  return sessions
}

function offerOf (name: string, change: Partial<Offer> = {}, by = name): Uint8Array {
  return seal<Offer>('offer', {
    net: null, executor: signerOf(name).publicKey, ...DEFAULT_PRICES, classes: ['deterministic'], profile: PROFILE, slots: 1, ...UNMEASURED, expires: now() + 60, nonce: new Uint8Array(16), ...change
  }, signerOf(by)).bytes
}

// Goal: a node that knows one peer learns of those that take work, and where they are, without a DHT; one that takes none is not told of.
// Method: a hub with two sellers and a buyer; another buyer that connects to the hub only.
test('one peer is enough to learn of the others', async () => {
  await using mesh = new Mesh()
  const hub = await mesh.start('hub')
  const others = [await mesh.start('one'), await mesh.start('two'), await mesh.start('buyer', { serve: false })]
  for (const other of others) await mesh.connect(other, hub)
  const known = book('newcomer')
  const newcomer = await mesh.start('newcomer', { serve: false, known })
  await mesh.connect(newcomer, hub)
  await until(() => known.list().length === 3, 'all that take work are known')
  assert.equal(known.list()[0]!.id, hub.id)
  assert.ok(known.list()[0]!.met !== null)
  assert.deepEqual(known.list().slice(1).map(({ id, addresses, met }) => [id, addresses, met]).sort(), ['one', 'two'].map(name => [signerOf(name).id, [`/memory/${signerOf(name).id}`], null]).sort())
})

// Goal: nothing that a peer tells is taken on its word. Method: one that tells of nodes with offers that are forged, expired, of another mesh or no offers at all,
// with bad addresses, or of too many; each time one true referral follows in the next answer.
test('lies about other peers are not believed', async () => {
  const address = '/memory/x'
  const lies: (() => Partial<Packet>)[] = [
    () => encodeReferrals([{ offer: offerOf('lie', {}, 'liar'), addresses: [address] }]),
    () => encodeReferrals([{ offer: offerOf('lie', { expires: now() - 1 }), addresses: [address] }]),
    () => encodeReferrals([{ offer: offerOf('lie', { net: new Uint8Array(32) }), addresses: [address] }]),
    () => encodeReferrals([{ offer: new Uint8Array(40), addresses: [address] }]),
    () => encodeReferrals([{ offer: offerOf('lie', { perMFuel: CREDIT }).with(50, 7), addresses: [address] }]),
    () => encodeReferrals([{ offer: offerOf('lie'), addresses: ['/dns4/localhost/tcp/22', '/ip4/0.0.0.0/tcp/1', 'nonsense'] }]),
    () => encodeReferrals([{ offer: offerOf('lie'), addresses: Array(9).fill(address) }]),
    () => encodeReferrals([{ offer: offerOf('lie'), addresses: [`/memory/${'x'.repeat(300)}`] }]),
    () => encodeReferrals(Array.from({ length: LIMITS.peers.toldMax + 1 }, (): Referral => ({ offer: offerOf('lie'), addresses: [address] }))),
    () => ({ ...encodeReferrals([{ offer: offerOf('lie'), addresses: [address] }]), body: Uint8Array.of(0xa0) }),
    () => ({ ...encodeReferrals([{ offer: offerOf('lie'), addresses: [address] }]), body: new Uint8Array(9) }),
    () => ({ ...encodeReferrals([{ offer: offerOf('lie'), addresses: [address] }]), records: [] })
  ]
  await using mesh = new Mesh()
  const known = book('victim')
  const victim = await mesh.start('victim', { known })
  let asked = 0
  for (const [i, lie] of lies.entries()) {
    const liar = intrude(mesh, `liar ${i}`, () => { asked++; return lie() })
    await liar.connect(victim.id, AbortSignal.timeout(10_000))
  }
  const honest = intrude(mesh, 'honest', () => { asked++; return encodeReferrals([{ offer: offerOf('friend'), addresses: [address] }]) })
  await honest.connect(victim.id, AbortSignal.timeout(10_000))
  await until(() => asked > lies.length && known.list().some(({ id }) => id === signerOf('friend').id), 'all were asked')
  await until(() => victim.log.length >= lies.length - 2, 'all answers were looked at')
  assert.equal(known.list().some(({ id }) => id === signerOf('lie').id), false)
})

// Goal: a node that leaves soon after it came knows next time whom it met. Method: stop it right after it has connected.
test('who was met a moment ago is remembered', async () => {
  await using mesh = new Mesh()
  const known = book('brief')
  const [node, brief] = [await mesh.start('node'), await mesh.start('brief', { known })]
  await mesh.connect(brief, node)
  await brief.stop()
  assert.deepEqual(known.list().map(({ id, addresses }) => [id, addresses]), [[node.id, [`/memory/${node.id}`]]])
})

// Goal: who asks all the time is refused, and nobody is told of itself. Method: two questions at once, of a peer the node has an offer of.
test('peers are told of others now and then', async () => {
  await using mesh = new Mesh()
  const node = await mesh.start('node')
  const asker = intrude(mesh, 'asker', () => ({}))
  await asker.connect(node.id, AbortSignal.timeout(10_000))
  asker.notify(node.id, { kind: 'offer', records: [Uint8Array.from(offerOf('asker'))] })
  const first = await asker.request(node.id, { kind: 'peers' })
  assert.deepEqual([first.kind, first.records], ['answer', []])
  const second = await asker.request(node.id, { kind: 'peers' })
  assert.deepEqual([second.kind, second.code], ['refusal', 'ERR_BUSY'])
})
