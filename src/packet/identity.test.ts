import assert from 'node:assert/strict'
import { test } from 'node:test'
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { createSigner } from '../node/keys.ts'
import { rawCid } from './cid.ts'
import { seal, verifySealed } from './envelope.ts'
import { isPartyKey, keyOfPeerId, peerIdOfKey, toHex } from './identity.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

/** y of the points of small order; p = 2²⁵⁵ − 19 and what lies above it name them a second time. */
const SMALL = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
]

// Goal: a PeerId is its key as text. Method: as libp2p names random keys, there and back; texts that are no PeerIds.
test('PeerIds and keys name each other', () => {
  const key = createSigner(new Uint8Array(32).fill(1)).publicKey
  fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), key => {
    assert.equal(peerIdOfKey(key), peerIdFromPublicKey(publicKeyFromRaw(key)).toString())
    assert.deepEqual(keyOfPeerId(peerIdOfKey(key)), key)
  }), { seed: 1 })
  for (const text of ['', '12D3KooW', 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N', `${peerIdOfKey(key)}1`, peerIdOfKey(key).slice(1), '0OIl', 'x'.repeat(10_000)]) {
    assert.throws(() => keyOfPeerId(text), { code: 'ERR_USAGE' })
  }
})

// Goal: no key under which signatures can be forged stands for a party. Method: the points of small order and the
// non-canonical names, with both signs; and a verifier that believes everything.
test('small-order and non-canonical keys are no parties', () => {
  const record = seal('order', { spec: rawCid(new Uint8Array(0)) }, createSigner(new Uint8Array(32).fill(1)))
  for (const text of [...SMALL, 'f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'ff'.repeat(32)]) {
    for (const sign of [0, 0x80]) {
      const key = hex(text)
      key[31]! |= sign
      assert.equal(isPartyKey(key), false, toHex(key))
      assert.throws(() => verifySealed(record, key, () => true), { code: 'ERR_RECORD_INVALID' })
    }
  }
  assert.equal(isPartyKey(new Uint8Array(31).fill(1)), false)
  assert.equal(isPartyKey(new Uint8Array(33).fill(1)), false)
  assert.equal(isPartyKey(hex('ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')), true)
  for (let fill = 0; fill < 50; fill++) assert.equal(isPartyKey(createSigner(new Uint8Array(32).fill(fill)).publicKey), true)
})
