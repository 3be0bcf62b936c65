import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { decodeCanonical, encodeCanonical } from './cbor.ts'
import { rawCid } from './cid.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const refused = { code: 'ERR_RECORD_INVALID' } as const

/** Nested values of every kind that records use, at the edges of every width. */
const { value } = fc.letrec(tie => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, false, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -24, -25, -256, -257, -(2 ** 32) - 1, 1 - 2 ** 53, 0.5, -1e300, 5n, -5n, 2n ** 64n - 1n, -(2n ** 64n)),
    fc.maxSafeInteger(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.string(), fc.string({ unit: 'grapheme' }), fc.string({ minLength: 60, maxLength: 300 }), fc.uint8Array(),
    fc.uint8Array().map(rawCid), fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.string(), fc.string({ unit: 'grapheme' })), tie('value'), { maxKeys: 6, noNullPrototype: true })
  )
}))

// Goal: what was encoded comes back. Method: random nested values of every kind that records use.
test('canonical bytes decode to what was encoded', () => {
  fc.assert(fc.property(value, value => {
    const bytes = encodeCanonical(value)
    assert.deepEqual(encodeCanonical(decodeCanonical(bytes)), bytes)
  }), { seed: 1, numRuns: 1_000 })
})

// Goal: nothing is taken that is not canonical, and nothing canonical refused. Method: random bytes changed, added or cut in
// random values; the library decodes and encodes again what is left of them.
test('what is canonical is what the library would write', () => {
  const isCanonical = (bytes: Uint8Array): boolean => {
    try {
      return Buffer.compare(dagCbor.encode(dagCbor.decode(bytes)), bytes) === 0
    } catch {
      return false
    }
  }
  const isTaken = (bytes: Uint8Array): boolean => {
    try {
      decodeCanonical(bytes)
      return true
    } catch {
      return false
    }
  }
  const change = fc.tuple(fc.nat(), fc.constantFrom('set', 'insert', 'cut'), fc.integer({ min: 0, max: 255 }))
  fc.assert(fc.property(value, fc.array(change, { minLength: 1, maxLength: 3 }), (value, changes) => {
    const bytes = Array.from(encodeCanonical(value))
    for (const [at, kind, byte] of changes) bytes.splice(at % bytes.length, kind === 'insert' ? 0 : 1, ...kind === 'cut' ? [] : [byte])
    const changed = Uint8Array.from(bytes)
    assert.equal(isTaken(changed), isCanonical(changed))
  }), { seed: 3, numRuns: 5_000 })
})

// Goal: one meaning, one encoding. Method: other encodings of the same values, and what dag-cbor leaves out.
test('every other encoding is refused', () => {
  const cases = {
    'integer, too long': '1801', 'integer, 8 bytes': '1b0000000000000001', 'length, too long': '580100', 'keys unsorted': 'a2616202616101', 'key twice': 'a2616101616102',
    'indefinite list': '9f01ff', 'indefinite map': 'bfff', 'indefinite text': '7f6161ff', 'float of 2 bytes': 'f93e00', 'float of 4 bytes': 'fa3fc00000', 'whole number as a float': 'fb3ff0000000000000', NaN: 'fb7ff8000000000000',
    infinity: 'fb7ff0000000000000', undefined: 'f7', 'integer key': 'a10102', 'other tag': 'c101', bignum: 'c24101', 'cid without its zero byte': `d82a5824${'01551220'.padEnd(72, '0')}`,
    'cid of version 0 that says so': `d82a582500${'00701220'.padEnd(72, '0')}`, 'cid of version 0 with a codec': `d82a582500${'00551220'.padEnd(72, '0')}`,
    'two items': '0101', 'cut off': '8201', 'cut in text': '6261', nothing: '', 'reserved length': '1c', 'invalid UTF-8': '61ff'
  }
  for (const [name, bytes] of Object.entries(cases)) assert.throws(() => decodeCanonical(hex(bytes)), refused, name)
  assert.deepEqual(decodeCanonical(hex('a2616101616202')), { a: 1, b: 2 })
})

// Goal: nesting cannot exhaust the stack. Method: 33 levels are too many, 32 are not; then a megabyte of list, map and tag headers.
test('deep nesting is refused before it is followed', () => {
  assert.doesNotThrow(() => decodeCanonical(hex(`${'81'.repeat(32)}00`)))
  for (const header of ['81', 'a16161', 'd82a', '9f', 'bf']) {
    assert.throws(() => decodeCanonical(hex(`${header.repeat(33)}00`)), refused)
    assert.throws(() => decodeCanonical(hex(header.repeat(1_000_000 / (header.length / 2)))), refused)
  }
})

// Goal: announced sizes allocate nothing. Method: headers that promise 2³² and 2⁶³ items or bytes.
test('a promise of many items is refused at once', () => {
  const start = performance.now()
  for (const header of ['9affffffff', '9b7fffffffffffffff', 'baffffffff', 'bb7fffffffffffffff', '5affffffff', '5b7fffffffffffffff', '7b7fffffffffffffff']) {
    assert.throws(() => decodeCanonical(hex(`${header}00`)), refused, header)
  }
  assert.ok(performance.now() - start < 20_000)
})

// Goal: nothing but our error comes out. Method: random bytes.
test('garbage is refused by one error', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
    try {
      decodeCanonical(bytes)
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'ERR_RECORD_INVALID')
    }
  }), { seed: 2, numRuns: 2_000 })
})
