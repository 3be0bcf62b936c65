/**
 * Who may run a job, and who of them gets it. A candidate has an offer for our profile, room in
 * its line, and a worst-case charge within the budget; of several, the least busy wins, and this
 * node itself where it has a free slot. Everyone passed over is listed with the reason.
 */
import { worstCase } from '../credits/pricing.ts'
import type { Sealed } from '../packet/envelope.ts'
import { type Attempt, type ErrorCode, InosError, isErrorCode } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Offer } from '../packet/records.ts'
import { PROFILE } from '../wasm/runtime.ts'
import type { Job } from './job.ts'
import type { Where } from './processor.ts'
import type { Rooms } from './rooms.ts'

export type Choice =
  | { readonly kind: 'own' }
  /** `costMax` is the worst case at the job's limits: a run can't cost more, so no more is held. */
  | { readonly kind: 'buy', readonly peer: string, readonly offer: Sealed<Offer>, readonly costMax: bigint }
  /** Somebody would take it once earlier jobs are settled; ask again then. */
  | { readonly kind: 'wait', readonly peer: string, readonly reason: string }

export interface Wish {
  readonly where: Where
  readonly costMax: bigint | undefined
  readonly avoid: ReadonlySet<string>
}

/** Peers that offer work, as the market keeps them. */
export interface Candidate {
  readonly peer: string
  readonly offer: Sealed<Offer>
  /** Jobs of ours it has not answered. */
  readonly inFlight: number
}

/**
 * @param candidates sessions with their current offers
 * @throws {InosError} ERR_NO_OFFER, ERR_BUDGET or ERR_INSUFFICIENT_CREDITS, with why each peer was passed over
 */
export function choose (node: Rooms, job: Job, wish: Wish, candidates: readonly Candidate[], tried: readonly Attempt[]): Choice {
  const ownAllowed = (wish.where === 'any' || wish.where === 'local' || wish.where === node.platform.signer.id) && !wish.avoid.has(node.platform.signer.id)
  const load = node.runtime.load()
  if (ownAllowed && (wish.where !== 'any' || load.busy + load.queued < load.slots)) return { kind: 'own' }

  const passed: Passed[] = []
  const waiting: Choice[] = []
  let best: { choice: Choice, fill: number } | null = null
  for (const candidate of candidates) {
    if (wish.where !== 'any' && wish.where !== 'remote' && wish.where !== candidate.peer) continue
    const verdict = judge(node, job, wish, candidate)
    if ('code' in verdict) passed.push(verdict)
    else if (verdict.kind === 'wait') waiting.push(verdict)
    else {
      const fill = candidate.inFlight / Math.max(1, candidate.offer.payload.slots)
      if (best === null || fill < best.fill) best = { choice: verdict, fill }
    }
  }
  // All at home are busy: a peer gets it only if it is less so.
  if (ownAllowed && (best === null || (load.busy + load.queued) / load.slots <= best.fill)) return { kind: 'own' }
  if (best !== null) return best.choice
  if (waiting.length > 0) return waiting[0]!
  throw nobody(wish, passed, tried)
}

/** Why a peer does not get the job, and what would help. */
interface Passed extends Attempt { readonly hint?: string }

function judge (node: Rooms, job: Job, wish: Wish, { peer, offer, inFlight }: Candidate): Choice | Passed {
  const pass = (code: ErrorCode, message: string): Attempt => ({ peer, code, message })
  const { payload } = offer
  if (wish.avoid.has(peer)) return pass('ERR_NO_OFFER', 'It was lost or refused before.')
  if (node.credits.isFraud(peer)) return pass('ERR_POLICY', 'There is proof of fraud against it.')
  if (payload.profile !== PROFILE) return pass('ERR_NO_OFFER', `It runs the profile ${payload.profile}, not ${PROFILE}.`)
  if (payload.slots === 0) return pass('ERR_NO_OFFER', 'It takes no work.')
  if (payload.expires * 1000 <= node.platform.now()) return pass('ERR_NO_OFFER', 'Its offer has expired.')
  const worst = worstCase(payload, job.spec.spec.limits)
  if (wish.costMax === undefined && worst > LIMITS.job.costMax) {
    return pass('ERR_BUDGET', `It may charge up to ${worst} µcr at these limits; above ${LIMITS.job.costMax} µcr costMax must be set.`)
  }
  if (wish.costMax !== undefined && worst > wish.costMax) return pass('ERR_BUDGET', `It may charge up to ${worst} µcr at these limits, more than ${wish.costMax} µcr.`)
  const { free, says, hint } = node.credits.taken(peer)
  if (free < worst) {
    if (inFlight > 0) return { kind: 'wait', peer, reason: 'earlier jobs there hold its line' }
    return { ...pass('ERR_INSUFFICIENT_CREDITS', `The job may cost ${worst} µcr; ${says}.`), hint }
  }
  return { kind: 'buy', peer, offer, costMax: worst }
}

/** One error for all that was tried and passed over; its code is the one most worth acting on. */
function nobody (wish: Wish, passed: readonly Passed[], tried: readonly Attempt[]): InosError {
  const attempts = [...tried, ...passed.filter(({ peer }) => !tried.some(attempt => attempt.peer === peer)).map(({ peer, code, message }) => ({ peer, code, message }))]
  const codes = new Set(passed.map(({ code }) => code))
  if (codes.has('ERR_BUDGET')) {
    return new InosError('ERR_BUDGET', passed.find(({ code }) => code === 'ERR_BUDGET')!.message, { attempts, hint: 'Lower the limits (fuelMax, memoryPagesMax, outputBytesMax) or raise costMax.' })
  }
  const poor = passed.find(({ code }) => code === 'ERR_INSUFFICIENT_CREDITS')
  if (poor !== undefined) return new InosError('ERR_INSUFFICIENT_CREDITS', poor.message, { attempts, ...(poor.hint === undefined ? {} : { hint: poor.hint }) })
  const last = tried.at(-1)
  if (last !== undefined) {
    const code = last.code === 'ERR_NOT_REACHABLE' ? 'ERR_PEER_LOST' : isErrorCode(last.code) ? last.code : 'ERR_NO_OFFER'
    return new InosError(code, `No node is left to try. The last one: ${last.message}`, { attempts })
  }
  if (passed.length > 0) return new InosError('ERR_NO_OFFER', `No connected node takes this job: ${passed[0]!.message}`, { attempts })
  if (wish.where === 'local') return new InosError('ERR_NO_OFFER', 'This node is among those to avoid.')
  const whom = wish.where === 'any' || wish.where === 'remote' ? 'No other node is connected' : `The node ${wish.where} is not connected, or takes no work`
  return new InosError('ERR_NO_OFFER', `${whom}.`, { attempts, hint: 'Name one with peers (`--peer ADDR`), or run it here with where: local.' })
}
