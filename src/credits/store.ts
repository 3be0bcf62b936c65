/**
 * How credits lie on disk, and the one way they get there.
 *
 *     version                       "1"; another one is refused
 *     receipt!ORDER                 receipt bundle (bytes)         for good; role by its parties
 *     of!RECEIPT                    ORDER as text                  for good; finds a bundle by its receipt
 *     out!PEER!N, in!PEER!N         cheque to / from that peer     for good
 *     ack!PEER!N                    my ack of in!PEER!N            for good, to be sent again as it is
 *     acked!PEER                    latest ack of that peer        evidence that it was paid
 *     order!ORDER                   order of mine that is open     until its receipt, refusal or expiry
 *     line!PEER                     derived: both lanes of a line
 *     owed!PEER!ORDER, due!…        derived: amount not yet on a cheque
 *     reply!ORDER, kept!ORDER       answer to be given again, and derived: whose and until when
 *     pool                          derived: what strangers have cost
 *     clearing!FROM!TO              in a mesh: the issuer's latest word on a lane; at the issuer on every one
 *     granted!ID                    at the issuer: a grant, by the CID of its certificate, for good
 *
 * PEER is a PeerId, ORDER and RECEIPT are CIDs as text, N is 14 hex digits. Signed records rest as
 * the bytes that were signed; what is derived can be folded from them again (`audit.ts` does).
 */
import { InosError } from '../packet/errors.ts'

export type Put = { type: 'put', key: string, value: Uint8Array }
export type Op = Put | { type: 'del', key: string }

/** What is needed of a database; every abstract-level with `valueEncoding: 'view'` has it. */
export interface Store {
  get (key: string): Promise<Uint8Array | undefined>
  /** All or nothing; with `sync` on disk before it resolves, where the database knows how. */
  batch (ops: Op[], options: { sync: boolean }): Promise<void>
  /** Rows as of the call, in order of keys. */
  iterator (range: { gte: string, lt: string }): AsyncIterable<[string, Uint8Array]>
}

const VERSION = '1'
const N_DIGITS = 14

export const KEYS = {
  version: 'version',
  pool: 'pool',
  line: (peer: string) => `line!${peer}`,
  order: (order: string) => `order!${order}`,
  receipt: (order: string) => `receipt!${order}`,
  of: (receipt: string) => `of!${receipt}`,
  out: (peer: string, n: number) => `out!${peer}!${digits(n)}`,
  in: (peer: string, n: number) => `in!${peer}!${digits(n)}`,
  ack: (peer: string, n: number) => `ack!${peer}!${digits(n)}`,
  acked: (peer: string) => `acked!${peer}`,
  owed: (peer: string, order: string) => `owed!${peer}!${order}`,
  due: (peer: string, order: string) => `due!${peer}!${order}`,
  reply: (order: string) => `reply!${order}`,
  kept: (order: string) => `kept!${order}`,
  clearing: (from: string, to: string) => `clearing!${from}!${to}`,
  granted: (id: string) => `granted!${id}`
} as const

export type Prefix = 'line' | 'order' | 'receipt' | 'out' | 'in' | 'owed' | 'due' | 'kept' | 'clearing' | 'granted'

function digits (n: number): string {
  return n.toString(16).padStart(N_DIGITS, '0')
}

export function put (key: string, value: Uint8Array): Op { return { type: 'put', key, value } }
export function del (key: string): Op { return { type: 'del', key } }

export function encodeText (text: string): Uint8Array { return new TextEncoder().encode(text) }
export function decodeText (bytes: Uint8Array): string { return new TextDecoder().decode(bytes) }

/** Rows that are written together; null deletes. The last word on a key stands. */
interface Group {
  readonly rows: Map<string, Uint8Array | null>
  durable: boolean
  /** What looks at the disk when exactly this and everything before is on it. */
  readonly looks: (() => void)[]
  readonly written: PromiseWithResolvers<void>
}

/**
 * The store as one queue of atomic writes. Commands that come while one batch is being written
 * share the next: under load one sync to disk serves many cheques. A write that fails ends the
 * journal, because memory is then ahead of disk; opening anew starts from the disk.
 */
export class Journal {
  readonly #store: Store
  /** The first one is being written. */
  readonly #queue: Group[] = []
  #failure: InosError | null = null

  constructor (store: Store) {
    this.#store = store
  }

  /**
   * Write all of `ops` or nothing, after everything committed before.
   * @param durable survive a power cut before the promise resolves
   * @throws {InosError} ERR_STORE
   */
  commit (ops: readonly Op[], durable = false): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const group = this.#tail()
    for (const op of ops) group.rows.set(op.key, op.type === 'put' ? op.value : null)
    group.durable ||= durable
    return group.written.promise
  }

  /**
   * Look at the disk when everything committed so far is on it, and nothing that comes later.
   * @param look synchronous; it may begin to iterate `rows`
   * @throws {InosError} ERR_STORE
   */
  async look<T> (look: () => T): Promise<T> {
    if (this.#failure !== null) throw this.#failure
    if (this.#queue.length === 0) return look()
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
    const group: Group = { rows: new Map(), durable: false, looks: [], written: Promise.withResolvers() }
    this.#queue.push(group)
    if (this.#queue.length === 1) void this.#write()
    return group
  }

  async #write (): Promise<void> {
    // The first command has yet to fill the group that woke this up.
    await null
    for (let group = this.#queue[0]; group !== undefined; group = this.#queue[0]) {
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
      cause, hint: 'Nothing was sent that was not written. Check the disk, then start the node again.'
    })
    for (const group of this.#queue.splice(0)) group.written.reject(failure)
  }

  /** The value as last committed, written or not. */
  async read (key: string): Promise<Uint8Array | undefined> {
    for (const group of this.#queue.toReversed()) {
      const value = group.rows.get(key)
      if (value !== undefined) return value ?? undefined
    }
    return await this.#store.get(key)
  }

  /** Rows of one kind, and of one peer if it is given, in order of keys, as they are on disk now. */
  rows (prefix: Prefix, peer = ''): AsyncIterable<[string, Uint8Array]> {
    const start = peer === '' ? `${prefix}!` : `${prefix}!${peer}!`
    // '"' follows '!' in ASCII, so the range holds every key that begins with the prefix.
    return this.#store.iterator({ gte: start, lt: `${start.slice(0, -1)}"` })
  }
}

/**
 * Open the books: a new store gets the schema's version, a known one passes.
 * @throws {InosError} ERR_DATA_DIR when another version of INOS wrote it
 */
export async function openJournal (store: Store): Promise<Journal> {
  const journal = new Journal(store)
  const found = await store.get(KEYS.version)
  if (found === undefined) {
    await journal.commit([put(KEYS.version, encodeText(VERSION))], true)
  } else if (decodeText(found) !== VERSION) {
    throw new InosError('ERR_DATA_DIR', `The books have schema "${decodeText(found).slice(0, 20)}"; this version of INOS reads ${VERSION}.`, {
      hint: 'Use the version of INOS that wrote them, or another data directory.'
    })
  }
  return journal
}
