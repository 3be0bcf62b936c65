/** A choice in words, for quotes and for the report of a job. */
import { formatCredits } from '../packet/amounts.ts'
import { InosError } from '../packet/errors.ts'
import type { Choice } from './choose.ts'
import type { Bid } from './processor.ts'

/** Why this is the choice, one sentence. */
export function reasonOf (choice: Choice | InosError, bids: readonly Bid[]): string {
  if (choice instanceof InosError) return choice.message
  const able = bids.filter(({ score }) => score !== null)
  switch (choice.kind) {
    case 'own': return able.length === 0 ? 'This node runs it itself.' : 'This node runs it itself: it has a free slot, or is less busy than the best of the others.'
    case 'wait': return `It waits for ${choice.peer}: ${choice.reason}.`
    case 'buy': {
      if (choice.isPreferred === true) return 'It is the one that was preferred, and takes the job.'
      if (able.length === 1) return 'It is the only one that takes the job.'
      const { cost, seconds, burden } = bids.find(({ peer }) => peer === choice.peer)!
      return `It has the lowest score of ${able.length}: ${formatCredits(cost!)} expected, ${seconds!.toPrecision(2)} s expected, times ${burden!.toPrecision(2)} for what this node has seen of it.`
    }
  }
}

/** The best first, who does not get it last. */
export function bestFirst (bids: readonly Bid[]): Bid[] {
  // Two that both have no score differ by NaN.
  return [...bids].sort((a, b) => (a.score ?? Infinity) - (b.score ?? Infinity) || 0)
}
