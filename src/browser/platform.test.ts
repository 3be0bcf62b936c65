import assert from 'node:assert/strict'
import { createHash, randomBytes as random } from 'node:crypto'
import { test } from 'node:test'
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js'
import fc from 'fast-check'
import * as native from '../node/keys.ts'
import { toHex } from '../packet/identity.ts'
import { createSigner, digest, randomBytes, verify } from './platform.ts'

const { Point } = ed25519
const number = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes.toReversed())}`)
const bytesOf = (value: bigint): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n))

// Goal: what a tab signs and finds good is what Node does. Method: any seed and message, then a bit of signature or message changed.
test('signs and verifies as Node does', () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  fc.assert(fc.property(bytes(32), fc.uint8Array({ maxLength: 100 }), fc.nat(63), fc.nat(7), (seed, message, at, bit) => {
    const [own, other] = [createSigner(seed), native.createSigner(seed)]
    assert.equal(own.id, other.id)
    const signature = own.sign(message)
    assert.deepEqual(signature, other.sign(message))
    assert.equal(verify(own.publicKey, message, signature), true)
    const changed = signature.with(at, signature[at]! ^ (1 << bit))
    assert.equal(verify(own.publicKey, message, changed), native.verify(own.publicKey, message, changed))
    assert.equal(verify(own.publicKey, Uint8Array.of(...message, 0), signature), false)
  }), { numRuns: 20 })
  for (let first = 0; first < 64; first++) assert.equal(verify(new Uint8Array(32).fill(7).with(0, first), new Uint8Array(3), new Uint8Array(64)), false)
  assert.equal(verify(new Uint8Array(31), new Uint8Array(3), new Uint8Array(64)), false)
})

// Goal: nobody makes a signature that is good for tabs and bad for Node, or the other way round. Method: keys with a part of small order, signed so that
// only a check without the cofactor tells: both say the same of each, and not the same of all.
test('parts of small order are seen as Node sees them', () => {
  const a = 12_345_678_901_234_567_890n
  const found = new Set<boolean>()
  for (let n = 0; n < 24; n++) {
    const key = Point.BASE.multiply(a).add(Point.fromBytes(Uint8Array.from(Buffer.from(ED25519_TORSION_SUBGROUP[1]!, 'hex')))).toBytes()
    const r = BigInt(n) + 98_765n
    const point = Point.BASE.multiply(r).toBytes()
    const message = Uint8Array.of(n)
    const k = number(new Uint8Array(createHash('sha512').update(point).update(key).update(message).digest())) % Point.Fn.ORDER
    const signature = Uint8Array.of(...point, ...bytesOf((r + k * a) % Point.Fn.ORDER))
    const good = verify(key, message, signature)
    assert.equal(good, native.verify(key, message, signature))
    found.add(good)
  }
  assert.equal(found.size, 2)
})

// Goal: hashes and randomness of any length. Method: against Node's, and beyond what one call of the browser gives.
test('digests and random bytes', async () => {
  for (const length of [0, 1, 100_000]) {
    const bytes = new Uint8Array(random(length))
    assert.deepEqual(await digest(bytes), new Uint8Array(createHash('sha256').update(bytes).digest()))
  }
  const bytes = randomBytes(200_000)
  assert.equal(bytes.length, 200_000)
  assert.ok(bytes.subarray(-1_000).some(byte => byte !== 0))
})
