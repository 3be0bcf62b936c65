/**
 * The blobs of a node by their name, within a limit: what is here, what goes for what is new, what stays because it is pinned or in use,
 * and that what is read has the name it is asked by. Where the bytes lie is the platform's choice: files, rows of a database. A cache: whatever is lost
 * or damaged is fetched again. Who may fetch what is the business of `processor/`.
 */
import { equals } from 'multiformats/bytes'
import { CID, isOurs } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { type BlobStore, createPins, Kept, type Label, NO_LABEL, partsOf } from '../processor/store.ts'

/** Where bytes and labels outlive the node. What fails is an InosError with ERR_STORE. */
export interface BlobRoom {
  /** As many bytes as were written, not verified, or null. @param room where they may be put, if they fit */
  read (cid: string, size: number, room?: Uint8Array<ArrayBuffer>): Promise<Uint8Array | null>
  /** Nothing of it is left if it throws. */
  write (cid: string, bytes: Uint8Array): Promise<void>
  remove (cid: string): Promise<void>
  /** Remember when it was used; the order of use outlives the node only as well as this works. */
  noteUse (cid: string, atMs: number): void
  /** What was written of these comes to the disk. */
  flush (cids: readonly string[]): Promise<void>
  /** Labels of `changed` are other ones now, or none. */
  keepLabels (labels: ReadonlyMap<string, Label>, changed: readonly string[]): Promise<void>
  /** SHA-256. */
  digest (bytes: Uint8Array): Promise<Uint8Array>
}

/** What a room held when it was opened. */
export interface Stock {
  readonly blobs: readonly { readonly cid: string, readonly size: number, readonly usedMs: number }[]
  readonly labels: Iterable<readonly [string, Label]>
}

/** Uses that follow sooner are not written down. */
const NOTE_MS = 60_000

/** @throws what `room` throws */
export async function openShelf (room: BlobRoom, stock: Stock, bytesMax: number): Promise<BlobShelf> {
  const shelf = new BlobShelf(room, stock, bytesMax)
  await shelf.keepPinned()
  return shelf
}

/** Names come from peers as well; only the one spelling of a CID of ours is one. */
export function isBlobName (name: string): boolean {
  try {
    const cid = CID.parse(name)
    return isOurs(cid) && cid.toString() === name
  } catch {
    return false
  }
}

export class BlobShelf implements BlobStore {
  /** May change; what is too much then goes with the next blob that is put. */
  bytesMax: number
  readonly #room: BlobRoom
  /** In order of use. */
  readonly #sizes = new Map<string, number>()
  /** When the room was last told that a blob is used. */
  readonly #noted = new Map<string, number>()
  readonly #labels: Map<string, Label>
  readonly #writing = new Map<string, Promise<void>>()
  readonly #kept = new Kept()
  readonly #pins = createPins(this)
  #bytes = 0

  constructor (room: BlobRoom, { blobs, labels }: Stock, bytesMax: number) {
    this.#room = room
    this.#labels = new Map(labels)
    this.bytesMax = bytesMax
    for (const { cid, size, usedMs } of blobs.toSorted((one, other) => one.usedMs - other.usedMs)) {
      this.#sizes.set(cid, size)
      this.#noted.set(cid, usedMs)
      this.#bytes += size
    }
  }

  /** To be called once, before anything is put. */
  async keepPinned (): Promise<void> {
    for (const [cid, { pinned }] of this.#labels) await this.#pins.set(cid, pinned)
  }

  get bytes (): number { return this.#bytes }

  has (cid: string): boolean { return this.#sizes.has(cid) }

  list (): IterableIterator<[string, number]> { return this.#sizes.entries() }

  async get (cid: string, room?: Uint8Array<ArrayBuffer>): Promise<Uint8Array | null> {
    const size = this.#sizes.get(cid)
    if (size === undefined) return null
    const bytes = await this.#room.read(cid, size, room)
    if (bytes === null || !equals(await this.#room.digest(bytes), CID.parse(cid).multihash.digest)) {
      // A blob that was evicted and put again in the meantime has been counted anew.
      if (this.#sizes.get(cid) === size) await this.#drop(cid)
      return null
    }
    this.#touch(cid)
    this.#noteUse(cid)
    return bytes
  }

  async put (cid: string, bytes: Uint8Array): Promise<void> {
    checkName(cid)
    if (this.#sizes.has(cid)) return this.#touch(cid)
    const writing = this.#writing.get(cid) ?? this.#write(cid, bytes).finally(() => this.#writing.delete(cid))
    this.#writing.set(cid, writing)
    await writing
  }

  keep (cids: Iterable<string>): () => void { return this.#kept.keep(cids) }

  async remove (cid: string): Promise<boolean> {
    if (this.#kept.has(cid)) return false
    await this.#drop(cid)
    return true
  }

  label (cid: string): Label { return this.#labels.get(cid) ?? NO_LABEL }

  labels (): Iterable<[string, Label]> { return this.#labels.entries() }

  async setLabel (cid: string, { pinned, shared }: Label): Promise<void> {
    checkName(cid)
    await this.#pins.set(cid, pinned)
    // A pin is a promise for longer than the power lasts: what it names comes to the disk before it does.
    if (pinned && !this.label(cid).pinned) await this.#room.flush((await partsOf(this, cid)).filter(part => this.#sizes.has(part)))
    const before = this.label(cid)
    if (before.pinned === pinned && before.shared === shared) return
    this.#labels.delete(cid)
    if (pinned || shared) this.#labels.set(cid, { pinned, shared })
    await this.#room.keepLabels(this.#labels, [cid, ...this.#forgetOldest()])
  }

  /** Pins are the owner's own; of the other labels the oldest go. */
  #forgetOldest (): string[] {
    const forgotten: string[] = []
    for (const [cid, { pinned }] of this.#labels) {
      if (this.#labels.size <= LIMITS.blobs.labelsMax) break
      if (pinned) continue
      this.#labels.delete(cid)
      forgotten.push(cid)
    }
    return forgotten
  }

  async #write (cid: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length > this.bytesMax) throw new InosError('ERR_STORE', `A blob of ${bytes.length} bytes does not fit a cache of ${this.bytesMax}.`)
    // Counted before it is written, so that blobs written at one time do not overrun the limit together.
    this.#bytes += bytes.length
    try {
      await this.#evict(bytes.length)
      await this.#room.write(cid, bytes)
    } catch (error) {
      this.#bytes -= bytes.length
      throw error
    }
    this.#sizes.set(cid, bytes.length)
    // The room has just noted its time itself.
    this.#noted.set(cid, Date.now())
  }

  /** Make room for bytes that are counted already. @throws {InosError} ERR_STORE when what has to stay leaves none */
  async #evict (bytes: number): Promise<void> {
    for (const oldest of this.#sizes.keys()) {
      if (this.#bytes <= this.bytesMax) return
      if (!this.#kept.has(oldest)) await this.#drop(oldest)
    }
    const stays = this.#kept.size === 0 ? 0 : [...this.#sizes].reduce((sum, [cid, size]) => sum + (this.#kept.has(cid) ? size : 0), 0)
    if (stays + bytes > this.bytesMax) throw new InosError('ERR_STORE', `All ${this.bytesMax} bytes for blobs are taken by what is pinned or in use.`, { hint: 'Unpin some of them; `inos blob ls` and the dashboard show them.' })
  }

  async #drop (cid: string): Promise<void> {
    const size = this.#sizes.get(cid)
    if (size === undefined) return
    this.#sizes.delete(cid)
    this.#noted.delete(cid)
    this.#bytes -= size
    await this.#room.remove(cid)
  }

  #touch (cid: string): void {
    const size = this.#sizes.get(cid)
    if (size === undefined) return
    this.#sizes.delete(cid)
    this.#sizes.set(cid, size)
  }

  #noteUse (cid: string): void {
    const now = Date.now()
    if (now - (this.#noted.get(cid) ?? 0) < NOTE_MS) return
    this.#noted.set(cid, now)
    this.#room.noteUse(cid, now)
  }
}

function checkName (cid: string): void {
  if (!isBlobName(cid)) throw new InosError('ERR_STORE', `"${cid.slice(0, 80)}" cannot name a blob.`)
}
