/** What only this platform has: keys, clock, randomness, hashes, for the portable rooms. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { InosError } from '../packet/errors.ts'
import type { Platform } from '../processor/rooms.ts'
import { digest } from './digest.ts'
import { createSigner, verify } from './keys.ts'

export function createPlatform (seed: Uint8Array): Platform {
  return {
    signer: createSigner(seed),
    verify,
    digest,
    now: Date.now,
    sleep: async (ms, signal) => { await sleep(ms, undefined, { signal }) },
    randomBytes,
    log (what, error) {
      if (process.env['INOS_DEBUG'] !== undefined) process.stderr.write(`inos: ${what}: ${error instanceof InosError ? `${error.code} ${error.message}` : String(error)}\n`)
    }
  }
}
