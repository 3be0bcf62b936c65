/** What a job would cost and who would get it, found as `submit.ts` finds it, and put in words. Nothing is run or held. */
import { InosError } from '../packet/errors.ts'
import { choose, type Decision, weighAll, type Wish } from './choose.ts'
import type { Job } from './job.ts'
import type { ComputeOptions, Quote } from './processor.ts'
import { bestFirst, reasonOf } from './reason.ts'
import type { Rooms } from './rooms.ts'

export async function quote (node: Rooms, job: Job, { where = 'any', costMax, avoid = [], prefer }: ComputeOptions, signal: AbortSignal): Promise<Quote> {
  const wish: Wish = { where, costMax, avoid: new Set(avoid), prefer }
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
    bids: bestFirst(bids)
  }
}
