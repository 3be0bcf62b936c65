/** What only this platform has: keys, clock, randomness, hashes, for the portable rooms. */
import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { equals } from 'multiformats/bytes'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey, type Signer, toHex, type Verify } from '../packet/identity.ts'
import type { Timers } from '../network/network.ts'
import type { Platform } from '../processor/rooms.ts'

/** In one call. https://www.w3.org/TR/webcrypto/#Crypto-method-getRandomValues */
const RANDOM_BYTES_MAX = 65_536

export function randomBytes (length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += RANDOM_BYTES_MAX) crypto.getRandomValues(bytes.subarray(at, at + RANDOM_BYTES_MAX))
  return bytes
}

/** Records are signed in one turn with what follows from them, where WebCrypto would have everyone wait. @param seed 32 bytes, the private key of RFC 8032 */
export function createSigner (seed: Uint8Array): Signer {
  const publicKey = ed25519.getPublicKey(seed)
  return { id: peerIdOfKey(publicKey), publicKey, sign: bytes => ed25519.sign(bytes, seed) }
}

const { Point } = ed25519
const ORDER = Point.Fn.ORDER

/**
 * RFC 8032, 5.1.7, by the equation without the cofactor, as OpenSSL has it: the library's own check multiplies by it, and
 * somebody could make signatures that are good here and bad on other nodes.
 */
export const verify: Verify = (publicKey, bytes, signature) => {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  const [r, s] = [signature.subarray(0, 32), littleEndian(signature.subarray(32))]
  if (s >= ORDER) return false
  try {
    const key = Point.fromBytes(publicKey)
    const k = littleEndian(sha512.create().update(r).update(publicKey).update(bytes).digest()) % ORDER
    return equals(Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(k)).toBytes(), r)
  } catch {
    return false
  }
}

function littleEndian (bytes: Uint8Array): bigint { return BigInt(`0x${toHex(bytes.toReversed())}`) }

export async function digest (bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>))
}

export const timers: Timers = {
  now: () => performance.now(),
  after (ms, run) {
    const timer = setTimeout(run, ms)
    return () => { clearTimeout(timer) }
  }
}

/** @throws {unknown} the reason of the signal */
async function sleep (ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = (): void => { reject(signal.reason) }
  signal.addEventListener('abort', onAbort)
  const timer = setTimeout(resolve, ms)
  try {
    await promise
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

/** @param log takes one line about each fault of the background */
export function createPlatform (seed: Uint8Array, log: (line: string) => void): Platform {
  return {
    signer: createSigner(seed),
    verify,
    digest,
    now: Date.now,
    sleep,
    randomBytes,
    log (what, error) { log(`${what}: ${error instanceof InosError ? `${error.code} ${error.message}` : String(error)}`) }
  }
}
