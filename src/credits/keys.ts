/**
 * Keys: names that a caller gave its jobs, so that none of them is paid twice. A key stands for one
 * spec and the orders placed for it: one, or two while a second node is tried. Whether such an order
 * is open, answered or given up, the rows of the order itself say.
 *
 * Children of a job that may run again have keys as well: they begin with what no caller's key may hold, and
 * with what their job is known by, so that all of them are forgotten together.
 *
 * In memory are all keys, at most `LIMITS.credits.keysMax`, and of children `childKeysMax`; of those above it the
 * oldest that are settled are forgotten.
 */
import type { CID } from '../packet/cid.ts'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { del, KEYS, type Op, put } from './store.ts'

/** One order under a key: its CID as text, and the PeerId of who has it; this node's own for a job that ran here. */
export interface KeyedOrder { readonly order: string, readonly peer: string }

/** What begins the key of a child, and is in no other. */
export const OF_CHILD = '\0'

/** The key of something that was bought, or begun, for a job. @param base what the job is known by; without a slash */
export function keyBelow (base: string, name: string): string { return `${OF_CHILD}${base}/${name}` }

/** What the job of a child's key is known by; null for a caller's key. */
function baseOf (key: string): string | null { return key.startsWith(OF_CHILD) ? key.slice(1, key.indexOf('/')) : null }

interface Row {
  /** CID as text. */
  readonly spec: string
  /** Unix seconds of its latest order. */
  readonly at: number
  readonly orders: readonly KeyedOrder[]
}

export class Keys {
  /** Oldest first. */
  readonly #rows = new Map<string, Row>()
  readonly #byOrder = new Map<string, string>()
  /** Keys of children by what their job is known by. */
  readonly #below = new Map<string, Set<string>>()
  #children = 0
  readonly #max: number
  readonly #childrenMax: number

  constructor (max: number = LIMITS.credits.keysMax, childrenMax: number = LIMITS.credits.childKeysMax) {
    this.#max = max
    this.#childrenMax = childrenMax
  }

  /** Orders placed under a key and not given up, oldest first. @throws {InosError} ERR_USAGE when they are for another spec */
  orders (key: string, spec: CID): readonly KeyedOrder[] {
    const row = this.#rows.get(key)
    if (row === undefined) return []
    if (row.spec !== spec.toString()) {
      throw new InosError('ERR_USAGE', `The key "${key}" stands for another job.`, { hint: 'One key is for one module with one input, arguments and limits; take another key for another job.' })
    }
    return row.orders
  }

  /** Whether an order has a key. */
  has (order: string): boolean { return this.#byOrder.has(order) }

  /** Keys of a job's children, each with its orders. */
  below (base: string): (readonly [key: string, orders: readonly KeyedOrder[]])[] {
    return Array.from(this.#below.get(base) ?? [], key => [key, this.#rows.get(key)!.orders])
  }

  /** A job is over: nothing is asked for under the keys of its children any more. */
  forgetBelow (base: string): Op[] { return this.below(base).flatMap(([key, orders]) => this.#forget(key, orders)) }

  /** Keys with more than one order. */
  shared (): (readonly KeyedOrder[])[] {
    return this.#rows.values().map(({ orders }) => orders).filter(orders => orders.length > 1).toArray()
  }

  /**
   * An order is placed under a key.
   * @param isOpen whether an order still waits for its end @throws {InosError} ERR_USAGE; nothing has changed
   */
  add (key: string, spec: CID, placed: KeyedOrder, now: number, isOpen: (order: string) => boolean): Op[] {
    const orders = [...this.orders(key, spec), placed]
    this.#delete(key)
    this.#set(key, { spec: spec.toString(), at: now, orders })
    return [this.#row(key), ...this.#shrink(isOpen, baseOf(key) !== null)]
  }

  /** An order was given up: its key stands for the others, or, when there are none, for nothing. */
  drop (order: string): Op[] {
    const key = this.#byOrder.get(order)
    if (key === undefined) return []
    const row = this.#rows.get(key)!
    const orders = row.orders.filter(other => other.order !== order)
    this.#byOrder.delete(order)
    const gone = del(KEYS.offer(order))
    if (orders.length === 0) {
      this.#delete(key)
      return [gone, del(KEYS.key(key))]
    }
    this.#rows.set(key, { ...row, orders })
    return [gone, this.#row(key)]
  }

  /** An order was answered: the offer it accepted is in its receipt file now. */
  answered (order: string): Op[] { return this.has(order) ? [del(KEYS.offer(order))] : [] }

  /** Rows of `key`, in any order, as they were stored. @throws {InosError} ERR_STORE */
  restore (rows: readonly (readonly [key: string, value: Uint8Array])[]): void {
    const all = rows.map(([key, value]) => [key, readRow(value)] as const)
    all.sort(([, a], [, b]) => a.at - b.at)
    for (const [key, row] of all) this.#set(key, row)
  }

  #set (key: string, row: Row): void {
    this.#rows.set(key, row)
    for (const { order } of row.orders) this.#byOrder.set(order, key)
    const base = baseOf(key)
    if (base === null) return
    this.#children++
    this.#below.set(base, (this.#below.get(base) ?? new Set<string>()).add(key))
  }

  #delete (key: string): void {
    const base = baseOf(key)
    if (!this.#rows.delete(key) || base === null) return
    this.#children--
    const others = this.#below.get(base)!
    others.delete(key)
    if (others.size === 0) this.#below.delete(base)
  }

  #row (key: string): Op {
    const { spec, at, orders } = this.#rows.get(key)!
    return put(KEYS.key(key), encodeCanonical([spec, at, orders.map(({ order, peer }) => [order, peer])]))
  }

  #shrink (isOpen: (order: string) => boolean, ofChildren: boolean): Op[] {
    if (ofChildren ? this.#children <= this.#childrenMax : this.#rows.size - this.#children <= this.#max) return []
    for (const key of ofChildren ? this.#ofChildren() : this.#rows.keys()) {
      const { orders } = this.#rows.get(key)!
      if ((baseOf(key) !== null) === ofChildren && !orders.some(({ order }) => isOpen(order))) return this.#forget(key, orders)
    }
    return []
  }

  * #ofChildren (): Iterable<string> { for (const keys of this.#below.values()) yield * keys }

  #forget (key: string, orders: readonly KeyedOrder[]): Op[] {
    this.#delete(key)
    for (const { order } of orders) this.#byOrder.delete(order)
    return [del(KEYS.key(key)), ...orders.map(({ order }) => del(KEYS.offer(order)))]
  }
}

function readRow (bytes: Uint8Array): Row {
  const value = decodeCanonical(bytes)
  const [spec, at, orders] = Array.isArray(value) ? value : []
  const isOrder = (pair: unknown): pair is [string, string] => Array.isArray(pair) && pair.length === 2 && pair.every(text => typeof text === 'string')
  if (typeof spec !== 'string' || !Number.isSafeInteger(at) || !Array.isArray(orders) || !orders.every(isOrder)) throw new InosError('ERR_STORE', 'A stored key is damaged.')
  return { spec, at, orders: orders.map(([order, peer]) => ({ order, peer })) }
}
