/** What a job would cost and who would get it, found as `submit.ts` finds it, and put in words. Nothing is run or held. */
import { InosError } from '../packet/errors.ts'
import { type Choice, choose, type Decision, weighAll, type Wish } from './choose.ts'
import type { Job } from './job.ts'
import type { Bid, ComputeOptions, Quote } from './processor.ts'
import type { Rooms } from './rooms.ts'

export async function quote (node: Rooms, job: Job, { where = 'any', costMax, avoid = [] }: ComputeOptions, signal: AbortSignal): Promise<Quote> {
  const wish: Wish = { where, costMax, avoid: new Set(avoid) }
  const decide = (): Decision => choose(node, job, wish, node.market.candidates(), [])
  let decision = decide()
  if (decision.choice instanceof InosError && await node.seek(where, signal)) decision = decide()
  const { choice } = decision
  // A free slot here is taken without a look at others; whoever asks for a quote wants to see them.
  const bids = decision.bids.length > 0 || where === 'local' ? decision.bids : weighAll(node, job, wish, node.market.candidates())
  return {
    chosen: choice instanceof InosError || choice.kind === 'wait' ? null : choice.kind === 'own' ? node.platform.signer.id : choice.peer,
    reason: reasonOf(choice, bids),
    code: choice instanceof InosError ? choice.code : null,
    bids: [...bids].sort((a, b) => (a.score ?? Infinity) - (b.score ?? Infinity) || 0)
  }
}

/** Why this is the choice, one sentence. */
export function reasonOf (choice: Choice | InosError, bids: readonly Bid[]): string {
  if (choice instanceof InosError) return choice.message
  const able = bids.filter(({ score }) => score !== null)
  switch (choice.kind) {
    case 'own': return able.length === 0 ? 'This node runs it itself.' : 'This node runs it itself: it has a free slot, or is less busy than the best of the others.'
    case 'wait': return `It waits for ${choice.peer}: ${choice.reason}.`
    case 'buy': {
      if (able.length === 1) return 'It is the only one that takes the job.'
      const { cost, seconds, burden } = bids.find(({ peer }) => peer === choice.peer)!
      return `It has the lowest score of ${able.length}: ${cost} µcr expected, ${seconds!.toPrecision(2)} s expected, times ${burden!.toPrecision(2)} for what this node has seen of it.`
    }
  }
}
