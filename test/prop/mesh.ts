/**
 * What a private mesh adds to a sequence of the campaign: the last node is its issuer, the others are
 * granted a little, work for each other and show it their cheques.
 *
 * Only a member gets an old copy back: until a restored issuer has met all payees, accounts can be
 * overdrawn (`SECURITY.md`), and invariant 2 would not hold at every step. The issuer loses power like
 * everybody. It neither buys nor sells, so that what it issued is all there is; in `hub.test.ts` it does.
 *
 * One member may be a liar: it signs orders that its own books would refuse, and pays several payees
 * with the same credit. Each of them may lose by it the offline limit; the accounts, and what an
 * honest member has promised, may not feel it.
 */
import assert from 'node:assert/strict'
import { assertCleared, assertCovered, assertIssued, cidOf, clearedOf, grant } from '../suites/credits-mesh.ts'
import { assertLanes, type Node, type World } from '../suites/credits-world.ts'

/** Little enough, µcr, that accounts and offline limits run out; a job costs up to 400,000. */
export const OFFLINE = 3_000_000n
const GRANT = 3_000_000n
export const COST_MAX = 1_100_000n
/** Not enough for one job of its own books. */
const LIARS_GRANT = 500_000n
/** The member that may promise more than it has. */
export const LIAR = 1

export class Mesh {
  readonly #world: World
  readonly #hub: Node
  readonly #members: readonly Node[]
  readonly #liar: Node | null
  readonly #grants: { readonly node: Node, readonly amount: bigint }[] = []
  /** Members whose books lost power once: debts they had forgotten may come back on top of new ones. */
  readonly #struck = new Set<Node>()
  /** Members that gave something back: a refund is uncleared, too, and no limit holds it up. */
  readonly refunded = new Set<Node>()

  /** @param nodes the last one is the issuer @param lies whether one of the members is the liar */
  constructor (world: World, nodes: readonly Node[], lies: boolean) {
    this.#world = world
    this.#liar = lies ? nodes[LIAR]! : null
    this.#hub = nodes.at(-1)!
    this.#members = nodes.slice(0, -1)
  }

  async begin (): Promise<void> {
    for (const node of this.#members) {
      const amount = node === this.#liar ? LIARS_GRANT : GRANT
      await this.#hub.meet(node)
      await grant(this.#world, this.#hub, node, amount, `grant ${this.#grants.push({ node, amount })}`)
    }
  }

  async grant (node: Node, amount: bigint): Promise<void> {
    const id = cidOf(`grant ${this.#grants.push({ node, amount })}`)
    await alive(this.#hub, this.#hub.credits.grant(node.id, id, amount).then(() => this.#world.pay(this.#hub, node)))
  }

  /** Either end may die of it. */
  async clear (node: Node): Promise<void> { await alive(this.#hub, alive(node, this.#world.claim(node))) }

  /** An order its own books would refuse: it was signed past them. */
  overdraw (liar: Node, payee: Node): void {
    const order = liar.forgeOrder(payee, COST_MAX)
    this.#world.send(liar, payee, 'order', order.bytes, order.id.toString())
  }

  /** Whether a payee was promised what the liar's account does not cover. */
  get hasBounced (): boolean {
    const liar = this.#liar
    return liar !== null && this.#members.some(payee => payee !== liar && payee.credits.line(liar.id).due > 0n)
  }

  /** Whoever asked the issuer for a grant asks again when it is back. */
  async started (node: Node): Promise<void> {
    if (node !== this.#hub) this.#struck.add(node)
    else for (const [at, { node: { id }, amount }] of this.#grants.entries()) await node.credits.grant(id, cidOf(`grant ${at + 1}`), amount)
  }

  get #issued (): bigint { return this.#grants.reduce((sum, { amount }) => sum + amount, 0n) }

  /** What one member is cleared may cover what another one was promised: until no account changes. */
  async drain (nodes: readonly Node[]): Promise<void> {
    const accounts = (): string => this.#members.map(({ id }) => this.#hub.credits.accountOf(id)).join()
    for (let before = '', rounds = 0; before !== accounts(); rounds++) {
      assert.ok(rounds < 10, 'clearing never comes to an end')
      before = accounts()
      await this.#world.drain(nodes)
    }
  }

  /** 2, and 6 as a mesh has it. */
  assertAlways (): void {
    assertIssued(this.#hub, this.#members, this.#issued)
    for (const payee of this.#members) {
      if (this.#struck.has(payee)) continue
      for (const payer of this.#members) {
        if (payer === payee || this.refunded.has(payer)) continue
        // What has bounced is in it: it is what a payee can lose by a payer that has promised too much.
        const { earned, due } = payee.credits.line(payer.id)
        const { total, cleared } = clearedOf(payee, payer, payee)
        if (earned - cleared + due - (total - cleared) > OFFLINE) assert.fail('6: what is not cleared stays within the offline limit')
      }
    }
  }

  async assertEnd (): Promise<void> {
    assertLanes([this.#hub, ...this.#members])
    for (const node of this.#members) {
      // Who forgot what it had promised may have promised it again, and who gives back asks nobody whether it can.
      if (node === this.#liar || this.#struck.has(node) || this.refunded.has(node)) continue
      assert.equal(node.credits.balance().owed, 0n, '2: what an honest member has promised is covered, whoever else promises too much')
    }
    const isCovered = this.#members.every(({ credits }) => credits.balance().owed === 0n)
    await (isCovered ? assertCleared(this.#hub, this.#members, this.#issued) : assertCovered(this.#hub, this.#members))
  }
}

/** Wait for what a node does, or for its end. */
export async function alive (node: Node, work: Promise<unknown>): Promise<void> { await Promise.race([work, node.disk.death]) }
