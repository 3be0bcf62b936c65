/**
 * What a job may spend on its children, so that what it is charged stays within its order. Its own part is counted as if it
 * burnt all its fuel itself; a child may take what is left beyond that, and what its fuel saves of it. How much of its fuel a child
 * burns nobody knows before, so while it is under way it counts with the most it can cost beyond what it saves, whatever that is.
 */
import { charge, fuelPrice, type Prices, worstCase } from '../credits/pricing.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'
import type { Purse } from './processor.ts'

export interface BudgetParts {
  /** µcr the whole job may cost. */
  readonly costMax: bigint
  /** What its executor charges for its own part; null for a job of one's own. */
  readonly prices: Prices | null
  readonly limits: SpecLimits
  /** A budget it shares with other jobs. */
  readonly outer?: Purse | undefined
}

const FREE: Prices = { base: 0n, perMFuel: 0n, perPageSec: 0n, perKiB: 0n }

export class Budget {
  readonly #parts: BudgetParts
  readonly #own: Prices
  /** What children that are over have cost beyond what their fuel saved, and those under way may at most. */
  #extra = 0n
  #held = 0n
  #change = Promise.withResolvers<void>()

  constructor (parts: BudgetParts) {
    this.#parts = parts
    this.#own = parts.prices ?? FREE
  }

  /** What was bought when the job ran before: it counts until the child it was for is asked for, and its purse takes it over. */
  claim (amount: bigint): void { this.#extra += amount }

  /**
   * For one child with these limits; it holds for one order at a time.
   * @param claimed what of `claim` is for this child; it counts no more when the purse is used, or disposed of
   */
  purseFor (limits: SpecLimits, claimed = 0n): Purse & Disposable {
    const budget = this
    const { outer: whole } = this.#parts
    const outer = whole?.below?.(limits, claimed) ?? whole
    // Claims are made where the money is: at the outermost budget with a purse for each child.
    let stake = whole?.below === undefined ? claimed : 0n
    return {
      get free () { return least(budget.#left + stake + budget.#saved(limits.fuelMax), outer?.free) },
      freeAt: prices => least(budget.#left + stake + worstCase(prices, limits) - budget.#mostBeyond(prices, limits), outer?.freeAt?.(prices) ?? outer?.free),
      get held () { return budget.#held + (outer?.held ?? 0n) },
      below: (limits, claimed) => budget.purseFor(limits, claimed),
      hold (amount, prices) {
        outer?.hold(amount, prices)
        const most = prices === undefined ? amount : amount - worstCase(prices, limits) + budget.#mostBeyond(prices, limits)
        budget.#held += amount
        budget.#extra += most - stake
        stake = most
      },
      end (amount, charged, fuel = 0n) {
        outer?.end(amount, charged, fuel)
        budget.#held -= amount
        budget.#extra += charged - budget.#saved(fuel) - stake
        stake = 0n
        budget.#changed()
      },
      [Symbol.dispose] () {
        outer?.[Symbol.dispose]?.()
        budget.#extra -= stake
        stake = 0n
      },
      change: () => outer === undefined ? budget.#change.promise : Promise.race([budget.#change.promise, outer.change()])
    }
  }

  /** µcr beyond its own part that nothing counts on. */
  get #left (): bigint {
    const { costMax, limits: { fuelMax, memoryPagesMax, outputBytesMax } } = this.#parts
    return costMax - charge(this.#own, { fuel: fuelMax, pages: memoryPagesMax, resultBytes: outputBytesMax, filesBytes: 0 }) - this.#extra
  }

  /** The least that its own part costs less when a child has burnt so much of its fuel elsewhere: parts of a µcr are nobody's. */
  #saved (fuel: bigint): bigint {
    const { compute, memory } = fuelPrice(this.#own, fuel, this.#parts.limits.memoryPagesMax, 'down')
    return compute + memory
  }

  /**
   * The most that the worst case of a child at these prices comes to beyond what its fuel saves, whatever it burns. Between no fuel and
   * all of it the difference is a line but for rounding, which is at most one µcr where both sides have a price.
   */
  #mostBeyond (prices: Prices, limits: SpecLimits): bigint {
    const { fuelMax, memoryPagesMax } = limits
    const cost = fuelPrice(prices, fuelMax, memoryPagesMax, 'up')
    const saved = fuelPrice(this.#own, fuelMax, this.#parts.limits.memoryPagesMax, 'down')
    const most = (cost: bigint, saved: bigint, isRounded: boolean): bigint => (cost > saved ? cost - saved : 0n) + (isRounded ? 1n : 0n)
    return worstCase(prices, { ...limits, fuelMax: 0n }) +
      most(cost.compute, saved.compute, prices.perMFuel > 0n && this.#own.perMFuel > 0n) +
      most(cost.memory, saved.memory, prices.perPageSec > 0n && this.#own.perPageSec > 0n)
  }

  #changed (): void {
    this.#change.resolve()
    this.#change = Promise.withResolvers()
  }
}

function least (free: bigint, outer = free): bigint {
  const both = free < outer ? free : outer
  return both > 0n ? both : 0n
}
