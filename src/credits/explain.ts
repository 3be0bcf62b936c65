/** Why a line is as wide as it is: every number that decides it, and the same in sentences. */
import { formatCredits } from '../packet/amounts.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Books } from './books.ts'
import { bouncedOf, netOf, type Room, soldBy } from './terms.ts'
import type { LineReport } from './views.ts'

type Numbers = Omit<LineReport, 'reasons'>

export function explain ({ ledger, now }: Books, peer: string): LineReport {
  const line = ledger.line(peer)
  const { buyers, sellers } = ledger.pools(now())
  const [taken, given] = [ledger.taken(peer, now()), ledger.given(peer)]
  const numbers = {
    peer,
    spendable: taken.free,
    lineMax: ledger.lineMaxOf(peer),
    net: netOf(line),
    held: line.held,
    running: line.running,
    due: line.due.sum + bouncedOf(line.clearedIn),
    owed: line.owed.sum + bouncedOf(line.clearedOut),
    earned: line.in.total,
    spent: line.out.total,
    acceptable: given.free,
    poolFree: buyers.free,
    poolMax: buyers.max,
    sold: soldBy(line),
    sellerPoolFree: sellers.free,
    sellerPoolMax: sellers.max,
    unacked: line.unacked.length,
    frauds: ledger.fraudsOf(peer),
    synced: ledger.recovery.syncedAt(peer)
  }
  const terms = ledger.rules === null ? openTerms(numbers) : meshTerms(taken, given)
  const barred = ledger.barred(peer)
  const proven = barred === null ? [] : [`It was caught: ${barred.says}. Its line is zero, and it gets no orders and no cheques from this node.`]
  return { ...numbers, reasons: [...proven, ...terms, ...restOf(numbers)] }
}

/** In a mesh the charter and the issuer decide. */
function meshTerms (taken: Room, given: Room): string[] {
  return [`For orders of this node there: ${taken.says}.`, `This node tells the peer: ${given.says}.`]
}

function openTerms (numbers: Numbers): string[] {
  const { lineMax, net, acceptable, poolFree, poolMax } = numbers
  const reasons = [
    `Each peer may owe this node ${formatCredits(lineMax)} in all, cheques included, because a cheque is worth only what its payer works for.`,
    net >= 0n ? `This peer owes ${formatCredits(net)} net of what this node owes it.` : `This node owes this peer ${formatCredits(-net)} net; work for it is paid back from that first.`,
    `All strangers together may cost this node ${formatCredits(poolMax)}, of which ${formatCredits(poolFree)} are left.`
  ]
  if (poolFree < acceptable) reasons.push('It is that pool, not the line, that is the limit now.')
  return [...reasons, ...sellerTerms(numbers)]
}

/** What this node would promise the peer for work, and why. */
function sellerTerms ({ sold, sellerPoolFree, sellerPoolMax, spendable, frauds }: Numbers): string[] {
  const { sellerEvidence } = LIMITS.credits
  if (frauds > 0) return []
  if (sold >= sellerEvidence) return [`It has sold this node ${formatCredits(sold)}, so what it is promised is limited by the line alone.`]
  const reasons = [
    `It has sold this node ${formatCredits(sold)}; below ${formatCredits(sellerEvidence)} a seller is new, and all new ones together are promised ${formatCredits(sellerPoolMax)}, of which ${formatCredits(sellerPoolFree)} are left.`
  ]
  if (sellerPoolFree === spendable) reasons.push('It is that promise, not the line, that is the limit now for orders of this node.')
  return reasons
}

function restOf ({ held, running, unacked, synced }: Numbers): string[] {
  const reasons: string[] = []
  if (running > 0n) reasons.push(`Its orders that run here can cost ${formatCredits(running)} more.`)
  if (held > 0n) reasons.push(`Orders of this node that are open there can cost ${formatCredits(held)}.`)
  if (unacked >= LIMITS.credits.unackedChequesMax) reasons.push(`It has not acknowledged ${unacked} cheques; no new one is written before it does.`)
  reasons.push(synced === null ? 'Both have not compared their books since this node started.' : 'What the peer itself would accept is its own to say; this node assumes that it gives the line it gets.')
  return reasons
}
