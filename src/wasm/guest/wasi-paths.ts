/** WASI calls that name a file by a path below an open directory: `path_*`. */
import { LIMITS } from '../../packet/limits.ts'
import type { DirectoryInode, FileInode, LinkInode } from './file-system.ts'
import { existing, type Place, resolve } from './path.ts'
import { refuse } from './refusal.ts'
import { ERRNO, FDFLAGS, LOOKUP, OFLAGS, RIGHTS, RIGHTS_DIRECTORY, RIGHTS_FILE } from './wasi-abi.ts'
import { COSTS } from './wasi-costs.ts'
import { setTimes, toRights, writeFilestat } from './wasi-files.ts'
import type { WasiProcess } from './wasi-process.ts'

const { pathBytesMax } = LIMITS.guest
const encoder = new TextEncoder()

/** Where a guest's path leads. */
type Locate = (fd: number, right: number, at: number, length: number, lookup?: number) => Place

function locator (guest: WasiProcess): Locate {
  const { memory, descriptors, files } = guest
  const charge = (bytes: number) => guest.pay(bytes * COSTS.pathByte)
  return (fd, right, at, length, lookup = 0) => {
    const { inode: floor, preopen } = descriptors.directory(fd, right)
    if ((lookup & ~LOOKUP.all) !== 0) refuse(ERRNO.inval)
    const path = memory.text(at, length, pathBytesMax)
    const options = { follow: (lookup & LOOKUP.symlinkFollow) !== 0, floor, charge }
    const isBelowName = preopen !== null && preopen !== '/' && path !== '' && !path.startsWith('/')
    if (!isBelowName) return resolve(floor, path, options)
    // C libraries say "out" as "." below the preopen "out"; removing or renaming it needs its name.
    return resolve(files.root, path === '.' ? preopen : `${preopen}/${path}`, options)
  }
}

function directoryAt (place: Place): DirectoryInode {
  const inode = existing(place)
  return inode.kind === 'directory' ? inode : refuse(ERRNO.notdir)
}

function linkAt (place: Place): LinkInode {
  const inode = existing(place)
  return inode.kind === 'link' ? inode : refuse(ERRNO.inval)
}

/** Refuse unless the place is free and a name can be made there. */
function vacant (place: Place, what: 'file' | 'directory'): void {
  if (place.inode !== undefined) {
    if (place.slash && place.inode.kind !== 'directory') refuse(ERRNO.notdir)
    refuse(ERRNO.exist)
  }
  if (place.slash && what === 'file') refuse(ERRNO.noent)
}

interface Opening {
  readonly oflags: number
  readonly rights: number
  readonly inheriting: number
  readonly flags: number
}

function openDirectory ({ descriptors }: WasiProcess, inode: DirectoryInode, { oflags, rights, inheriting, flags }: Opening): number {
  if ((rights & RIGHTS.fdWrite) !== 0 || (oflags & OFLAGS.trunc) !== 0) refuse(ERRNO.isdir)
  return descriptors.add({ kind: 'directory', inode, rights: rights & RIGHTS_DIRECTORY, inheriting, flags, preopen: null })
}

function openFile ({ descriptors, files }: WasiProcess, inode: FileInode, { oflags, rights, inheriting, flags }: Opening): number {
  if ((oflags & OFLAGS.directory) !== 0) refuse(ERRNO.notdir)
  const fd = descriptors.add({ kind: 'file', inode, rights: rights & RIGHTS_FILE, inheriting, flags, offset: 0 })
  if ((oflags & OFLAGS.trunc) !== 0) files.resize(inode, 0)
  return fd
}

function createAndOpen (guest: WasiProcess, { parent, name, slash }: Place, opening: Opening): number {
  if ((opening.oflags & OFLAGS.creat) === 0) refuse(ERRNO.noent)
  if (slash) refuse(ERRNO.isdir)
  const inode = guest.files.createFile(parent, name)
  try {
    return openFile(guest, inode, opening)
  } catch (error) {
    // No descriptor was free: the call has failed and must leave nothing behind.
    guest.files.unlink(parent, name)
    throw error
  }
}

function openPlace (guest: WasiProcess, place: Place, opening: Opening): number {
  const { inode } = place
  const { oflags } = opening
  if (inode === undefined) return createAndOpen(guest, place, opening)
  if ((oflags & OFLAGS.creat) !== 0 && (oflags & OFLAGS.excl) !== 0) refuse(ERRNO.exist)
  if (inode.kind === 'link') return refuse(ERRNO.loop)
  existing(place)
  if (inode.kind === 'file') return openFile(guest, inode, opening)
  return (oflags & OFLAGS.creat) !== 0 ? refuse(ERRNO.isdir) : openDirectory(guest, inode, opening)
}

/** The rights on its directory that opening with these flags takes. */
function openingRights (oflags: number): number {
  const create = (oflags & OFLAGS.creat) !== 0 ? RIGHTS.pathCreateFile : 0
  const truncate = (oflags & OFLAGS.trunc) !== 0 ? RIGHTS.pathFilestatSetSize : 0
  return RIGHTS.pathOpen | create | truncate
}

/** Whether `directory` is `ancestor` or lies below it; directories nest as deep as there are names, so the steps are paid. */
function isWithin (guest: WasiProcess, directory: DirectoryInode, ancestor: DirectoryInode): boolean {
  let at: DirectoryInode | null = directory
  let steps = 1
  // Paid when their number is known: a payment takes longer than a step, and there are never more than names.
  for (; at !== null && at !== ancestor; at = at.parent) steps++
  guest.pay(steps * COSTS.entryPassed)
  return at === ancestor
}

/** POSIX's rules for a rename onto something; refuses or says whether there is anything to do. */
function mayRename (guest: WasiProcess, from: Place, to: Place): boolean {
  const source = existing(from)
  if (from.name === '' || to.name === '') refuse(ERRNO.busy)
  if (to.slash && source.kind !== 'directory') refuse(ERRNO.notdir)
  if (source === to.inode) return false
  if (source.kind === 'directory') {
    if (isWithin(guest, to.parent, source)) refuse(ERRNO.inval)
    if (to.inode !== undefined && to.inode.kind !== 'directory') refuse(ERRNO.notdir)
    if (to.inode?.kind === 'directory' && to.inode.entries.size > 0) refuse(ERRNO.notempty)
  } else if (to.inode?.kind === 'directory') {
    refuse(ERRNO.isdir)
  }
  return true
}

/** Making and removing names. */
export function nameCalls (guest: WasiProcess) {
  const { memory, files } = guest
  const locate = locator(guest)

  return {
    path_create_directory (fd: number, at: number, length: number): void {
      const place = locate(fd, RIGHTS.pathCreateDirectory, at, length)
      vacant(place, 'directory')
      files.createDirectory(place.parent, place.name)
    },

    path_link (oldFd: number, lookup: number, oldAt: number, oldLength: number, newFd: number, newAt: number, newLength: number): void {
      const from = locate(oldFd, RIGHTS.pathLinkSource, oldAt, oldLength, lookup)
      const to = locate(newFd, RIGHTS.pathLinkTarget, newAt, newLength)
      const inode = existing(from)
      vacant(to, 'file')
      if (inode.kind === 'directory') refuse(ERRNO.perm)
      files.link(to.parent, to.name, inode)
    },

    path_symlink (targetAt: number, targetLength: number, fd: number, at: number, length: number): void {
      const target = memory.text(targetAt, targetLength, pathBytesMax)
      const place = locate(fd, RIGHTS.pathSymlink, at, length)
      if (target === '') refuse(ERRNO.noent)
      if (target.includes('\0')) refuse(ERRNO.inval)
      if (target.startsWith('/')) refuse(ERRNO.notcapable)
      vacant(place, 'file')
      files.createLink(place.parent, place.name, target, targetLength)
    },

    path_remove_directory (fd: number, at: number, length: number): void {
      const place = locate(fd, RIGHTS.pathRemoveDirectory, at, length)
      const inode = directoryAt(place)
      if (place.name === '') refuse(ERRNO.inval)
      if (inode.entries.size > 0) refuse(ERRNO.notempty)
      files.unlink(place.parent, place.name)
    },

    path_unlink_file (fd: number, at: number, length: number): void {
      const place = locate(fd, RIGHTS.pathUnlinkFile, at, length)
      if (existing(place).kind === 'directory') refuse(ERRNO.isdir)
      files.unlink(place.parent, place.name)
    },

    path_rename (oldFd: number, oldAt: number, oldLength: number, newFd: number, newAt: number, newLength: number): void {
      const from = locate(oldFd, RIGHTS.pathRenameSource, oldAt, oldLength)
      const to = locate(newFd, RIGHTS.pathRenameTarget, newAt, newLength)
      if (mayRename(guest, from, to)) files.rename(from.parent, from.name, to.parent, to.name)
    }
  }
}

/** Opening and looking at what is there. */
export function pathCalls (guest: WasiProcess) {
  const { memory, descriptors } = guest
  const locate = locator(guest)

  return {
    path_open (
      fd: number, lookup: number, at: number, length: number, oflags: number,
      base: bigint, inherited: bigint, flags: number, fdAt: number
    ): void {
      if ((oflags & ~OFLAGS.all) !== 0 || (flags & ~FDFLAGS.all) !== 0) refuse(ERRNO.inval)
      // What a directory made this way would be opened as is nowhere said; Linux refuses it too.
      if ((oflags & OFLAGS.creat) !== 0 && (oflags & OFLAGS.directory) !== 0) refuse(ERRNO.inval)
      memory.check(fdAt, 4)
      const rights = toRights(base)
      const inheriting = toRights(inherited)
      const allowed = descriptors.directory(fd, RIGHTS.pathOpen).inheriting
      if (((rights | inheriting) & ~allowed) !== 0) refuse(ERRNO.notcapable)
      const place = locate(fd, openingRights(oflags), at, length, lookup)
      memory.setU32(fdAt, openPlace(guest, place, { oflags, rights, inheriting, flags }))
    },

    path_filestat_get (fd: number, lookup: number, at: number, length: number, statAt: number): void {
      const place = locate(fd, RIGHTS.pathFilestatGet, at, length, lookup)
      writeFilestat(guest, statAt, existing(place))
    },

    path_filestat_set_times (fd: number, lookup: number, at: number, length: number, atim: bigint, mtim: bigint, flags: number): void {
      const place = locate(fd, RIGHTS.pathFilestatSetTimes, at, length, lookup)
      setTimes(guest, existing(place), atim, mtim, flags)
    },

    path_readlink (fd: number, at: number, length: number, targetAt: number, targetLength: number, countAt: number): void {
      const link = linkAt(locate(fd, RIGHTS.pathReadlink, at, length))
      const buffer = memory.bytes(targetAt, targetLength)
      memory.check(countAt, 4)
      guest.charge(link.bytes)
      const target = encoder.encode(link.target).subarray(0, buffer.length)
      buffer.set(target)
      memory.setU32(countAt, target.length)
    }
  }
}
