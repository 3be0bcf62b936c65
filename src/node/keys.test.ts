import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toHex } from '../packet/identity.ts'
import { createSigner, createVerify, verify } from './keys.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

// Goal: it is Ed25519. Method: tests 1 and 2 of RFC 8032, section 7.1.
test('signs and verifies as RFC 8032 says', () => {
  for (const [seed, publicKey, message, signature] of [
    ['9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b'],
    ['4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00']
  ] as const) {
    const signer = createSigner(hex(seed))
    assert.equal(toHex(signer.publicKey), publicKey)
    assert.match(signer.id, /^12D3KooW/)
    assert.equal(toHex(signer.sign(hex(message))), signature)
    assert.equal(verify(hex(publicKey), hex(message), hex(signature)), true)
    assert.equal(verify(hex(publicKey), hex(`${message}00`), hex(signature)), false)
    assert.equal(verify(createSigner(new Uint8Array(32)).publicKey, hex(message), hex(signature)), false)
  }
})

// Goal: nothing thrown and nothing accepted for what is no key or signature. Method: wrong lengths, points off the curve, S ≥ L.
test('malformed keys and signatures verify false', () => {
  const signer = createSigner(new Uint8Array(32).fill(5))
  const message = new Uint8Array(3)
  const signature = signer.sign(message)
  assert.equal(verify(signer.publicKey, message, signature.subarray(1)), false)
  assert.equal(verify(signer.publicKey.subarray(1), message, signature), false)
  for (let first = 0; first < 64; first++) assert.equal(verify(new Uint8Array(32).fill(7).with(0, first), message, signature), false)
  // S + L is the same number to a lax verifier.
  const order = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n
  let s = 0n
  for (let i = 31; i >= 0; i--) s = s * 256n + BigInt(signature[32 + i]!)
  const malleable = signature.slice()
  for (let i = 0, rest = s + order; i < 32; i++, rest /= 256n) malleable[32 + i] = Number(rest % 256n)
  assert.equal(verify(signer.publicKey, message, malleable), false)
  assert.throws(() => createSigner(new Uint8Array(31)), RangeError)
})

// Goal: the cache of imported keys is bounded and right. Method: three keys through a cache of two, twice.
test('more keys than the cache holds still verify', () => {
  const small = createVerify(2)
  const signers = [1, 2, 3].map(fill => createSigner(new Uint8Array(32).fill(fill)))
  for (const signer of [...signers, ...signers]) {
    const message = signer.publicKey
    assert.equal(small(signer.publicKey, message, signer.sign(message)), true)
    assert.equal(small(signer.publicKey, message, signers[0]!.sign(signers[1]!.publicKey)), false)
  }
})
