/**
 * Blobs of a tab, in two stores of its database: the bytes, and a row of what is known of each. What stays and what goes
 * is told by `assembly/blob-shelf.ts`.
 */
import { type BlobRoom, type BlobShelf, openShelf } from '../assembly/blob-shelf.ts'
import { type Label, NO_LABEL } from '../processor/store.ts'
import type { Database, Rows } from './database.ts'
import { digest } from './platform.ts'

/** What is known of a blob that is here, and of one that is only labelled. */
interface Known { readonly size: number | null, readonly used: number, readonly label: Label }

const ALL = { gte: '', lt: '~' }

/** @throws {InosError} ERR_STORE */
export async function openBlobs (database: Database, bytesMax: number): Promise<BlobShelf> {
  const rows = database.rows<Known>('shelf')
  const known = new Map<string, Known>()
  for await (const [cid, row] of rows.iterator(ALL)) known.set(cid, row)
  const all = [...known]
  return await openShelf(new Shelves(database.rows('blobs'), rows, known), {
    blobs: all.flatMap(([cid, { size, used }]) => size === null ? [] : [{ cid, size, usedMs: used }]),
    labels: all.flatMap(([cid, { label }]) => isLabelled(label) ? [[cid, label] as const] : [])
  }, bytesMax)
}

class Shelves implements BlobRoom {
  readonly digest = digest
  readonly #blobs: Rows
  readonly #rows: Rows<Known>
  /** As the rows say. */
  readonly #known: Map<string, Known>

  constructor (blobs: Rows, rows: Rows<Known>, known: Map<string, Known>) {
    this.#blobs = blobs
    this.#rows = rows
    this.#known = known
  }

  async read (cid: string, size: number): Promise<Uint8Array | null> {
    const bytes = await this.#blobs.get(cid)
    return bytes?.length === size ? bytes : null
  }

  async write (cid: string, bytes: Uint8Array): Promise<void> {
    try {
      await this.#blobs.batch([{ type: 'put', key: cid, value: bytes }], { sync: false })
      await this.#note(cid, { size: bytes.length, used: Date.now() })
    } catch (error) {
      await this.remove(cid).catch(() => {})
      throw error
    }
  }

  async remove (cid: string): Promise<void> {
    await this.#blobs.batch([{ type: 'del', key: cid }], { sync: false })
    await this.#note(cid, { size: null })
  }

  noteUse (cid: string, atMs: number): void { this.#note(cid, { used: atMs }).catch(() => {}) }

  /** A browser flushes all it was given before with the label of a pin. */
  async flush (): Promise<void> {}

  async keepLabels (labels: ReadonlyMap<string, Label>, changed: readonly string[]): Promise<void> {
    for (const cid of changed) {
      const label = labels.get(cid) ?? NO_LABEL
      await this.#note(cid, { label }, label.pinned)
    }
  }

  async #note (cid: string, news: Partial<Known>, sync = false): Promise<void> {
    const row: Known = { size: null, used: 0, label: NO_LABEL, ...this.#known.get(cid), ...news }
    const isKnown = row.size !== null || isLabelled(row.label)
    if (isKnown) this.#known.set(cid, row)
    else this.#known.delete(cid)
    await this.#rows.batch([isKnown ? { type: 'put', key: cid, value: row } : { type: 'del', key: cid }], { sync })
  }
}

function isLabelled ({ pinned, shared }: Label): boolean { return pinned || shared }
