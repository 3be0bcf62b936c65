/**
 * The certificates of a WebTransport listener. A browser accepts one that no authority signed when it is told its hash and
 * the certificate is of ECDSA P-256 and valid for at most 14 days, so each is one of a sequence. All are computed from the
 * node's identity and the number of their period, signature included (RFC 6979): after a restart they are the same, nothing
 * is stored, and an address told in one period is good to the end of the next.
 */
import { createHash, createPrivateKey, createPublicKey, hkdfSync } from 'node:crypto'
import { p256 } from '@noble/curves/nist.js'
import { LIMITS } from '../../packet/limits.ts'

export interface Certificate {
  /** As TLS wants them. */
  readonly keyPem: Buffer
  readonly certificatePem: Buffer
  /** DER, which is what is hashed. */
  readonly der: Buffer
  /** Multihash of SHA-256. */
  readonly hash: Uint8Array
}

const { periodMs, skewMs } = LIMITS.webTransport
/** https://www.iana.org/assignments/multihash: sha2-256, 32 bytes. */
const MULTIHASH = Uint8Array.of(0x12, 0x20)
/** More bytes than the order of the curve has, so that no key is likelier than another (FIPS 186-5, A.2.1). */
const KEY_BYTES = 48
const ORDER = p256.Point.Fn.ORDER

export class Certificates {
  readonly #seed: Uint8Array
  readonly #now: () => number
  readonly #made = new Map<number, Certificate>()

  /** @param seed the node's identity @param now in ms since 1970 */
  constructor (seed: Uint8Array, now: () => number) {
    this.#seed = seed
    this.#now = now
  }

  /** The one to show now. */
  current (): Certificate { return this.#of(this.#period()) }

  /** Hashes for an address: of this period and the next. */
  told (): Uint8Array[] { return [0, 1].map(ahead => this.#of(this.#period() + ahead).hash) }

  /** Hashes that may have been told to somebody who dials now. */
  known (): Uint8Array[] { return [-1, 0, 1].map(ahead => this.#of(this.#period() + ahead).hash) }

  /** ms until another is shown. */
  untilNext (): number { return (this.#period() + 1) * periodMs - this.#now() }

  #period (): number { return Math.floor(this.#now() / periodMs) }

  #of (period: number): Certificate {
    const made = this.#made.get(period) ?? createCertificate(this.#seed, `webtransport/1/${period}`, period,
      // Whoever's clock is a day off takes it, too.
      new Date(period * periodMs - skewMs), new Date((period + 1) * periodMs + skewMs))
    this.#made.set(period, made)
    for (const old of this.#made.keys()) if (old < this.#period() - 1) this.#made.delete(old)
    return made
  }
}

/** The same for the same arguments. @param seed the node's identity @param use what the key is for; each has another one */
export function createCertificate (seed: Uint8Array, use: string, serial: number, from: Date, to: Date): Certificate {
  const material = Buffer.from(hkdfSync('sha256', seed, '', `inos/${use}`, KEY_BYTES))
  const secret = Buffer.from((BigInt(`0x${material.toString('hex')}`) % (ORDER - 1n) + 1n).toString(16).padStart(64, '0'), 'hex')
  const point = p256.getPublicKey(secret, false)
  const part = (at: number): string => Buffer.from(point.subarray(at, at + 32)).toString('base64url')
  const key = createPrivateKey({ key: { kty: 'EC', crv: 'P-256', d: secret.toString('base64url'), x: part(1), y: part(33) }, format: 'jwk' })
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const body = bodyOf(spki, serial, from, to)
  const signature = p256.Signature.fromBytes(p256.sign(body, secret, { lowS: false })).toBytes('der')
  const der = sequence(body, ECDSA_SHA256, tag(0x03, Uint8Array.of(0), signature))
  return {
    der,
    hash: Buffer.concat([MULTIHASH, createHash('sha256').update(der).digest()]),
    keyPem: Buffer.from(key.export({ type: 'pkcs8', format: 'pem' })),
    certificatePem: Buffer.from(`-----BEGIN CERTIFICATE-----\n${der.toString('base64').match(/.{1,64}/g)!.join('\n')}\n-----END CERTIFICATE-----\n`)
  }
}

/** DER (X.690): a tag, a length, what is in it. */
function tag (number: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const length = content.length < 0x80 ? [content.length] : content.length < 0x100 ? [0x81, content.length] : [0x82, content.length >> 8, content.length & 0xff]
  return Buffer.concat([Uint8Array.of(number, ...length), content])
}

function sequence (...parts: Uint8Array[]): Buffer { return tag(0x30, ...parts) }

/** RFC 5758: 1.2.840.10045.4.3.2. */
const ECDSA_SHA256 = sequence(tag(0x06, Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)))
/** CN=inos. */
const NAME = sequence(tag(0x31, sequence(tag(0x06, Uint8Array.of(0x55, 0x04, 0x03)), tag(0x0c, Buffer.from('inos')))))

/** That it signs no other ones (RFC 5280, section 4.2.1.9); browsers want extensions to be there. */
const EXTENSIONS = tag(0xa3, sequence(sequence(tag(0x06, Uint8Array.of(0x55, 0x1d, 0x13)), tag(0x04, sequence()))))

/** TBSCertificate of RFC 5280, section 4.1. */
function bodyOf (spki: Uint8Array, serial: number, from: Date, to: Date): Buffer {
  const version = tag(0xa0, tag(0x02, Uint8Array.of(2)))
  const number = Buffer.alloc(5)
  number.writeUInt32BE(serial, 1)
  return sequence(version, tag(0x02, Uint8Array.of(1), number), ECDSA_SHA256, NAME, sequence(time(from), time(to)), NAME, spki, EXTENSIONS)
}

/** UTCTime, to the second. */
function time (date: Date): Buffer { return tag(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]|\..*/g, '').slice(2)}Z`)) }
