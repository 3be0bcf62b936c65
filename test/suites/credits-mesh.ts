/**
 * A private mesh in a world of credits: its charter, grants, and what must hold of the accounts of
 * its members while messages are under way and when all has arrived. `credits-world.ts` has the
 * nodes, disks and the wire.
 */
import assert from 'node:assert/strict'
import { KEYS } from '../../src/credits/store.ts'
import type { Rules } from '../../src/credits/terms.ts'
import { type CID, rawCid } from '../../src/packet/cid.ts'
import { openEnvelope } from '../../src/packet/envelope.ts'
import { netOf } from '../../src/packet/mesh.ts'
import { checkClearing, type Clearing } from '../../src/packet/records.ts'
import { assertAudited, hashOf, type Node, type World } from './credits-world.ts'

export function cidOf (text: string): CID { return rawCid(hashOf(text)) }

/** Terms of a mesh, with a fee that does not divide evenly. */
export function charterOf (issuer: Uint8Array, changes: Partial<Rules> = {}): Rules {
  return { net: netOf(issuer, new Uint8Array(16)), issuer, feePpm: 12_345, offlineMax: 30_000_000n, ...changes }
}

/** Give a member credit, and let it arrive. @param name the same one again gives nothing */
export async function grant (world: World, hub: Node, node: Node, amount: bigint, name = node.id): Promise<void> {
  await hub.credits.grant(node.id, cidOf(name), amount)
  assert.equal(hub.disk.looseBatches, 0, 'what was granted is on disk')
  if (!hub.credits.isSynced(node.id)) await hub.meet(node)
  await world.pay(hub, node)
  await world.settle()
}

export function readClearing (bytes: Uint8Array): Clearing { return openEnvelope(bytes, 'clearing', checkClearing).payload }

/** What a node last heard of a lane between members. It asks the disk, not the books: a fuse must not burn by it. */
export function clearedOf (node: Node, payer: Node, payee: Node): Pick<Clearing, 'total' | 'cleared'> {
  const bytes = node.disk.rows().get(KEYS.clearing(payer.id, payee.id))
  return bytes === undefined ? { total: 0n, cleared: 0n } : readClearing(bytes)
}

/** Invariant 2, in a mesh whose issuer neither buys nor sells: members have what was issued less the fees, none below zero. */
export function assertIssued (hub: Node, members: readonly Node[], issued: bigint): void {
  const accounts = members.map(({ id }) => hub.credits.accountOf(id))
  const clearings = [...hub.disk.rows()].filter(([key]) => key.startsWith('clearing!')).map(([, bytes]) => readClearing(bytes))
  const fees = clearings.reduce((sum, { fee }) => sum + fee, 0n)
  assert.ok(accounts.every(account => account >= 0n), `2: no account falls below zero: ${accounts.join(' ')}`)
  assert.equal(accounts.reduce((sum, account) => sum + account, 0n), issued - fees, '2: members have what was issued, less the fees')
}

/** What holds when everything has arrived, though somebody may have overspent: only what an account does not cover has bounced. */
export async function assertCovered (hub: Node, members: readonly Node[]): Promise<void> {
  for (const node of [hub, ...members]) await assertAudited(node)
  for (const payer of members) {
    for (const payee of members) {
      if (payer === payee) continue
      const bounced = payee.credits.line(payer.id).due
      assert.equal(payer.credits.line(payee.id).owed, bounced, 'both ends know what has bounced')
      if (bounced > 0n) assert.equal(hub.credits.accountOf(payer.id), 0n, 'what an account covers is cleared')
    }
  }
  const sum = members.reduce((sum, { id }) => sum + hub.credits.accountOf(id), 0n)
  assert.equal(sum, -hub.credits.balance().balance)
}

/** What holds in a mesh when everything has arrived and nobody has overspent. */
export async function assertCleared (hub: Node, members: readonly Node[], issued: bigint): Promise<void> {
  await assertCovered(hub, members)
  for (const { credits } of [hub, ...members]) {
    const { due, owed } = credits.balance()
    assert.deepEqual({ due, owed }, { due: 0n, owed: 0n })
  }
  for (const { id, credits } of members) {
    const account = hub.credits.accountOf(id)
    assert.ok(account >= 0n)
    assert.deepEqual(credits.account(), { issuer: hub.id, cleared: account, free: account, uncleared: 0n, promised: 0n })
    assert.equal(credits.balance().balance, account)
  }
  const { balance, earned, spent } = hub.credits.balance()
  assert.equal(-balance, issued - earned + spent)
}
