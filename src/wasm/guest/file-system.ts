/**
 * A guest's files: an in-memory tree of inodes, its quotas and its times. What a name means and who may
 * use it is decided elsewhere (`path.ts`, `wasi-paths.ts`); this file keeps the tree whole.
 *
 * Quotas: file sizes and link targets together (`bytesMax`), and names (`namesMax`), since a hard link
 * costs the host a name and no inode. A file counts by its size, holes included, also while it only lives
 * on through an open descriptor. Reading a file does not change its access time.
 */
import { ByteStore } from './byte-store.ts'
import type { Ranges } from '../ranges.ts'
import { refuse } from './refusal.ts'
import { ERRNO } from './wasi-abi.ts'

interface Common {
  readonly ino: number
  /** Names this inode has. */
  links: number
  atim: bigint
  mtim: bigint
  ctim: bigint
}

export interface FileInode extends Common {
  readonly kind: 'file'
  readonly content: ByteStore
  /** Descriptors open on it; the content lives until these and the names are gone. */
  opens: number
}
export interface LinkInode extends Common { readonly kind: 'link', readonly target: string, readonly bytes: number }
export interface DirectoryInode extends Common {
  readonly kind: 'directory'
  /** Null for the root, and for what was removed. */
  parent: DirectoryInode | null
  /** In the order of their serials, which only grow: `fd_readdir` continues after a serial. */
  readonly entries: Map<string, Entry>
  nextSerial: number
}
export interface Entry { readonly serial: number, readonly inode: Inode }
export type Inode = FileInode | DirectoryInode | LinkInode

export interface FileSystemOptions {
  bytesMax: number
  namesMax: number
  /** Nanoseconds for time stamps. */
  now: () => bigint
  /** Pay for moving bytes; refuses when the guest is out of fuel. */
  charge: (bytes: number) => void
}

export class FileSystem {
  readonly root: DirectoryInode
  readonly #options: FileSystemOptions
  #inos = 0
  #names = 0
  #bytes = 0

  constructor (options: FileSystemOptions) {
    this.#options = options
    this.root = { kind: 'directory', ...this.#stamp(), links: 1, parent: null, entries: new Map(), nextSerial: 0 }
  }

  /** @param content what is not in memory is only read, and takes none */
  createFile (parent: DirectoryInode, name: string, content: Uint8Array | Ranges = new Uint8Array(0)): FileInode {
    this.#admit(parent, content instanceof Uint8Array ? content.length : 0)
    const file: FileInode = { kind: 'file', ...this.#stamp(), content: new ByteStore(content), opens: 0 }
    this.#enter(parent, name, file)
    return file
  }

  createDirectory (parent: DirectoryInode, name: string): DirectoryInode {
    this.#admit(parent, 0)
    const directory: DirectoryInode = { kind: 'directory', ...this.#stamp(), parent, entries: new Map(), nextSerial: 0 }
    this.#enter(parent, name, directory)
    return directory
  }

  createLink (parent: DirectoryInode, name: string, target: string, bytes: number): void {
    this.#admit(parent, bytes)
    this.#enter(parent, name, { kind: 'link', ...this.#stamp(), target, bytes })
  }

  /** Give a file or symbolic link one more name; the name must be free. */
  link (parent: DirectoryInode, name: string, inode: FileInode | LinkInode): void {
    this.#admit(parent, 0)
    this.#enter(parent, name, inode)
  }

  /** Take a name away; the inode goes with its last name and descriptor. */
  unlink (parent: DirectoryInode, name: string): void {
    const { inode } = parent.entries.get(name)!
    parent.entries.delete(name)
    this.#names--
    inode.links--
    inode.ctim = parent.mtim = parent.ctim = this.#options.now()
    this.#release(inode)
  }

  /** Move a name, replacing what is at the new one; whether that is allowed was decided before. */
  rename (from: DirectoryInode, oldName: string, to: DirectoryInode, newName: string): void {
    if (to.links === 0) refuse(ERRNO.noent)
    const { inode } = from.entries.get(oldName)!
    if (to.entries.has(newName)) this.unlink(to, newName)
    from.entries.delete(oldName)
    from.mtim = from.ctim = this.#options.now()
    if (inode.kind === 'directory') inode.parent = to
    this.#names--
    inode.links--
    this.#enter(to, newName, inode)
  }

  open (file: FileInode): void {
    file.opens++
  }

  close (file: FileInode): void {
    file.opens--
    this.#release(file)
  }

  /** Set a file's size. Beyond the quota: `nospc`, and nothing has changed. */
  resize (file: FileInode, size: number): void {
    if (file.content.isFixed) refuse(ERRNO.rofs)
    this.#reserve(file, size)
    file.content.resize(size)
    file.mtim = file.ctim = this.#options.now()
  }

  /** Write `chunks` one after the other from `at`; all of them or, beyond the quota, none. */
  write (file: FileInode, at: number, chunks: readonly Uint8Array[], length: number): void {
    if (length === 0) return
    if (file.content.isFixed) refuse(ERRNO.rofs)
    this.#reserve(file, Math.max(file.content.size, at + length))
    this.#options.charge(length)
    // Grow once: chunk by chunk would move a growing file again and again.
    if (at + length > file.content.size) file.content.resize(at + length)
    for (const chunk of chunks) {
      file.content.write(at, chunk)
      at += chunk.length
    }
    file.mtim = file.ctim = this.#options.now()
  }

  #stamp (): Common {
    const now = this.#options.now()
    return { ino: ++this.#inos, links: 0, atim: now, mtim: now, ctim: now }
  }

  /** Refuse unless one more name, with so many bytes, can go into `parent`; then count the bytes. */
  #admit (parent: DirectoryInode, bytes: number): void {
    if (parent.links === 0) refuse(ERRNO.noent)
    const { bytesMax, namesMax } = this.#options
    if (this.#names >= namesMax || this.#bytes + bytes > bytesMax) refuse(ERRNO.nospc)
    this.#bytes += bytes
  }

  #enter (parent: DirectoryInode, name: string, inode: Inode): void {
    this.#names++
    inode.links++
    parent.entries.set(name, { serial: parent.nextSerial++, inode })
    inode.ctim = parent.mtim = parent.ctim = this.#options.now()
  }

  #reserve (file: FileInode, size: number): void {
    const grown = size - file.content.size
    if (this.#bytes + grown > this.#options.bytesMax) refuse(ERRNO.nospc)
    this.#options.charge(file.content.moves(size))
    this.#bytes += grown
  }

  #release (inode: Inode): void {
    if (inode.links > 0) return
    if (inode.kind === 'link') this.#bytes -= inode.bytes
    // A descriptor would else keep a whole branch of removed directories, which count nowhere any more.
    if (inode.kind === 'directory') inode.parent = null
    if (inode.kind === 'file' && inode.opens === 0 && !inode.content.isFixed) {
      this.#bytes -= inode.content.size
      inode.content.resize(0)
    }
  }
}
