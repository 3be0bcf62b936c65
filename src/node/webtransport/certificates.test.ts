/** Certificates that nobody has to store: the same after a restart, others with each period, such as browsers take. */
import assert from 'node:assert/strict'
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { LIMITS } from '../../packet/limits.ts'
import { Certificates } from './certificates.ts'

const { periodMs } = LIMITS.webTransport
const SEED = new Uint8Array(32).fill(7)
const START = Date.UTC(2026, 10, 23)
const hex = (hashes: readonly Uint8Array[]): string[] => hashes.map(hash => Buffer.from(hash).toString('hex'))

// Goal: each certificate is one a browser takes by its hash. Method: Node reads it: signature, key, validity of at most 14 days around now, version, hash.
test('a certificate is valid now, and for at most 14 days', () => {
  const { der, hash, keyPem, certificatePem } = new Certificates(SEED, () => START).current()
  const certificate = new X509Certificate(certificatePem)
  assert.deepEqual(certificate.raw, der)
  assert.ok(certificate.verify(certificate.publicKey) && certificate.checkPrivateKey(createPrivateKey(keyPem)))
  assert.deepEqual(certificate.publicKey.asymmetricKeyDetails, { namedCurve: 'prime256v1' })
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
  assert.ok(from < START && START < to && to - from <= 14 * 86_400_000)
  assert.deepEqual(Buffer.from(hash), Buffer.concat([Buffer.from([0x12, 0x20]), createHash('sha256').update(der).digest()]))
})

// Goal: an address stays good over a restart and into the next period, and is nobody else's. Method: two of one identity at times a period apart,
// and one of another identity.
test('hashes told in one period are good to the end of the next', () => {
  let now = START
  const [before, after, other] = [new Certificates(SEED, () => START), new Certificates(SEED, () => now), new Certificates(new Uint8Array(32), () => START)]
  const told = hex(before.told())
  assert.deepEqual(told, hex(after.told()))
  assert.equal(told.some(hash => hex(other.known()).includes(hash)), false)
  now += periodMs
  assert.ok(told.includes(hex([after.current().hash])[0]!))
  assert.ok(told.every(hash => hex(after.known()).includes(hash)))
  now += periodMs
  assert.equal(told.includes(hex([after.current().hash])[0]!), false)
  assert.ok(after.untilNext() > 0 && after.untilNext() <= periodMs)
})
