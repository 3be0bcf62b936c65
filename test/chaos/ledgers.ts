/** What the books of buyer and sellers say at the end, against what the callers were given. */
import { readBundle } from '../../src/credits/bundle.ts'
import { join } from '../../src/index.ts'
import { compareBooks } from '../crash/compare.ts'
import type { Books } from '../crash/messages.ts'
import type { Machine } from './machine.ts'
import { type Call, nameOf } from './work.ts'

export interface Findings {
  /** Payments that one order moved twice, and of jobs that were paid more often than tries of theirs were lost. */
  readonly paidTwice: number
  /** Second payments for a job whose earlier try had been run all the same: its seller was lost before it answered. */
  readonly paidAgain: number
  /** The same where the buyer itself was killed while it waited. */
  readonly paidOrphans: number
  /** Sold and never owed: the buyer had gone elsewhere meanwhile, and gave the order up by its signed word. */
  readonly givenUp: number
  readonly problems: string[]
}

interface Closed { readonly id: string, readonly books: Books, readonly paid: ReadonlyMap<string, number> }

/** @param machines stopped; the buyer's is the first */
export async function compare (machines: readonly Machine[], calls: readonly Call[]): Promise<Findings> {
  const closed: Closed[] = []
  for (const machine of machines) closed.push(await readBooks(machine))
  const findings = compareBooks(closed)
  const problems = findings.map(({ text }) => text)
  const doubled = findings.filter(({ kind }) => kind === 'doubled').length
  const [{ books, paid }] = closed as [Closed]
  const bought = new Set(books.receipts.map(({ id }) => id))
  let [twice, again, orphaned] = [0, 0, 0]
  for (const { job, receipt, lostTries, orphans } of calls) {
    const times = paid.get(nameOf(job)) ?? 0
    if (receipt !== null && !bought.has(receipt)) problems.push(`job ${job} was answered, and its receipt is not in the books`)
    const more = Math.max(0, times - 1)
    orphaned += Math.min(more, orphans)
    again += Math.min(Math.max(0, more - orphans), lostTries)
    twice += Math.max(0, more - orphans - lostTries)
  }
  if (twice > 0) problems.push(`${twice} payments for jobs of which no try was lost`)
  return { paidTwice: doubled + twice, paidAgain: again, paidOrphans: orphaned, givenUp: closed.flatMap(({ books }) => books.receipts).filter(({ givenUp }) => givenUp).length, problems }
}

async function readBooks ({ dataDir }: Machine): Promise<Closed> {
  await using node = await join({ dataDir, network: false, serve: false })
  const receipts = await Array.fromAsync(node.receipts())
  const paid = new Map<string, number>()
  for (const { id, role } of receipts) {
    if (role !== 'bought') continue
    const input = readBundle((await node.receipt(id))!).receipt.payload.input.toString()
    paid.set(input, (paid.get(input) ?? 0) + 1)
  }
  const books = { audit: await node.audit(), history: await Array.fromAsync(node.history()), receipts, peers: [] }
  return { id: node.id, books, paid }
}
