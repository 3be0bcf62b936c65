/**
 * The sheet: lines, open orders and their running sums, and the few changes that keep these agreeing.
 * Which change is allowed is decided by those who make it, in `ledger.ts` and `recovery.ts`.
 */
import { encodeCanonical } from '../packet/cbor.ts'
import type { Sealed } from '../packet/envelope.ts'
import type { CID } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { keyOfPeerId } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Cheque, Order } from '../packet/records.ts'
import { advance, type Debt, encodeDebt, encodeLanes, type Line, newLine, sumOf } from './line.ts'
import { del, KEYS, type Op, put } from './store.ts'
import { isNew } from './terms.ts'

/** An order of this node that is neither answered nor given up. */
export interface OpenOrder {
  readonly order: Sealed<Order>
  readonly peer: string
  /** Nobody waits for its answer any more: this node has started anew since it was placed. */
  lost: boolean
}

export class Sheet {
  readonly id: string
  readonly key: Uint8Array
  /** `heldNew` of `held` at newcomers, `earned` and `spent` for jobs; `fees` of clearings, `bouncedIn` and `bouncedOut` by what the issuer last said. */
  readonly sums = { held: 0n, heldNew: 0n, running: 0n, due: 0n, owed: 0n, earned: 0n, spent: 0n, grants: 0n, fees: 0n, bouncedIn: 0n, bouncedOut: 0n }
  readonly open = new Map<string, OpenOrder>()
  readonly #lines = new Map<string, Line>()
  /** Receipts of mine that are on no cheque. */
  unpaid = 0

  /** @param id own PeerId @param key own public key */
  constructor (id: string, key: Uint8Array) {
    this.id = id
    this.key = key
  }

  /**
   * The line with a peer; a blank one where there is none yet.
   * @throws {InosError} ERR_USAGE when it is no PeerId, or this node's own
   */
  line (peer: string): Line {
    const line = this.#lines.get(peer)
    if (line !== undefined) return line
    if (peer === this.id) throw new InosError('ERR_USAGE', 'A node has no line with itself.')
    return newLine(peer, keyOfPeerId(peer))
  }

  lines (): Line[] { return [...this.#lines.values()] }

  /** The line, kept from now on. */
  known (peer: string): Line {
    const line = this.line(peer)
    this.#lines.set(peer, line)
    return line
  }

  /** A line on which nothing ever happened needs no memory. */
  forget (line: Line): void {
    const isBlank = line.out.n === 0 && line.in.n === 0 && line.held === 0n && line.running === 0n && line.owed.size === 0 && line.due.size === 0 && line.waived === 0n
    if (isBlank && line.drawn === 0n && line.clearedIn.total === 0n && line.clearedOut.total === 0n) this.#lines.delete(line.peer)
  }

  hold (peer: string, costMax: bigint): void {
    const line = this.known(peer)
    this.#among(line, () => { line.held += costMax })
    this.sums.held += costMax
  }

  /** What is held at newcomers changes with a hold, and when a peer is none any more. */
  #among (line: Line, change: () => void): void {
    const heldNew = (): bigint => isNew(line) ? line.held : 0n
    const before = heldNew()
    change()
    this.sums.heldNew += heldNew() - before
  }

  /** End the hold of an order, if it is open. */
  release (id: string): Op[] {
    const open = this.open.get(id)
    if (open === undefined) return []
    const { costMax } = open.order.payload
    this.open.delete(id)
    const line = this.known(open.peer)
    this.#among(line, () => { line.held -= costMax })
    this.sums.held -= costMax
    this.forget(line)
    return [del(KEYS.order(id))]
  }

  /** The next cheque to this peer pays it. */
  owe (peer: string, debt: Debt): Op[] {
    this.addOwed(peer, debt)
    return [put(KEYS.owed(peer, debt.order.toString()), encodeDebt(debt))]
  }

  addOwed (peer: string, debt: Debt): void {
    const line = this.known(peer)
    this.#among(line, () => { line.owed.add(debt) })
    this.sums.owed += debt.amount
  }

  addDue (line: Line, debt: Debt): void {
    line.due.add(debt)
    this.unpaid++
    this.sums.due += debt.amount
  }

  /**
   * The payer has given an order up that is due: its charge is no debt any more. It stays on the line and in the pool, because
   * the payer may have seen the answer: work that is given away by one's own word must not be without end.
   */
  waive (peer: string, order: CID): Op[] {
    const line = this.line(peer)
    const debt = line.due.get(order)
    if (debt === undefined) return []
    line.due.remove(order)
    this.unpaid--
    this.sums.due -= debt.amount
    line.waived += debt.amount
    return [del(KEYS.due(peer, order.toString())), waivedRow(line)]
  }

  unwaive (peer: string, debt: Debt): Op[] {
    const line = this.known(peer)
    this.addDue(line, debt)
    line.waived -= least(line.waived, debt.amount)
    return [put(KEYS.due(peer, debt.order.toString()), encodeDebt(debt)), waivedRow(line)]
  }

  /** Who pays is forgiven what it gave up, a share of what it pays. */
  makeGood (line: Line, paid: bigint): Op[] {
    if (line.waived === 0n) return []
    line.waived -= least(line.waived, paid / LIMITS.credits.waivedFactor)
    return [waivedRow(line)]
  }

  /** A cheque of mine takes its place on its lane, and what it pays is no longer owed. @returns the debts that were */
  spend (line: Line, cheque: Sealed<Cheque>): Debt[] {
    const paid = cheque.payload.items.flatMap(({ order }) => line.owed.get(order) ?? [])
    this.#among(line, () => {
      const { job, refund, grant } = advance(line.out, cheque)
      this.sums.spent += job + refund
      this.sums.grants -= grant
      for (const { order } of paid) line.owed.remove(order)
    })
    this.sums.owed -= sumOf(paid)
    return paid
  }

  /** A cheque of the peer takes its place on its lane. */
  earn (line: Line, cheque: Sealed<Cheque>): void {
    const { job, refund, grant } = advance(line.in, cheque)
    this.sums.earned += job + refund
    this.sums.grants += grant
  }

  lanesRow (line: Line): Op { return put(KEYS.line(line.peer), encodeLanes(line)) }
}

/** What was given back for an order. */
export function refundRow (order: string, amount: bigint): Op { return put(KEYS.refund(order), encodeCanonical(amount)) }

function waivedRow (line: Line): Op { return put(KEYS.waived(line.peer), encodeCanonical(line.waived)) }

function least (a: bigint, b: bigint): bigint { return a < b ? a : b }
