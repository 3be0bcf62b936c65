/** The free allowance: fuel per peer and hour, and for all; what is not burnt comes back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InosError } from '../packet/errors.ts'
import { createAllowance } from './allowance.ts'

const HOUR_MS = 3_600_000
const isCode = (code: string) => (error: unknown): boolean => error instanceof InosError && error.code === code

// Goal: a peer gets its share an hour and no more. Method: burn it in two jobs, ask again, let the hour pass.
test('a peer spends its share', () => {
  let now = 5 * HOUR_MS
  const allowance = createAllowance(() => now, { perPeer: 100n, total: 1_000n })
  const first = allowance.take('a', 60n)
  assert.equal(first.fuelMax, 60n)
  first.end(50n)
  first.end(0n)
  const second = allowance.take('a', 1_000n)
  assert.equal(second.fuelMax, 50n)
  second.end(50n)
  assert.throws(() => allowance.take('a', 1n), isCode('ERR_ALLOWANCE_SPENT'))
  now += HOUR_MS
  assert.equal(allowance.take('a', 1_000n).fuelMax, 100n)
})

// Goal: what is only set aside is called so. Method: a second job while the first holds all.
test('what jobs at work hold is busy, not spent', () => {
  const allowance = createAllowance(() => 0, { perPeer: 100n, total: 150n })
  const a = allowance.take('a', 100n)
  assert.throws(() => allowance.take('a', 1n), isCode('ERR_BUSY'))
  const b = allowance.take('b', 100n)
  assert.equal(b.fuelMax, 50n)
  assert.throws(() => allowance.take('c', 1n), isCode('ERR_BUSY'))
  a.end(100n)
  b.end(50n)
  assert.throws(() => allowance.take('c', 1n), /all guests together/)
})

// Goal: an hour's grants do not leak into the next. Method: end a job of the last hour in this one.
test('a job that ends in the next hour changes nothing there', () => {
  let now = 0
  const allowance = createAllowance(() => now, { perPeer: 100n, total: 100n })
  const late = allowance.take('a', 100n)
  now = HOUR_MS
  const fresh = allowance.take('a', 40n)
  late.end(10n)
  fresh.end(40n)
  assert.equal(allowance.take('a', 100n).fuelMax, 60n)
})
