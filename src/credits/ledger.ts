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
 */
import type { CID } from '../packet/cid.ts'
import type { Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { encodeCanonical } from '../packet/cbor.ts'
import { keyOfPeerId } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Cheque, ChequeItem, Order } from '../packet/records.ts'
import type { Bundle } from './bundle.ts'
import { type Debt, encodeDebt, encodeLanes, type Lane, type Line, newLine, readLanes } from './line.ts'
import { Pool } from './pool.ts'
import { del, KEYS, type Op, put } from './store.ts'
import type { Balance } from './views.ts'

export interface LedgerOptions {
  /** The mesh of all records of these books, 32 bytes; null: the open one. @default null */
  net?: Uint8Array | null
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
  readonly #net: Uint8Array | null
  readonly #lineMax: bigint
  readonly #lines = new Map<string, Line>()
  readonly #open = new Map<string, OpenOrder>()
  readonly #pool: Pool
  /** Peers against whom there is proof of fraud, and the ids of the proofs. */
  readonly #frauds = new Map<string, Set<string>>()
  /** Peers that said since this start what they hold of mine; the longest known is forgotten first. */
  readonly #synced = new Set<string>()
  /** Numbers of cheques of mine that exist for certain, where these books have fewer. */
  readonly #floors = new Map<string, number>()
  /** Peers that were caught lying about my lane. */
  readonly #faults = new Set<string>()
  /** How often cheques were adopted. */
  #adoptions = 0
  readonly #sums = { held: 0n, running: 0n, due: 0n, owed: 0n, earned: 0n, spent: 0n }
  #unpaid = 0
  /** Orders held and not yet signed. */
  #unsigned = 0

  /** @param id own PeerId @param key own public key */
  constructor (id: string, key: Uint8Array, options: LedgerOptions = {}) {
    this.#id = id
    this.#key = key
    this.#net = options.net ?? null
    this.#lineMax = options.lineMax ?? LIMITS.credits.strangerLineMax
    this.#pool = new Pool(options.poolMax ?? LIMITS.credits.strangerPoolMax, options.poolPerHour ?? LIMITS.credits.strangerPoolPerHour)
  }

  balance (): Balance {
    const { held, due, owed, earned, spent } = this.#sums
    return { balance: earned - spent, held, due, owed, earned, spent }
  }

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

  /** What a peer may owe this node in all. */
  lineMaxOf (peer: string): bigint { return this.#frauds.has(peer) ? 0n : this.#lineMax }

  /** What this node would still accept from the peer, before the pool of strangers is asked. */
  acceptable (peer: string): bigint {
    const line = this.line(peer)
    const free = this.lineMaxOf(peer) - netOf(line) - line.running
    return free > 0n ? free : 0n
  }

  /** What the pool of strangers has left. */
  pool (now: number): { max: bigint, free: bigint } {
    const free = this.#pool.free(this.#sums.running, now)
    return { max: this.#pool.size, free: free > 0n ? free : 0n }
  }

  /** What the peer would still accept from this node, if it gives the line that this node gives. */
  spendable (peer: string): bigint {
    if (this.#frauds.has(peer)) return 0n
    const line = this.line(peer)
    const free = this.#lineMax + netOf(line) - line.held
    return free > 0n ? free : 0n
  }

  // As a buyer.

  openOrder (id: string): OpenOrder | undefined { return this.#open.get(id) }

  openOrders (): OpenOrder[] { return [...this.#open.values()] }

  /** Hold the most an order can cost, before it is signed. @throws {InosError} ERR_BUSY, ERR_BUDGET, ERR_POLICY */
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
    const line = this.#known(peer)
    const pool = this.#trackPool(line, now, () => { line.owed.add(debt) })
    this.#sums.owed += debt.amount
    return [...this.releaseOrder(debt.order.toString()), ...bundleRows(bundle), put(KEYS.owed(peer, debt.order.toString()), encodeDebt(debt)), ...pool]
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
    return { net: this.#net, from: this.#key, to: line.key, via: null, epoch: 0, n: n + 1, prev: last, total: total + sumOf(items), items, ack: line.in.n }
  }

  /** The signed draft takes its place on the lane. To be written durably before it is sent. */
  pay (cheque: Sealed<Cheque>, peer: string, now: number): Op[] {
    const line = this.#known(peer)
    const { n, total, items } = cheque.payload
    const amount = total - line.out.total
    Object.assign(line.out, { n, total, last: cheque.id })
    line.unacked.push({ n, id: cheque.id })
    for (const { order } of items) line.owed.remove(order)
    this.#sums.owed -= amount
    this.#sums.spent += amount
    return [put(KEYS.out(peer, n), cheque.bytes), put(KEYS.paid(now, 'out', peer, n), NOTHING), ...items.map(({ order }) => del(KEYS.owed(peer, order.toString()))), this.#lanesRow(line)]
  }

  // Recovery: what of my lane a peer knows, and these books may not.

  /** Whether the peer has said since this start what it holds of mine, and all that is known to exist is here. */
  isSynced (peer: string): boolean { return this.#synced.has(peer) && this.floor(peer) === 0 }

  maySign (peer: string): boolean { return this.isSynced(peer) && !this.#faults.has(peer) }

  /** The peer has said what it holds, and these books hold that too. */
  sync (peer: string, now: number): void {
    this.line(peer).synced = now
    this.#synced.delete(peer)
    this.#synced.add(peer)
    if (this.#synced.size > LIMITS.credits.syncedPeersMax) this.#synced.delete(this.#synced.values().next().value!)
  }

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
      lane = { n, total, last: id }
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
    const { n, total, items } = cheque.payload
    this.#sums.spent += total - line.out.total
    Object.assign(line.out, { n, total, last: cheque.id })
    return [put(KEYS.out(line.peer, n), cheque.bytes), ...items.flatMap(item => this.#paid(line, item, n))]
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
    return [...this.releaseOrder(id), put(KEYS.spent(line.peer, id), encodeCanonical(n))]
  }

  /** Give back of what was charged. The caller has made sure that it is the first for this order, and not too much. */
  refund (order: CID, amount: bigint, peer: string, now: number): Op[] {
    const line = this.#known(peer)
    const debt: Debt = { order, amount, kind: 'refund' }
    const pool = this.#trackPool(line, now, () => { line.owed.add(debt) })
    this.#sums.owed += amount
    return [put(KEYS.refund(order.toString()), encodeCanonical(amount)), put(KEYS.owed(peer, order.toString()), encodeDebt(debt)), ...pool]
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
    const free = this.acceptable(peer)
    if (costMax > free) {
      throw new InosError('ERR_INSUFFICIENT_CREDITS', `The order may cost ${costMax} µcr; ${free} µcr of your line of ${this.lineMaxOf(peer)} are free here.`, {
        hint: 'Let running jobs end, lower the limits of the job, or do work for this node in return.'
      })
    }
    if (line.due.size >= LIMITS.credits.unpaidPerPeerMax || this.#unpaid >= LIMITS.credits.unpaidMax) {
      throw new InosError('ERR_INSUFFICIENT_CREDITS', `${line.due.size} of your receipts are unpaid here; no more are kept.`, { hint: 'Pay what is due by cheque.' })
    }
    const { free: pool } = this.pool(now)
    if (costMax > pool) {
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
    if (burnt <= 0n) return []
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

  /** The pool follows what this peer owes in all: work for it raises the level, work by it lowers it. */
  #trackPool (line: Line, now: number, change: () => void): Op[] {
    const before = debtTo(line)
    change()
    const after = debtTo(line)
    if (after === before) return []
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
    const cost = ({ order, kind }: ChequeItem): bigint | undefined => kind === 'refund' ? refundable(order) : line.due.get(order)?.amount
    for (const item of items) {
      const most = cost(item)
      if (most !== undefined && (item.kind === 'refund' ? item.amount > most : item.amount !== most)) wrong(`pays ${item.amount} µcr for an order that cost ${most} ("items")`)
    }
    return items.filter(item => cost(item) === undefined).map(({ order }) => order)
  }

  /** A checked cheque pays what it names. To be written durably before it is acknowledged. */
  takeCheque (cheque: Sealed<Cheque>, peer: string, now: number): Op[] {
    const line = this.#known(peer)
    const { n, total, items, ack } = cheque.payload
    const jobs = items.filter(({ kind }) => kind === 'job')
    const pool = this.#trackPool(line, now, () => {
      this.#sums.earned += total - line.in.total
      Object.assign(line.in, { n, total, last: cheque.id })
      for (const { order } of jobs) line.due.remove(order)
    })
    this.#unpaid -= jobs.length
    this.#sums.due -= sumOf(jobs)
    return [
      put(KEYS.in(peer, n), cheque.bytes),
      put(KEYS.paid(now, 'in', peer, n), NOTHING),
      ...items.map(({ order, amount, kind }) => kind === 'refund' ? put(KEYS.refund(order.toString()), encodeCanonical(amount)) : del(KEYS.due(peer, order.toString()))),
      ...pool,
      ...this.acknowledge(peer, ack),
      this.#lanesRow(line)
    ]
  }

  // From disk, at start.

  restoreLine (peer: string, lanes: Uint8Array): void {
    const line = this.#known(peer)
    readLanes(line, lanes)
    this.#sums.spent += line.out.total
    this.#sums.earned += line.in.total
  }

  restoreOwed (peer: string, debt: Debt): void {
    this.#known(peer).owed.add(debt)
    this.#sums.owed += debt.amount
  }

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
    if (line.out.n === 0 && line.in.n === 0 && line.held === 0n && line.running === 0n && line.owed.size === 0 && line.due.size === 0) this.#lines.delete(line.peer)
  }

  #lanesRow (line: Line): Op { return put(KEYS.line(line.peer), encodeLanes(line)) }
}

const NOTHING = new Uint8Array(0)

/** A bundle's own rows: the bundle under its order, and the way to it from its receipt. */
export function bundleRows ({ receipt, order, bytes }: Bundle): Op[] {
  return [put(KEYS.receipt(order.id.toString()), bytes), put(KEYS.of(receipt.id.toString()), order.id.bytes)]
}

/** What the peer owes this node on this line, less what this node owes it; negative when it is this node that owes. */
export function netOf (line: Line): bigint {
  return line.in.total + line.due.sum - line.out.total - line.owed.sum
}

function debtTo (line: Line): bigint {
  const net = netOf(line)
  return net > 0n ? net : 0n
}

function debtOf ({ order, receipt }: Bundle): Debt {
  return { order: order.id, amount: receipt.payload.charge, kind: 'job' }
}

function sumOf (items: readonly ChequeItem[]): bigint {
  return items.reduce((sum, { amount }) => sum + amount, 0n)
}

function repeats (items: readonly ChequeItem[]): boolean {
  return new Set(items.map(({ order }) => order.toString())).size !== items.length
}
