/**
 * The ledger: what is held, due, owed, earned and spent, and what may change it.
 *
 * Pure: no I/O, no clock, no randomness, no signatures. A command first checks and may throw, with
 * nothing changed; then it changes memory and returns the rows that say the same on disk, to be
 * written as one batch. Whoever calls it has verified the records and does not await in between.
 *
 * A line between two is mutual credit. A cheque is its payer's signed promise, spendable only with
 * that payer, so it turns a charge into a proven debt and does not end it: only work the other way
 * does. What a peer may owe in all is the line; what all strangers may owe together is the pool (`pool.ts`).
 * In a private mesh there are no strangers, and a cheque is a claim on its payer's account at the
 * issuer (`hub.ts`); how much work goes before it is cleared is in `terms.ts`.
 */
import { equals } from 'multiformats/bytes'
import type { CID } from '../packet/cid.ts'
import type { Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { keyOfPeerId, peerIdOfKey } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { type Cheque, type ChequeItem, type Clearing, isIssuerKind, type Order } from '../packet/records.ts'
import type { Bundle } from './bundle.ts'
import { advance, type Debt, encodeDebt, encodeLanes, jobsOf, type Lane, type Line, newLine, readLanes } from './line.ts'
import { Pool } from './pool.ts'
import { del, KEYS, type Op, put } from './store.ts'
import {
  accountOf, bouncedOf, givenByIssuer, givenByMember, givenInOpen, netOf, type Room, type Rules, takenFromIssuer, takenInMesh, takenInOpen, unclearedIn, unclearedOut, viaOf
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
}

/** An order of this node that is neither answered nor given up. */
export interface OpenOrder {
  readonly order: Sealed<Order>
  readonly peer: string
  /** Nobody waits for its answer any more: the peer was lost, or this node restarted. */
  lost: boolean
}

export class Ledger {
  readonly #id: string
  readonly #key: Uint8Array
  #rules: Rules | null
  readonly #lineMax: bigint
  readonly #lines = new Map<string, Line>()
  readonly #open = new Map<string, OpenOrder>()
  readonly #pool: Pool
  /** Peers against whom there is proof of fraud, and the ids of the proofs. */
  readonly #frauds = new Map<string, Set<string>>()
  /** Peers that said since this start what they hold of mine, and when; the longest known is forgotten first. */
  readonly #synced = new Map<string, number>()
  /** Numbers of cheques of mine that exist for certain, where these books have fewer. */
  readonly #floors = new Map<string, number>()
  /** Peers that were caught lying about my lane. */
  readonly #faults = new Set<string>()
  /** How often cheques were adopted. */
  #adoptions = 0
  /** `earned` and `spent` for jobs; `fees` of clearings, `bouncedIn` and `bouncedOut` by what the issuer last said. */
  readonly #sums = { held: 0n, running: 0n, due: 0n, owed: 0n, earned: 0n, spent: 0n, grants: 0n, fees: 0n, bouncedIn: 0n, bouncedOut: 0n }
  #unpaid = 0
  /** Orders held and not yet signed. */
  #unsigned = 0

  /** @param id own PeerId @param key own public key */
  constructor (id: string, key: Uint8Array, options: LedgerOptions = {}) {
    this.#id = id
    this.#key = key
    this.#rules = options.charter ?? null
    this.#lineMax = options.lineMax ?? LIMITS.credits.strangerLineMax
    this.#pool = new Pool(options.poolMax ?? LIMITS.credits.strangerPoolMax, options.poolPerHour ?? LIMITS.credits.strangerPoolPerHour)
  }

  get key (): Uint8Array { return this.#key }

  balance (): Balance {
    const { held, due, owed, grants, fees, bouncedIn, bouncedOut } = this.#sums
    // A fee is what the payee spends and the issuer earns.
    const earned = this.#sums.earned + (this.isIssuer ? fees : 0n)
    const spent = this.#sums.spent + (this.isIssuer ? 0n : fees)
    return { balance: earned - spent + grants, held, due: due + bouncedIn, owed: owed + bouncedOut, earned, spent }
  }

  get rules (): Rules | null { return this.#rules }

  /** Of a mesh whose books these are. */
  get isIssuer (): boolean { return this.#rules !== null && equals(this.#rules.issuer, this.#key) }

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
  #accountFree (issuer: Line): bigint { return issuer.in.total - this.#sums.spent - this.#sums.owed - this.#sums.held }

  /**
   * The line with a peer; a blank one where there is none yet.
   * @throws {InosError} ERR_USAGE when it is no PeerId, or this node's own
   */
  line (peer: string): Line {
    const line = this.#lines.get(peer)
    if (line !== undefined) return line
    if (peer === this.#id) throw new InosError('ERR_USAGE', 'A node has no line with itself.')
    return newLine(peer, keyOfPeerId(peer))
  }

  lines (): Line[] { return [...this.#lines.values()] }

  /**
   * There is a proof of fraud against the peer: its line is zero from now on.
   * @returns what to write; nothing when the proof is known, or as many as are kept
   */
  ban (peer: string, id: string, bytes: Uint8Array): Op[] {
    const known = this.#frauds.get(peer) ?? new Set()
    if (known.has(id) || known.size >= LIMITS.credits.fraudsPerPeerMax) return []
    this.#frauds.set(peer, known.add(id))
    return [put(KEYS.fraud(peer, id), bytes)]
  }

  /** Proofs of fraud against a peer. */
  fraudsOf (peer: string): number { return this.#frauds.get(peer)?.size ?? 0 }

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

  /** What the peer would still accept from this node, if its terms are those of this node. */
  taken (peer: string): Room {
    const line = this.line(peer)
    const rules = this.#rules
    const barred = this.barred(peer)
    if (barred !== null) return barred
    if (rules === null) return takenInOpen(line, this.#lineMax)
    return this.isIssuer ? takenFromIssuer(line, rules) : takenInMesh(line, rules, this.#accountFree(this.line(peerIdOfKey(rules.issuer))))
  }

  /** Who cheated gets nothing, whatever its line or its account would cover. */
  barred (peer: string): Room | null {
    if (this.#frauds.has(peer)) return { free: 0n, says: `there is proof of fraud against ${peer}`, hint: '`inos credits frauds ls` shows it.' }
    if (this.#faults.has(peer)) return { free: 0n, says: `${peer} hid cheques of this node`, hint: 'The proof is kept in the books.' }
    return null
  }

  /** What the pool of strangers has left. */
  pool (now: number): { max: bigint, free: bigint } {
    const free = this.#pool.free(this.#sums.running, now)
    return { max: this.#pool.size, free: free > 0n ? free : 0n }
  }

  // As a buyer.

  openOrder (id: string): OpenOrder | undefined { return this.#open.get(id) }

  openOrders (): OpenOrder[] { return [...this.#open.values()] }

  /** Hold the most an order can cost, before it is signed. @throws {InosError} ERR_BUSY, ERR_BUDGET, ERR_POLICY, in a mesh ERR_INSUFFICIENT_CREDITS */
  hold (peer: string, costMax: bigint): void {
    this.#checkFault(peer)
    const line = this.line(peer)
    if (line.out.total + line.owed.sum + line.held + costMax > LIMITS.credits.amountMax) {
      throw new InosError('ERR_BUDGET', 'This order could cost more than a cheque can say.', { hint: 'Lower costMax.' })
    }
    const open = this.#open.size + this.#unsigned
    if (open >= LIMITS.credits.openOrdersMax) {
      throw new InosError('ERR_BUSY', `This node has ${open} orders open, the most it keeps.`)
    }
    if (this.#rules !== null) mustFit(costMax, this.taken(peer))
    this.#unsigned++
    this.#hold(peer, costMax)
  }

  /** The order of a hold, signed. */
  placeOrder (order: Sealed<Order>, peer: string): Op[] {
    this.#unsigned--
    this.#open.set(order.id.toString(), { order, peer, lost: false })
    return [put(KEYS.order(order.id.toString()), order.bytes)]
  }

  #hold (peer: string, costMax: bigint): void {
    this.#known(peer).held += costMax
    this.#sums.held += costMax
  }

  /** End the hold of an order, if it is open. */
  releaseOrder (id: string): Op[] {
    const open = this.#open.get(id)
    if (open === undefined) return []
    const { costMax } = open.order.payload
    this.#open.delete(id)
    const line = this.#known(open.peer)
    line.held -= costMax
    this.#sums.held -= costMax
    this.#forget(line)
    return [del(KEYS.order(id))]
  }

  /** A receipt of the peer for an order of mine: the hold ends, its charge is mine to pay. Once per order. */
  owe (bundle: Bundle, peer: string, now: number): Op[] {
    const debt = debtOf(bundle)
    let rows: Op[] = []
    const pool = this.#trackPool(this.#known(peer), now, () => { rows = this.oweItem(peer, debt) })
    return [...this.releaseOrder(debt.order.toString()), ...bundleRows(bundle), ...rows, ...pool]
  }

  /** The next cheque to this peer pays it. */
  oweItem (peer: string, debt: Debt): Op[] {
    this.restoreOwed(peer, debt)
    return [put(KEYS.owed(peer, debt.order.toString()), encodeDebt(debt))]
  }

  /**
   * The next cheque to a peer, over its oldest receipts; null when there is nothing to pay or too much
   * to be acknowledged, and while it is not certain that the number is free: sync before sign.
   */
  draftCheque (peer: string): Cheque | null {
    const line = this.line(peer)
    if (line.owed.size === 0 || line.unacked.length >= LIMITS.credits.unackedChequesMax || !this.maySign(peer)) return null
    const items = line.owed.first(LIMITS.credits.itemsPerChequeMax)
    const { n, total, last } = line.out
    const via = viaOf(this.#rules, this.#key, line.key)
    return { net: this.#rules?.net ?? null, from: this.#key, to: line.key, via, epoch: 0, n: n + 1, prev: last, total: total + sumOf(items), items, ack: line.in.n }
  }

  /** The signed draft takes its place on the lane. To be written durably before it is sent. */
  pay (cheque: Sealed<Cheque>, peer: string, now: number): Op[] {
    const line = this.#known(peer)
    const { n, items } = cheque.payload
    this.#spend(line, cheque)
    line.unacked.push({ n, id: cheque.id })
    for (const { order } of items) line.owed.remove(order)
    this.#sums.owed -= sumOf(items)
    return [put(KEYS.out(peer, n), cheque.bytes), put(KEYS.paid(now, 'out', peer, n), NOTHING), ...items.map(({ order }) => del(KEYS.owed(peer, order.toString()))), this.#lanesRow(line)]
  }

  #spend (line: Line, cheque: Sealed<Cheque>): void {
    const { job, refund, grant } = advance(line.out, cheque)
    this.#sums.spent += job + refund
    this.#sums.grants -= grant
  }

  // Recovery: what of my lane a peer knows, and these books may not.

  /** Whether the peer has said since this start what it holds of mine, and all that is known to exist is here. */
  isSynced (peer: string): boolean { return this.#synced.has(peer) && this.floor(peer) === 0 }

  maySign (peer: string): boolean { return this.isSynced(peer) && !this.#faults.has(peer) }

  /** The peer has said what it holds, and these books hold that too. */
  sync (peer: string, now: number): void {
    this.#synced.delete(peer)
    this.#synced.set(peer, now)
    if (this.#synced.size > LIMITS.credits.syncedPeersMax) this.#synced.delete(this.#synced.keys().next().value!)
  }

  /** Unix seconds of the last sync since this start; null before the first. */
  syncedAt (peer: string): number | null { return this.#synced.get(peer) ?? null }

  /** The number up to which cheques of mine to the peer must be found before the next one is signed; 0 when none lacks. */
  floor (peer: string): number { return this.#floors.get(peer) ?? 0 }

  /** A cheque of mine with this number exists. */
  raiseFloor (peer: string, n: number): void {
    if (n > Math.max(this.line(peer).out.n, this.floor(peer))) this.#floors.set(peer, n)
  }

  /** The peer was caught: no more work either way, and no cheque. */
  blame (peer: string): void { this.#faults.add(peer) }

  #checkFault (peer: string): void {
    if (!this.#faults.has(peer)) return
    throw new InosError('ERR_POLICY', `The peer ${peer} hid cheques of this node; it gets no more work, and none is taken from it.`, { hint: 'The proof is kept in the books.' })
  }

  get adoptions (): number { return this.#adoptions }

  /**
   * Whether cheques that this node signed continue its lane as it stands here.
   * @throws {InosError} ERR_RECORD_INVALID; nothing has changed
   */
  checkOwn (cheques: readonly Sealed<Cheque>[], peer: string): void {
    let lane: Lane = { ...this.line(peer).out }
    for (const { id, payload: { n, prev, total, items } } of cheques) {
      const follows = n === lane.n + 1 && (lane.last === null ? prev === null : prev?.equals(lane.last) === true)
      if (!follows || total !== lane.total + sumOf(items) || repeats(items)) {
        throw new InosError('ERR_RECORD_INVALID', `The cheque ${n} that ${peer} holds does not continue the lane these books know.`)
      }
      lane = { ...lane, n, total, last: id }
    }
  }

  /** Checked cheques of mine that these books had lost: what they pay is paid. To be written durably. */
  adopt (cheques: readonly Sealed<Cheque>[], peer: string, now: number): Op[] {
    const line = this.#known(peer)
    const ops: Op[] = []
    const pool = this.#trackPool(line, now, () => { for (const cheque of cheques) ops.push(...this.#adoptOne(line, cheque)) })
    this.#adoptions++
    if (this.floor(peer) <= line.out.n) this.#floors.delete(peer)
    return [...ops, ...pool, this.#lanesRow(line)]
  }

  #adoptOne (line: Line, cheque: Sealed<Cheque>): Op[] {
    const { n, items } = cheque.payload
    this.#spend(line, cheque)
    return [put(KEYS.out(line.peer, n), cheque.bytes), put(KEYS.paid(0, 'out', line.peer, n), NOTHING), ...items.flatMap(item => this.#paid(line, item, n))]
  }

  /** An item of an adopted cheque. Where nothing was owed for it here, its order must never become owed again. */
  #paid (line: Line, { order, amount, kind }: ChequeItem, n: number): Op[] {
    const id = order.toString()
    const owed = line.owed.get(order)
    if (owed !== undefined) {
      line.owed.remove(order)
      this.#sums.owed -= owed.amount
      return [del(KEYS.owed(line.peer, id))]
    }
    if (kind === 'refund') return [put(KEYS.refund(id), encodeCanonical(amount))]
    // What an issuer granted or passed on is no order: its hub remembers it.
    if (isIssuerKind(kind)) return []
    return [...this.releaseOrder(id), put(KEYS.spent(line.peer, id), encodeCanonical(n))]
  }

  /** Give back of what was charged. The caller has made sure that it is the first for this order, and not too much. */
  refund (order: CID, amount: bigint, peer: string, now: number): Op[] {
    let rows: Op[] = []
    const pool = this.#trackPool(this.#known(peer), now, () => { rows = this.oweItem(peer, { order, amount, kind: 'refund' }) })
    return [put(KEYS.refund(order.toString()), encodeCanonical(amount)), ...rows, ...pool]
  }

  /** The peer holds my cheques up to `n`. */
  acknowledge (peer: string, n: number): Op[] {
    const line = this.line(peer)
    if (!line.unacked.some(mark => mark.n <= n)) return []
    line.unacked = line.unacked.filter(mark => mark.n > n)
    return [this.#lanesRow(line)]
  }

  // As a seller.

  /**
   * Set aside the most an order of the peer can cost, before it runs.
   * @throws {InosError} ERR_INSUFFICIENT_CREDITS, ERR_POLICY; nothing was set aside
   */
  reserve (peer: string, costMax: bigint, now: number): void {
    this.#checkFault(peer)
    const line = this.line(peer)
    mustFit(costMax, this.given(peer))
    if (line.due.size >= LIMITS.credits.unpaidPerPeerMax || this.#unpaid >= LIMITS.credits.unpaidMax) {
      throw new InosError('ERR_INSUFFICIENT_CREDITS', `${line.due.size} of your receipts are unpaid here; no more are kept.`, { hint: 'Pay what is due by cheque.' })
    }
    const { free: pool } = this.pool(now)
    if (this.#rules === null && costMax > pool) {
      throw new InosError('ERR_INSUFFICIENT_CREDITS', `The order may cost ${costMax} µcr; ${pool} µcr are left of what this node gives all strangers on credit.`, {
        hint: 'Come back later, or ask another node.'
      })
    }
    this.#known(peer).running += costMax
    this.#sums.running += costMax
  }

  /** End what `reserve` set aside. @param burnt µcr of work that a host fault threw away; it counts against the pool */
  unreserve (peer: string, costMax: bigint, burnt: bigint, now: number): Op[] {
    const line = this.#known(peer)
    line.running -= costMax
    this.#sums.running -= costMax
    this.#forget(line)
    if (burnt <= 0n || this.#rules !== null) return []
    this.#pool.raise(burnt < costMax ? burnt : costMax, now)
    return [put(KEYS.pool, this.#pool.encode())]
  }

  /** A receipt of mine: its charge is due from the peer. Once per order. */
  charge (bundle: Bundle, peer: string, now: number): Op[] {
    const debt = debtOf(bundle)
    const line = this.#known(peer)
    const pool = this.#trackPool(line, now, () => { this.#addDue(line, debt) })
    return [...bundleRows(bundle), put(KEYS.due(peer, debt.order.toString()), encodeDebt(debt)), ...pool]
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
    this.#unpaid--
    this.#sums.due -= debt.amount
    line.waived += debt.amount
    return [del(KEYS.due(peer, order.toString())), this.#waivedRow(line)]
  }

  /** The payer pays for what it gave up: it is due again. */
  unwaive (peer: string, debt: Debt): Op[] {
    const line = this.#known(peer)
    this.#addDue(line, debt)
    line.waived -= least(line.waived, debt.amount)
    return [put(KEYS.due(peer, debt.order.toString()), encodeDebt(debt)), this.#waivedRow(line)]
  }

  #waivedRow (line: Line): Op { return put(KEYS.waived(line.peer), encodeCanonical(line.waived)) }

  /** Who pays is forgiven what it gave up, a share of what it pays. */
  #makeGood (line: Line, paid: bigint): Op[] {
    if (line.waived === 0n) return []
    line.waived -= least(line.waived, paid / LIMITS.credits.waivedFactor)
    return [this.#waivedRow(line)]
  }

  /** The pool follows what this peer owes in all: work for it raises the level, work by it lowers it. */
  #trackPool (line: Line, now: number, change: () => void): Op[] {
    const before = debtTo(line)
    change()
    const after = debtTo(line)
    if (after === before || this.#rules !== null) return []
    if (after > before) this.#pool.raise(after - before, now)
    else this.#pool.lower(before - after, now)
    return [put(KEYS.pool, this.#pool.encode())]
  }

  #addDue (line: Line, debt: Debt): void {
    line.due.add(debt)
    this.#unpaid++
    this.#sums.due += debt.amount
  }

  /**
   * Whether the next cheque of a peer fits its lane.
   * @param refundable µcr that may be given back for an order; undefined where no receipt for it is here
   * @returns orders it pays for that are not due here; the cheque can be taken when there are none
   * @throws {InosError} ERR_RECORD_INVALID naming what does not fit; nothing has changed
   */
  checkCheque (cheque: Sealed<Cheque>, peer: string, refundable: (order: CID) => bigint | undefined = () => undefined): CID[] {
    const line = this.line(peer)
    const { prev, total, items, ack } = cheque.payload
    const wrong = (why: string): never => { throw new InosError('ERR_RECORD_INVALID', `The cheque ${why}.`) }
    if (line.in.last === null ? prev !== null : prev === null || !prev.equals(line.in.last)) wrong('does not follow the last one of its lane ("prev")')
    if (total !== line.in.total + sumOf(items)) wrong('has a "total" that is not the last one and its items together')
    // Before a sync these books may be older than what the peer has seen of them.
    if (ack > line.out.n && this.isSynced(peer)) wrong(`acknowledges a cheque ${ack} that was never written ("ack")`)
    if (repeats(items)) wrong('pays one order twice ("items")')
    const isMoney = this.#rules !== null && equals(line.key, this.#rules.issuer)
    if (!isMoney && items.some(({ kind }) => isIssuerKind(kind))) wrong('gives what only the issuer of a mesh can give ("items")')
    const charged = items.filter(({ kind }) => !isIssuerKind(kind))
    const cost = ({ order, kind }: ChequeItem): bigint | undefined => kind === 'refund' ? refundable(order) : line.due.get(order)?.amount
    for (const item of charged) {
      const most = cost(item)
      if (most !== undefined && (item.kind === 'refund' ? item.amount > most : item.amount !== most)) wrong(`pays ${item.amount} µcr for an order that cost ${most} ("items")`)
    }
    return charged.filter(item => cost(item) === undefined).map(({ order }) => order)
  }

  /** A checked cheque pays what it names. To be written durably before it is acknowledged. */
  takeCheque (cheque: Sealed<Cheque>, peer: string, now: number): Op[] {
    const line = this.#known(peer)
    const { n, items, ack } = cheque.payload
    const jobs = items.filter(({ kind }) => kind === 'job')
    const pool = this.#trackPool(line, now, () => {
      const { job, refund, grant } = advance(line.in, cheque)
      this.#sums.earned += job + refund
      this.#sums.grants += grant
      for (const { order } of jobs) line.due.remove(order)
    })
    this.#unpaid -= jobs.length
    this.#sums.due -= sumOf(jobs)
    return [
      put(KEYS.in(peer, n), cheque.bytes),
      put(KEYS.paid(now, 'in', peer, n), NOTHING),
      ...jobs.map(({ order }) => del(KEYS.due(peer, order.toString()))),
      ...items.filter(({ kind }) => kind === 'refund').map(({ order, amount }) => put(KEYS.refund(order.toString()), encodeCanonical(amount))),
      ...pool,
      ...this.#makeGood(line, sumOf(jobs)),
      ...this.acknowledge(peer, ack),
      this.#lanesRow(line)
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
    this.#known(peer).drawn += amount
    this.#sums.fees += fee
  }

  // From disk, at start.

  /** @returns whether it was newer than what is known */
  restoreClearing ({ from, total, cleared, fee }: Clearing, peer: string): boolean {
    const isMine = equals(from, this.#key)
    const line = this.#known(peer)
    const before = isMine ? line.clearedOut : line.clearedIn
    if (total < before.total || cleared < before.cleared || (total === before.total && cleared === before.cleared)) return false
    const now = { total, cleared, fee }
    const bounced = bouncedOf(now) - bouncedOf(before)
    if (isMine) {
      line.clearedOut = now
      this.#sums.bouncedOut += bounced
    } else {
      line.clearedIn = now
      this.#sums.bouncedIn += bounced
      this.#sums.fees += fee - before.fee
    }
    return true
  }

  restoreLine (peer: string, lanes: Uint8Array): void {
    const line = this.#known(peer)
    readLanes(line, lanes)
    this.#sums.spent += jobsOf(line.out)
    this.#sums.earned += jobsOf(line.in)
    this.#sums.grants += line.in.granted - line.out.granted
  }

  restoreOwed (peer: string, debt: Debt): void {
    this.#known(peer).owed.add(debt)
    this.#sums.owed += debt.amount
  }

  restoreWaived (peer: string, bytes: Uint8Array): void { this.#known(peer).waived = BigInt(decodeCanonical(bytes) as bigint) }

  restoreDue (peer: string, debt: Debt): void { this.#addDue(this.#known(peer), debt) }

  /** Nobody waits for what was open before a restart. */
  restoreOrder (order: Sealed<Order>, peer: string): void {
    this.#hold(peer, order.payload.costMax)
    this.#open.set(order.id.toString(), { order, peer, lost: true })
  }

  restorePool (bytes: Uint8Array): void { this.#pool.restore(bytes) }

  // Rows and lines.

  /** The line, kept from now on. */
  #known (peer: string): Line {
    const line = this.line(peer)
    this.#lines.set(peer, line)
    return line
  }

  /** A line on which nothing ever happened needs no memory. */
  #forget (line: Line): void {
    const isBlank = line.out.n === 0 && line.in.n === 0 && line.held === 0n && line.running === 0n && line.owed.size === 0 && line.due.size === 0 && line.waived === 0n
    if (isBlank && line.drawn === 0n && line.clearedIn.total === 0n && line.clearedOut.total === 0n) this.#lines.delete(line.peer)
  }

  #lanesRow (line: Line): Op { return put(KEYS.line(line.peer), encodeLanes(line)) }
}

const NOTHING = new Uint8Array(0)

/** A bundle's own rows: the bundle under its order, and the way to it from its receipt. */
export function bundleRows ({ receipt, order, bytes }: Bundle): Op[] {
  return [put(KEYS.receipt(order.id.toString()), bytes), put(KEYS.of(receipt.id.toString()), order.id.bytes)]
}

function mustFit (costMax: bigint, { free, says, hint }: Room): void {
  if (costMax > free) throw new InosError('ERR_INSUFFICIENT_CREDITS', `The order may cost ${costMax} µcr; ${says}.`, { hint })
}

function debtTo (line: Line): bigint {
  const net = netOf(line)
  return net > 0n ? net : 0n
}

function debtOf ({ order, receipt }: Bundle): Debt {
  return { order: order.id, amount: receipt.payload.charge, kind: 'job' }
}

function least (a: bigint, b: bigint): bigint { return a < b ? a : b }

function sumOf (items: readonly ChequeItem[]): bigint {
  return items.reduce((sum, { amount }) => sum + amount, 0n)
}

function repeats (items: readonly ChequeItem[]): boolean {
  return new Set(items.map(({ order }) => order.toString())).size !== items.length
}
