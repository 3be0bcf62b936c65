/**
 * What a tab keeps, in one IndexedDB of its origin: identity, books, rows of actors, blobs, small files. One page at a
 * time owns it, by a Web Lock, as one process owns a data directory. What the rows say is other rooms' business.
 *
 * IndexedDB itself and not a LevelDB on top of it: a cheque is to be on disk before it is sent, which takes a transaction
 * of strict durability, and an iterator shows the rows as of its call, which takes a single transaction.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

/** `kept` holds the identity and small texts, `books` the ledger, `actors` their rows; `blobs` bytes and `shelf` what is known of them. */
const STORES = ['kept', 'books', 'actors', 'blobs', 'shelf'] as const
export type StoreName = typeof STORES[number]
const VERSION = 1

type Op<T> = { readonly type: 'put', readonly key: string, readonly value: T } | { readonly type: 'del', readonly key: string }

export interface Database extends AsyncDisposable {
  /** As the page named it. */
  readonly name: string
  rows<T = Uint8Array> (store: StoreName): Rows<T>
}

/**
 * Take possession of what this origin keeps under a name, creating what is missing.
 * @throws {InosError} ERR_DATA_DIR where another page has it, or this one may keep nothing
 */
export async function openDatabase (name: string): Promise<Database> {
  if (!globalThis.isSecureContext || globalThis.indexedDB === undefined) {
    throw new InosError('ERR_DATA_DIR', 'This page cannot keep a node: it is no secure context, or the browser keeps nothing for it.', { hint: 'Serve it over https:, or from localhost.' })
  }
  const release = await lock(name)
  try {
    const db = await opened(name)
    // Whoever deletes the origin's data need not wait for this page.
    db.onversionchange = () => { db.close() }
    return {
      name,
      rows: <T>(store: StoreName) => new Rows<T>(db, store),
      async [Symbol.asyncDispose] () {
        db.close()
        release()
      }
    }
  } catch (error) {
    release()
    throw error
  }
}

/** The page before this one may still be leaving, so it waits a moment. @returns gives the lock back */
async function lock (name: string): Promise<() => void> {
  const taken = Promise.withResolvers<void>()
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const signal = AbortSignal.timeout(LIMITS.browser.lockMsMax)
  navigator.locks.request(`inos:${name}`, { signal }, () => {
    taken.resolve()
    return held
  }).catch(taken.reject)
  try {
    await taken.promise
    return release
  } catch (cause) {
    throw new InosError('ERR_DATA_DIR', `The node "${name}" of this site is in use by another tab.`, { cause, hint: 'Close that tab, or join with another dataDir.' })
  }
}

function opened (name: string): Promise<IDBDatabase> {
  const { promise, resolve, reject } = Promise.withResolvers<IDBDatabase>()
  const request = indexedDB.open(`inos:${name}`, VERSION)
  request.onupgradeneeded = () => { for (const store of STORES) request.result.createObjectStore(store) }
  request.onsuccess = () => { resolve(request.result) }
  request.onerror = () => { reject(new InosError('ERR_DATA_DIR', `What this site keeps of the node "${name}" cannot be opened: ${request.error?.message ?? 'unknown'}.`, { cause: request.error })) }
  return promise
}

/** Rows by key; a batch is written whole or not at all. Whatever fails is an ERR_STORE. */
export class Rows<T = Uint8Array> {
  readonly #db: IDBDatabase
  readonly #store: StoreName

  constructor (db: IDBDatabase, store: StoreName) {
    this.#db = db
    this.#store = store
  }

  async get (key: string): Promise<T | undefined> {
    return await this.#read(store => store.get(key) as IDBRequest<T | undefined>)
  }

  /** With `sync` on disk before it resolves. */
  async batch (ops: readonly Op<T>[], { sync }: { sync: boolean }): Promise<void> {
    const transaction = this.#begin('readwrite', sync ? 'strict' : 'relaxed')
    const store = transaction.objectStore(this.#store)
    for (const op of ops) {
      if (op.type === 'put') store.put(alone(op.value), op.key)
      else store.delete(op.key)
    }
    transaction.commit()
    await done(transaction)
  }

  /** Rows as of the call, in order of keys. */
  iterator ({ gte, lt }: { gte: string, lt: string }): AsyncIterable<[string, T]> {
    const range = IDBKeyRange.bound(gte, lt, false, true)
    const transaction = this.#begin('readonly', 'default')
    const store = transaction.objectStore(this.#store)
    const rows = Promise.all([asked(store.getAllKeys(range) as IDBRequest<string[]>), asked(store.getAll(range) as IDBRequest<T[]>)])
    // It may be looked at later than it fails.
    rows.catch(() => {})
    return {
      async * [Symbol.asyncIterator] () {
        const [keys, values] = await rows
        for (const [at, key] of keys.entries()) yield [key, values[at]!]
      }
    }
  }

  async #read<R> (ask: (store: IDBObjectStore) => IDBRequest<R>): Promise<R> {
    return await asked(ask(this.#begin('readonly', 'default').objectStore(this.#store)))
  }

  #begin (mode: IDBTransactionMode, durability: IDBTransactionDurability): IDBTransaction {
    try {
      return this.#db.transaction(this.#store, mode, { durability })
    } catch (cause) {
      throw failed(cause)
    }
  }
}

/** A part of a larger buffer would be kept with all of it. */
function alone<T> (value: T): T {
  return value instanceof Uint8Array && value.length < value.buffer.byteLength ? value.slice() as T : value
}

function asked<R> (request: IDBRequest<R>): Promise<R> {
  const { promise, resolve, reject } = Promise.withResolvers<R>()
  request.onsuccess = () => { resolve(request.result) }
  request.onerror = () => { reject(failed(request.error)) }
  return promise
}

function done (transaction: IDBTransaction): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  transaction.oncomplete = () => { resolve() }
  transaction.onabort = () => { reject(failed(transaction.error)) }
  return promise
}

function failed (cause: unknown): InosError {
  if (cause instanceof DOMException && cause.name === 'QuotaExceededError') return new InosError('ERR_STORE', 'The browser gives this site no more room.', { cause, hint: 'Remove blobs, or free space on this machine.' })
  return new InosError('ERR_STORE', `What this tab keeps cannot be read or written: ${cause instanceof Error ? `${cause.name} ${cause.message}`.trim() : 'unknown'}.`, { cause })
}
