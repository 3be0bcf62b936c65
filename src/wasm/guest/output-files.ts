/**
 * The files a guest leaves, looked for when it has ended: every regular file at or below one of the run's
 * outputs, under each name it has there, also one it brought along and never touched. Symbolic links are not
 * followed and not given back, nor are empty directories; a path where nothing is gives nothing.
 *
 * They leave as one archive of the form that `packet/files.ts` reads. It is written here by hand, byte for byte what
 * dag-cbor gives, so that an executor need not be let read the packages that encode everything else.
 */
import { LIMITS } from '../../packet/limits.ts'
import type { DirectoryInode, FileInode, Inode } from './file-system.ts'

const { filesMax } = LIMITS.spec
const { pathBytesMax } = LIMITS.guest
const encoder = new TextEncoder()

/** Major types of CBOR (RFC 8949, section 3.1). */
const MAJOR = { bytes: 2, text: 3, map: 5 } as const

/** `path` is '' for the root; `bytes` is its length as UTF-8, known before the text itself is put together. */
interface Found { readonly path: string, readonly bytes: number, readonly inode: Inode }
interface Left { readonly path: Uint8Array, readonly content: Uint8Array }

/**
 * Files as an archive of at most `bytesMax` bytes; null when there are none.
 * @param outputs canonical, so that no two have a file in common
 * @returns a text when there are too many, or their names and contents are too long
 */
export function archiveFiles (root: DirectoryInode, outputs: readonly string[], bytesMax: number): Uint8Array | null | string {
  const files: Left[] = []
  let size = 0
  for (const { path, bytes, inode } of regularFiles(outputs.flatMap(output => locate(root, output)))) {
    size += itemBytes(bytes) + itemBytes(inode.content.size)
    // Nothing is copied, and no long path put together, before it is known that it may leave.
    if (size + headBytes(files.length + 1) > bytesMax) return `The guest left files of more than the ${bytesMax} bytes that are left for them.`
    if (files.length === filesMax) return `The guest left more than ${filesMax} files.`
    if (bytes > pathBytesMax) return `The guest left a file whose path is longer than ${pathBytesMax} bytes.`
    files.push({ path: encoder.encode(path), content: inode.content.view() })
  }
  return files.length === 0 ? null : writeArchive(files, size + headBytes(files.length))
}

function locate (root: DirectoryInode, path: string): Found[] {
  if (path === '/') return [{ path: '', bytes: 0, inode: root }]
  let inode: Inode = root
  for (const name of path.slice(1).split('/')) {
    const next: Inode | undefined = inode.kind === 'directory' ? inode.entries.get(name)?.inode : undefined
    if (next === undefined) return []
    inode = next
  }
  return [{ path, bytes: encoder.encode(path).length, inode }]
}

/** What is there and below, without recursion: a guest may nest its directories as deep as it has names. */
function * regularFiles (pending: Found[]): Generator<Found & { readonly inode: FileInode }> {
  for (let found = pending.pop(); found !== undefined; found = pending.pop()) {
    const { path, bytes, inode } = found
    if (inode.kind === 'file') yield { path, bytes, inode }
    if (inode.kind !== 'directory') continue
    for (const [name, { inode: entry }] of inode.entries) {
      pending.push({ path: `${path}/${name}`, bytes: bytes + 1 + encoder.encode(name).length, inode: entry })
    }
  }
}

/** A map whose keys stand as dag-cbor sorts them: shorter ones first, then by their bytes. */
function writeArchive (files: Left[], size: number): Uint8Array {
  const archive = new Uint8Array(size)
  let at = 0
  const put = (bytes: ArrayLike<number>): void => {
    archive.set(bytes, at)
    at += bytes.length
  }
  put(head(MAJOR.map, files.length))
  for (const { path, content } of files.sort((a, b) => compare(a.path, b.path))) {
    put(head(MAJOR.text, path.length))
    put(path)
    put(head(MAJOR.bytes, content.length))
    put(content)
  }
  return archive
}

function compare (a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return a.length - b.length
  const at = a.findIndex((byte, index) => byte !== b[index])
  return at < 0 ? 0 : a[at]! - b[at]!
}

function itemBytes (length: number): number { return headBytes(length) + length }

/** Bytes of a head that says `count`; no count here takes more than 32 bits. */
function headBytes (count: number): 1 | 2 | 3 | 5 {
  return count < 24 ? 1 : count < 256 ? 2 : count < 65_536 ? 3 : 5
}

function head (major: number, count: number): number[] {
  const type = major << 5
  switch (headBytes(count)) {
    case 1: return [type | count]
    case 2: return [type | 24, count]
    case 3: return [type | 25, count >>> 8, count & 255]
    case 5: return [type | 26, count >>> 24, count >>> 16 & 255, count >>> 8 & 255, count & 255]
  }
}
