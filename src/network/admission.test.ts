/** A private mesh within one process: the contract of every network, and what its papers must say. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { meshSuite, MeshWorld, partsOf } from '../../test/suites/mesh-network.ts'
import { isCode } from '../../test/suites/network.ts'
import { createSigner, verify } from '../node/keys.ts'
import { timers } from '../node/timers.ts'
import { seal } from '../packet/envelope.ts'
import { decodeInvitation } from '../packet/invite.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Member } from '../packet/mesh.ts'
import { Admission, type Door } from './admission.ts'
import { foundMesh, type Membership, openMembership, pendingMembership } from './membership.ts'
import { createMemoryHub } from './memory.ts'
import type { Network, Wire } from './network.ts'
import { HandClock, settle } from './network.fixture.ts'

const hub = createMemoryHub()
const factory = async (seed: Uint8Array, membership?: Membership): Promise<Network> =>
  hub.network(createSigner(seed).id, membership === undefined ? undefined : new Admission(membership, timers))
meshSuite({ name: 'memory mesh', test, factory })

/** An issuer’s door with nobody behind it; what it cuts is told. */
async function door (clock = new HandClock()): Promise<{ admission: Admission, membership: Membership, cut: string[], clock: HandClock }> {
  const parts = partsOf(randomBytes(32))
  const membership = await foundMesh(parts, {})
  const admission = new Admission(membership, clock)
  const cut: string[] = []
  const nothing: Door = { open: async () => { throw new Error('not here') }, cut: peer => { cut.push(peer); admission.closed(peer) }, addresses: () => [], entered: () => {}, left: () => {} }
  admission.attach(nothing)
  return { admission, membership, cut, clock }
}

// Goal: who shows nothing is cut in time, and takes little until then. Method: a clock turned by hand; more streams, and more strangers, than may wait.
test('strangers are bounded in time and number', async () => {
  const { admission, cut, clock } = await door()
  admission.opened('stranger', 'there')
  const waiting = Array.from({ length: LIMITS.mesh.strangerStreamsMax }, () => admission.pass('stranger'))
  const refused = waiting.map(pass => assert.rejects(pass, isCode('ERR_NOT_MEMBER')))
  await assert.rejects(admission.pass('stranger'), isCode('ERR_NOT_MEMBER'))
  await clock.turn(LIMITS.mesh.exchangeMsMax - 1)
  assert.deepEqual(cut, [])
  await clock.turn(1)
  await Promise.all(refused)
  assert.deepEqual(cut, ['stranger'])
  await assert.rejects(admission.pass('stranger'), isCode('ERR_PEER_LOST'))
  for (let i = 0; i <= LIMITS.mesh.strangersMax; i++) admission.opened(`s${i}`, 'there')
  assert.deepEqual(cut.slice(1), [`s${LIMITS.mesh.strangersMax}`])
})

// Goal: no single network keeps all others out. Method: one takes every place and keeps trying; peers of others come in, each in the place of one of its
// crowd, until all have the same share; peers this node has dialled are left alone.
test('a crowd of one network gives way to others', async () => {
  const { admission, cut } = await door()
  const { strangersMax } = LIMITS.mesh
  admission.opened('dialled', null)
  for (let i = 1; i < strangersMax; i++) admission.opened(`crowd ${i}`, 'crowd')
  admission.opened('crowd late', 'crowd')
  assert.deepEqual(cut, ['crowd late'])
  admission.opened('member', 'home')
  admission.opened('other', 'office')
  assert.deepEqual(cut.slice(1), ['crowd 1', 'crowd 2'], 'the oldest first')
  await assert.rejects(admission.pass('crowd 1'), isCode('ERR_PEER_LOST'))
  for (let i = 0; i < 2 * strangersMax; i++) {
    admission.opened(`again ${i}`, 'crowd')
    admission.opened(`home ${i}`, 'home')
  }
  const gone = new Set(cut)
  assert.ok(!gone.has('member') && !gone.has('other') && !gone.has('dialled'))
  const inside = Array.from({ length: 2 * strangersMax }, (_, i) => `home ${i}`).filter(peer => !gone.has(peer))
  assert.ok(inside.length >= strangersMax / 2 - 3 && inside.length <= strangersMax / 2, String(inside.length))
})

// Goal: exchanges cost a peer its turn, not this node its time. Method: one more in a minute than is allowed, on wires that say nothing.
test('exchanges of one peer are counted', async () => {
  const { admission, clock } = await door()
  admission.opened('stranger', 'there')
  let aborted = 0
  const silent = (): Wire => ({ peer: 'stranger', read: async function * () { await new Promise(() => {}) }, write: () => true, drained: async () => {}, end: async () => {}, abort: () => { aborted++ } })
  for (let i = 0; i < LIMITS.mesh.exchangesPerMinuteMax; i++) admission.take(silent())
  await settle()
  assert.equal(aborted, 0)
  admission.take(silent())
  assert.equal(aborted, 1)
  await clock.turn(LIMITS.mesh.exchangeMsMax)
  assert.equal(aborted, 1 + LIMITS.mesh.exchangesPerMinuteMax, 'and none stays open')
})

// Goal: a certificate opens the door to whom it names, in its mesh, in its time. Method: certificates wrong in one thing each.
test('papers that are not one’s own open nothing', async () => {
  const parts = partsOf(randomBytes(32))
  const membership = await foundMesh(parts, {})
  const member = createSigner(randomBytes(32))
  const right: Member = { net: membership.net, member: member.publicKey, invite: null, issued: 0, expires: parts.now() + 60, grant: 0n, nonce: new Uint8Array(16) }
  const paper = (change: Partial<Member> = {}, by = parts.signer): Uint8Array => seal<Member>('member', { ...right, ...change }, by).bytes
  const refused: [Uint8Array | null, Parameters<typeof isCode>[0]][] = [
    [null, 'ERR_NOT_MEMBER'],
    [paper({ member: parts.signer.publicKey }), 'ERR_NOT_MEMBER'],
    [paper({ expires: parts.now() - 1 }), 'ERR_NOT_MEMBER'],
    [paper({ net: new Uint8Array(32) }), 'ERR_WRONG_MESH'],
    [paper({}, member), 'ERR_RECORD_INVALID'],
    [paper().with(20, 0), 'ERR_RECORD_INVALID']
  ]
  for (const [bytes, code] of refused) await assert.rejects(membership.meet(member.id, bytes), isCode(code))
  assert.equal(membership.isMember(member.id), false)
  await membership.meet(member.id, paper())
  assert.equal(membership.isMember(member.id), true)
  await membership.revoke(member.id)
  await assert.rejects(membership.meet(member.id, paper({ nonce: new Uint8Array(16).fill(1) })), isCode('ERR_NOT_MEMBER'))
  assert.equal((await openMembership(parts))!.isMember(member.id), false)
})

// Goal: every way an invite can be bad is named, and nothing is stored for it. Method: texts cut, changed, of another version, expired, spent
// by two at once, or redeemed at a member that is not the issuer.
test('a bad invite says what is wrong with it', async () => {
  const parts = partsOf(randomBytes(32))
  const issuer = await foundMesh(parts, {})
  const route = `/ip4/127.0.0.1/tcp/1/p2p/${issuer.id}`
  const text = issuer.inviteText({ seconds: 60 }, [route])
  assert.deepEqual(decodeInvitation(`  ${text}\n`, verify).routes, [route])
  const texts = ['', 'hello', text.slice(0, -1), text.slice(0, 200), text.replace('inos:', 'inos:x'), `${text}AAAA`, text + 'A'.repeat(LIMITS.mesh.inviteCharsMax), 'inos:gwA', 'inos:!!']
  for (const bad of texts) assert.throws(() => decodeInvitation(bad, verify), isCode('ERR_INVITE'), bad)
  for (let at = 5; at < text.length; at += 11) {
    const changed = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
    try {
      // Routes are a hint that nobody signed; all else is.
      assert.notDeepEqual(decodeInvitation(changed, verify).routes, [route], String(at))
    } catch (error) {
      if (!isCode('ERR_INVITE')(error)) throw error
    }
  }
  const joiner = partsOf(randomBytes(32))
  const late = { ...joiner, now: () => joiner.now() + 61 }
  assert.throws(() => pendingMembership(late, decodeInvitation(text, verify)), isCode('ERR_INVITE'))
  const { invite } = decodeInvitation(text, verify)
  const ids = [createSigner(randomBytes(32)).id, createSigner(randomBytes(32)).id] as const
  const both = await Promise.allSettled(ids.map(id => issuer.redeem(id, invite.bytes)))
  assert.deepEqual(both.map(({ status }) => status), ['fulfilled', 'rejected'])
  await assert.rejects(issuer.redeem(ids[1], invite.bytes), isCode('ERR_INVITE'))
  await using world = new MeshWorld(factory)
  const a = await world.found()
  const b = await world.join(world.invite(a), a)
  assert.throws(() => b.membership.inviteText({}, [route]), isCode('ERR_NOT_MEMBER'))
  await assert.rejects(b.membership.revoke(a.network.id), isCode('ERR_NOT_MEMBER'))
  await assert.rejects(a.membership.revoke(a.network.id), isCode('ERR_USAGE'))
  assert.throws(() => a.membership.inviteText({}, []), isCode('ERR_USAGE'))
  assert.throws(() => a.membership.inviteText({ count: 0 }, [route]), isCode('ERR_USAGE'))
  assert.equal(await openMembership(joiner), null)
})
