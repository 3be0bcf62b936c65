/**
 * Blobs on disk, a file each: modules, inputs and results that are too large to travel inline, and
 * the chunks and manifests of blobs. What stays and what goes is told by `assembly/blob-shelf.ts`. A cache: whatever is lost, damaged or half-written
 * is fetched again, so nothing is renamed, and nothing flushed but what is pinned.
 */
import { writeFile as writeFileLater } from 'node:fs'
import { mkdir, open, readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type BlobRoom, type BlobShelf, isBlobName, openShelf } from '../assembly/blob-shelf.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { readLabels, writeLabels } from './blob-labels.ts'
import { digest } from './digest.ts'
import { syncFile } from './replace-file.ts'

export interface BlobCacheOptions {
  /** All blobs together; the least recently used go first. @default LIMITS.store.blobsBytesMax */
  bytesMax?: number
}

/**
 * Open a directory of blobs, whose parent exists, creating it if missing.
 * @throws {InosError} ERR_STORE
 */
export async function openBlobCache (path: string, { bytesMax = LIMITS.store.blobsBytesMax }: BlobCacheOptions = {}): Promise<BlobShelf> {
  try {
    await mkdir(path, { mode: 0o700 }).catch(ignoreExisting)
    return await openShelf(roomIn(path), { blobs: await listBlobs(path), labels: await readLabels(join(path, LABELS)) }, bytesMax)
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

/** Sizes and last uses, as the times of the files tell. */
async function listBlobs (path: string): Promise<{ cid: string, size: number, usedMs: number }[]> {
  const blobs: { cid: string, size: number, usedMs: number }[] = []
  for (const cid of await readdir(path)) {
    if (!isBlobName(cid)) continue
    const { size, mtimeMs } = await stat(join(path, cid))
    blobs.push({ cid, size, usedMs: mtimeMs })
  }
  return blobs
}

function roomIn (path: string): BlobRoom {
  let labelsWritten = Promise.resolve()
  return {
    digest,
    read: (cid, size, room) => readBlob(join(path, cid), size, room),
    async write (cid, bytes) {
      try {
        await writeFile(join(path, cid), bytes, { mode: 0o600 })
      } catch (error) {
        await rm(join(path, cid), { force: true }).catch(() => {})
        throw storeError(`The blob ${cid} cannot be written`, error)
      }
    },
    async remove (cid) {
      await rm(join(path, cid), { force: true }).catch((error: unknown) => { throw storeError(`The blob ${cid} cannot be removed`, error) })
    },
    noteUse (cid, atMs) { void utimes(join(path, cid), atMs / 1000, atMs / 1000).catch(() => {}) },
    async flush (cids) {
      try {
        for (const cid of cids) await syncFile(join(path, cid))
        if (process.platform !== 'win32') await syncFile(path)
      } catch (error) {
        throw storeError('What is known of blobs cannot be written', error)
      }
    },
    async keepLabels (labels) {
      // One after the other; whoever waits for the last has all before it.
      labelsWritten = labelsWritten.catch(() => {}).then(() => writeLabels(join(path, LABELS), labels))
      await labelsWritten.catch((error: unknown) => { throw storeError('What is known of blobs cannot be written', error) })
    }
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

function storeError (what: string, error: unknown): InosError {
  if (error instanceof InosError) return error
  const code = codeOf(error)
  return new InosError('ERR_STORE', `${what} (${code}).`, code === 'ENOSPC' ? { cause: error, hint: 'The disk is full.' } : { cause: error })
}

function codeOf (error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
