/**
 * How the insides of WASI say no. A refusal carries an errno up to the one place that turns it into a
 * return value (`wasi.ts`); it never leaves a host function.
 */
import type { Errno } from './wasi-abi.ts'

export class Refusal extends Error {
  readonly errno: Errno

  constructor (errno: Errno) {
    super(`errno ${errno}`)
    this.errno = errno
  }
}

// One object per errno, made once: a guest may provoke millions, and a fresh error costs a stack trace.
const refusals = new Map<Errno, Refusal>()

export function refuse (errno: Errno): never {
  let refusal = refusals.get(errno)
  if (refusal === undefined) refusals.set(errno, refusal = new Refusal(errno))
  throw refusal
}
