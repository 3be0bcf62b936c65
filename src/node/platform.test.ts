import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandomBytes } from './platform.ts'

// Goal: no random bytes are given twice, whatever the lengths asked for, and giving more changes none that were given.
// Method: draws of odd lengths over many stocks, and some longer than one; every run of eight bytes is looked for among all.
test('random bytes are given once', () => {
  const randomBytes = createRandomBytes()
  const draws = Array.from({ length: 2_000 }, (_, i) => randomBytes(i % 500 === 7 ? 5_000 : 8 * (1 + i % 8)))
  const copies = draws.map(bytes => bytes.slice())
  randomBytes(4_000)
  assert.deepEqual(draws, copies)
  const words = draws.flatMap(bytes => Array.from({ length: bytes.length / 8 }, (_, at) => Buffer.from(bytes.subarray(8 * at, 8 * at + 8)).toString('hex')))
  assert.equal(new Set(words).size, words.length)
})
