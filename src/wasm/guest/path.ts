/**
 * What a path means. Paths are relative to an open directory and never leave it: `..` above it and
 * absolute paths are refused with `notcapable`, also inside symbolic links. Nothing is changed here.
 */
import type { DirectoryInode, Inode } from './file-system.ts'
import { refuse } from './refusal.ts'
import { ERRNO } from './wasi-abi.ts'

/** As POSIX's NAME_MAX, in bytes of UTF-8. */
const NAME_BYTES_MAX = 255
/** Symbolic links one path may pass. */
const LINKS_MAX = 32

const encoder = new TextEncoder()

/** Where a path leads: a name in a directory, taken or free. */
export interface Place {
  /** The directory that holds the name. */
  readonly parent: DirectoryInode
  /** Empty when the path ends in `.` or `..` and so names a directory itself; `inode` is set then. */
  readonly name: string
  readonly inode: Inode | undefined
  /** The path ended in a slash, so only a directory will do. */
  readonly slash: boolean
}

export interface ResolveOptions {
  /** Follow a symbolic link at the end of the path; one with a slash behind it is always followed. */
  follow: boolean
  /** The directory above which `..` must not lead; `base` or one below it. */
  floor: DirectoryInode
  /** Pay for walking a path of so many bytes; refuses when the guest is out of fuel. */
  charge: (bytes: number) => void
}

function parts (path: string, charge: (bytes: number) => void): string[] {
  charge(path.length)
  if (path === '') refuse(ERRNO.noent)
  if (path.startsWith('/')) refuse(ERRNO.notcapable)
  if (path.includes('\0')) refuse(ERRNO.inval)
  return path.split('/').filter(part => part !== '').reverse()
}

/** Refuse a name no entry may have. */
export function checkName (name: string): void {
  // No UTF-16 unit takes more than three bytes.
  if (name.length * 3 > NAME_BYTES_MAX && encoder.encode(name).length > NAME_BYTES_MAX) refuse(ERRNO.nametoolong)
}

/**
 * Walk `path` from `base`. All but the last part must exist.
 * Refusals: noent, notdir, loop, notcapable, nametoolong, inval (a NUL in the path).
 */
export function resolve (base: DirectoryInode, path: string, { follow, floor, charge }: ResolveOptions): Place {
  const pending = parts(path, charge)
  let slash = path.endsWith('/')
  let directory = base
  let links = 0
  while (pending.length > 0) {
    const name = pending.pop()!
    if (name === '.') continue
    if (name === '..') {
      if (directory === floor || directory.parent === null) refuse(ERRNO.notcapable)
      directory = directory.parent
      continue
    }
    checkName(name)
    const inode = directory.entries.get(name)?.inode
    const last = pending.length === 0
    if (inode?.kind === 'link' && (!last || follow || slash)) {
      if (++links > LINKS_MAX) refuse(ERRNO.loop)
      pending.push(...parts(inode.target, charge))
      if (last && inode.target.endsWith('/')) slash = true
      continue
    }
    if (last) return { parent: directory, name, inode, slash }
    if (inode === undefined) refuse(ERRNO.noent)
    if (inode.kind !== 'directory') refuse(ERRNO.notdir)
    directory = inode
  }
  return { parent: directory.parent ?? directory, name: '', inode: directory, slash: true }
}

/** The inode at a place, which must exist and be a directory if a slash says so. */
export function existing (place: Place): Inode {
  if (place.inode === undefined) return refuse(ERRNO.noent)
  if (place.slash && place.inode.kind !== 'directory') refuse(ERRNO.notdir)
  return place.inode
}
