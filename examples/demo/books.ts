/**
 * The books of all nodes: waiting until both ends of every line agree, then summing what each node
 * audited and verifying every receipt, here, in a process that bought and sold nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { verifyReceipt } from '../../src/index.ts'
import { InosError } from '../../src/packet/errors.ts'
import type { Member } from './member.ts'
import type { Line } from './messages.ts'

const RECONCILE_MS_MAX = 30_000
const POLL_MS = 100

export interface NodeBooks { readonly id: string, readonly balance: bigint, readonly earned: bigint, readonly spent: bigint, readonly jobs: number }

export interface Books {
  readonly nodes: readonly NodeBooks[]
  /** Distinct receipts: each job has one, own jobs included. */
  readonly jobs: number
  readonly receipts: { readonly verified: number, readonly failed: number }
  readonly sumOfBalances: bigint
}

/**
 * Wait until nothing is due or owed between these nodes and the others, and both ends of each line
 * tell the same.
 * @throws {InosError} ERR_DEADLINE with what is still open
 */
export async function reconcile (members: readonly Member[], others: readonly Member[]): Promise<void> {
  const until = Date.now() + RECONCILE_MS_MAX
  for (;;) {
    const lines = new Map<Member, readonly Line[]>()
    await Promise.all(new Set([...members, ...others]).values().map(async member => { lines.set(member, await member.call('lines', null)) }))
    const open = members.flatMap(member => others.filter(other => other !== member).map(other => describeOpen(member, other, lines))).find(text => text !== null)
    if (open === undefined) return
    if (Date.now() > until) throw new InosError('ERR_DEADLINE', `The lines did not settle within ${RECONCILE_MS_MAX / 1000} s: ${open}.`)
    await sleep(POLL_MS)
  }
}

/** What keeps two nodes from agreeing, in words; null when they agree. */
function describeOpen (one: Member, other: Member, lines: ReadonlyMap<Member, readonly Line[]>): string | null {
  const here = lines.get(one)?.find(({ peer }) => peer === other.id)
  const there = lines.get(other)?.find(({ peer }) => peer === one.id)
  if (here === undefined || there === undefined) return `${one.name} and ${other.name} are not connected`
  if ([here.due, here.owed, there.due, there.owed].some(amount => amount !== 0n)) return `between ${one.name} and ${other.name} something is still due`
  if (here.earned !== there.spent || here.spent !== there.earned) return `${one.name} and ${other.name} tell different sums`
  return null
}

/** @throws {InosError} ERR_RECORD_INVALID when an audit finds records that don't count */
export async function sumBooks (members: readonly Member[]): Promise<Books> {
  const jobs = new Set<string>()
  const failed = new Set<string>()
  const nodes: NodeBooks[] = []
  for (const member of members) {
    const { ok, id, balance, earned, spent, bad } = await member.call('audit', null)
    if (!ok) throw new InosError('ERR_RECORD_INVALID', `The books of ${member.name} hold ${bad.length} records that don't count.`)
    const receipts = await member.call('receipts', null)
    for (const { id, bundle } of receipts) {
      jobs.add(id)
      if (!await verifies(bundle)) failed.add(id)
    }
    nodes.push({ id, balance, earned, spent, jobs: receipts.filter(({ role }) => role !== 'bought').length })
  }
  return {
    nodes,
    jobs: jobs.size,
    receipts: { verified: jobs.size - failed.size, failed: failed.size },
    sumOfBalances: nodes.reduce((sum, { balance }) => sum + balance, 0n)
  }
}

async function verifies (bundle: Uint8Array): Promise<boolean> {
  try {
    await verifyReceipt(bundle)
    return true
  } catch {
    return false
  }
}
