/**
 * What WASI calls cost, in fuel. Set so that a unit stays within a few nanoseconds of host time on the
 * slowest path of a call, failures included; measured on Node 24. Part of the profile.
 */

/** Of a call, before what it costs by length. */
export const CALL_COSTS = {
  /** A few numbers. */
  small: 200,
  /** An object or two. */
  medium: 400,
  /** A walk through the tree. */
  large: 1_000
} as const

/** By length, paid before the work is done. */
export const COSTS = {
  /** Bytes copied or cleared for one unit. */
  bytesPerUnit: 8,
  /** One buffer of a scattered read or write. */
  vector: 64,
  /** One subscription of a poll. */
  subscription: 128,
  /** One byte of a path or of a symbolic link on the way. */
  pathByte: 16,
  /** Passing one directory entry or parent, and handing an entry over. */
  entryPassed: 8,
  entryListed: 512,
  /** A block of 32 random bytes is one SHA-256. */
  randomByte: 32
} as const
