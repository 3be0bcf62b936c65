/**
 * The terms of a line: how much work one end still gives the other before it has to be paid.
 *
 * In the open mesh that is a line of mutual credit. In a private mesh a cheque is a claim on the
 * payer's account at the issuer: a member works for another one up to the charter's offline limit of
 * what the issuer has not cleared, and spends no more than its account covers; the issuer works for
 * what an account covers. Pure functions over a line; the ledger decides by them.
 */
import { equals } from 'multiformats/bytes'
import { formatCredits } from '../packet/amounts.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Charter } from '../packet/mesh.ts'
import type { Line } from './line.ts'

/** What books need to know of their mesh. */
export type Rules = Pick<Charter, 'net' | 'issuer' | 'feePpm' | 'offlineMax'>

/** How much may still be begun, why not more, and what to do about it. */
export interface Room { readonly free: bigint, readonly says: string, readonly hint: string }

const PPM = 1_000_000n

/** The account by which a cheque between two is cleared; null where it needs none. */
export function viaOf (rules: Rules | null, from: Uint8Array, to: Uint8Array): Uint8Array | null {
  return rules === null || equals(rules.issuer, from) || equals(rules.issuer, to) ? null : rules.issuer
}

/** Rounded up, so that clearing in many small steps saves nothing. */
export function feeOf (amount: bigint, feePpm: number): bigint {
  return (amount * BigInt(feePpm) + PPM - 1n) / PPM
}

/** What the peer owes this node on this line, less what this node owes it; negative when it is this node that owes. */
export function netOf (line: Line): bigint {
  return line.in.total + line.due.sum - line.out.total - line.owed.sum
}

/** What this node has paid and owes a peer, whatever came back. */
export function soldBy (line: Line): bigint { return line.out.total + line.owed.sum }

/** Whether a peer of the open mesh has yet to sell enough to be more than a name: see `strangers.ts`. */
export function isNew (line: Line): boolean { return soldBy(line) < LIMITS.credits.sellerEvidence }

/** What a member has at the issuer, from the issuer's end of their line: granted, earned and cleared in, less spent and cleared out. */
export function accountOf (line: Line): bigint { return -netOf(line) - line.drawn }

/** Cheques of the peer that are not cleared, and of mine to it. A clearing may be newer than the cheques a restored copy knows. */
export function unclearedIn (line: Line): bigint { return positive(line.in.total - line.clearedIn.cleared) }
export function unclearedOut (line: Line): bigint { return positive(line.out.total - line.clearedOut.cleared) }

function positive (amount: bigint): bigint { return amount > 0n ? amount : 0n }

/** What this node still gives a peer of the open mesh. */
export function givenInOpen (line: Line, lineMax: bigint): Room {
  const free = positive(lineMax - netOf(line) - line.running - line.waived)
  return { free, says: `${formatCredits(free)} of your line of ${formatCredits(lineMax)} are free here`, hint: 'Let running jobs end, lower the limits of the job, or do work for this node in return.' }
}

/** What a peer of the open mesh still takes, if it gives the line that this node gives. */
export function takenInOpen (line: Line, lineMax: bigint): Room {
  const free = positive(lineMax + netOf(line) - line.held)
  return { free, says: `its line to this node has ${formatCredits(free)} left`, hint: 'Lower the limits, or earn some of it back by working for that node.' }
}

/** What the issuer still gives a member. */
export function givenByIssuer (line: Line): Room {
  const free = positive(accountOf(line) - line.running - line.waived)
  return { free, says: `${formatCredits(free)} of your account at this issuer are free`, hint: 'Let running jobs end, lower the limits of the job, work for other members, or ask the issuer for a grant.' }
}

/** What a member still gives another one, or the issuer, whose cheques need no clearing. */
export function givenByMember (line: Line, rules: Rules): Room {
  const issuer = peerIdOfKey(rules.issuer)
  const isIssuer = equals(line.key, rules.issuer)
  const bounced = bouncedOf(line.clearedIn)
  if (bounced > 0n) return { free: 0n, says: `${formatCredits(bounced)} of your cheques have bounced`, hint: `Earn them by working for other members, or ask the issuer ${issuer} for a grant.` }
  const uncleared = isIssuer ? 0n : unclearedIn(line)
  const free = positive(rules.offlineMax - uncleared - line.due.sum - line.running - line.waived)
  return {
    free,
    says: `${formatCredits(free)} of the ${formatCredits(rules.offlineMax)} that may be uncleared are free here`,
    hint: uncleared > 0n ? `Come back when the issuer ${issuer} has cleared ${formatCredits(uncleared)} of your cheques.` : 'Let running jobs end, or lower the limits of the job.'
  }
}

/** What another member, or the issuer, still takes. @param account what this node's account has free */
export function takenInMesh (line: Line, rules: Rules, account: bigint): Room {
  const issuer = peerIdOfKey(rules.issuer)
  const bounced = bouncedOf(line.clearedOut)
  if (bounced > 0n) return { free: 0n, says: `${formatCredits(bounced)} of the cheques to it have bounced`, hint: `Earn them by working for other members, or ask the issuer ${issuer} for a grant.` }
  const own = positive(account)
  const isIssuer = equals(line.key, rules.issuer)
  const theirs = isIssuer ? own : positive(rules.offlineMax - unclearedOut(line) - line.owed.sum - line.held)
  if (own <= theirs) {
    return { free: own, says: `this node's account has ${formatCredits(own)} free`, hint: `Lower the limits, work for other members, or ask the issuer ${issuer} for a grant.` }
  }
  return { free: theirs, says: `it takes ${formatCredits(theirs)} before the issuer ${issuer} has cleared more of this node's cheques`, hint: 'Lower the limits, or wait until the issuer is back.' }
}

/** What a member still takes from the issuer, who has no account to run out of. */
export function takenFromIssuer (line: Line, rules: Rules): Room {
  const free = positive(rules.offlineMax - line.owed.sum - line.held)
  return { free, says: `it takes ${formatCredits(free)} before it is paid`, hint: 'Lower the limits, or let running jobs end.' }
}

/** What the issuer knows of a lane and has not cleared. */
export function bouncedOf ({ total, cleared }: { readonly total: bigint, readonly cleared: bigint }): bigint { return total - cleared }
