/** The budget of a map: what its items have cost, and what those under way may still cost. Never more than its most. */
import { formatCredits } from '../packet/amounts.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Purse } from '../processor/processor.ts'

export interface Budget extends Purse {
  /** µcr charged so far. */
  readonly charged: bigint
}

/**
 * @param most µcr @default as much as credits can say
 * @throws {InosError} ERR_USAGE for a budget below zero
 */
export function createBudget (most: bigint = LIMITS.credits.amountMax): Budget {
  if (most < 0n) throw new InosError('ERR_USAGE', `A budget of ${formatCredits(most)} is none.`)
  let charged = 0n
  let held = 0n
  let changed = Promise.withResolvers<void>()
  return {
    get charged () { return charged },
    get held () { return held },
    get free () { return most - charged - held },
    hold (amount) {
      if (amount > most - charged - held) throw new InosError('ERR_INTERNAL', `A budget with ${formatCredits(most - charged - held)} left cannot hold ${formatCredits(amount)}.`)
      held += amount
    },
    end (amount, cost) {
      held -= amount
      charged += cost
      changed.resolve()
      changed = Promise.withResolvers()
    },
    change: () => changed.promise
  }
}
