/**
 * Certificates that nobody has to store: computed from the node's identity, signature included (RFC 6979), so they are the
 * same after a restart. Who they belong to is said by whoever tells their hash, or by an extension.
 */
import { createHash, createPrivateKey, createPublicKey, hkdfSync } from 'node:crypto'
import { p256 } from '@noble/curves/nist.js'

export interface Certificate {
  /** As TLS wants them. */
  readonly keyPem: Buffer
  readonly certificatePem: Buffer
  /** DER, which is what is hashed. */
  readonly der: Buffer
  /** Its public key (SubjectPublicKeyInfo) in DER. */
  readonly spki: Buffer
  /** Multihash of SHA-256. */
  readonly hash: Uint8Array
}

export interface CertificateOptions {
  /** The node's identity. */
  readonly seed: Uint8Array
  /** What the key is for; each use has another one. */
  readonly use: string
  readonly serial?: number
  /** @default always valid */
  readonly from?: Date
  readonly to?: Date
  /** In DER (RFC 5280, section 4.2). @default that it signs no other ones; browsers want one to be there */
  readonly extension?: Uint8Array
}

/** More bytes than the order of the curve has, so that no key is likelier than another (FIPS 186-5, A.2.1). */
const KEY_BYTES = 48
const ORDER = p256.Point.Fn.ORDER
/** https://www.iana.org/assignments/multihash: sha2-256, 32 bytes. */
const MULTIHASH = Uint8Array.of(0x12, 0x20)
/** Begin and end of what certificates can say in two digits of a year (RFC 5280, section 4.1.2.5.1). */
const [BEGIN, END] = [new Date(0), new Date(Date.UTC(2049, 11, 31))]

/** The same for the same arguments. */
export function createCertificate ({ seed, use, serial = 1, from = BEGIN, to = END, extension = SIGNS_NO_OTHERS }: CertificateOptions): Certificate {
  const material = Buffer.from(hkdfSync('sha256', seed, '', `inos/${use}`, KEY_BYTES))
  const secret = Buffer.from((BigInt(`0x${material.toString('hex')}`) % (ORDER - 1n) + 1n).toString(16).padStart(64, '0'), 'hex')
  const point = p256.getPublicKey(secret, false)
  const part = (at: number): string => Buffer.from(point.subarray(at, at + 32)).toString('base64url')
  const key = createPrivateKey({ key: { kty: 'EC', crv: 'P-256', d: secret.toString('base64url'), x: part(1), y: part(33) }, format: 'jwk' })
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const body = bodyOf(spki, serial, from, to, extension)
  const signature = p256.Signature.fromBytes(p256.sign(body, secret, { lowS: false })).toBytes('der')
  const der = sequence(body, ECDSA_SHA256, tag(0x03, Uint8Array.of(0), signature))
  return {
    der,
    spki,
    hash: Buffer.concat([MULTIHASH, createHash('sha256').update(der).digest()]),
    keyPem: Buffer.from(key.export({ type: 'pkcs8', format: 'pem' })),
    certificatePem: Buffer.from(`-----BEGIN CERTIFICATE-----\n${der.toString('base64').match(/.{1,64}/g)!.join('\n')}\n-----END CERTIFICATE-----\n`)
  }
}

/** DER (X.690): a tag, a length, what is in it. */
export function tag (number: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const length = content.length < 0x80 ? [content.length] : content.length < 0x100 ? [0x81, content.length] : [0x82, content.length >> 8, content.length & 0xff]
  return Buffer.concat([Uint8Array.of(number, ...length), content])
}

export function sequence (...parts: Uint8Array[]): Buffer { return tag(0x30, ...parts) }

/** RFC 5758: 1.2.840.10045.4.3.2. */
const ECDSA_SHA256 = sequence(tag(0x06, Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)))
/** CN=inos. */
const NAME = sequence(tag(0x31, sequence(tag(0x06, Uint8Array.of(0x55, 0x04, 0x03)), tag(0x0c, Buffer.from('inos')))))

/** RFC 5280, section 4.2.1.9. */
const SIGNS_NO_OTHERS = sequence(tag(0x06, Uint8Array.of(0x55, 0x1d, 0x13)), tag(0x04, sequence()))

/** TBSCertificate of RFC 5280, section 4.1. */
function bodyOf (spki: Uint8Array, serial: number, from: Date, to: Date, extension: Uint8Array): Buffer {
  const version = tag(0xa0, tag(0x02, Uint8Array.of(2)))
  const number = Buffer.alloc(5)
  number.writeUInt32BE(serial, 1)
  return sequence(version, tag(0x02, Uint8Array.of(1), number), ECDSA_SHA256, NAME, sequence(time(from), time(to)), NAME, spki, tag(0xa3, sequence(extension)))
}

/** UTCTime, to the second. */
function time (date: Date): Buffer { return tag(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]|\..*/g, '').slice(2)}Z`)) }
