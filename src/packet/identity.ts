/**
 * Who signs: an Ed25519 key. Records name parties by their 32 public key bytes; the PeerId is the
 * same key as text. The platform signs and verifies (handed in), this file only checks the shape.
 */
import { base58btc } from 'multiformats/bases/base58'
import { equals } from 'multiformats/bytes'
import { InosError } from './errors.ts'
import { LIMITS } from './limits.ts'

/** A key that signs. */
export interface Signer {
  /** PeerId as text, "12D3KooW…". */
  readonly id: string
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** @returns 64 bytes, Ed25519 (RFC 8032) */
  sign (bytes: Uint8Array): Uint8Array
}

/** Whether `signature` over `bytes` is by `publicKey`; the platform's native Ed25519. */
export type Verify = (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array) => boolean

/**
 * The same check, remembering what it found good: all records of a batch rest on one signature, which
 * is then checked once.
 * @param max signatures remembered; the oldest go first
 */
export function rememberGood (verify: Verify, max: number = LIMITS.credits.signaturesKnownMax): Verify {
  const good = new Set<string>()
  return (publicKey, bytes, signature) => {
    // Every part in full: what was found good is exactly this key, these bytes, this signature.
    if (publicKey.length !== 32 || signature.length !== 64 || bytes.length > REMEMBERED_BYTES_MAX) return verify(publicKey, bytes, signature)
    const name = `${toLatin1(publicKey)}${toLatin1(signature)}${toLatin1(bytes)}`
    if (good.has(name)) return true
    if (!verify(publicKey, bytes, signature)) return false
    good.add(name)
    if (good.size > max) good.delete(good.values().next().value!)
    return true
  }
}

/** Signed bytes over a root are a few dozen; whole records, which come once, are not worth keeping. */
const REMEMBERED_BYTES_MAX = 128

function toLatin1 (bytes: Uint8Array): string { return String.fromCharCode(...bytes) }

/** Identity multihash of a protobuf PublicKey { type: Ed25519, data: 32 bytes } (libp2p peer-ids spec). */
const PEER_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)

export function peerIdOfKey (publicKey: Uint8Array): string {
  const bytes = new Uint8Array(PEER_ID_PREFIX.length + 32)
  bytes.set(PEER_ID_PREFIX)
  bytes.set(publicKey, PEER_ID_PREFIX.length)
  return base58btc.baseEncode(bytes)
}

/** @throws {InosError} ERR_USAGE when the text is not the PeerId of an Ed25519 key */
export function keyOfPeerId (id: string): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = base58btc.baseDecode(id)
  } catch {
    bytes = new Uint8Array(0)
  }
  if (bytes.length !== 38 || !equals(bytes.subarray(0, 6), PEER_ID_PREFIX)) {
    throw new InosError('ERR_USAGE', `"${id.slice(0, 80)}" is not the PeerId of an Ed25519 key.`, {
      hint: 'A PeerId begins with 12D3KooW; `inos id` prints yours.'
    })
  }
  return bytes.slice(6)
}

/**
 * The eight small-order points and their non-canonical twins, y coordinate without the sign bit
 * (Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs", table 1). Native verifiers accept forged signatures under them.
 */
const SMALL_ORDER_Y: readonly string[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
]

/** Nearly every key is told from them by its first byte. */
const SMALL_ORDER_FIRST: ReadonlySet<number> = new Set(SMALL_ORDER_Y.map(hex => Number.parseInt(hex.slice(0, 2), 16)))

/** Whether 32 bytes may stand for a party: right length, canonical y, not of small order. */
export function isPartyKey (publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32) return false
  const y = publicKey.slice()
  y[31]! &= 0x7f
  if (SMALL_ORDER_FIRST.has(y[0]!) && SMALL_ORDER_Y.includes(toHex(y))) return false
  // y ≥ p = 2²⁵⁵ − 19 would be a second name for the same key.
  return !(y[31] === 0x7f && y[0]! >= 0xed && y.subarray(1, 31).every(byte => byte === 0xff))
}

export function toHex (bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}
