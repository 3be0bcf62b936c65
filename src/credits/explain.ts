/** Why a line is as wide as it is: every number that decides it, and the same in sentences. */
import { LIMITS } from '../packet/limits.ts'
import type { Books } from './books.ts'
import { netOf } from './ledger.ts'
import type { LineReport } from './views.ts'

type Numbers = Omit<LineReport, 'reasons'>

export function explain ({ ledger, now }: Books, peer: string): LineReport {
  const line = ledger.line(peer)
  const { max, free } = ledger.pool(now())
  const numbers = {
    peer,
    spendable: ledger.spendable(peer),
    lineMax: ledger.lineMaxOf(peer),
    net: netOf(line),
    held: line.held,
    running: line.running,
    due: line.due.sum,
    owed: line.owed.sum,
    earned: line.in.total,
    spent: line.out.total,
    acceptable: ledger.acceptable(peer),
    poolFree: free,
    poolMax: max,
    unacked: line.unacked.length,
    frauds: ledger.fraudsOf(peer),
    synced: line.synced
  }
  return { ...numbers, reasons: reasonsOf(numbers) }
}

function reasonsOf ({ lineMax, net, held, running, acceptable, poolFree, poolMax, frauds, unacked, synced }: Numbers): string[] {
  const reasons: string[] = []
  if (frauds > 0) reasons.push(`There is proof of fraud against this peer (${frauds}): its line is zero, and it gets no orders from this node.`)
  reasons.push(`Each peer may owe this node ${lineMax} µcr in all, cheques included, because a cheque is worth only what its payer works for.`)
  reasons.push(net >= 0n ? `This peer owes ${net} µcr net of what this node owes it.` : `This node owes this peer ${-net} µcr net; work for it is paid back from that first.`)
  if (running > 0n) reasons.push(`Its orders that run here can cost ${running} µcr more.`)
  if (held > 0n) reasons.push(`Orders of this node that are open there can cost ${held} µcr.`)
  reasons.push(`All strangers together may cost this node ${poolMax} µcr, of which ${poolFree} µcr are left.`)
  if (poolFree < acceptable) reasons.push('It is that pool, not the line, that is the limit now.')
  if (unacked >= LIMITS.credits.unackedChequesMax) reasons.push(`It has not acknowledged ${unacked} cheques; no new one is written before it does.`)
  reasons.push(synced === null ? 'Both have not compared their books since this node started.' : 'What the peer itself would accept is its own to say; this node assumes that it gives the line it gets.')
  return reasons
}
