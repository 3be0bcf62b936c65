/**
 * What a job may spend on its children, so that what it is charged stays within its order: what was spent, what
 * is held, and its own fuel at its executor's prices, less what the children take of it, never pass `costMax`.
 */
import { charge, type Prices } from '../credits/pricing.ts'
import type { SpecLimits } from '../packet/spec.ts'
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

export class Budget {
  readonly #parts: BudgetParts
  #spent = 0n
  #held = 0n
  /** Fuel that other executors burnt, or may burn. */
  #away = 0n
  #change = Promise.withResolvers<void>()

  constructor (parts: BudgetParts) { this.#parts = parts }

  /** For one child with so much fuel. */
  purseFor (fuel: bigint): Purse {
    const budget = this
    const { outer } = this.#parts
    return {
      get free () { return budget.#freeFor(fuel) },
      get held () { return budget.#held + (outer?.held ?? 0n) },
      // What runs here burns its fuel here, whatever is bought for it: of that only the price counts.
      get below () { return budget.purseFor(0n) },
      hold (amount) {
        outer?.hold(amount)
        budget.#held += amount
        budget.#away += fuel
      },
      end (amount, charged) {
        outer?.end(amount, charged)
        budget.#held -= amount
        budget.#spent += charged
        budget.#away -= fuel
        budget.#changed()
      },
      change: () => outer === undefined ? budget.#change.promise : Promise.race([budget.#change.promise, outer.change()])
    }
  }

  /** Another executor burnt so much for a child. */
  burnt (fuel: bigint): void { this.#away += fuel }

  #freeFor (fuel: bigint): bigint {
    const { costMax, prices, limits: { fuelMax, memoryPagesMax, outputBytesMax }, outer } = this.#parts
    const left = fuelMax - this.#away - fuel
    const own = prices === null ? 0n : charge(prices, { fuel: left > 0n ? left : 0n, pages: memoryPagesMax, resultBytes: outputBytesMax, filesBytes: 0 })
    const free = costMax - this.#spent - this.#held - own
    const least = outer === undefined || free < outer.free ? free : outer.free
    return least > 0n ? least : 0n
  }

  #changed (): void {
    this.#change.resolve()
    this.#change = Promise.withResolvers()
  }
}
