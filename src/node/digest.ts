/**
 * sha2-256 of bytes of any size without holding up the main loop. WebCrypto hashes on another thread, but
 * copies the bytes first, at once and here, which takes as long as hashing them; so it is done in slices.
 */
import { createHash, hash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'

/** Takes about a millisecond. */
const SLICE_BYTES = 1024 * 1024

/** @param bytes must not change until it is done */
export async function digest (bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes.length <= SLICE_BYTES) return hash('sha256', bytes, 'buffer')
  const hasher = createHash('sha256')
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    hasher.update(bytes.subarray(at, at + SLICE_BYTES))
    await turn()
  }
  return hasher.digest()
}
