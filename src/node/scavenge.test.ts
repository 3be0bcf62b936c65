/** Buffers that bulk leaves behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { notePassed } from './scavenge.ts'

const PIECE_BYTES = 64 * 1024
const MIB = 1024 * 1024

/** Make and drop as many bytes in pieces. @returns bytes outside the heap at most, above those before */
function pass (bytes: number, note: (bytes: number) => void): number {
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    new Uint8Array(PIECE_BYTES).fill(1)
    note(PIECE_BYTES)
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  return most
}

// Goal: dropped buffers do not pile up until a full collection comes. Method: 128 MiB of them, told and not; the collector is not left in reach of others.
test('what has passed is freed', () => {
  const told = pass(128 * MIB, notePassed)
  const untold = pass(128 * MIB, () => {})
  assert.ok(told <= 12 * MIB, `${told}`)
  assert.ok(untold > told)
  assert.equal(globalThis.gc, undefined)
})
