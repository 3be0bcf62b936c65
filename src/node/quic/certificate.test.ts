/** A certificate names a node only when that node has signed its key; whatever else a peer shows is refused. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { LIMITS } from '../../packet/limits.ts'
import { createCertificate, sequence, tag } from '../certificate.ts'
import { createSigner } from '../keys.ts'
import { createNodeCertificate, readNodeCertificate } from './certificate.ts'

const NOW = Date.UTC(2026, 10, 24)
const seed = new Uint8Array(32).fill(7)
const { id, publicKey, sign } = createSigner(seed)
const NAME = tag(0x06, Uint8Array.of(0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01))
const KEY = Uint8Array.of(0x08, 0x01, 0x12, 0x20)
const { spki } = createCertificate({ seed, use: 'test' })
const signature = sign(Buffer.concat([Buffer.from('libp2p-tls-handshake:'), spki]))

/** @param content of the extension */
function certificateWith (content: Uint8Array, dates: { from?: Date, to?: Date } = {}): Uint8Array {
  return createCertificate({ seed, use: 'test', extension: sequence(NAME, tag(0x04, content)), ...dates }).der
}

const claim = (key: Uint8Array, by: Uint8Array): Buffer => sequence(tag(0x04, KEY, key), tag(0x04, by))
const read = async (der: Uint8Array | null, now = NOW): Promise<string> => (await readNodeCertificate(der, now)).toString()

// Goal: a node's own certificate names it, is the same after a restart, and no other node's. Method: made twice, and of another seed.
test('a certificate of QUIC names its node', async () => {
  const { der } = createNodeCertificate(seed)
  assert.deepEqual(createNodeCertificate(seed).der, der)
  assert.equal(await read(der), id)
  assert.equal(await read(certificateWith(claim(publicKey, signature))), id)
  const other = randomBytes(32)
  assert.equal(await read(createNodeCertificate(other).der), createSigner(other).id)
})

// Goal: nobody can show a certificate in another's name. Method: a signature of somebody else, over something else, and none; no extension, one too many parts, other kinds of parts; too early,
// too late, too large, none at all.
test('a certificate of QUIC in another node’s name is refused', async () => {
  const thief = createSigner(randomBytes(32))
  const words = Buffer.concat([Buffer.from('libp2p-tls-handshake:'), spki])
  for (const content of [claim(publicKey, thief.sign(words)), claim(publicKey, sign(spki)), claim(publicKey, new Uint8Array(64)), claim(thief.publicKey, signature)]) {
    await assert.rejects(read(certificateWith(content)), /did not sign/)
  }
  await assert.rejects(read(certificateWith(claim(publicKey, new Uint8Array(0)))))
  const good = claim(publicKey, signature)
  for (const content of [sequence(), sequence(tag(0x04, KEY, publicKey)), sequence(tag(0x04, KEY, publicKey), tag(0x04, signature), tag(0x04)), sequence(tag(0x0c, KEY, publicKey), tag(0x0c, signature)), Buffer.concat([good, good]), new Uint8Array(0)]) {
    await assert.rejects(read(certificateWith(content)), /whose it is/)
  }
  await assert.rejects(read(createCertificate({ seed, use: 'test' }).der), /whose it is/)
  const dated = certificateWith(good, { from: new Date(NOW), to: new Date(NOW + 1_000) })
  assert.equal(await read(dated), id)
  for (const now of [NOW - 1_000, NOW + 2_000]) await assert.rejects(read(dated, now), /not valid now/)
  for (const der of [null, new Uint8Array(LIMITS.quic.certificateBytesMax + 1)]) await assert.rejects(read(der), /one certificate/)
})

// Goal: whatever bytes a peer shows, they end in an error or in the right name. Method: every byte of a certificate changed in turn, every length cut, and garbage.
test('a damaged certificate of QUIC is refused', async () => {
  const { der } = createNodeCertificate(seed)
  for (let at = 0; at < der.length; at++) {
    const damaged = Uint8Array.from(der)
    damaged[at] = damaged[at]! ^ (1 << (at % 8))
    await assert.rejects(read(damaged), `byte ${at}`)
    await assert.rejects(read(der.subarray(0, at)), `the first ${at} bytes`)
  }
  for (let bytes = 0; bytes < 200; bytes++) await assert.rejects(read(randomBytes(bytes)))
})
