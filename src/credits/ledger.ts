/**
 * The ledger: what is held, due, owed, earned and spent, and what may change it.
 *
 * Pure: no I/O, no clock, no randomness, no signatures. A command first checks and may throw, with
 * nothing changed; then it changes memory and returns the rows that say the same on disk, to be
 * written as one batch. Whoever calls it has verified the records and does not await in between.
 *
 * A line between two is mutual credit. A cheque is its payer's signed promise, spendable only with
 * that payer, so it turns a charge into a proven debt and does not end it: only work the other way
 * does. What a peer may owe in all is the line; what all strangers together may owe, and be promised, is in `strangers.ts`.
 * In a private mesh there are no strangers, and a cheque is a claim on its payer's account at the
 * issuer (`hub.ts`); how much work goes before it is cleared is in `terms.ts`.
 */
import { equals } from 'multiformats/bytes'
import { formatCredits } from '../packet/amounts.ts'
import type { CID } from '../packet/cid.ts'
import type { Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { decodeCanonical } from '../packet/cbor.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { type Cheque, type ChequeItem, type Clearing, isIssuerKind, type Order } from '../packet/records.ts'
import type { Bundle } from './bundle.ts'
import { Convicts } from './convicts.ts'
import { type Debt, encodeDebt, jobsOf, type Line, readLanes, repeats, sumOf } from './line.ts'
import { Recovery } from './recovery.ts'
import { type OpenOrder, refundRow, Sheet } from './sheet.ts'
import { del, KEYS, NOTHING, type Op, put } from './store.ts'
import { type PoolView, Strangers } from './strangers.ts'
import {
  accountOf, bouncedOf, givenByIssuer, givenByMember, givenInOpen, isNew, type Room, type Rules, takenFromIssuer, takenInMesh, takenInOpen, unclearedIn, unclearedOut, viaOf
} from './terms.ts'
import type { AccountView, Balance } from './views.ts'

export interface LedgerOptions {
  /** The mesh of all records of these books; null: the open one. @default null */
  charter?: Rules | null
  /** µcr that one peer may owe this node, cheques included, less what this node owes it. @default LIMITS.credits.strangerLineMax */
  lineMax?: bigint
  /** µcr that all strangers together may. @default LIMITS.credits.strangerPoolMax */
  poolMax?: bigint
  /** µcr an hour by which the pool forgets what was never paid. @default LIMITS.credits.strangerPoolPerHour */
  poolPerHour?: bigint
  /** µcr that this node promises all sellers together that have not yet sold it `LIMITS.credits.sellerEvidence` each. @default LIMITS.credits.sellerPoolMax */
  sellerPoolMax?: bigint
}

export class Ledger {
  readonly #sheet: Sheet
  #rules: Rules | null
  readonly #lineMax: bigint
  readonly #strangers: Strangers
  readonly #convicts = new Convicts()
  /** What of my lanes peers are known to hold. */
  readonly recovery: Recovery
  /** Orders held and not yet signed. */
  #unsigned = 0

  /** @param id own PeerId @param key own public key */
  constructor (id: string, key: Uint8Array, options: LedgerOptions = {}) {
    const { charter = null, lineMax, poolMax, poolPerHour, sellerPoolMax } = options
    this.#sheet = new Sheet(id, key)
    this.#rules = charter
    this.#lineMax = lineMax ?? LIMITS.credits.strangerLineMax
    this.#strangers = new Strangers(this.#sheet, charter === null, {
      poolMax: poolMax ?? LIMITS.credits.strangerPoolMax,
      poolPerHour: poolPerHour ?? LIMITS.credits.strangerPoolPerHour,
      sellerPoolMax: sellerPoolMax ?? LIMITS.credits.sellerPoolMax,
      sellerPoolPerHour: LIMITS.credits.sellerPoolPerHour
    })
    this.recovery = new Recovery(this.#sheet, this.#strangers)
  }

  get key (): Uint8Array { return this.#sheet.key }

  balance (): Balance {
    const { held, due, owed, grants, fees, bouncedIn, bouncedOut } = this.#sheet.sums
    // A fee is what the payee spends and the issuer earns.
    const earned = this.#sheet.sums.earned + (this.isIssuer ? fees : 0n)
    const spent = this.#sheet.sums.spent + (this.isIssuer ? 0n : fees)
    return { balance: earned - spent + grants, held, due: due + bouncedIn, owed: owed + bouncedOut, earned, spent }
  }

  get rules (): Rules | null { return this.#rules }

  /** Of a mesh whose books these are. */
  get isIssuer (): boolean { return this.#rules !== null && equals(this.#rules.issuer, this.key) }

  /** A later charter of the same mesh. */
  setRules (rules: Rules): void { this.#rules = rules }

  /** What this node has at the issuer, as far as it knows; null in the open mesh, and for the issuer, who has none. */
  account (): AccountView | null {
    if (this.#rules === null || this.isIssuer) return null
    const line = this.line(peerIdOfKey(this.#rules.issuer))
    const free = this.#accountFree(line)
    const lines = this.lines().filter(other => other.peer !== line.peer)
    return {
      issuer: line.peer,
      cleared: lines.reduce((sum, { clearedOut }) => sum - clearedOut.cleared, line.in.total - line.out.total),
      free: free > 0n ? free : 0n,
      uncleared: lines.reduce((sum, other) => sum + unclearedIn(other), 0n),
      promised: lines.reduce((sum, other) => sum + unclearedOut(other), 0n)
    }
  }

  /** What came from the issuer, less all this node has spent, owes or holds, cleared or not. */
  #accountFree (issuer: Line): bigint { return issuer.in.total - this.#sheet.sums.spent - this.#sheet.sums.owed - this.#sheet.sums.held }

  /** A blank one where there is none yet. @throws {InosError} ERR_USAGE when it is no PeerId, or this node's own */
  line (peer: string): Line { return this.#sheet.line(peer) }

  lines (): Line[] { return this.#sheet.lines() }

  /**
   * There is a proof of fraud against the peer: its line is zero from now on.
   * @returns what to write; nothing when the proof is known, or as many as are kept
   */
  ban (peer: string, id: string, bytes: Uint8Array): Op[] { return this.#convicts.add(peer, id) ? [put(KEYS.fraud(peer, id), bytes)] : [] }

  /** Proofs of fraud against a peer. */
  fraudsOf (peer: string): number { return this.#convicts.count(peer) }

  /** Who cheated gets nothing; null for any other. */
  barred (peer: string): Room | null { return this.#convicts.room(peer) }

  /** What a peer may owe this node in all; in a mesh, before its issuer has cleared it, and at the issuer what its account covers. */
  lineMaxOf (peer: string): bigint {
    if (this.barred(peer) !== null) return 0n
    if (this.#rules === null) return this.#lineMax
    return this.isIssuer ? accountOf(this.line(peer)) : this.#rules.offlineMax
  }

  /** What this node would still accept from the peer, before the pool of strangers is asked. */
  given (peer: string): Room {
    const line = this.line(peer)
    const rules = this.#rules
    const barred = this.barred(peer)
    if (barred !== null) return barred
    if (rules === null) return givenInOpen(line, this.#lineMax)
    return this.isIssuer ? givenByIssuer(line) : givenByMember(line, rules)
  }

  /** What the peer would still accept from this node, if its terms are those of this node, and what this node would promise it. */
  taken (peer: string, now: number): Room {
    const line = this.line(peer)
    const rules = this.#rules
    const barred = this.barred(peer)
    if (barred !== null) return barred
    if (rules === null) return narrower(takenInOpen(line, this.#lineMax), this.#strangers.roomOf(line, now))
    return this.isIssuer ? takenFromIssuer(line, rules) : takenInMesh(line, rules, this.#accountFree(this.line(peerIdOfKey(rules.issuer))))
  }

  /** What the pools of strangers have left, for buyers and for newcomers that sell. */
  pools (now: number): { buyers: PoolView, sellers: PoolView } { return { buyers: this.#strangers.buyers(now), sellers: this.#strangers.sellers(now) } }

  // As a buyer.

  openOrder (id: string): OpenOrder | undefined { return this.#sheet.open.get(id) }

  openOrders (): OpenOrder[] { return [...this.#sheet.open.values()] }

  /** Hold the most an order can cost, before it is signed. @throws {InosError} ERR_BUSY, ERR_BUDGET, ERR_POLICY, ERR_INSUFFICIENT_CREDITS */
  hold (peer: string, costMax: bigint, now: number): void {
    this.#convicts.check(peer)
    const line = this.line(peer)
    if (line.out.total + line.owed.sum + line.held + costMax > LIMITS.credits.amountMax) {
      throw new InosError('ERR_BUDGET', 'This order could cost more than a cheque can say.', { hint: 'Lower costMax.' })
    }
    const open = this.#sheet.open.size + this.#unsigned
    if (open >= LIMITS.credits.openOrdersMax) {
      throw new InosError('ERR_BUSY', `This node has ${open} orders open, the most it keeps.`)
    }
    const room = this.#mayPromise(line, now)
    if (room !== null) mustFit(costMax, room)
    this.#unsigned++
    this.#sheet.hold(peer, costMax)
  }

  /** What this node may still promise a peer; null for no limit of its own, where the peer will say. */
  #mayPromise (line: Line, now: number): Room | null {
    if (this.#rules !== null) return this.taken(line.peer, now)
    return isNew(line) ? this.#strangers.roomOf(line, now) : takenInOpen(line, this.#lineMax)
  }

  /** The order of a hold, signed. */
  placeOrder (order: Sealed<Order>, peer: string): Op[] {
    this.#unsigned--
    this.#sheet.open.set(order.id.toString(), { order, peer, lost: false })
    return [put(KEYS.order(order.id.toString()), order.bytes)]
  }

  /** End the hold of an order, if it is open. */
  releaseOrder (id: string): Op[] { return this.#sheet.release(id) }

  /** A receipt of the peer for an order of mine: the hold ends, its charge is mine to pay. Once per order. @throws {InosError} ERR_BUSY for an order without a hold; nothing has changed */
  owe (bundle: Bundle, peer: string, now: number): Op[] {
    const debt = debtOf(bundle)
    const line = this.#sheet.known(peer)
    if (this.openOrder(debt.order.toString()) === undefined) this.#strangers.mustTake(line, debt.amount, now)
    let rows: Op[] = []
    const pools = this.#strangers.bought(line, debt.amount, now)
    pools.push(...this.#strangers.track(line, now, () => { rows = this.oweItem(peer, debt) }))
    return [...this.releaseOrder(debt.order.toString()), ...bundleRows(bundle), ...rows, ...pools]
  }

  /** The next cheque to this peer pays it. */
  oweItem (peer: string, debt: Debt): Op[] { return this.#sheet.owe(peer, debt) }

  /**
   * The next cheque to a peer, over its oldest receipts; null when there is nothing to pay or too much
   * to be acknowledged, and while it is not certain that the number is free: sync before sign.
   */
  draftCheque (peer: string): Cheque | null {
    const line = this.line(peer)
    if (line.owed.size === 0 || line.unacked.length >= LIMITS.credits.unackedChequesMax || !this.maySign(peer)) return null
    const items = line.owed.first(LIMITS.credits.itemsPerChequeMax)
    const { n, total, last } = line.out
    const via = viaOf(this.#rules, this.key, line.key)
    return { net: this.#rules?.net ?? null, from: this.key, to: line.key, via, epoch: 0, n: n + 1, prev: last, total: total + sumOf(items), items, ack: line.in.n }
  }

  /** The signed draft takes its place on the lane. To be written durably before it is sent. */
  pay (cheque: Sealed<Cheque>, peer: string, now: number): Op[] {
    const line = this.#sheet.known(peer)
    const { n, items } = cheque.payload
    this.#sheet.spend(line, cheque)
    line.unacked.push({ n, id: cheque.id })
    return [put(KEYS.out(peer, n), cheque.bytes), put(KEYS.paid(now, 'out', peer, n), NOTHING), ...items.map(({ order }) => del(KEYS.owed(peer, order.toString()))), this.#sheet.lanesRow(line)]
  }

  /** Not before the peer has said since this start what it holds of mine, and never to one that cheated. */
  maySign (peer: string): boolean {
    return this.recovery.isSynced(peer) && !this.#convicts.has(peer)
  }

  /** Give back of what was charged. The caller has made sure that it is the first for this order, and not too much. */
  refund (order: CID, amount: bigint, peer: string, now: number): Op[] {
    let rows: Op[] = []
    const pool = this.#strangers.track(this.#sheet.known(peer), now, () => { rows = this.oweItem(peer, { order, amount, kind: 'refund' }) })
    return [refundRow(order.toString(), amount), ...rows, ...pool]
  }

  /** The peer holds my cheques up to `n`. */
  acknowledge (peer: string, n: number): Op[] {
    const line = this.line(peer)
    if (!line.unacked.some(mark => mark.n <= n)) return []
    line.unacked = line.unacked.filter(mark => mark.n > n)
    return [this.#sheet.lanesRow(line)]
  }

  // As a seller.

  /**
   * Set aside the most an order of the peer can cost, before it runs.
   * @throws {InosError} ERR_INSUFFICIENT_CREDITS, ERR_POLICY; nothing was set aside
   */
  reserve (peer: string, costMax: bigint, now: number): void {
    this.#convicts.check(peer)
    const line = this.line(peer)
    mustFit(costMax, this.given(peer))
    if (line.due.size >= LIMITS.credits.unpaidPerPeerMax || this.#sheet.unpaid >= LIMITS.credits.unpaidMax) {
      throw new InosError('ERR_INSUFFICIENT_CREDITS', `${line.due.size} of your receipts are unpaid here; no more are kept.`, { hint: 'Pay what is due by cheque.' })
    }
    const { free: left } = this.#strangers.buyers(now)
    if (this.#rules === null && costMax > left) {
      throw new InosError('ERR_INSUFFICIENT_CREDITS', `The order may cost ${formatCredits(costMax)}; ${formatCredits(left)} are left of what this node gives all strangers on credit.`, {
        hint: 'Come back later, or ask another node.'
      })
    }
    this.#sheet.known(peer).running += costMax
    this.#sheet.sums.running += costMax
  }

  /** End what `reserve` set aside. @param burnt µcr of work that a host fault threw away; it counts against the pool */
  unreserve (peer: string, costMax: bigint, burnt: bigint, now: number): Op[] {
    const line = this.#sheet.known(peer)
    line.running -= costMax
    this.#sheet.sums.running -= costMax
    this.#sheet.forget(line)
    return this.#strangers.burn(burnt < costMax ? burnt : costMax, now)
  }

  /** A receipt of mine: its charge is due from the peer. Once per order. */
  charge (bundle: Bundle, peer: string, now: number): Op[] {
    const debt = debtOf(bundle)
    const line = this.#sheet.known(peer)
    const pool = this.#strangers.track(line, now, () => { this.#sheet.addDue(line, debt) })
    return [...bundleRows(bundle), put(KEYS.due(peer, debt.order.toString()), encodeDebt(debt)), ...pool]
  }

  /** The payer has given an order up that is due. */
  waive (peer: string, order: CID): Op[] { return this.#sheet.waive(peer, order) }

  /** The payer pays for what it gave up: it is due until its cheque is taken, in the same batch. */
  unwaive (peer: string, debt: Debt): Op[] { return this.#sheet.unwaive(peer, debt) }

  /**
   * Whether the next cheque of a peer fits its lane.
   * @param amounts µcr that may be given back for an order, or that it cost before its payer gave it up; undefined where no receipt for it is here
   * @returns orders it pays for that are not due here; the cheque can be taken when there are none
   * @throws {InosError} ERR_RECORD_INVALID naming what does not fit; nothing has changed
   */
  checkCheque (cheque: Sealed<Cheque>, peer: string, amounts: (order: CID) => bigint | undefined = () => undefined): CID[] {
    const line = this.line(peer)
    const { prev, total, items, ack } = cheque.payload
    const wrong = (why: string): never => { throw new InosError('ERR_RECORD_INVALID', `The cheque ${why}.`) }
    if (line.in.last === null ? prev !== null : prev === null || !prev.equals(line.in.last)) wrong('does not follow the last one of its lane ("prev")')
    if (total !== line.in.total + sumOf(items)) wrong('has a "total" that is not the last one and its items together')
    // Before a sync these books may be older than what the peer has seen of them.
    if (ack > line.out.n && this.recovery.isSynced(peer)) wrong(`acknowledges a cheque ${ack} that was never written ("ack")`)
    if (repeats(items)) wrong('pays one order twice ("items")')
    const isMoney = this.#rules !== null && equals(line.key, this.#rules.issuer)
    if (!isMoney && items.some(({ kind }) => isIssuerKind(kind))) wrong('gives what only the issuer of a mesh can give ("items")')
    const charged = items.filter(({ kind }) => !isIssuerKind(kind))
    const cost = ({ order, kind }: ChequeItem): bigint | undefined => kind === 'refund' ? amounts(order) : line.due.get(order)?.amount ?? amounts(order)
    for (const item of charged) {
      const most = cost(item)
      if (most !== undefined && (item.kind === 'refund' ? item.amount > most : item.amount !== most)) wrong(`pays ${formatCredits(item.amount)} for an order that cost ${formatCredits(most)} ("items")`)
    }
    return charged.filter(item => cost(item) === undefined).map(({ order }) => order)
  }

  /** A checked cheque pays what it names. To be written durably before it is acknowledged. */
  takeCheque (cheque: Sealed<Cheque>, peer: string, now: number): Op[] {
    const line = this.#sheet.known(peer)
    const { n, items, ack } = cheque.payload
    const jobs = items.filter(({ kind }) => kind === 'job')
    const pool = this.#strangers.track(line, now, () => {
      this.#sheet.earn(line, cheque)
      for (const { order } of jobs) line.due.remove(order)
    })
    this.#sheet.unpaid -= jobs.length
    this.#sheet.sums.due -= sumOf(jobs)
    return [
      put(KEYS.in(peer, n), cheque.bytes),
      put(KEYS.paid(now, 'in', peer, n), NOTHING),
      ...jobs.map(({ order }) => del(KEYS.due(peer, order.toString()))),
      ...items.filter(({ kind }) => kind === 'refund').map(({ order, amount }) => refundRow(order.toString(), amount)),
      ...pool,
      ...this.#sheet.makeGood(line, sumOf(jobs)),
      ...this.acknowledge(peer, ack),
      this.#sheet.lanesRow(line)
    ]
  }

  // In a mesh.

  /** The issuer's word on one lane of a line; null when it says nothing new. */
  takeClearing (clearing: Sealed<Clearing>, peer: string): Op[] | null {
    const { from, to } = clearing.payload
    if (!this.restoreClearing(clearing.payload, peer)) return null
    return [put(KEYS.clearing(peerIdOfKey(from), peerIdOfKey(to)), clearing.bytes)]
  }

  /** Peers whose cheques the issuer has not seen, or, asked `again`, has not cleared in full. */
  claims (again: boolean): Line[] {
    if (this.#rules === null || this.isIssuer) return []
    const { issuer } = this.#rules
    return this.lines().filter(line => !equals(line.key, issuer) && line.in.total > (again ? line.clearedIn.cleared : line.clearedIn.total))
  }

  /** At the issuer: the peer's account falls by what was cleared, and the issuer keeps the fee. */
  draw (peer: string, amount: bigint, fee: bigint): void {
    this.#sheet.known(peer).drawn += amount
    this.#sheet.sums.fees += fee
  }

  // From disk, at start.

  /** @returns whether it was newer than what is known */
  restoreClearing ({ from, total, cleared, fee }: Clearing, peer: string): boolean {
    const isMine = equals(from, this.key)
    const line = this.#sheet.known(peer)
    const before = isMine ? line.clearedOut : line.clearedIn
    if (total < before.total || cleared < before.cleared || (total === before.total && cleared === before.cleared)) return false
    const now = { total, cleared, fee }
    const bounced = bouncedOf(now) - bouncedOf(before)
    if (isMine) {
      line.clearedOut = now
      this.#sheet.sums.bouncedOut += bounced
    } else {
      line.clearedIn = now
      this.#sheet.sums.bouncedIn += bounced
      this.#sheet.sums.fees += fee - before.fee
    }
    return true
  }

  restoreLine (peer: string, lanes: Uint8Array): void {
    const line = this.#sheet.known(peer)
    readLanes(line, lanes)
    this.#sheet.sums.spent += jobsOf(line.out)
    this.#sheet.sums.earned += jobsOf(line.in)
    this.#sheet.sums.grants += line.in.granted - line.out.granted
  }

  restoreOwed (peer: string, debt: Debt): void { this.#sheet.addOwed(peer, debt) }

  restoreWaived (peer: string, bytes: Uint8Array): void { this.#sheet.known(peer).waived = BigInt(decodeCanonical(bytes) as bigint) }

  restoreDue (peer: string, debt: Debt): void { this.#sheet.addDue(this.#sheet.known(peer), debt) }

  /** Nobody waits for what was open before a restart. */
  restoreOrder (order: Sealed<Order>, peer: string): void {
    this.#sheet.hold(peer, order.payload.costMax)
    this.#sheet.open.set(order.id.toString(), { order, peer, lost: true })
  }

  restorePool (bytes: Uint8Array): void { this.#strangers.restoreBuyers(bytes) }

  restorePromises (bytes: Uint8Array): void { this.#strangers.restoreSellers(bytes) }
}

/** A bundle's own rows: the bundle under its order, and the way to it from its receipt. */
export function bundleRows ({ receipt, order, bytes }: Bundle): Op[] {
  return [put(KEYS.receipt(order.id.toString()), bytes), put(KEYS.of(receipt.id.toString()), order.id.bytes)]
}

function mustFit (costMax: bigint, { free, says, hint }: Room): void {
  if (costMax > free) throw new InosError('ERR_INSUFFICIENT_CREDITS', `The order may cost ${formatCredits(costMax)}; ${says}.`, { hint })
}

/** The one that leaves less. */
function narrower (a: Room, b: Room | null): Room { return b !== null && b.free < a.free ? b : a }

function debtOf ({ order, receipt }: Bundle): Debt {
  return { order: order.id, amount: receipt.payload.charge, kind: 'job' }
}
