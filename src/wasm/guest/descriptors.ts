/**
 * The table of open descriptors of one guest. Numbers are given lowest first, as POSIX does; there are
 * never more than `max`.
 */
import type { DirectoryInode, FileInode, FileSystem } from './file-system.ts'
import { refuse } from './refusal.ts'
import { ERRNO, type Errno } from './wasi-abi.ts'

interface Common {
  rights: number
  /** What descriptors opened through this one may have. */
  inheriting: number
  /** FDFLAGS. */
  flags: number
}

/** stdin, stdout, stderr: no seeking, no inode. */
export interface StreamDescriptor extends Common { readonly kind: 'input' | 'output' | 'error' }
export interface FileDescriptor extends Common { readonly kind: 'file', readonly inode: FileInode, offset: number }
export interface DirectoryDescriptor extends Common {
  readonly kind: 'directory'
  inode: DirectoryInode
  /** Under which name the guest found it open; null if it opened it itself. */
  readonly preopen: string | null
}
export type Descriptor = StreamDescriptor | FileDescriptor | DirectoryDescriptor

export class Descriptors {
  readonly #table: Array<Descriptor | undefined> = []
  readonly #max: number
  readonly #files: FileSystem

  constructor (max: number, files: FileSystem) {
    this.#max = max
    this.#files = files
  }

  /** Put a descriptor at the lowest free number. Refused with `mfile` when there is none. */
  add (descriptor: Descriptor): number {
    const free = this.#table.indexOf(undefined)
    const fd = free < 0 ? this.#table.length : free
    if (fd >= this.#max) refuse(ERRNO.mfile)
    this.#table[fd] = descriptor
    if (descriptor.kind === 'file') this.#files.open(descriptor.inode)
    return fd
  }

  /** An open descriptor that has all of `rights`, else refused with `badf` or `lacking`. */
  get (fd: number, rights = 0, lacking: Errno = ERRNO.notcapable): Descriptor {
    const descriptor = this.#table[fd] ?? refuse(ERRNO.badf)
    if (descriptor.kind === 'directory' && descriptor.preopen !== null) this.#rebind(descriptor, descriptor.preopen)
    if ((descriptor.rights & rights) !== rights) refuse(lacking)
    return descriptor
  }

  /** A regular file; a stream is refused with `spipe`, a directory with `isdir`. */
  file (fd: number, rights: number, lacking?: Errno): FileDescriptor {
    const descriptor = this.get(fd)
    if (descriptor.kind === 'directory') return refuse(ERRNO.isdir)
    if (descriptor.kind !== 'file') return refuse(ERRNO.spipe)
    this.get(fd, rights, lacking)
    return descriptor
  }

  directory (fd: number, rights: number): DirectoryDescriptor {
    const descriptor = this.get(fd)
    if (descriptor.kind !== 'directory') return refuse(ERRNO.notdir)
    this.get(fd, rights)
    return descriptor
  }

  close (fd: number): void {
    const descriptor = this.get(fd)
    this.#table[fd] = undefined
    if (descriptor.kind === 'file') this.#files.close(descriptor.inode)
  }

  /** Move `from` onto `to`, which is closed; both must be open. */
  renumber (from: number, to: number): void {
    const descriptor = this.get(from)
    this.get(to)
    if (from === to) return
    this.close(to)
    this.#table[to] = descriptor
    this.#table[from] = undefined
  }

  /** A preopened name stands for whatever directory has that name now, as it would for a C library. */
  #rebind (descriptor: DirectoryDescriptor, name: string): void {
    const inode = this.#files.root.entries.get(name)?.inode
    if (inode?.kind === 'directory') descriptor.inode = inode
  }
}
