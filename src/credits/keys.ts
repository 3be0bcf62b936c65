/**
 * Keys: names that a caller gave its jobs, so that none of them is paid twice. A key stands for one
 * spec and the orders placed for it: one, or two while a second node is tried. Whether such an order
 * is open, answered or given up, the rows of the order itself say.
 *
 * In memory are all keys, at most `LIMITS.credits.keysMax`; of those above it the oldest that are
 * settled are forgotten.
 */
import type { CID } from '../packet/cid.ts'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { del, KEYS, type Op, put } from './store.ts'

/** One order under a key: its CID as text, and the PeerId of who has it; this node's own for a job that ran here. */
export interface KeyedOrder { readonly order: string, readonly peer: string }

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
  readonly #max: number

  constructor (max: number = LIMITS.credits.keysMax) {
    this.#max = max
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
    this.#rows.delete(key)
    this.#set(key, { spec: spec.toString(), at: now, orders })
    return [this.#row(key), ...this.#shrink(isOpen)]
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
      this.#rows.delete(key)
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
  }

  #row (key: string): Op {
    const { spec, at, orders } = this.#rows.get(key)!
    return put(KEYS.key(key), encodeCanonical([spec, at, orders.map(({ order, peer }) => [order, peer])]))
  }

  #shrink (isOpen: (order: string) => boolean): Op[] {
    if (this.#rows.size <= this.#max) return []
    for (const [key, { orders }] of this.#rows) {
      if (!orders.some(({ order }) => isOpen(order))) return this.#forget(key, orders)
    }
    return []
  }

  #forget (key: string, orders: readonly KeyedOrder[]): Op[] {
    this.#rows.delete(key)
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
