/** What must hold of the books of a buyer and its sellers, once nothing is open between them. */
import type { Child } from './child.ts'
import type { Books, Bought } from './messages.ts'

export interface Finding {
  /** Credits that one side paid and nobody got, that one got and nobody paid, that moved twice for one order; or something else. */
  readonly kind: 'lost' | 'made' | 'doubled' | 'other'
  readonly text: string
}

const HEAL_MS = 20_000
const LOOK_MS = 10

/** Wait until nothing is held, due, owed or unacknowledged, or until it is plain that it will not be. @returns false when a node ended */
export async function rest (nodes: readonly Child[]): Promise<boolean> {
  for (const deadline = Date.now() + HEAL_MS; Date.now() < deadline;) {
    const open = await Promise.all(nodes.map(node => node.isOpen()))
    if (open.includes(null)) return false
    if (!open.includes(true)) return true
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
  return true
}

export async function settle (nodes: readonly Child[]): Promise<Books[]> {
  await rest(nodes)
  return await Promise.all(nodes.map(node => node.books()))
}

/** The books of one buyer (first) and its sellers. */
export function compareBooks (nodes: readonly { id: string, books: Books }[]): Finding[] {
  const findings: Finding[] = []
  const find = (kind: Finding['kind'], text: string): void => { findings.push({ kind, text }) }
  const names = ['buyer', 'seller', ...nodes.slice(2).map((_, at) => `seller ${at + 2}`)]
  nodes.forEach(({ books: { audit } }, at) => {
    if (!audit.ok) find('other', `the audit of the ${names[at]} fails: ${audit.bad.map(({ key, reason }) => `${key} ${reason}`).join(', ')}`)
    for (const name of ['held', 'due', 'owed'] as const) {
      if (audit[name] !== 0n) find('other', `the ${names[at]} still has ${audit[name]} ${name}`)
    }
  })
  const total = nodes.reduce((sum, { books }) => sum + books.audit.balance, 0n)
  if (total !== 0n) find(total < 0n ? 'lost' : 'made', `the balances sum to ${total}`)
  const buyer = nodes[0]!
  for (const [at, seller] of nodes.slice(1).entries()) {
    const name = names[at + 1]
    const spent = payments(buyer.books, 'spent', seller.id)
    const earned = payments(seller.books, 'earned', buyer.id)
    const bought = new Set(buyer.books.receipts.map(({ order }) => order))
    for (const { order, givenUp } of seller.books.receipts) if (givenUp && bought.has(order)) find('lost', `${order} was given up by the buyer, which has its receipt`)
    for (const entry of new Set(spent).difference(new Set(earned))) find('lost', `the buyer paid the ${name} for ${entry} µcr, and it has not earned that`)
    for (const entry of new Set(earned).difference(new Set(spent))) find('made', `the ${name} earned for ${entry} µcr what the buyer has not paid`)
    for (const [side, list] of [['buyer paid', spent], [`${name} was paid`, earned]] as const) {
      for (const order of twice(list.map(orderOf))) find('doubled', `the ${side} twice for ${order}`)
    }
    for (const [books, role, list] of [[seller.books, 'sold', earned], [buyer.books, 'bought', spent]] as const) {
      const held = books.receipts.filter(receipt => receipt.role === role && !receipt.givenUp && (role === 'sold' || receipt.peer === seller.id))
      const orders = held.map(({ order }) => order)
      for (const order of twice(orders)) find('doubled', `two receipts say that ${order} was ${role}`)
      for (const order of new Set(orders).symmetricDifference(new Set(list.map(orderOf)))) find('lost', `${order} was ${role} and not paid, or paid without a receipt`)
      const charged = held.reduce((sum, { charge }) => sum + charge, 0n)
      const moved = list.reduce((sum, entry) => sum + BigInt(entry.split(' ')[1]!), 0n)
      if (charged !== moved) find(charged > moved ? 'lost' : 'made', `receipts of what was ${role} charge ${charged} µcr, and ${moved} moved`)
    }
  }
  return findings
}

/** Whatever a caller was given is right, and paid for. */
export function compareBought (bought: readonly Bought[], books: Books): Finding[] {
  const findings: Finding[] = []
  const times = Map.groupBy(books.receipts.filter(({ role }) => role === 'bought'), ({ id }) => id)
  for (const result of bought) {
    if (!result.ok) continue
    if (result.text !== `item ${result.item}`) findings.push({ kind: 'other', text: `item ${result.item} came back wrong` })
    const proven = times.get(result.receiptId)?.length ?? 0
    if (proven !== 1) findings.push({ kind: proven === 0 ? 'lost' : 'doubled', text: `item ${result.item} has ${proven} receipts` })
  }
  return findings
}

/** Payments as text, so that two sides can be compared: order and amount. */
export function payments ({ history }: Books, direction: 'earned' | 'spent', peer: string): string[] {
  return history.filter(entry => entry.direction === direction && entry.peer === peer).map(({ order, amount }) => `${order} ${amount}`)
}

function orderOf (payment: string): string { return payment.split(' ')[0]! }

function twice (list: readonly string[]): Set<string> {
  return new Set(list.filter((entry, at) => list.indexOf(entry) !== at))
}
