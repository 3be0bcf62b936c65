/** WASI calls on open descriptors, but for moving bytes: positions, sizes, times, flags, rights, preopens. */
import type { FileDescriptor } from './descriptors.ts'
import type { Inode } from './file-system.ts'
import { refuse } from './refusal.ts'
import { ADVICE_MAX, CLOCK, ERRNO, FDFLAGS, FDSTAT_BYTES, FILETYPES, FSTFLAGS, PRESTAT_BYTES, RIGHTS, RIGHTS_ALL } from './wasi-abi.ts'
import type { WasiProcess } from './wasi-process.ts'

const encoder = new TextEncoder()

/** A u64 that must be a file offset or size; above 2⁵³ no number could hold it, nor any quota. */
export function toOffset (value: bigint): number {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : refuse(ERRNO.inval)
}

/** Rights as a guest writes them; bits without a meaning fall away. */
export function toRights (value: bigint): number {
  return Number(value & BigInt(RIGHTS_ALL))
}

export function writeFilestat ({ memory, dialect }: WasiProcess, at: number, inode: Inode | null): void {
  memory.bytes(at, dialect.filestatBytes).fill(0)
  if (inode === null) return
  const { nlinkBytes, nlink, size } = dialect.filestat
  const bytes = inode.kind === 'file' ? inode.content.size : inode.kind === 'link' ? inode.bytes : 0
  memory.setU64(at, 1n)
  memory.setU64(at + 8, BigInt(inode.ino))
  memory.setU8(at + 16, FILETYPES[inode.kind])
  if (nlinkBytes === 8) memory.setU64(at + nlink, BigInt(inode.links))
  else memory.setU32(at + nlink, inode.links)
  memory.setU64(at + size, BigInt(bytes))
  memory.setU64(at + size + 8, inode.atim)
  memory.setU64(at + size + 16, inode.mtim)
  memory.setU64(at + size + 24, inode.ctim)
}

/** Set times of an inode by FSTFLAGS. */
export function setTimes ({ clock }: WasiProcess, inode: Inode, atim: bigint, mtim: bigint, flags: number): void {
  const both = (set: number, now: number) => (flags & set) !== 0 && (flags & now) !== 0
  const isValid = (flags & ~FSTFLAGS.all) === 0 && !both(FSTFLAGS.atim, FSTFLAGS.atimNow) && !both(FSTFLAGS.mtim, FSTFLAGS.mtimNow)
  if (!isValid) refuse(ERRNO.inval)
  const now = clock.now(CLOCK.realtime)
  if ((flags & FSTFLAGS.atim) !== 0) inode.atim = atim
  if ((flags & FSTFLAGS.atimNow) !== 0) inode.atim = now
  if ((flags & FSTFLAGS.mtim) !== 0) inode.mtim = mtim
  if ((flags & FSTFLAGS.mtimNow) !== 0) inode.mtim = now
  inode.ctim = now
}

/** Positions, sizes and advice of files. */
export function positionCalls (guest: WasiProcess) {
  const { memory, descriptors, files, dialect } = guest

  function seekBase (descriptor: FileDescriptor, whence: number): number {
    const from = dialect.whences[whence] ?? refuse(ERRNO.inval)
    if (from === 'set') return 0
    return from === 'cur' ? descriptor.offset : descriptor.inode.content.size
  }

  return {
    fd_seek (fd: number, delta: bigint, whence: number, at: number): void {
      const isTell = delta === 0n && dialect.whences[whence] === 'cur'
      const descriptor = descriptors.file(fd, isTell ? RIGHTS.fdTell : RIGHTS.fdSeek)
      memory.check(at, 8)
      const offset = BigInt(seekBase(descriptor, whence)) + BigInt.asIntN(64, delta)
      if (offset < 0n) refuse(ERRNO.inval)
      descriptor.offset = toOffset(offset)
      memory.setU64(at, offset)
    },

    fd_tell (fd: number, at: number): void {
      memory.setU64(at, BigInt(descriptors.file(fd, RIGHTS.fdTell).offset))
    },

    fd_advise (fd: number, offset: bigint, length: bigint, advice: number): void {
      descriptors.file(fd, RIGHTS.fdAdvise)
      toOffset(offset + length)
      if (advice > ADVICE_MAX) refuse(ERRNO.inval)
    },

    fd_allocate (fd: number, offset: bigint, length: bigint): void {
      const { inode } = descriptors.file(fd, RIGHTS.fdAllocate)
      const end = toOffset(offset + length)
      if (length === 0n) refuse(ERRNO.inval)
      if (end > inode.content.size) files.resize(inode, end)
    },

    fd_filestat_set_size (fd: number, size: bigint): void {
      files.resize(descriptors.file(fd, RIGHTS.fdFilestatSetSize).inode, toOffset(size))
    }
  }
}

/** What descriptors are, and which there are. */
export function descriptorCalls (guest: WasiProcess) {
  const { memory, descriptors } = guest

  function preopen (fd: number): Uint8Array {
    const descriptor = descriptors.get(fd)
    // C libraries count preopens until the first `badf`.
    if (descriptor.kind !== 'directory' || descriptor.preopen === null) return refuse(ERRNO.badf)
    return encoder.encode(descriptor.preopen)
  }

  /** Nothing is ever written behind a guest's back, so there is nothing to wait for. */
  function sync (right: number) {
    return (fd: number): void => {
      if ('inode' in descriptors.get(fd)) descriptors.get(fd, right)
    }
  }

  return {
    fd_close (fd: number): void {
      descriptors.close(fd)
    },

    fd_renumber (from: number, to: number): void {
      descriptors.renumber(from, to)
    },

    fd_sync: sync(RIGHTS.fdSync),
    fd_datasync: sync(RIGHTS.fdDatasync),

    fd_fdstat_get (fd: number, at: number): void {
      const descriptor = descriptors.get(fd)
      memory.bytes(at, FDSTAT_BYTES).fill(0)
      memory.setU8(at, 'inode' in descriptor ? FILETYPES[descriptor.inode.kind] : FILETYPES.stream)
      memory.setU16(at + 2, descriptor.flags)
      memory.setU64(at + 8, BigInt(descriptor.rights))
      memory.setU64(at + 16, BigInt(descriptor.inheriting))
    },

    fd_fdstat_set_flags (fd: number, flags: number): void {
      const descriptor = descriptors.get(fd, RIGHTS.fdFdstatSetFlags)
      if ((flags & ~FDFLAGS.all) !== 0) refuse(ERRNO.inval)
      descriptor.flags = flags
    },

    fd_fdstat_set_rights (fd: number, base: bigint, inheriting: bigint): void {
      const descriptor = descriptors.get(fd)
      const rights = toRights(base)
      const handed = toRights(inheriting)
      if ((rights & ~descriptor.rights) !== 0 || (handed & ~descriptor.inheriting) !== 0) refuse(ERRNO.notcapable)
      descriptor.rights = rights
      descriptor.inheriting = handed
    },

    fd_filestat_get (fd: number, at: number): void {
      const descriptor = descriptors.get(fd, RIGHTS.fdFilestatGet)
      writeFilestat(guest, at, 'inode' in descriptor ? descriptor.inode : null)
    },

    fd_filestat_set_times (fd: number, atim: bigint, mtim: bigint, flags: number): void {
      const descriptor = descriptors.get(fd, RIGHTS.fdFilestatSetTimes)
      if ('inode' in descriptor) setTimes(guest, descriptor.inode, atim, mtim, flags)
    },

    fd_prestat_get (fd: number, at: number): void {
      const name = preopen(fd)
      memory.bytes(at, PRESTAT_BYTES).fill(0)
      memory.setU32(at + 4, name.length)
    },

    fd_prestat_dir_name (fd: number, at: number, length: number): void {
      const name = preopen(fd)
      if (length < name.length) refuse(ERRNO.nametoolong)
      memory.bytes(at, name.length).set(name)
    }
  }
}
