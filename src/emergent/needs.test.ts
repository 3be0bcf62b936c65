/** Narrowed limits by themselves; `test/narrowing.test.ts` has them over whole nodes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LIMITS } from '../packet/limits.ts'
import { Needs } from './needs.ts'

const { needsFactor, fuelMin, outputBytesMin, samplesMin } = LIMITS.map
const of = (fuel: number, outputBytes: number): { fuel: bigint, bytes: Uint8Array, files: Record<string, Uint8Array> } => ({ fuel: BigInt(fuel), bytes: new Uint8Array(outputBytes), files: {} })

// Goal: limits are what the caller allows until enough is known, then at least so many times what was needed, never more than
// allowed and never narrower again. Method: random needs after each other, at home and bought.
test('limits follow what items need', () => {
  const item = fc.record({ fuel: fc.integer({ min: 0, max: 10 ** 9 }), output: fc.nat(300_000), bought: fc.boolean() })
  fc.assert(fc.property(fc.array(item, { maxLength: 30 }), fc.bigInt({ min: 0n, max: 10n ** 10n }), fc.nat(10 ** 6), (items, fuelMax, outputBytesMax) => {
    const needs = new Needs({ fuelMax, outputBytesMax })
    let [most, mostOutput, bought] = [0n, 0, 0]
    for (const { fuel, output, bought: isBought } of items) {
      const before = needs.limits
      needs.finished(of(fuel, output), isBought)
      most = most > BigInt(fuel) ? most : BigInt(fuel)
      mostOutput = Math.max(mostOutput, output)
      if (isBought) bought++
      const { limits } = needs
      if (bought < samplesMin) assert.equal(limits, needs.allowed)
      assert.equal(limits.memoryPagesMax, LIMITS.job.memoryPagesMax)
      assert.ok(limits.fuelMax <= fuelMax && limits.outputBytesMax <= outputBytesMax)
      assert.ok(limits.fuelMax === fuelMax || (limits.fuelMax >= BigInt(needsFactor) * most && limits.fuelMax >= fuelMin && (limits.fuelMax & (limits.fuelMax - 1n)) === 0n))
      assert.ok(limits.outputBytesMax === outputBytesMax || limits.outputBytesMax >= Math.max(needsFactor * mostOutput, outputBytesMin))
      assert.ok(before === needs.allowed || (limits.fuelMax >= before.fuelMax && limits.outputBytesMax >= before.outputBytesMax))
    }
  }))
})

// Goal: what was too little is told from what is the caller's own limit, and widens the next; where nothing is to be narrowed, nothing is.
// Method: each ending against narrowed and allowed limits; files count as output; at home and with `narrows` off limits stay.
test('limits that were too little widen', () => {
  const needs = new Needs({})
  for (let i = 0; i < samplesMin; i++) needs.finished(of(1, 1), true)
  const first = needs.limits
  assert.deepEqual([first.fuelMax, first.outputBytesMax], [fuelMin, outputBytesMin])
  for (const code of ['ERR_TRAP', 'ERR_MEMORY_LIMIT', 'ERR_STACK_LIMIT', 'ERR_BUDGET'] as const) assert.equal(needs.isTooLittle(code, first), false)
  assert.equal(needs.isTooLittle('ERR_OUT_OF_FUEL', needs.allowed), false)
  assert.equal(needs.limits, first)
  assert.ok(needs.isTooLittle('ERR_OUT_OF_FUEL', first))
  assert.deepEqual([needs.limits.fuelMax, needs.limits.outputBytesMax], [BigInt(needsFactor) * fuelMin, outputBytesMin])
  assert.ok(needs.isTooLittle('ERR_OUTPUT_LIMIT', first))
  assert.equal(needs.limits.outputBytesMax, needsFactor * outputBytesMin)
  needs.finished({ ...of(1, 0), files: { '/out': new Uint8Array(outputBytesMin) } }, true)
  assert.equal(needs.limits.outputBytesMax, 2 * needsFactor * outputBytesMin)
  for (const [wide, bought] of [[new Needs({}, false), true], [new Needs(), false]] as const) {
    for (let i = 0; i < samplesMin; i++) wide.finished(of(1, 1), bought)
    assert.equal(wide.limits, wide.allowed)
  }
})
