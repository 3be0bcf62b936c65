/**
 * A line: what two peers owe each other, seen from one end. Two lanes of cheques, one each way,
 * and what is not on a cheque yet. Shapes and their stored form; the rules are in `ledger.ts`.
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import type { CID } from '../packet/cid.ts'
import { isLink, type Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { type Cheque, type ChequeItem, ITEM_KINDS, type ItemKind } from '../packet/records.ts'

/** A cheque of mine that the payee has not acknowledged. */
export interface Mark { readonly n: number, readonly id: CID }

/** One direction of a line: its latest cheque says it all. Of `total`, the issuer of a mesh `granted` some and `passed` some on that it had cleared; the rest paid for jobs. */
export interface Lane { n: number, total: bigint, last: CID | null, granted: bigint, passed: bigint }

/** What the issuer of a mesh has said of one direction, cumulative; the fee is the payee's cost. */
export interface Cleared { total: bigint, cleared: bigint, fee: bigint }

/** A charge, what is given back of one, or a grant or clearing of an issuer, that is on no cheque yet. */
export type Debt = Readonly<ChequeItem>

/** A debt's stored value: its amount alone, and what it is for where that is not a job. */
export function encodeDebt ({ amount, kind }: Debt): Uint8Array { return encodeCanonical(kind === 'job' ? amount : [amount, kind]) }

/** @throws {InosError} ERR_STORE when the row is not what `encodeDebt` writes */
export function readDebt (order: CID, bytes: Uint8Array): Debt {
  try {
    const value = decodeCanonical(bytes)
    if (!Array.isArray(value)) return { order, amount: BigInt(value as bigint), kind: 'job' }
    const [amount, name] = list(value, 2)
    const kind = ITEM_KINDS.find(kind => kind === name && kind !== 'job')
    if (kind === undefined) throw new TypeError('not a kind')
    return { order, amount: BigInt(amount as bigint), kind }
  } catch (cause) {
    throw new InosError('ERR_STORE', `The stored debt for order ${order} is damaged.`, { cause })
  }
}

/** Charges waiting for their cheque, oldest first, and their sum. */
export class Debts {
  readonly #byOrder = new Map<string, Debt>()
  sum = 0n

  get size (): number { return this.#byOrder.size }

  has (order: CID): boolean { return this.#byOrder.has(order.toString()) }

  get (order: CID): Debt | undefined { return this.#byOrder.get(order.toString()) }

  add (debt: Debt): void {
    this.#byOrder.set(debt.order.toString(), debt)
    this.sum += debt.amount
  }

  remove (order: CID): void {
    const debt = this.get(order)
    if (debt === undefined) return
    this.#byOrder.delete(order.toString())
    this.sum -= debt.amount
  }

  /** The oldest ones, at most `max`. */
  first (max: number): Debt[] {
    return this.#byOrder.values().take(max).toArray()
  }

  /** µcr of one kind. */
  sumOf (kind: ItemKind): bigint { return sumsOf(this.#byOrder.values())[kind] }

  /** Order ids as text. */
  orders (): string[] { return [...this.#byOrder.keys()] }
}

export interface Line {
  /** PeerId of the other end, and its key. */
  readonly peer: string
  readonly key: Uint8Array
  /** My cheques to it. */
  readonly out: Lane
  /** Those it has not acknowledged, oldest first. */
  unacked: Mark[]
  /** Its cheques to me. */
  readonly in: Lane
  /** Most that my open orders at it can cost. */
  held: bigint
  /** Most that its orders running here can cost. */
  running: bigint
  /** Mine to pay. */
  readonly owed: Debts
  /** Its to pay. */
  readonly due: Debts
  /** Charges that it gave up after it may have seen the answer, less what it has made good since. */
  waived: bigint
  /** In a mesh: of its cheques to me, and of mine to it. */
  clearedIn: Cleared
  clearedOut: Cleared
  /** At the issuer: what was cleared out of the peer's account. */
  drawn: bigint
}

export function newLine (peer: string, key: Uint8Array): Line {
  return {
    peer,
    key,
    out: newLane(),
    unacked: [],
    in: newLane(),
    held: 0n,
    running: 0n,
    owed: new Debts(),
    due: new Debts(),
    waived: 0n,
    clearedIn: { ...NOTHING_CLEARED },
    clearedOut: { ...NOTHING_CLEARED },
    drawn: 0n
  }
}

export const NOTHING_CLEARED: Readonly<Cleared> = { total: 0n, cleared: 0n, fee: 0n }

function newLane (): Lane { return { n: 0, total: 0n, last: null, granted: 0n, passed: 0n } }

/** What was paid for jobs, and given back of them. */
export function jobsOf ({ total, granted, passed }: Lane): bigint { return total - granted - passed }

/** µcr by kind. */
export function sumsOf (items: Iterable<Debt>): Record<ItemKind, bigint> {
  const sums = { job: 0n, refund: 0n, grant: 0n, clearing: 0n }
  for (const { amount, kind } of items) sums[kind] += amount
  return sums
}

/** The next cheque of a lane becomes its latest. @returns its µcr by kind */
export function advance (lane: Lane, { id, payload: { n, total, items } }: Sealed<Cheque>): Record<ItemKind, bigint> {
  const sums = sumsOf(items)
  Object.assign(lane, { n, total, last: id, granted: lane.granted + sums.grant, passed: lane.passed + sums.clearing })
  return sums
}

/** What of a line is not a row of its own: the lanes. */
export function encodeLanes (line: Line): Uint8Array {
  const lane = ({ n, total, last, granted, passed }: Lane): unknown[] => granted + passed === 0n ? [n, total, last] : [n, total, last, granted, passed]
  return encodeCanonical([lane(line.out), line.unacked.map(({ n, id }) => [n, id]), lane(line.in)])
}

/** @throws {InosError} ERR_STORE when the row is not what `encodeLanes` writes */
export function readLanes (line: Line, bytes: Uint8Array): void {
  try {
    const [out, marks, incoming] = list(decodeCanonical(bytes), 3)
    Object.assign(line.out, readLane(out))
    Object.assign(line.in, readLane(incoming))
    line.unacked = list(marks).map(mark => {
      const [n, id] = list(mark, 2)
      if (!Number.isSafeInteger(n) || !isLink(id)) throw new TypeError('not a mark')
      return { n: n as number, id }
    })
  } catch (cause) {
    throw new InosError('ERR_STORE', `The stored line with ${line.peer} is damaged.`, { cause })
  }
}

function readLane (value: unknown): Lane {
  const [n, total, last, granted = 0n, passed = 0n] = list(value)
  if (!Number.isSafeInteger(n) || (last !== null && !isLink(last))) throw new TypeError('not a lane')
  return { n: n as number, total: BigInt(total as bigint), last: last as CID | null, granted: BigInt(granted as bigint), passed: BigInt(passed as bigint) }
}

function list (value: unknown, length?: number): unknown[] {
  if (!Array.isArray(value) || (length !== undefined && value.length !== length)) throw new TypeError('not a list')
  return value
}

/** What items come to. */
export function sumOf (items: readonly ChequeItem[]): bigint { return items.reduce((sum, { amount }) => sum + amount, 0n) }

/** Whether one order is named twice. */
export function repeats (items: readonly ChequeItem[]): boolean {
  return new Set(items.map(({ order }) => order.toString())).size !== items.length
}
