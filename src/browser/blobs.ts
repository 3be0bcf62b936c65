/**
 * Blobs of a tab by their name, in its database. A cache, as on a disk: the least recently used go, what is pinned or
 * in use stays, and what is read is verified. Who may fetch what is the business of `processor/`.
 */
import { equals } from 'multiformats/bytes'
import { CID } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { type BlobStore, createPins, Kept, type Label, NO_LABEL } from '../processor/store.ts'
import type { Database, Rows } from './database.ts'
import { digest } from './platform.ts'

/** What is known of a blob that is here, and of one that is only labelled. */
interface Known { readonly size: number | null, readonly used: number, readonly label: Label }

/** Uses that follow sooner are not written down. */
const NOTE_MS = 60_000
const ALL = { gte: '', lt: '~' }

/** @throws {InosError} ERR_STORE */
export async function openBlobs (database: Database, bytesMax: number): Promise<TabBlobs> {
  const shelf = database.rows<Known>('shelf')
  const known = new Map<string, Known>()
  for await (const [cid, row] of shelf.iterator(ALL)) known.set(cid, row)
  const blobs = new TabBlobs(database.rows('blobs'), shelf, new Map([...known].sort(([, a], [, b]) => a.used - b.used)), bytesMax)
  await blobs.keepPinned()
  return blobs
}

export class TabBlobs implements BlobStore {
  bytesMax: number
  readonly #rows: Rows
  readonly #shelf: Rows<Known>
  /** In order of use. */
  readonly #known: Map<string, Known>
  readonly #kept = new Kept()
  readonly #pins = createPins(this)
  #bytes = 0

  constructor (rows: Rows, shelf: Rows<Known>, known: Map<string, Known>, bytesMax: number) {
    this.#rows = rows
    this.#shelf = shelf
    this.#known = known
    this.bytesMax = bytesMax
    for (const { size } of known.values()) this.#bytes += size ?? 0
  }

  get bytes (): number { return this.#bytes }

  has (cid: string): boolean { return (this.#known.get(cid)?.size ?? null) !== null }

  async get (cid: string): Promise<Uint8Array | null> {
    if (!this.has(cid)) return null
    const bytes = await this.#rows.get(cid)
    if (bytes === undefined || !equals(await digest(bytes), CID.parse(cid).multihash.digest)) {
      await this.#drop(cid)
      return null
    }
    await this.#touch(cid)
    return bytes
  }

  async put (cid: string, bytes: Uint8Array): Promise<void> {
    if (this.has(cid)) return await this.#touch(cid)
    if (bytes.length > this.bytesMax) throw new InosError('ERR_STORE', `A blob of ${bytes.length} bytes does not fit a cache of ${this.bytesMax}.`)
    // Counted before it is written, so that blobs written at one time do not overrun the limit together.
    this.#bytes += bytes.length
    try {
      await this.#evict()
      await this.#rows.batch([{ type: 'put', key: cid, value: bytes }], { sync: false })
    } catch (error) {
      this.#bytes -= bytes.length
      throw error
    }
    // Somebody else may have put it in the meantime.
    if (this.has(cid)) this.#bytes -= bytes.length
    await this.#note(cid, { size: bytes.length })
  }

  * list (): Generator<[string, number]> {
    for (const [cid, { size }] of this.#known) if (size !== null) yield [cid, size]
  }

  keep (cids: Iterable<string>): () => void { return this.#kept.keep(cids) }

  async remove (cid: string): Promise<boolean> {
    if (this.#kept.has(cid)) return false
    await this.#drop(cid)
    return true
  }

  label (cid: string): Label { return this.#known.get(cid)?.label ?? NO_LABEL }

  * labels (): Generator<[string, Label]> {
    for (const [cid, { label }] of this.#known) if (label.pinned || label.shared) yield [cid, label]
  }

  async setLabel (cid: string, label: Label): Promise<void> {
    await this.#pins.set(cid, label.pinned)
    await this.#note(cid, { label }, label.pinned)
  }

  /** To be called once, before anything is put. */
  async keepPinned (): Promise<void> {
    for (const [cid, { pinned }] of [...this.labels()]) if (pinned) await this.#pins.set(cid, true)
  }

  async #evict (): Promise<void> {
    for (const [oldest] of [...this.list()]) {
      if (this.#bytes <= this.bytesMax) return
      if (!this.#kept.has(oldest)) await this.#drop(oldest)
    }
    if (this.#bytes > this.bytesMax) throw new InosError('ERR_STORE', `All ${this.bytesMax} bytes for blobs are taken by what is pinned or in use.`, { hint: 'Unpin some of them.' })
  }

  async #drop (cid: string): Promise<void> {
    const { size, label } = this.#known.get(cid) ?? { size: null, label: NO_LABEL }
    if (size === null) return
    this.#bytes -= size
    this.#known.delete(cid)
    const isLabelled = label.pinned || label.shared
    if (isLabelled) this.#known.set(cid, { size: null, used: Date.now(), label })
    await this.#rows.batch([{ type: 'del', key: cid }], { sync: false })
    await this.#shelf.batch([isLabelled ? { type: 'put', key: cid, value: this.#known.get(cid)! } : { type: 'del', key: cid }], { sync: false })
  }

  /** The order of use outlives the tab only as well as this works. */
  async #touch (cid: string): Promise<void> {
    const row = this.#known.get(cid)
    if (row === undefined) return
    this.#known.delete(cid)
    this.#known.set(cid, row)
    if (Date.now() - row.used >= NOTE_MS) await this.#note(cid, {})
  }

  async #note (cid: string, news: Partial<Known>, sync = false): Promise<void> {
    const row: Known = { size: null, label: NO_LABEL, ...this.#known.get(cid), ...news, used: Date.now() }
    this.#known.delete(cid)
    this.#known.set(cid, row)
    await this.#shelf.batch([{ type: 'put', key: cid, value: row }], { sync })
  }
}
