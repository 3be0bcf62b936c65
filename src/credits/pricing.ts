/**
 * What a run costs: integers only, every part rounded up, from fuel and never from wall time. The
 * executor bills with it, the payer and anybody who holds the receipt bill again.
 */
import type { PriceList } from '../packet/limits.ts'
import type { Offer } from '../packet/records.ts'
import type { SpecLimits } from '../packet/spec.ts'

/** The part of an offer that a run is billed by, µcr. */
export type Prices = Pick<Offer, 'base' | 'perMFuel' | 'perPageSec' | 'perKiB'>

/** What a run used, as its receipt says it. */
export interface Usage { fuel: bigint, pages: number, resultBytes: number, filesBytes: number }

const MILLION = 1_000_000n
/** One fuel-second is 10⁹ fuel: memory is rented by what ran in it, not by a clock. */
const FUEL_PER_SECOND = 1_000_000_000n
const KIB = 1_024n

/**
 * A result the executor had already costs `base` alone; else
 * base + ⌈fuel·perMFuel/10⁶⌉ + ⌈pages·fuel·perPageSec/10⁹⌉ + ⌈(resultBytes + filesBytes)·perKiB/1024⌉
 * @returns µcr
 */
export function charge (prices: Prices, { fuel, pages, resultBytes, filesBytes }: Usage, cached = false): bigint {
  return cached ? prices.base : prices.base +
    divideUp(fuel * prices.perMFuel, MILLION) +
    divideUp(BigInt(pages) * fuel * prices.perPageSec, FUEL_PER_SECOND) +
    divideUp(BigInt(resultBytes + filesBytes) * prices.perKiB, KIB)
}

/** The most a run within these limits can be charged, µcr; `outputBytesMax` holds for result and files together. */
export function worstCase (prices: Prices, { fuelMax, memoryPagesMax, outputBytesMax }: SpecLimits): bigint {
  return charge(prices, { fuel: fuelMax, pages: memoryPagesMax, resultBytes: outputBytesMax, filesBytes: 0 })
}

/** What is charged for running, and moves with the load of a node. */
const MOVING = ['base', 'perMFuel', 'perPageSec', 'perKiB'] as const

/** So many quarters of a price list, each price rounded up; prices that are not for running stay. */
export function scale (list: PriceList, quarters: number): PriceList {
  const scaled = { ...list }
  for (const name of MOVING) scaled[name] = divideUp(list[name] * BigInt(quarters), 4n)
  return scaled
}

function divideUp (amount: bigint, by: bigint): bigint {
  return (amount + by - 1n) / by
}
