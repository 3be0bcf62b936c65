/**
 * The files a guest leaves, looked for when it has ended: every regular file at or below one of the run's
 * outputs, under each name it has there, also one it brought along and never touched. Symbolic links are not
 * followed and not given back, nor are empty directories; a path where nothing is gives nothing.
 */
import { encodeFiles } from '../../packet/files.ts'
import { LIMITS } from '../../packet/limits.ts'
import type { DirectoryInode, Inode } from './file-system.ts'

const { filesMax } = LIMITS.spec
const { pathBytesMax } = LIMITS.guest
const encoder = new TextEncoder()

/** `path` is '' for the root; `bytes` is its length as UTF-8, known before the text itself is put together. */
interface Found { readonly path: string, readonly bytes: number, readonly inode: Inode }

/**
 * Files as an archive of at most `bytesMax` bytes; null when there are none.
 * @param outputs canonical, so that no two have a file in common
 * @returns a text when there are too many, or their names or contents are too long
 */
export function archiveFiles (root: DirectoryInode, outputs: readonly string[], bytesMax: number): Uint8Array | null | string {
  const files: Record<string, Uint8Array> = {}
  const tooMuch = `The guest wrote and left more than its result and files may have together: ${bytesMax} bytes are left for files.`
  let [count, least] = [0, 0]
  for (const { path, bytes, inode } of walk(outputs.flatMap(output => locate(root, output)))) {
    if (inode.kind !== 'file') continue
    // No archive is smaller than its names and contents: what is too large is never copied.
    least += bytes + inode.content.size
    if (least > bytesMax) return tooMuch
    if (++count > filesMax) return `The guest left more than ${filesMax} files.`
    if (bytes > pathBytesMax) return `The guest left a file whose path is longer than ${pathBytesMax} bytes.`
    files[path] = inode.content.view()
  }
  if (count === 0) return null
  const archive = encodeFiles(files)
  return archive.length > bytesMax ? tooMuch : archive
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

/** All that is there and below, without recursion: a guest may nest its directories as deep as it has names. */
function * walk (pending: Found[]): Generator<Found> {
  for (let found = pending.pop(); found !== undefined; found = pending.pop()) {
    yield found
    if (found.inode.kind !== 'directory') continue
    for (const [name, { inode }] of found.inode.entries) {
      pending.push({ path: `${found.path}/${name}`, bytes: found.bytes + 1 + encoder.encode(name).length, inode })
    }
  }
}
