/** When nobody takes a job: one error for all that was tried and passed over. Its code is the one most worth acting on. */
import { formatCredits } from '../packet/amounts.ts'
import { type Attempt, type ErrorCode, InosError, isErrorCode } from '../packet/errors.ts'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import type { Wish } from './choose.ts'
import type { Job } from './job.ts'
import type { Bid } from './processor.ts'

const MIB = 2 ** 20

/** @param bids all of which speak against their peer */
export function nobody (wish: Wish, job: Job, bids: readonly Bid[], tried: readonly Attempt[]): InosError {
  const passed = bids.filter(({ peer }) => !tried.some(attempt => attempt.peer === peer))
  const attempts = [...tried, ...passed.map(({ peer, code, reason }) => ({ peer, code: code!, message: reason! }))]
  const withCode = (code: ErrorCode): Bid[] => bids.filter(bid => bid.code === code)

  const dear = withCode('ERR_BUDGET')
  if (dear.length > 0) return tooDear(wish, dear, attempts)
  const poor = withCode('ERR_INSUFFICIENT_CREDITS')[0]
  if (poor !== undefined) return new InosError('ERR_INSUFFICIENT_CREDITS', poor.reason!, { attempts, ...(poor.hint === null ? {} : { hint: poor.hint }) })
  const last = tried.at(-1)
  if (last !== undefined) {
    const code = last.code === 'ERR_NOT_REACHABLE' ? 'ERR_PEER_LOST' : isErrorCode(last.code) ? last.code : 'ERR_NO_OFFER'
    return new InosError(code, `No node is left to try. The last one: ${last.message}`, { attempts })
  }
  const { memoryPagesMax } = job.spec.spec.limits
  if (bids.length > 0 && bids.every(({ memoryPagesMax: most }) => most !== null && most < memoryPagesMax)) return tooLarge(memoryPagesMax, bids, attempts)
  if (bids.length > 0) return new InosError('ERR_NO_OFFER', `No connected node takes this job: ${bids[0]!.reason}`, { attempts })
  if (wish.where === 'local') return new InosError('ERR_NO_OFFER', 'This node is among those to avoid.')
  const whom = wish.where === 'any' || wish.where === 'remote' ? 'No other node that takes work is connected' : `The node ${wish.where} is not connected, or takes no work`
  return new InosError('ERR_NO_OFFER', `${whom}.`, { attempts, hint: 'Name one with peers (`--peer ADDR`), or run it here with where: local.' })
}

function tooDear ({ costMax }: Wish, dear: readonly Bid[], attempts: readonly Attempt[]): InosError {
  const least = dear.reduce((least, bid) => bid.costMax! < least.costMax! ? bid : least)
  const message = costMax === undefined
    ? `The cheapest of ${dear.length} may charge up to ${formatCredits(least.costMax!)} at these limits; above ${formatCredits(LIMITS.job.costMax)} costMax must be set.`
    : `No node takes this job for ${formatCredits(costMax)} at these limits; the cheapest of ${dear.length} may charge up to ${formatCredits(least.costMax!)}.`
  return new InosError('ERR_BUDGET', message, {
    attempts, hint: 'Lower the limits (fuelMax, memoryPagesMax, outputBytesMax) or raise costMax; on the command line `--fuel`, `--memory` and `--max-cost`.'
  })
}

function tooLarge (wanted: number, bids: readonly Bid[], attempts: readonly Attempt[]): InosError {
  const most = Math.max(...bids.map(({ memoryPagesMax }) => memoryPagesMax!))
  const size = (pages: number): string => `${Math.floor(pages * PAGE_BYTES / MIB)} MiB`
  return new InosError('ERR_NO_OFFER', `No node has ${size(wanted)} of memory for a job; the largest of ${bids.length} offers ${size(most)}.`, {
    attempts, hint: 'Allow the guest less with limits.memoryPagesMax, `--memory` on the command line.'
  })
}
