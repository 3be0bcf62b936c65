/**
 * Bytes on disk by their name: modules, inputs and results that are too large to travel inline, and
 * the chunks and manifests of blobs. A cache: whatever is lost, damaged or half-written is fetched again, so nothing is
 * renamed, and nothing flushed but what is pinned; what is read is verified. What is pinned or in use is not evicted. Who may fetch
 * what is the business of `processor/`.
 */
import { writeFile as writeFileLater } from 'node:fs'
import { mkdir, open, readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { equals } from 'multiformats/bytes'
import { CID, isOurs } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { type BlobStore, createPins, Kept, type Label, partsOf } from '../processor/store.ts'
import { openLabels, type LabelsFile } from './blob-labels.ts'
import { digest } from './digest.ts'
import { syncFile } from './replace-file.ts'

export interface BlobCacheOptions {
  /** All blobs together; the least recently used go first. @default LIMITS.store.blobsBytesMax */
  bytesMax?: number
}

/** Whose limit may change; what is too much then goes with the next blob that is put. */
export interface BlobCache extends BlobStore { bytesMax: number }

/**
 * Open a directory of blobs, whose parent exists, creating it if missing.
 * @throws {InosError} ERR_STORE
 */
export async function openBlobCache (path: string, { bytesMax = LIMITS.store.blobsBytesMax }: BlobCacheOptions = {}): Promise<BlobCache> {
  try {
    await mkdir(path, { mode: 0o700 }).catch(ignoreExisting)
    const cache = new DiskCache(path, bytesMax, await listBlobs(path), await openLabels(join(path, LABELS)))
    await cache.keepPinned()
    return cache
  } catch (error) {
    throw storeError(`The blobs in ${path} cannot be read`, error)
  }
}

function ignoreExisting (error: unknown): void {
  if (codeOf(error) !== 'EEXIST') throw error
}

/** In one write; that of `fs/promises` takes several. */
const writeFile = promisify(writeFileLater)

const LABELS = 'labels.json'
/** Uses that follow sooner are not written down. */
const NOTE_MS = 60_000

/** Sizes by name, least recently used first, as the times of the files tell. */
async function listBlobs (path: string): Promise<Map<string, number>> {
  const blobs: { name: string, size: number, used: number }[] = []
  for (const name of await readdir(path)) {
    if (!isBlobName(name)) continue
    const { size, mtimeMs } = await stat(join(path, name))
    blobs.push({ name, size, used: mtimeMs })
  }
  blobs.sort((one, other) => one.used - other.used)
  return new Map(blobs.map(({ name, size }) => [name, size]))
}

/** Names come from peers as well; only the one spelling of a CID of ours becomes part of a path. */
function isBlobName (name: string): boolean {
  try {
    const cid = CID.parse(name)
    return isOurs(cid) && cid.toString() === name
  } catch {
    return false
  }
}

class DiskCache implements BlobCache {
  readonly #path: string
  bytesMax: number
  readonly #labels: LabelsFile
  /** In order of use. */
  readonly #sizes: Map<string, number>
  readonly #writing = new Map<string, Promise<void>>()
  readonly #kept = new Kept()
  readonly #pins = createPins(this)
  /** When the disk was last told that a blob is used. */
  readonly #noted = new Map<string, number>()
  #bytes = 0

  constructor (path: string, bytesMax: number, sizes: Map<string, number>, labels: LabelsFile) {
    this.#path = path
    this.#labels = labels
    this.bytesMax = bytesMax
    this.#sizes = sizes
    for (const size of sizes.values()) this.#bytes += size
  }

  get bytes (): number { return this.#bytes }

  has (cid: string): boolean { return this.#sizes.has(cid) }

  async get (cid: string, room?: Uint8Array<ArrayBuffer>): Promise<Uint8Array | null> {
    const size = this.#sizes.get(cid)
    if (size === undefined) return null
    const file = join(this.#path, cid)
    const bytes = await readBlob(file, size, room)
    if (bytes === null || !await isNamed(bytes, cid)) {
      // A blob that was evicted and put again in the meantime has been counted anew.
      if (this.#sizes.get(cid) === size) await this.#drop(cid)
      return null
    }
    this.#touch(cid)
    this.#noteUse(cid, file)
    return bytes
  }

  list (): IterableIterator<[string, number]> { return this.#sizes.entries() }

  keep (cids: Iterable<string>): () => void { return this.#kept.keep(cids) }

  async remove (cid: string): Promise<boolean> {
    if (this.#kept.has(cid)) return false
    await this.#drop(cid)
    return true
  }

  labels (): Iterable<[string, Label]> { return this.#labels.list() }

  label (cid: string): Label { return this.#labels.get(cid) }

  async setLabel (cid: string, label: Label): Promise<void> {
    if (!isBlobName(cid)) throw new InosError('ERR_STORE', `"${cid.slice(0, 80)}" cannot name a blob.`)
    await this.#pins.set(cid, label.pinned)
    try {
      if (label.pinned && !this.#labels.get(cid).pinned) await this.#flush(cid)
      await this.#labels.set(cid, label)
    } catch (error) {
      throw storeError('What is known of blobs cannot be written', error)
    }
  }

  /** A pin is a promise for longer than the power lasts: what it names comes to the disk before it does. */
  async #flush (cid: string): Promise<void> {
    for (const part of await partsOf(this, cid)) if (this.#sizes.has(part)) await syncFile(join(this.#path, part))
    if (process.platform !== 'win32') await syncFile(this.#path)
  }

  /** To be called once, before anything is put. */
  async keepPinned (): Promise<void> {
    for (const [cid, { pinned }] of this.#labels.list()) await this.#pins.set(cid, pinned)
  }

  async put (cid: string, bytes: Uint8Array): Promise<void> {
    if (!isBlobName(cid)) throw new InosError('ERR_STORE', `"${cid.slice(0, 80)}" cannot name a blob.`)
    if (this.#sizes.has(cid)) return this.#touch(cid)
    const writing = this.#writing.get(cid) ?? this.#write(cid, bytes).finally(() => this.#writing.delete(cid))
    this.#writing.set(cid, writing)
    await writing
  }

  async #write (cid: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length > this.bytesMax) throw new InosError('ERR_STORE', `A blob of ${bytes.length} bytes does not fit a cache of ${this.bytesMax}.`)
    const file = join(this.#path, cid)
    // Counted before it is written, so that blobs written at one time do not overrun the limit together.
    this.#bytes += bytes.length
    try {
      await this.#evict(bytes.length)
      await writeFile(file, bytes, { mode: 0o600 })
    } catch (error) {
      this.#bytes -= bytes.length
      await rm(file, { force: true }).catch(() => {})
      throw storeError(`The blob ${cid} cannot be written`, error)
    }
    this.#sizes.set(cid, bytes.length)
    // Its file has the time of now.
    this.#noted.set(cid, Date.now())
  }

  /** Make room for bytes that are counted already. @throws {InosError} ERR_STORE when what has to stay leaves none */
  async #evict (bytes: number): Promise<void> {
    for (const oldest of this.#sizes.keys()) {
      if (this.#bytes <= this.bytesMax) return
      if (!this.#kept.has(oldest)) await this.#drop(oldest)
    }
    const stays = this.#kept.size === 0 ? 0 : [...this.#sizes].reduce((sum, [cid, size]) => sum + (this.#kept.has(cid) ? size : 0), 0)
    if (stays + bytes > this.bytesMax) throw new InosError('ERR_STORE', `All ${this.bytesMax} bytes for blobs are taken by what is pinned or in use.`, { hint: 'Unpin some of them; `inos blob ls` shows them.' })
  }

  async #drop (cid: string): Promise<void> {
    const size = this.#sizes.get(cid)
    if (size === undefined) return
    this.#sizes.delete(cid)
    this.#noted.delete(cid)
    this.#bytes -= size
    await rm(join(this.#path, cid), { force: true })
  }

  /** The order of use outlives the process only as well as this works. */
  #noteUse (cid: string, file: string): void {
    const now = Date.now()
    if (now - (this.#noted.get(cid) ?? 0) < NOTE_MS) return
    this.#noted.set(cid, now)
    void utimes(file, now / 1000, now / 1000).catch(() => {})
  }

  #touch (cid: string): void {
    const size = this.#sizes.get(cid)
    if (size === undefined) return
    this.#sizes.delete(cid)
    this.#sizes.set(cid, size)
  }
}

/** As many bytes as the file had; null if it has fewer by now. */
async function readBlob (file: string, size: number, room?: Uint8Array<ArrayBuffer>): Promise<Uint8Array | null> {
  try {
    await using handle = await open(file)
    const bytes = room !== undefined && size <= room.length ? room.subarray(0, size) : new Uint8Array(size)
    let have = 0
    for (let read = 1; read > 0 && have < size; have += read) read = (await handle.read(bytes, have)).bytesRead
    return have === size ? bytes : null
  } catch {
    return null
  }
}

/** Hashed in slices, as blobs have up to 96 MiB. */
async function isNamed (bytes: Uint8Array, cid: string): Promise<boolean> {
  return equals(await digest(bytes), CID.parse(cid).multihash.digest)
}

function storeError (what: string, error: unknown): InosError {
  if (error instanceof InosError) return error
  const code = codeOf(error)
  return new InosError('ERR_STORE', `${what} (${code}).`, code === 'ENOSPC' ? { cause: error, hint: 'The disk is full.' } : { cause: error })
}

function codeOf (error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
