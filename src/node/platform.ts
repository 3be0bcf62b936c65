/** What only this platform has: keys, clock, randomness, hashes, for the portable rooms. */
import { randomFillSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { InosError } from '../packet/errors.ts'
import type { Platform } from '../processor/rooms.ts'
import { digest } from './digest.ts'
import { createSigner, verify } from './keys.ts'

/** Random bytes are drawn in stocks: one for every order would be a system call for every order. */
const STOCK_BYTES = 4_096

/** @returns what gives bytes of a generator that is fit for keys, none of them twice */
export function createRandomBytes (): Platform['randomBytes'] {
  const stock = new Uint8Array(STOCK_BYTES)
  let used = STOCK_BYTES
  return length => {
    if (length > STOCK_BYTES) return randomFillSync(new Uint8Array(length))
    if (used + length > STOCK_BYTES) {
      randomFillSync(stock)
      used = 0
    }
    const bytes = stock.slice(used, used + length)
    used += length
    return bytes
  }
}

export function createPlatform (seed: Uint8Array): Platform {
  return {
    signer: createSigner(seed),
    verify,
    digest,
    now: Date.now,
    sleep: async (ms, signal) => { await sleep(ms, undefined, { signal }) },
    randomBytes: createRandomBytes(),
    log (what, error) {
      if (process.env['INOS_DEBUG'] !== undefined) process.stderr.write(`inos: ${what}: ${error instanceof InosError ? `${error.code} ${error.message}` : String(error)}\n`)
    }
  }
}
