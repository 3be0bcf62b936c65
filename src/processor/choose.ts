/**
 * Who may run a job, and who of them gets it. A candidate has an offer for our profile, room in its
 * line, and a worst-case charge within the budget. Of several the lowest score wins: expected charge
 * × expected time × what this node has seen of it. This node itself comes first while it has a free
 * slot. Everyone weighed is listed with numbers or the reason against it.
 */
import { charge, worstCase } from '../credits/pricing.ts'
import { formatCredits } from '../packet/amounts.ts'
import type { Sealed } from '../packet/envelope.ts'
import type { Attempt, ErrorCode, InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Offer } from '../packet/records.ts'
import { PROFILE } from '../wasm/runtime.ts'
import type { Job } from './job.ts'
import { nobody } from './nobody.ts'
import type { Bid, Purse, Where } from './processor.ts'
import type { Rooms } from './rooms.ts'

export type Choice =
  | { readonly kind: 'own' }
  /** `costMax` is the worst case at the job's limits: a run can't cost more, so no more is held. `seconds` it is expected to take. */
  | { readonly kind: 'buy', readonly peer: string, readonly offer: Sealed<Offer>, readonly costMax: bigint, readonly seconds: number, readonly isPreferred?: true }
  /** Somebody would take it once earlier jobs are settled; ask again then. */
  | { readonly kind: 'wait', readonly peer: string, readonly reason: string }

export interface Wish {
  readonly where: Where
  readonly costMax: bigint | undefined
  readonly avoid: ReadonlySet<string>
  /** What a shared budget leaves for an order at these prices, where it has one. */
  readonly freeAt?: Purse['freeAt']
  /** Who gets it if it can. */
  readonly prefer?: string | undefined
}

/** Peers that offer work, as the market keeps them. */
export interface Candidate {
  readonly peer: string
  readonly offer: Sealed<Offer>
  /** Jobs of ours it has not answered. */
  readonly inFlight: number
}

/** A choice, or why there is none, and everyone that was weighed for it, in the order in which this node met them. */
export interface Decision { readonly choice: Choice | InosError, readonly bids: readonly Bid[] }

/**
 * @param candidates sessions with their current offers
 * @returns in place of a choice ERR_NO_OFFER, ERR_BUDGET or ERR_INSUFFICIENT_CREDITS, with why each peer was passed over
 */
export function choose (node: Rooms, job: Job, wish: Wish, candidates: readonly Candidate[], tried: readonly Attempt[]): Decision {
  const { id } = node.platform.signer
  const ownAllowed = (wish.where === 'any' || wish.where === 'local' || wish.where === id) && !wish.avoid.has(id)
  const load = node.runtime.load()
  const ownFill = (load.busy + load.queued) / load.slots
  const ownPreferred = wish.prefer === undefined ? ownFill < 1 : wish.prefer === id
  if (ownAllowed && (wish.where !== 'any' || ownPreferred)) return { choice: { kind: 'own' }, bids: [] }

  const asked = candidates.filter(({ peer }) => isAsked(wish, peer))
  const bids = asked.map(candidate => weigh(node, job, wish, candidate))
  const preferred = bids.findIndex(({ peer, score }) => peer === wish.prefer && score !== null)
  if (preferred >= 0) return { choice: { ...purchaseOf(asked[preferred]!, bids[preferred]!), isPreferred: true }, bids }
  let best = -1
  for (const [at, { score }] of bids.entries()) if (score !== null && (best < 0 || score < bids[best]!.score!)) best = at
  // All at home are busy: a peer gets it only if it is less so.
  if (ownAllowed && (best < 0 || ownFill <= fillOf(asked[best]!))) return { choice: { kind: 'own' }, bids }
  if (best >= 0) return { choice: purchaseOf(asked[best]!, bids[best]!), bids }
  const waiting = bids.find(({ waits }) => waits)
  if (waiting !== undefined) return { choice: { kind: 'wait', peer: waiting.peer, reason: waiting.reason! }, bids }
  return { choice: nobody(wish, job, bids, tried), bids }
}

function purchaseOf (candidate: Candidate, { costMax, seconds }: Bid): Choice & { kind: 'buy' } {
  return { kind: 'buy', ...candidate, costMax: costMax!, seconds: seconds! }
}

/** Every candidate that may get the job by where it is to run. */
export function weighAll (node: Rooms, job: Job, wish: Wish, candidates: readonly Candidate[]): Bid[] {
  return candidates.filter(({ peer }) => isAsked(wish, peer)).map(candidate => weigh(node, job, wish, candidate))
}

function isAsked ({ where }: Wish, peer: string): boolean { return where === 'any' || where === 'remote' || where === peer }

function weigh (node: Rooms, job: Job, wish: Wish, candidate: Candidate): Bid {
  const { peer, offer: { payload } } = candidate
  const limits = job.spec.spec.limits
  const costMax = worstCase(payload, limits)
  const against = (code: ErrorCode, reason: string, hint?: string): Bid => ({ ...NO_NUMBERS, peer, costMax, code, reason, hint: hint ?? null })
  if (wish.avoid.has(peer)) return against('ERR_NO_OFFER', 'It was lost or refused before.')
  if (node.credits.isFraud(peer)) return against('ERR_POLICY', 'There is proof of fraud against it.')
  if (payload.profile !== PROFILE) return against('ERR_NO_OFFER', `It runs the profile ${payload.profile}, not ${PROFILE}.`)
  if (payload.slots === 0) return against('ERR_NO_OFFER', 'It takes no work.')
  if (payload.expires * 1000 <= node.platform.now()) return against('ERR_NO_OFFER', 'Its offer has expired.')
  if (limits.memoryPagesMax > payload.memoryPagesMax) return { ...against('ERR_NO_OFFER', `It gives a job ${payload.memoryPagesMax} pages of memory, not ${limits.memoryPagesMax}.`), memoryPagesMax: payload.memoryPagesMax }
  if (wish.costMax === undefined && costMax > LIMITS.job.costMax) {
    return against('ERR_BUDGET', `It may charge up to ${formatCredits(costMax)} at these limits; above ${formatCredits(LIMITS.job.costMax)} costMax must be set.`)
  }
  if (wish.costMax !== undefined && costMax > wish.costMax) return against('ERR_BUDGET', `It may charge up to ${formatCredits(costMax)} at these limits, more than ${formatCredits(wish.costMax)}.`)
  const free = wish.freeAt?.(payload)
  if (free !== undefined && costMax > free) return against('ERR_BUDGET', `It may charge up to ${formatCredits(costMax)} at these limits; at its prices the budget leaves ${formatCredits(free)}.`)
  const { free: room, says, hint } = node.credits.taken(peer)
  if (room < costMax) {
    if (candidate.inFlight > 0) return { ...NO_NUMBERS, peer, costMax, waits: true, reason: 'earlier jobs there hold its line' }
    return against('ERR_INSUFFICIENT_CREDITS', `The job may cost ${formatCredits(costMax)}; ${says}.`, hint)
  }
  return { ...NO_NUMBERS, peer, costMax, ...score(node, job, candidate) }
}

const NO_NUMBERS = { memoryPagesMax: null, cost: null, seconds: null, burden: null, score: null, waits: false, code: null, reason: null, hint: null }

/** Jobs that are ahead at a peer, per slot: its own word, or what this node knows to be there. */
function fillOf ({ offer: { payload: { slots, idle, queued } }, inFlight }: Candidate): number {
  return Math.max(inFlight, slots - idle + queued) / Math.max(1, slots)
}

function score (node: Rooms, job: Job, candidate: Candidate): Pick<Bid, 'cost' | 'seconds' | 'burden' | 'score'> {
  const { payload } = candidate.offer
  const usage = node.history.expect(job.wasm.cid.toString(), job.spec.spec.limits)
  const cost = charge(payload, usage)
  const { wayMs, fuelPerSecAssumed, fuelPerSecMax } = LIMITS.market
  // A speed no machine has would make up for any experience with whoever claims it.
  const fuelPerSec = Math.min(fuelPerSecMax, Math.max(1, payload.fuelPerSec ?? fuelPerSecAssumed))
  const seconds = (wayMs / 1_000 + Number(usage.fuel) / fuelPerSec) * (1 + fillOf(candidate))
  const burden = node.history.burden(candidate.peer)
  // Work for nothing still differs in time.
  return { cost, seconds, burden, score: (Number(cost) + 1) * seconds * burden }
}
