import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSigner, verify } from '../node/keys.ts'
import { decodeCanonical, encodeCanonical } from './cbor.ts'
import { recordCid } from './cid.ts'
import { type Envelope, openEnvelope, sameRecord, seal, type Sealed, sealBatch, verifySealed } from './envelope.ts'
import type { Signer } from './identity.ts'

const signer = createSigner(new Uint8Array(32).fill(1))
const other = createSigner(new Uint8Array(32).fill(2))
const refused = { code: 'ERR_RECORD_INVALID' } as const
const any = (payload: unknown): object => payload as object
const open = (bytes: Uint8Array): Sealed => openEnvelope(bytes, 'note', any)
/** The envelope of a record with something changed. */
const changed = (record: Sealed, change: (envelope: Envelope) => void): Uint8Array => {
  const envelope = decodeCanonical(record.bytes) as Envelope
  change(envelope)
  return encodeCanonical(envelope)
}

// Goal: a record is who said what, of which kind. Method: seal, open, verify; then as another, as another kind.
test('a sealed record verifies under its author only', () => {
  const record = seal('note', { text: 'hello' }, signer)
  const opened = open(record.bytes)
  assert.deepEqual(opened.payload, { text: 'hello' })
  assert.ok(opened.id.equals(record.id) && record.id.equals(recordCid(encodeCanonical({ text: 'hello' }))))
  assert.ok(sameRecord(opened, record))
  assert.equal(sameRecord(record, seal('note', { text: 'hello!' }, signer)), false)
  verifySealed(opened, signer.publicKey, verify)
  assert.throws(() => verifySealed(opened, other.publicKey, verify), refused)
  assert.throws(() => openEnvelope(record.bytes, 'letter', any), refused)
  const renamed = openEnvelope(changed(record, envelope => { envelope.type = 'letter' }), 'letter', any)
  assert.throws(() => verifySealed(renamed, signer.publicKey, verify), refused)
})

// Goal: what is signed is [domain, type, payload]. Method: a signer that keeps what it was given.
test('the signed bytes name domain and type', () => {
  const signed: Uint8Array[] = []
  const spy: Signer = { ...signer, sign: bytes => { signed.push(bytes); return signer.sign(bytes) } }
  seal('note', { n: 1 }, spy)
  assert.deepEqual(decodeCanonical(signed[0]!), ['inos/record/1', 'note', { n: 1 }])
})

// Goal: records under one signature verify each by itself. Method: batches of many sizes; every record, moved, mixed and cut.
test('each record of a batch carries its own proof', () => {
  for (const size of [1, 2, 3, 4, 5, 7, 8, 9, 33]) {
    let signatures = 0
    const counting: Signer = { ...signer, sign: bytes => { signatures++; return signer.sign(bytes) } }
    const records = sealBatch('note', Array.from({ length: size }, (_, n) => ({ n })), counting)
    assert.equal(signatures, 1)
    for (const [n, record] of records.entries()) {
      verifySealed(open(record.bytes), signer.publicKey, verify)
      assert.ok(record.id.equals(seal('note', { n }, other).id), 'an id does not depend on the signature')
      assert.throws(() => verifySealed(open(record.bytes), other.publicKey, verify), refused)
      const { batch } = decodeCanonical(record.bytes) as Envelope
      for (let index = 0; index < 2 ** batch!.path.length; index++) {
        if (index === n) continue
        assert.throws(() => verifySealed(open(changed(record, envelope => { envelope.batch!.index = index })), signer.publicKey, verify), refused, `${n} of ${size} as ${index}`)
      }
      if (size === 1) continue
      assert.throws(() => verifySealed(open(changed(record, envelope => { Object.assign(envelope.payload, { n: n + 1 }) })), signer.publicKey, verify), refused)
      const shorter = changed(record, envelope => { envelope.batch!.path.pop(); envelope.batch!.index = 0 })
      assert.throws(() => verifySealed(open(shorter), signer.publicKey, verify), refused)
    }
  }
  assert.throws(() => sealBatch('note', [], signer), RangeError)
})

// Goal: a node of the tree never passes for a record, nor a root's signature for a record's. Method: take a batch's
// signature as a plain one, and a plain one as a batch of one.
test('plain and batch signatures do not stand for each other', () => {
  const [record] = sealBatch('note', [{ n: 1 }, { n: 2 }], signer) as [Sealed]
  const plain = changed(record, envelope => {
    envelope.sig = envelope.batch!.sig
    delete envelope.batch
  })
  assert.throws(() => verifySealed(open(plain), signer.publicKey, verify), refused)
  const batch = changed(seal('note', { n: 1 }, signer), envelope => {
    envelope.batch = { sig: envelope.sig!, index: 0, path: [] }
    delete envelope.sig
  })
  assert.throws(() => verifySealed(open(batch), signer.publicKey, verify), refused)
})

// Goal: the shape is strict. Method: envelopes with something missing, added, too long, out of range.
test('a malformed envelope is refused', () => {
  const [record] = sealBatch('note', [{ n: 1 }, { n: 2 }], signer) as [Sealed]
  const hash = new Uint8Array(32)
  const changes: ((envelope: Envelope & Record<string, unknown>) => void)[] = [
    envelope => { delete envelope.batch },
    envelope => { envelope['more'] = 1 },
    envelope => { envelope.sig = new Uint8Array(64) },
    envelope => { envelope['payload'] = [] as unknown as object },
    envelope => { envelope['type'] = 1 as unknown as string },
    envelope => { envelope.batch!.sig = new Uint8Array(63) },
    envelope => { envelope.batch!.index = 2 },
    envelope => { envelope.batch!.index = -1 },
    envelope => { envelope.batch!.index = 0.5 },
    envelope => { envelope.batch!.path = [new Uint8Array(31)] },
    envelope => { envelope.batch!.path = Array.from({ length: 21 }, () => hash) },
    envelope => { Object.assign(envelope.batch!, { more: 1 }) }
  ]
  for (const change of changes) assert.throws(() => open(changed(record, change as (envelope: Envelope) => void)), refused, change.toString())
  for (const value of [null, [], 'x', 1, new Uint8Array(3), record.id]) assert.throws(() => open(encodeCanonical(value)), refused)
})
