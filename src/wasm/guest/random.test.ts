import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { RandomStream } from './random.ts'

// Goal: the stream is the one the header defines, so that another implementation can reproduce it.
// Method: compute the first blocks with Node's own SHA-256.
test('the stream is sha256 in counter mode', () => {
  const seed = new Uint8Array(32).map((_, index) => index)
  const block = (counter: number) => {
    const suffix = new Uint8Array(8)
    suffix[7] = counter
    return createHash('sha256').update('inos/random/1').update(seed).update(suffix).digest()
  }
  const target = new Uint8Array(80)
  new RandomStream(seed).fill(target)
  assert.deepEqual([...target], [...block(0), ...block(1), ...block(2)].slice(0, 80))
})

// Goal: how a guest cuts its reads does not change what it reads.
// Method: any cutting of a stream against one read of all of it.
test('cutting does not matter', () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.array(fc.nat(100), { maxLength: 20 }), (seed, lengths) => {
    const whole = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0))
    new RandomStream(seed).fill(whole)
    const stream = new RandomStream(seed)
    const pieces = lengths.map(length => {
      const piece = new Uint8Array(length)
      stream.fill(piece)
      return piece
    })
    assert.deepEqual(pieces.flatMap(piece => [...piece]), [...whole])
  }), { numRuns: 50 })
})
