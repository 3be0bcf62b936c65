/** A private mesh of whole nodes: members pay one another through the issuer, who may be away, die, or refuse. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ECHO } from '../../test/guests.ts'
import type { Rules } from '../credits/terms.ts'
import { rawCid } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { netOf } from '../packet/mesh.ts'
import { Mesh, type MeshNode, settled, signerOf, until } from './mesh.fixture.ts'

const GRANT = 50_000_000n
const THERE = { where: 'remote' as const, limits: { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 } }

function rulesOf (changes: Partial<Rules> = {}): Rules {
  const issuer = signerOf('hub').publicKey
  return { net: netOf(issuer, new Uint8Array(16)), issuer, feePpm: 10_000, offlineMax: 200_000_000n, ...changes }
}

/** An issuer and two members, all connected; `a` only buys. */
async function trio (mesh: Mesh, changes: Partial<Rules> = {}): Promise<{ hub: MeshNode, a: MeshNode, b: MeshNode, charter: Rules }> {
  const charter = rulesOf(changes)
  const hub = await mesh.start('hub', { charter })
  const a = await mesh.start('a', { charter, serve: false })
  const b = await mesh.start('b', { charter })
  for (const node of [a, b]) await mesh.connect(node, hub)
  await mesh.connect(a, b)
  return { hub, a, b, charter }
}

const certificateOf = (name: string): string => rawCid(new TextEncoder().encode(name)).toString()

async function cleared (...nodes: MeshNode[]): Promise<void> {
  await until(() => nodes.every(node => node.account()!.uncleared + node.account()!.promised === 0n), 'all cheques cleared and told')
}

async function sound (...nodes: MeshNode[]): Promise<void> {
  for (const node of nodes) {
    const { ok, bad } = await node.audit()
    assert.deepEqual(bad, [], node.name)
    assert.ok(ok, node.name)
  }
}

/** Invariant 2: what members have is what was issued, less the fees. */
function assertConserved (hub: MeshNode, members: readonly MeshNode[], issued: bigint): void {
  const accounts = members.map(({ id }) => hub.accountOf(id))
  assert.ok(accounts.every(account => account >= 0n), String(accounts))
  // What the issuer itself bought and sold is issued and taken back.
  assert.equal(accounts.reduce((sum, account) => sum + account), issued - hub.credits().earned + hub.credits().spent)
  assert.equal(hub.credits().balance + members.reduce((sum, member) => sum + member.credits().balance, 0n), 0n)
}

// Goal: the whole way of money in a mesh. Method: grant one member, let it buy from another, and that one from the issuer.
test('a member pays with what it was granted, and the payee can spend it anywhere', async () => {
  await using mesh = new Mesh()
  const { hub, a, b } = await trio(mesh)
  await hub.giveGrant(a.id, GRANT, certificateOf('a'))
  await hub.giveGrant(a.id, GRANT, certificateOf('a'))
  await until(() => a.account()!.free === GRANT, 'the grant has arrived')
  const { cost } = await a.compute(ECHO, 'x', { ...THERE, where: b.id })
  await settled(hub, a, b)
  await cleared(a, b)
  const fee = (cost * 10_000n + 999_999n) / 1_000_000n
  assert.equal(hub.accountOf(a.id), GRANT - cost)
  await until(() => b.account()!.free === cost - fee, 'the clearing has arrived')
  assert.equal(hub.accountOf(b.id), cost - fee)
  assert.equal(b.credits().balance, cost - fee)
  assert.equal(hub.credits().earned, fee)
  assertConserved(hub, [a, b], GRANT)
  // With a little more it buys from the issuer, whose cheques and accounts are one line.
  await hub.giveGrant(b.id, 10_000n, certificateOf('b'))
  const bought = await b.compute(ECHO, '', { ...THERE, where: hub.id })
  await settled(hub, a, b)
  assert.equal(hub.accountOf(b.id), 10_000n + cost - fee - bought.cost)
  assert.equal(b.account()!.cleared, hub.accountOf(b.id))
  const sold = await hub.compute(ECHO, '', { ...THERE, where: b.id })
  await settled(hub, a, b)
  assert.equal(b.account()!.cleared, 10_000n + cost - fee - bought.cost + sold.cost)
  assert.equal(hub.accountOf(b.id), b.account()!.cleared)
  assertConserved(hub, [a, b], GRANT + 10_000n)
  await sound(hub, a, b)
})

// Goal: who has nothing is told so before anything runs, with what to do. Method: buy without a grant, from a member and from the issuer.
test('an empty account buys nothing', async () => {
  await using mesh = new Mesh()
  const { hub, a, b } = await trio(mesh)
  for (const where of [hub.id, b.id, 'remote']) {
    await assert.rejects(a.compute(ECHO, '', { ...THERE, where }), (error: InosError) => {
      assert.equal(error.code, 'ERR_INSUFFICIENT_CREDITS')
      assert.match(error.message, /account has 0 cr free/)
      assert.match(error.hint!, new RegExp(`ask the issuer ${hub.id} for a grant`))
      return true
    })
  }
  assert.equal(hub.runs() + b.runs(), 0)
})

// Goal: work goes on while the issuer is away, up to the offline limit, and is cleared when it is back.
// Method: lose the issuer, buy until refused, bring it back on its own books.
test('without its issuer a mesh works up to the offline limit', async () => {
  await using mesh = new Mesh()
  const { a, b, charter, ...first } = await trio(mesh, { offlineMax: 8_000n })
  let { hub } = first
  await hub.giveGrant(a.id, GRANT, certificateOf('a'))
  await until(() => a.account()!.free === GRANT, 'the grant has arrived')
  await mesh.lose(hub)
  let paid = 0n
  let refusal: unknown = null
  while (refusal === null) {
    const done = await a.compute(ECHO, '', { ...THERE, where: b.id }).catch((error: unknown) => { refusal = error; return null })
    paid += done?.cost ?? 0n
    await settled(a, b)
  }
  assert.ok(refusal instanceof InosError && refusal.code === 'ERR_INSUFFICIENT_CREDITS', String(refusal))
  assert.match(refusal.message, /before the issuer .* has cleared/)
  assert.ok(refusal.message.includes(hub.id))
  assert.ok(paid > 0n && paid <= charter.offlineMax)
  assert.equal(b.account()!.uncleared, paid)
  hub = await mesh.start('hub', { charter })
  for (const node of [a, b]) await mesh.connect(node, hub)
  await cleared(a, b)
  const { cost } = await a.compute(ECHO, '', { ...THERE, where: b.id })
  await settled(hub, a, b)
  await cleared(a, b)
  assert.equal(hub.accountOf(a.id), GRANT - paid - cost)
  assertConserved(hub, [a, b], GRANT)
  await sound(hub, a, b)
})

// Goal: an issuer that comes back with an old copy of its books pays, grants and clears nothing twice.
// Method: a copy before a grant and a clearing; both come back from the members when they meet it again, and trade goes on.
test('an issuer with an old copy of its books learns from its members what it did', async () => {
  await using mesh = new Mesh()
  const { hub, a, b, charter } = await trio(mesh)
  const restore = await mesh.copyBooks('hub')
  await hub.giveGrant(a.id, GRANT, certificateOf('a'))
  await until(() => a.account()!.free === GRANT, 'the grant has arrived')
  await a.compute(ECHO, 'x', { ...THERE, where: b.id })
  await settled(hub, a, b)
  await cleared(a, b)
  await until(() => b.account()!.free > 0n, 'the clearing has arrived')
  const accounts = [a, b].map(({ id }) => hub.accountOf(id))
  await mesh.lose(hub)
  await restore()
  const again = await mesh.start('hub', { charter })
  await again.giveGrant(a.id, GRANT, certificateOf('a'))
  await until(() => again.accountOf(b.id) === accounts[1] && again.accountOf(a.id) === accounts[0], 'the members have told the issuer')
  await a.compute(ECHO, 'y', { ...THERE, where: b.id })
  await settled(again, a, b)
  await cleared(a, b)
  await until(() => b.account()!.cleared === again.accountOf(b.id), 'the second clearing has arrived')
  assertConserved(again, [a, b], GRANT)
  await sound(again, a, b)
})
