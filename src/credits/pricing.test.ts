import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DEFAULT_PRICES, LIMITS } from '../packet/limits.ts'
import { charge, worstCase } from './pricing.ts'

const FREE = { base: 0n, perMFuel: 0n, perPageSec: 0n, perKiB: 0n }

// Goal: the formula of the design, to the µcr. Method: figures worked out by hand.
test('each part is priced and rounded up by itself', () => {
  assert.equal(charge({ ...FREE, base: 7n }, { fuel: 0n, pages: 0, resultBytes: 0, filesBytes: 0 }), 7n)
  assert.equal(charge({ ...FREE, perMFuel: 1_000n }, { fuel: 1_000_000_000n, pages: 9, resultBytes: 9, filesBytes: 0 }), 1_000_000n, '10⁹ fuel is one credit')
  assert.equal(charge({ ...FREE, perMFuel: 1n }, { fuel: 1n, pages: 0, resultBytes: 0, filesBytes: 0 }), 1n)
  assert.equal(charge({ ...FREE, perMFuel: 1n }, { fuel: 1_000_001n, pages: 0, resultBytes: 0, filesBytes: 0 }), 2n)
  assert.equal(charge({ ...FREE, perPageSec: 100n }, { fuel: 1_000_000_000n, pages: 3, resultBytes: 0, filesBytes: 0 }), 300n)
  assert.equal(charge({ ...FREE, perPageSec: 1n }, { fuel: 1n, pages: 1, resultBytes: 0, filesBytes: 0 }), 1n)
  assert.equal(charge({ ...FREE, perKiB: 100n }, { fuel: 0n, pages: 0, resultBytes: 1_025, filesBytes: 0 }), 101n)
  assert.equal(charge({ ...FREE, perKiB: 100n }, { fuel: 0n, pages: 0, resultBytes: 1, filesBytes: 1_024 }), 101n, 'rounded up once')
  assert.equal(charge(DEFAULT_PRICES, { fuel: 123_456_789n, pages: 17, resultBytes: 1_025, filesBytes: 0 }), 100n + 123_457n + 210n + 101n)
})

// Goal: a job with default limits at default prices fits the default costMax. Method: compute it.
test('the default worst case is at most 20 credits', () => {
  const worst = worstCase(DEFAULT_PRICES, LIMITS.job)
  assert.equal(worst, 15_734_500n)
  assert.ok(worst <= LIMITS.job.costMax)
})

// Goal: no run within its limits costs more than its worst case. Method: random prices, limits and runs within them.
test('a charge never passes its worst case', () => {
  const price = fc.bigInt({ min: 0n, max: LIMITS.credits.amountMax })
  const prices = fc.record({ base: price, perMFuel: price, perPageSec: price, perKiB: price })
  const limits = fc.record({ fuelMax: fc.bigInt({ min: 0n, max: LIMITS.spec.fuelMax }), memoryPagesMax: fc.nat({ max: 16_384 }), outputBytesMax: fc.nat({ max: LIMITS.spec.outputBytesMax }) })
  fc.assert(fc.property(prices, limits, fc.nat({ max: 1_000 }), (prices, limits, share) => {
    const part = (max: number): number => Math.floor(max * share / 1_000)
    const fuel = limits.fuelMax * BigInt(share) / 1_000n
    const resultBytes = part(limits.outputBytesMax)
    assert.ok(charge(prices, { fuel, pages: part(limits.memoryPagesMax), resultBytes, filesBytes: limits.outputBytesMax - resultBytes }) <= worstCase(prices, limits))
  }), { seed: 5, numRuns: 500 })
})
