/**
 * How credits lie on disk, and the one way they get there.
 *
 *     version                       schema (`migrations.ts`)
 *     importing                     only while an import is being written
 *     receipt!ORDER                 receipt bundle (bytes)         for good; role by its parties
 *     of!RECEIPT                    ORDER as text                  for good; finds a bundle by its receipt
 *     out!PEER!N, in!PEER!N         cheque to / from that peer     for good
 *     ack!PEER!N                    my ack of in!PEER!N            for good, to be sent again as it is
 *     acked!PEER                    latest ack of that peer        evidence that it was paid
 *     fraud!PEER!ID                 proof against that peer        for good
 *     paid!T!in|out!PEER!N          index: cheques by time, T unix seconds in 14 hex digits, 0 where unknown
 *     head!PEER                     latest head by that peer       evidence of what it held of mine
 *     claim!PEER                    cheque of mine to that peer, brought by a third, that these books lack
 *     replica!AUTHOR!PEER           latest cheque of another node, kept for it
 *     refund!ORDER                  what was given back for an order, by me or to me
 *     spent!PEER!ORDER              order on a cheque of mine, whose receipt these books have lost
 *     order!ORDER                   order of mine that is open     until its receipt, refusal or expiry
 *     cancel!ORDER                  payer's word that it gave the order up: mine for good, a peer's where I had run it
 *     untold!PEER!ORDER             such an order of mine that the peer has not heard of
 *     key!TEXT                      a caller's key, or a child's: spec, orders placed under it and not given up
 *     offer!ORDER                   offer that such an order of mine accepted, until it is answered or given up; of a child that ran here the order itself
 *     waived!PEER                   derived: charges that peer gave up after it was answered, less what its cheques made good
 *     line!PEER                     derived: both lanes of a line
 *     owed!PEER!ORDER, due!…        derived: amount not yet on a cheque
 *     reply!ORDER, kept!ORDER       answer to be given again, and derived: whose and until when
 *     pool                          derived: what strangers have cost
 *     promises                      derived: what was promised to new sellers
 *     clearing!FROM!TO              in a mesh: the issuer's latest word on a lane; at the issuer on every one
 *     granted!ID                    at the issuer: a grant, by the CID of its certificate, for good
 *
 * PEER is a PeerId, ORDER and RECEIPT are CIDs as text, N is 14 hex digits. Signed records rest as
 * the bytes that were signed; what is derived can be folded from them again (`audit.ts` does).
 */
import type { Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import type { Signer } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { type Draft, sealAll } from './seals.ts'

export type Put = { type: 'put', key: string, value: Uint8Array }
export type Op = Put | { type: 'del', key: string }

/** What is needed of a database; every abstract-level with `valueEncoding: 'view'` has it. */
export interface Store {
  /** Resolves when a batch is best begun; until then rows gather. @default at once */
  turn? (): Promise<void>
  get (key: string): Promise<Uint8Array | undefined>
  /** All or nothing; with `sync` on disk before it resolves, where the database knows how. */
  batch (ops: Op[], options: { sync: boolean }): Promise<void>
  /** Rows as of the call, in order of keys. */
  iterator (range: { gte: string, lt: string }): AsyncIterable<[string, Uint8Array]>
}

const N_DIGITS = 14

export const KEYS = {
  version: 'version',
  importing: 'importing',
  pool: 'pool',
  promises: 'promises',
  line: (peer: string) => `line!${peer}`,
  order: (order: string) => `order!${order}`,
  receipt: (order: string) => `receipt!${order}`,
  of: (receipt: string) => `of!${receipt}`,
  out: (peer: string, n: number) => `out!${peer}!${digits(n)}`,
  in: (peer: string, n: number) => `in!${peer}!${digits(n)}`,
  ack: (peer: string, n: number) => `ack!${peer}!${digits(n)}`,
  fraud: (peer: string, id: string) => `fraud!${peer}!${id}`,
  paid: (at: number, direction: 'in' | 'out', peer: string, n: number) => `paid!${digits(at)}!${direction}!${peer}!${digits(n)}`,
  acked: (peer: string) => `acked!${peer}`,
  head: (peer: string) => `head!${peer}`,
  claim: (peer: string) => `claim!${peer}`,
  replica: (author: string, peer: string) => `replica!${author}!${peer}`,
  cancel: (order: string) => `cancel!${order}`,
  untold: (peer: string, order: string) => `untold!${peer}!${order}`,
  key: (text: string) => `key!${text}`,
  offer: (order: string) => `offer!${order}`,
  waived: (peer: string) => `waived!${peer}`,
  refund: (order: string) => `refund!${order}`,
  spent: (peer: string, order: string) => `spent!${peer}!${order}`,
  owed: (peer: string, order: string) => `owed!${peer}!${order}`,
  due: (peer: string, order: string) => `due!${peer}!${order}`,
  reply: (order: string) => `reply!${order}`,
  kept: (order: string) => `kept!${order}`,
  clearing: (from: string, to: string) => `clearing!${from}!${to}`,
  granted: (id: string) => `granted!${id}`
} as const

export type Prefix =
  | 'line' | 'order' | 'receipt' | 'out' | 'in' | 'owed' | 'due' | 'kept' | 'fraud' | 'paid'
  | 'head' | 'claim' | 'replica' | 'refund' | 'spent' | 'clearing' | 'granted' | 'cancel' | 'untold' | 'waived' | 'key'

function digits (n: number): string {
  return n.toString(16).padStart(N_DIGITS, '0')
}

/** The value of a row that says it all by its key. */
export const NOTHING = new Uint8Array(0)

export function put (key: string, value: Uint8Array): Op { return { type: 'put', key, value } }
export function del (key: string): Op { return { type: 'del', key } }

export function encodeText (text: string): Uint8Array { return new TextEncoder().encode(text) }
export function decodeText (bytes: Uint8Array): string { return new TextDecoder().decode(bytes) }

/** How far rows have come when whoever committed them goes on; what is written outlives this process, what is durable a power cut. */
export type Until = 'queued' | 'written' | 'durable'

/** A record that is signed when its group is written, and the rows that follow from it. */
interface Late extends Draft {
  readonly until: Until
  readonly rows: (record: Sealed) => readonly Op[]
  readonly done: PromiseWithResolvers<Sealed>
}

/** Rows that are written together; null deletes. The last word on a key stands. */
interface Group {
  readonly rows: Map<string, Uint8Array | null>
  durable: boolean
  /** Whether its first drafts are being signed, or are. */
  pressing: boolean
  readonly late: Late[]
  /** What looks at the disk when exactly this and everything before is on it. */
  readonly looks: (() => void)[]
  readonly written: PromiseWithResolvers<void>
}

function add (group: Group, ops: readonly Op[]): void {
  for (const op of ops) group.rows.set(op.key, op.type === 'put' ? op.value : null)
}

/**
 * The store as one queue of atomic writes. Commands that come while one batch is being written
 * share the next: under load one sync to disk serves many cheques, and one signature all records drafted
 * for the batch; the first of them are signed at once. What need not be durable is not waited for: a crash may take it in either case, and
 * reconciliation brings it back. A write that fails ends the journal, because memory is then ahead
 * of disk; opening anew starts from the disk.
 */
export class Journal {
  readonly #store: Store
  readonly #signer: Signer
  /** The first one is being written. */
  readonly #queue: Group[] = []
  #failure: InosError | null = null
  readonly #broken = Promise.withResolvers<InosError>()

  constructor (store: Store, signer: Signer) {
    this.#store = store
    this.#signer = signer
  }

  /** Resolves when a write has failed: ERR_STORE, as every command gets from then on. */
  get broken (): Promise<InosError> { return this.#broken.promise }

  /**
   * Write all of `ops` or nothing, after everything committed before.
   * @param durable survive a power cut before the promise resolves; else it resolves at once, unless
   * so much waits for the disk that more must not be taken
   * @throws {InosError} ERR_STORE
   */
  commit (ops: readonly Op[], durable = false): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const group = this.#tail()
    add(group, ops)
    group.durable ||= durable
    return durable ? group.written.promise : this.#room(group)
  }

  /**
   * Sign a record, at once or with others of its batch when its turn comes, and write what follows from it.
   * @param rows called once, synchronously with the signature; it may change memory. What it throws is
   * this record's failure alone
   * @param until how far its rows have come when the promise resolves; where they are only queued, as by `commit`
   * @returns the record; its rows are read from now on
   * @throws {InosError} ERR_STORE
   */
  commitSealed<T extends object> (type: string, payload: T, rows: (record: Sealed<T>) => readonly Op[], until: Until = 'queued'): Promise<Sealed<T>> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const done = Promise.withResolvers<Sealed>()
    const group = this.#tail()
    group.late.push({ type, payload, rows: rows as Late['rows'], until, done })
    if (!group.pressing) {
      group.pressing = true
      // Those of this turn come before what is queued here; who comes later is under load, and waits for its batch.
      queueMicrotask(() => { this.#press(group) })
    }
    return done.promise as Promise<Sealed<T>>
  }

  /** Make the rows of a group's drafts. */
  #press (group: Group): void {
    const late = group.late.splice(0)
    let records: Sealed[]
    try {
      records = sealAll(late, this.#signer)
    } catch (error) {
      for (const { done } of late) done.reject(error)
      return
    }
    for (const [i, { rows, until, done }] of late.entries()) {
      try {
        add(group, rows(records[i]!))
        group.durable ||= until === 'durable'
        const written = until === 'queued' ? this.#room(group) : group.written.promise
        written.then(() => { done.resolve(records[i]!) }, done.reject)
      } catch (error) {
        done.reject(error)
      }
    }
  }

  /** Resolves when more may be queued. */
  #room ({ rows, written }: Group): Promise<void> {
    return rows.size > LIMITS.credits.rowsWaitingMax ? written.promise : Promise.resolve()
  }

  /**
   * Look at the disk when everything committed so far is on it, and nothing that comes later.
   * Before this returns, memory is what the disk will be then: no draft waits.
   * @param look synchronous; it may begin to iterate `rows`
   * @throws {InosError} ERR_STORE
   */
  async look<T> (look: () => T): Promise<T> {
    if (this.#failure !== null) throw this.#failure
    if (this.#queue.length === 0) return look()
    for (const group of this.#queue) this.#press(group)
    const seen = Promise.withResolvers<T>()
    const group = this.#queue.length === 1 ? this.#tail() : this.#queue.at(-1)!
    group.looks.push(() => { seen.resolve(Promise.try(look)) })
    await group.written.promise
    return await seen.promise
  }

  /** Wait until everything committed so far is on disk. @throws {InosError} ERR_STORE */
  async written (): Promise<void> { await this.look(() => {}) }

  /** The group that takes the next rows: never the one being written, never one that is looked at. */
  #tail (): Group {
    const last = this.#queue.at(-1)
    if (last !== undefined && this.#queue.length > 1 && last.looks.length === 0) return last
    const group: Group = { rows: new Map(), durable: false, pressing: false, late: [], looks: [], written: Promise.withResolvers() }
    // Whom a failed write concerns hears of it, or is told at the next command.
    group.written.promise.catch(() => {})
    this.#queue.push(group)
    if (this.#queue.length === 1) void this.#write()
    return group
  }

  async #write (): Promise<void> {
    for (let group = this.#queue[0]; group !== undefined; group = this.#queue[0]) {
      // At the least, the first command has yet to fill the group that woke this up.
      await this.#store.turn?.()
      this.#press(group)
      const ops = Array.from(group.rows, ([key, value]) => value === null ? del(key) : put(key, value))
      try {
        if (ops.length > 0) await this.#store.batch(ops, { sync: group.durable })
      } catch (cause) {
        this.#fail(cause)
        return
      }
      for (const look of group.looks) look()
      this.#queue.shift()
      group.written.resolve()
    }
  }

  #fail (cause: unknown): void {
    const failure = this.#failure = new InosError('ERR_STORE', 'The books could not be written to disk.', {
      cause, hint: 'No payment was sent or acknowledged that was not written. Check the disk, then start the node again.'
    })
    this.#broken.resolve(failure)
    for (const { written, late } of this.#queue.splice(0)) {
      written.reject(failure)
      for (const { done } of late) done.reject(failure)
    }
  }

  /** The value as last committed, written or not. */
  async read (key: string): Promise<Uint8Array | undefined> {
    for (const group of this.#queue.toReversed()) {
      const value = group.rows.get(key)
      if (value !== undefined) return value ?? undefined
    }
    return await this.#store.get(key)
  }

  /** Every row, in order of keys, as it is on disk now. */
  all (): AsyncIterable<[string, Uint8Array]> { return this.#store.iterator({ gte: '', lt: '~' }) }

  /** Rows of one kind, and of one peer if it is given, in order of keys, as they are on disk now. */
  rows (prefix: Prefix, peer = ''): AsyncIterable<[string, Uint8Array]> {
    const start = peer === '' ? `${prefix}!` : `${prefix}!${peer}!`
    // '"' follows '!' in ASCII, so the range holds every key that begins with the prefix.
    return this.#store.iterator({ gte: start, lt: `${start.slice(0, -1)}"` })
  }
}
