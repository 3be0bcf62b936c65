/**
 * The numbers of WASI preview 1: errnos, rights, flags and struct layouts, as far as this room uses
 * them, and the two dialects it speaks. Source: `wasi_snapshot_preview1.witx` and `wasi_unstable.witx`
 * of WebAssembly/WASI. No behaviour here.
 */

export const ERRNO = {
  success: 0,
  again: 6,
  badf: 8,
  busy: 10,
  dquot: 19,
  exist: 20,
  fault: 21,
  ilseq: 25,
  intr: 27,
  inval: 28,
  isdir: 31,
  loop: 32,
  mfile: 33,
  nametoolong: 37,
  noent: 44,
  nomem: 48,
  nospc: 51,
  nosys: 52,
  notdir: 54,
  notempty: 55,
  notsock: 57,
  notsup: 58,
  perm: 63,
  rofs: 69,
  spipe: 70,
  notcapable: 76
} as const

export type Errno = typeof ERRNO[keyof typeof ERRNO]

/** Rights are a u64 on the wire, but only 30 bits are defined, so a number holds them. */
export const RIGHTS = {
  fdDatasync: 1 << 0,
  fdRead: 1 << 1,
  fdSeek: 1 << 2,
  fdFdstatSetFlags: 1 << 3,
  fdSync: 1 << 4,
  fdTell: 1 << 5,
  fdWrite: 1 << 6,
  fdAdvise: 1 << 7,
  fdAllocate: 1 << 8,
  pathCreateDirectory: 1 << 9,
  pathCreateFile: 1 << 10,
  pathLinkSource: 1 << 11,
  pathLinkTarget: 1 << 12,
  pathOpen: 1 << 13,
  fdReaddir: 1 << 14,
  pathReadlink: 1 << 15,
  pathRenameSource: 1 << 16,
  pathRenameTarget: 1 << 17,
  pathFilestatGet: 1 << 18,
  pathFilestatSetSize: 1 << 19,
  pathFilestatSetTimes: 1 << 20,
  fdFilestatGet: 1 << 21,
  fdFilestatSetSize: 1 << 22,
  fdFilestatSetTimes: 1 << 23,
  pathSymlink: 1 << 24,
  pathRemoveDirectory: 1 << 25,
  pathUnlinkFile: 1 << 26,
  pollFdReadwrite: 1 << 27
} as const

const R = RIGHTS

/** Every right there is: what a preopened directory hands on. */
export const RIGHTS_ALL = (1 << 30) - 1
/** What applies to a regular file; other requested rights fall away when one is opened. */
export const RIGHTS_FILE = R.fdDatasync | R.fdRead | R.fdSeek | R.fdFdstatSetFlags | R.fdSync | R.fdTell |
  R.fdWrite | R.fdAdvise | R.fdAllocate | R.fdFilestatGet | R.fdFilestatSetSize | R.fdFilestatSetTimes | R.pollFdReadwrite
/** What applies to a directory. */
export const RIGHTS_DIRECTORY = R.fdFdstatSetFlags | R.fdSync | R.fdDatasync | R.pathCreateDirectory | R.pathCreateFile |
  R.pathLinkSource | R.pathLinkTarget | R.pathOpen | R.fdReaddir | R.pathReadlink | R.pathRenameSource |
  R.pathRenameTarget | R.pathFilestatGet | R.pathFilestatSetSize | R.pathFilestatSetTimes | R.fdFilestatGet |
  R.fdFilestatSetTimes | R.pathSymlink | R.pathRemoveDirectory | R.pathUnlinkFile
export const RIGHTS_INPUT = R.fdRead | R.fdFdstatSetFlags | R.fdFilestatGet | R.pollFdReadwrite
export const RIGHTS_OUTPUT = R.fdWrite | R.fdFdstatSetFlags | R.fdFilestatGet | R.fdSync | R.fdDatasync | R.pollFdReadwrite

/** By kind of inode; a stream that is no terminal has no type of its own. */
export const FILETYPES = { stream: 0, directory: 3, file: 4, link: 7 } as const
export const FDFLAGS = { append: 1, all: 31 } as const
export const OFLAGS = { creat: 1, directory: 2, excl: 4, trunc: 8, all: 15 } as const
export const LOOKUP = { symlinkFollow: 1, all: 1 } as const
export const FSTFLAGS = { atim: 1, atimNow: 2, mtim: 4, mtimNow: 8, all: 15 } as const
export const CLOCK = { realtime: 0, monotonic: 1, processCputime: 2, threadCputime: 3 } as const
export const EVENTTYPE = { clock: 0, fdRead: 1, fdWrite: 2 } as const
/** `fd_readwrite` event flag: the peer has hung up, here: stdin is at its end. */
export const EVENT_HANGUP = 1
/** Subscription flag: the timeout is a point in time, not a duration. */
export const CLOCK_ABSTIME = 1
/** Highest `advice` value. */
export const ADVICE_MAX = 5

export const IOVEC_BYTES = 8
export const FDSTAT_BYTES = 24
export const PRESTAT_BYTES = 8
export const DIRENT_BYTES = 24
export const EVENT_BYTES = 32

export type Whence = 'set' | 'cur' | 'end'

/** Where preview 0 and preview 1 differ: numbers and layouts, never behaviour. */
export interface Dialect {
  readonly whences: readonly Whence[]
  readonly filestatBytes: number
  /** Preview 0 counts links in 32 bits, so what follows lies 8 bytes earlier. */
  readonly filestat: { readonly nlinkBytes: 4 | 8, readonly nlink: number, readonly size: number }
  readonly subscriptionBytes: number
  /** Where the clock of a subscription begins: preview 0 has a second user value before it. */
  readonly subscriptionClock: number
}

export const PREVIEW_1: Dialect = {
  whences: ['set', 'cur', 'end'],
  filestatBytes: 64,
  filestat: { nlinkBytes: 8, nlink: 24, size: 32 },
  subscriptionBytes: 48,
  subscriptionClock: 16
}

export const PREVIEW_0: Dialect = {
  whences: ['cur', 'end', 'set'],
  filestatBytes: 56,
  filestat: { nlinkBytes: 4, nlink: 20, size: 24 },
  subscriptionBytes: 56,
  subscriptionClock: 24
}
