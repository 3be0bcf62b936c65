/** The budget of a job's children: whatever they cost and burn, its executor is paid all that it has paid for them, and its own part. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bill, charge, type Prices, worstCase } from '../credits/pricing.ts'
import { DEFAULT_PRICES, LIMITS } from '../packet/limits.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'
import { Budget } from './budget.ts'
import type { Purse } from './processor.ts'

const PARENT = { fuelMax: 1_000_000_000n, memoryPagesMax: 16, outputBytesMax: 1_024, descendantsMax: 20 }

const price = fc.oneof(fc.bigInt(0n, 20n), fc.bigInt(0n, 3_000n))
const prices = fc.record({ base: price, perMFuel: price, perPageSec: price, perKiB: price })
const child = fc.record({
  /** Null: those of the parent's executor. */
  prices: fc.option(prices),
  fuelMax: fc.oneof(fc.bigInt(1n, 3_000n), fc.bigInt(1n, 400_000_000n)),
  memoryPagesMax: fc.integer({ min: 0, max: 16 }),
  outputBytesMax: fc.constantFrom(4, LIMITS.guest.childOutputBytes),
  descendantsMax: fc.constantFrom(0, 0, 3),
  /** Of its fuel, and of what its own children may cost, in percent. */
  burnt: fc.constantFrom(0, 1, 50, 100),
  dear: fc.constantFrom(0, 100),
  /** Whether it is the child of one that runs with the parent. */
  isBelow: fc.boolean(),
  /** Children that are over before it begins. */
  over: fc.nat(3)
})

interface Life { readonly own: Prices, readonly surplus: bigint, readonly share: bigint, readonly descendantsMax: number, readonly children: readonly ChildCase[] }

interface Bought { readonly purse: Purse, readonly most: bigint, readonly cost: bigint, readonly fuel: bigint }

/** A child's limits, who sells it, and how it goes. */
interface ChildCase extends SpecLimits { readonly prices: Prices | null, readonly burnt: number, readonly dear: number, readonly isBelow: boolean, readonly over: number }

/** What a seller may bill for it: its own part, and what its children may have cost beside. */
function costOf (seller: Prices, limits: SpecLimits, fuel: bigint, dear: number): bigint {
  const most = worstCase(seller, { ...limits, fuelMax: fuel })
  const least = charge(seller, { fuel, pages: limits.memoryPagesMax, resultBytes: limits.outputBytesMax, filesBytes: 0 })
  return least + (most - least) * BigInt(dear) / 100n
}

/** Buy what is free, let it end, and bill the whole without a cap. @returns how many children were bought */
function live ({ own, surplus, share, descendantsMax, children }: Life): number {
  const parent = { ...PARENT, descendantsMax }
  const costMax = worstCase(own, parent) + surplus
  const budget = new Budget({ costMax, prices: own, limits: parent })
  const open: Bought[] = []
  const below = { fuel: 0n, charge: 0n }
  const end = ({ purse, most, cost, fuel }: Bought): void => {
    purse.end(most, cost, fuel)
    below.fuel += fuel
    below.charge += cost
  }
  let [bought, carved] = [0, 0n]
  for (const { prices, burnt, dear, isBelow, over, ...limits } of children) {
    open.splice(0, over).forEach(end)
    const seller = prices ?? own
    if (carved + limits.fuelMax > parent.fuelMax) continue
    carved += limits.fuelMax
    const purse = isBelow ? budget.purseFor(PARENT).below!(limits) : budget.purseFor(limits)
    const most = worstCase(seller, limits)
    if (most > purse.freeAt!(seller)) continue
    bought++
    purse.hold(most, seller)
    const fuel = limits.fuelMax * BigInt(burnt) / 100n
    open.push({ purse, most, fuel, cost: costOf(seller, limits, fuel, dear) })
  }
  open.forEach(end)
  const fuel = below.fuel + (parent.fuelMax - below.fuel) * share / 100n
  const total = bill(own, { fuel, pages: parent.memoryPagesMax, resultBytes: parent.outputBytesMax, filesBytes: 0, below }, LIMITS.credits.amountMax)
  assert.ok(total <= costMax, `${total} of ${costMax}`)
  assert.ok(total <= surplus + worstCase(own, { ...parent, fuelMax: fuel }), `${total} for ${fuel} fuel`)
  assert.equal(budget.purseFor(PARENT).held, 0n)
  return bought
}

// Goal: an executor is never left with what it paid for children: the bill of a whole job without the cap at its order's costMax stays below it.
// Method: random prices of the parent and of sellers; children that come and go in turns, as many as are free, which burn nothing, all or a part,
// for guests of their own cost what they may, and are bought for the parent or below a child that runs with it; then the bill of all that was
// spent, where the parent burns what is left. It keeps to its own buyer's rule as well: no more for fuel that was not burnt.
test('children and the own part never cost more than the job may', () => {
  let bought = 0
  const life = fc.record({ own: prices, surplus: fc.constantFrom(0n, 0n, 700n), share: fc.constantFrom(0n, 50n, 100n), descendantsMax: fc.constantFrom(2, 20), children: fc.array(child, { maxLength: 20 }) })
  fc.assert(fc.property(life, life => { bought += live(life) }), { numRuns: 2_000 })
  assert.ok(bought > 2_000, `${bought} children were bought`)
})

// Goal: the same to the µcr, where each part of each bill is rounded up. Method: children as dear as the budget has room for, at the same prices, and a
// few µcr beside; fuel that comes to whole µcr where all of it is burnt, and to parts of one where less is.
test('rounding is not the executor’s loss', () => {
  const few = fc.bigInt(0n, 30n)
  const own = fc.record({ base: few, perMFuel: few, perPageSec: fc.constantFrom(0n, 125n), perKiB: few })
  const child = fc.record({
    fuelMax: fc.constantFrom(1_000_000n, 500_000_000n), burnt: fc.constantFrom(1, 33, 100), over: fc.nat(1),
    prices: fc.constant(null), memoryPagesMax: fc.constant(16), outputBytesMax: fc.constant(LIMITS.guest.childOutputBytes), descendantsMax: fc.constant(0), dear: fc.constant(0), isBelow: fc.boolean()
  })
  const life = fc.record({ own, surplus: fc.bigInt(0n, 6n), share: fc.constant(100n), descendantsMax: fc.constantFrom(1, 2, 3), children: fc.array(child, { minLength: 3, maxLength: 4 }) })
  fc.assert(fc.property(life, life => { live(life) }), { numRuns: 2_000 })
})

// Goal: the budget leaves what it may: at equal prices all the children a job says it may have are bought at once, on two levels, too.
// Method: a job's worst case and no µcr more; as many children as it may have, each with its share of the fuel, held together.
test('at equal prices all children fit, and one more does not', () => {
  const limits = { ...PARENT, outputBytesMax: LIMITS.guest.childOutputBytes, descendantsMax: 20 }
  const budget = new Budget({ costMax: worstCase(DEFAULT_PRICES, limits), prices: DEFAULT_PRICES, limits })
  const leaf = { fuelMax: 50_000_000n, memoryPagesMax: 4, outputBytesMax: 63 * 1_024 }
  const inner = { ...leaf, descendantsMax: 3 }
  const hold = (limits: SpecLimits): boolean => {
    const purse = budget.purseFor(limits)
    const most = worstCase(DEFAULT_PRICES, limits)
    if (most > purse.freeAt!(DEFAULT_PRICES)) return false
    purse.hold(most, DEFAULT_PRICES)
    return true
  }
  for (const limits of [inner, inner, ...Array<SpecLimits>(12).fill(leaf)]) assert.ok(hold(limits))
  assert.equal(hold(leaf), false)
})
