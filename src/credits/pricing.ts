/**
 * What a run costs: integers only, every part rounded up, from fuel and never from wall time. The
 * executor bills with it, the payer and anybody who holds the receipt bill again.
 */
import { LIMITS, type PriceList } from '../packet/limits.ts'
import type { Below, Offer } from '../packet/records.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'

/** The part of an offer that a run is billed by, µcr. */
export type Prices = Pick<Offer, 'base' | 'perMFuel' | 'perPageSec' | 'perKiB'>

/** What a run used, as its receipt says it. */
export interface Usage { fuel: bigint, pages: number, resultBytes: number, filesBytes: number, below?: Pick<Below, 'fuel' | 'charge'> }

const MILLION = 1_000_000n
/** One fuel-second is 10⁹ fuel: memory is rented by what ran in it, not by a clock. */
const FUEL_PER_SECOND = 1_000_000_000n
const KIB = 1_024n
const NOTHING_BELOW = { fuel: 0n, charge: 0n }

/**
 * A result the executor had already costs `base` alone; else
 * base + ⌈fuel·perMFuel/10⁶⌉ + ⌈pages·fuel·perPageSec/10⁹⌉ + ⌈(resultBytes + filesBytes)·perKiB/1024⌉ + what children were bought for,
 * where fuel is without theirs
 * @returns µcr
 */
export function charge (prices: Prices, { fuel, pages, resultBytes, filesBytes, below = NOTHING_BELOW }: Usage, cached = false): bigint {
  const own = fuel - below.fuel
  const { compute, memory } = fuelPrice(prices, own, pages, 'up')
  return cached ? prices.base : prices.base + compute + memory +
    divideUp(BigInt(resultBytes + filesBytes) * prices.perKiB, KIB) +
    below.charge
}

/** The two parts of a charge that grow with fuel, µcr, each rounded up as it is billed, or down. */
export function fuelPrice ({ perMFuel, perPageSec }: Prices, fuel: bigint, pages: number, round: 'up' | 'down'): { readonly compute: bigint, readonly memory: bigint } {
  const divide = round === 'up' ? divideUp : divideDown
  return { compute: divide(fuel * perMFuel, MILLION), memory: divide(BigInt(pages) * fuel * perPageSec, FUEL_PER_SECOND) }
}

/**
 * What a receipt is billed. With children never more than the order allows: what its executor has paid beyond that is its own loss.
 * @returns µcr
 */
export function bill (prices: Prices, usage: Usage, costMax: bigint, cached = false): bigint {
  const amount = charge(prices, usage, cached)
  return usage.below !== undefined && amount > costMax ? costMax : amount
}

/**
 * The most a run within these limits can be charged, µcr; `outputBytesMax` holds for result and files together. Where a job says how many
 * descendants it may have, each may be bought at the same prices: their fuel is its own, and each has a base price and a small result besides.
 */
export function worstCase (prices: Prices, { fuelMax, memoryPagesMax, outputBytesMax, descendantsMax = 0 }: SpecLimits): bigint {
  const each = charge(prices, { fuel: 0n, pages: 0, resultBytes: LIMITS.guest.childOutputBytes, filesBytes: 0 })
  return charge(prices, { fuel: fuelMax, pages: memoryPagesMax, resultBytes: outputBytesMax, filesBytes: 0 }) + BigInt(descendantsMax) * each
}

/** What is charged for running, and moves with the load of a node. */
const MOVING = ['base', 'perMFuel', 'perPageSec', 'perKiB'] as const

/** So many quarters of a price list, each price rounded up; prices that are not for running stay. */
export function scale (list: PriceList, quarters: number): PriceList {
  const scaled = { ...list }
  for (const name of MOVING) scaled[name] = divideUp(list[name] * BigInt(quarters), 4n)
  return scaled
}

function divideUp (amount: bigint, by: bigint): bigint { return divideDown(amount + by - 1n, by) }

function divideDown (amount: bigint, by: bigint): bigint { return amount / by }
