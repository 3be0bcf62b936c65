/** How `inos run --quote` and `inos jobs explain` show those who were weighed for a job. */
import { formatCredits } from '../src/packet/amounts.ts'
import { ERROR_KINDS } from '../src/packet/errors.ts'
import type { Bid, Quote } from '../src/processor/processor.ts'
import { type Output, plain, table } from './output.ts'

/** @returns the exit code: where nobody takes the job, that of running it */
export async function printQuote ({ chosen, reason, code, bids }: Quote, own: string, json: boolean, output: Output): Promise<number> {
  if (json) await output.json({ chosen, reason, code, bids: bids.map(bidInOrder) })
  else {
    await output.write(describeBids(bids))
    await output.write(`${chosen === null ? 'nobody' : chosen === own ? 'here' : plain(chosen)}: ${plain(reason)}\n`)
  }
  return code === null ? 0 : ERROR_KINDS[code].exit
}

/** A control socket sorts names by their length. */
export function bidInOrder ({ peer, costMax, cost, seconds, burden, score, waits, code, reason, hint }: Bid): Omit<Bid, 'memoryPagesMax'> {
  return { peer, costMax, cost, seconds, burden, score, waits, code, reason, hint }
}

/** One line each; nothing for none. */
export function describeBids (bids: readonly Bid[]): string {
  if (bids.length === 0) return ''
  return table([['peer', 'at most', 'expected', 'time', 'burden', 'score', ''], ...bids.map(row)])
}

function row ({ peer, costMax, cost, seconds, burden, score, code, reason }: Bid): string[] {
  return [
    plain(peer), costMax === null ? '-' : formatCredits(costMax), cost === null ? '-' : formatCredits(cost), seconds === null ? '-' : `${seconds.toPrecision(2)} s`,
    burden === null ? '-' : burden.toPrecision(2), score === null ? '-' : score.toPrecision(3), reason === null ? '' : `${plain(reason)}${code === null ? '' : ` (${code})`}`
  ]
}
