/**
 * The hub: how the issuer of a private mesh moves money between the accounts of its members.
 *
 * An account is the line between issuer and member, read at the issuer's end, less what was cleared
 * out of it (`accountOf`). A grant, and what was cleared for a member, is owed to that member like
 * any debt, and the next cheque pays it: there is no second way of paying. So one command changes
 * everything there is to change: the payer's account falls, the payee's rises, the fee is kept.
 *
 * An old copy of these books heals: adopted cheques say what was granted and passed on (`adopt`), and
 * payees bring back what was cleared for them. Until they have, nothing more is cleared for them.
 *
 * Pure like the ledger: a command checks, changes memory, and returns the rows of one batch. Whoever
 * calls it has verified the records, and does not await in between.
 */
import { equals } from 'multiformats/bytes'
import { formatCredits } from '../packet/amounts.ts'
import type { CID } from '../packet/cid.ts'
import { encodeCanonical } from '../packet/cbor.ts'
import type { Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Cheque, Clearing } from '../packet/records.ts'
import type { Ledger } from './ledger.ts'
import { NOTHING_CLEARED } from './line.ts'
import { KEYS, type Op, put } from './store.ts'
import { accountOf, feeOf, type Rules } from './terms.ts'

export class Hub {
  readonly #ledger: Ledger
  /** The latest word on each lane between members. */
  readonly #clearings = new Map<string, Clearing>()
  /** Payee → what was cleared for it, less fees. */
  readonly #clearedFor = new Map<string, bigint>()
  readonly #granted = new Set<string>()

  /** @param ledger of the issuer */
  constructor (ledger: Ledger) {
    this.#ledger = ledger
  }

  /** What a member has, µcr; never below zero. */
  account (peer: string): bigint { return accountOf(this.#ledger.line(peer)) }

  /**
   * Give a member credit out of nothing.
   * @param id names the grant: the CID of the certificate it is for. The same one again gives nothing
   * @throws {InosError} ERR_BUDGET when it is more than a cheque can say, or one grant too many
   */
  grant (peer: string, id: CID, amount: bigint): Op[] {
    if (amount === 0n || this.#granted.has(id.toString())) return []
    const { out, owed } = this.#ledger.line(peer)
    if (amount < 0n || out.total + owed.sum + amount > LIMITS.credits.amountMax) throw new InosError('ERR_BUDGET', `A grant of ${formatCredits(amount)} is more than a cheque can say.`)
    if (this.#granted.size >= LIMITS.mesh.grantsMax) throw new InosError('ERR_BUDGET', `${this.#granted.size} grants were given, the most an issuer keeps.`)
    return [this.#remember(peer, id, amount), ...this.#ledger.oweItem(peer, { order: id, amount, kind: 'grant' })]
  }

  #remember (peer: string, id: CID, amount: bigint): Op {
    this.#granted.add(id.toString())
    return put(KEYS.granted(id.toString()), encodeCanonical([peer, amount]))
  }

  /** Cheques of this issuer that its books had lost, and the ledger has adopted: the grants on them were given. */
  adopt (cheques: readonly Sealed<Cheque>[], peer: string): Op[] {
    const grants = cheques.flatMap(({ payload: { items } }) => items).filter(({ kind, order }) => kind === 'grant' && !this.#granted.has(order.toString()))
    return grants.map(({ order, amount }) => this.#remember(peer, order, amount))
  }

  /** What cheques pass on to a payee, and no clearing that these books know has cleared; above zero only where clearings were lost. */
  lostFor (payee: string): bigint {
    const { out, owed } = this.#ledger.line(payee)
    const lost = out.passed + owed.sumOf('clearing') - (this.#clearedFor.get(payee) ?? 0n)
    return lost > 0n ? lost : 0n
  }

  /** Whether a clearing of this issuer says more than these books know. */
  lacks ({ from, to, total, cleared }: Clearing): boolean {
    const before = this.#clearings.get(laneOf(from, to)) ?? NOTHING_CLEARED
    return total >= before.total && cleared >= before.cleared && total + cleared > before.total + before.cleared
  }

  /**
   * What the issuer has to say of a member's latest cheque to another one: as much of it cleared as
   * the payer's account covers.
   * @returns to be signed and given to `clear` at once; null when what was said before still stands
   * @throws {InosError} ERR_RECORD_INVALID when it is not between two members; nothing has changed
   */
  draftClearing ({ id, payload: { from, to, epoch, n, total } }: Sealed<Cheque>): Clearing | null {
    const { net, issuer, feePpm } = this.#rules()
    if ([from, to].some(key => equals(key, issuer)) || equals(from, to)) throw new InosError('ERR_RECORD_INVALID', 'Only a cheque between two members is cleared.')
    const before = this.#clearings.get(laneOf(from, to))
    const { total: shown, cleared, fee } = before ?? NOTHING_CLEARED
    if (total < shown) return null
    const amount = least(total - cleared, least(this.#covered(peerIdOfKey(from)), this.#sayable(peerIdOfKey(to))))
    if (before !== undefined && total === shown && amount === 0n) return null
    return { net, from, to, epoch, n, cheque: id, total, cleared: cleared + amount, fee: fee + feeOf(amount, feePpm) }
  }

  /** What of a member's account is not set aside for its orders that run at the issuer. */
  #covered (peer: string): bigint {
    const line = this.#ledger.line(peer)
    const free = accountOf(line) - line.running
    return free > 0n ? free : 0n
  }

  /** What cheques to a payee can still say. */
  #sayable (payee: string): bigint {
    const { out, owed } = this.#ledger.line(payee)
    return LIMITS.credits.amountMax - out.total - owed.sum
  }

  /** A signed draft, or what an old copy lacked, takes effect: one batch for both accounts. To be written durably before it is sent. */
  clear (clearing: Sealed<Clearing>): Op[] {
    const { from, to } = clearing.payload
    const [payer, payee] = [peerIdOfKey(from), peerIdOfKey(to)]
    // Cheques that were adopted have passed this much of it on.
    const passed = this.lostFor(payee)
    const gained = this.#move(clearing.payload)
    const row = put(KEYS.clearing(payer, payee), clearing.bytes)
    return gained <= passed ? [row] : [row, ...this.#ledger.oweItem(payee, { order: clearing.id, amount: gained - passed, kind: 'clearing' })]
  }

  /** @returns what the payee gets of it that it did not get before */
  #move (clearing: Clearing): bigint {
    const { from, to } = clearing
    const before = this.#clearings.get(laneOf(from, to)) ?? NOTHING_CLEARED
    const fee = clearing.fee - before.fee
    const amount = clearing.cleared - before.cleared
    this.#clearings.set(laneOf(from, to), clearing)
    this.#ledger.draw(peerIdOfKey(from), amount, fee)
    const payee = peerIdOfKey(to)
    this.#clearedFor.set(payee, (this.#clearedFor.get(payee) ?? 0n) + amount - fee)
    return amount - fee
  }

  // From disk, at start; the ledger has its own rows back by then.

  restoreClearing (clearing: Clearing): void { this.#move(clearing) }

  restoreGrant (id: string): void { this.#granted.add(id) }

  #rules (): Rules {
    const { rules, isIssuer } = this.#ledger
    if (rules === null || !isIssuer) throw new InosError('ERR_USAGE', 'Only the issuer of a mesh clears cheques.')
    return rules
  }
}

function laneOf (from: Uint8Array, to: Uint8Array): string { return `${peerIdOfKey(from)}!${peerIdOfKey(to)}` }

function least (a: bigint, b: bigint): bigint { return a < b ? a : b }
