import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { digest } from './digest.ts'

// Goal: slices give the same hash as the whole. Method: sizes around one and two slices.
test('a digest in slices', async () => {
  for (const size of [0, 1, 1024 ** 2, 1024 ** 2 + 1, 2 * 1024 ** 2, 3 * 1024 ** 2 - 1]) {
    const bytes = new Uint8Array(size).map((_, at) => at % 251)
    assert.deepEqual(Buffer.from(await digest(bytes)), hash('sha256', bytes, 'buffer'))
  }
})
