/** One point of the campaign: play it, heal it, and look for what is wrong. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child } from './child.ts'
import { compareBooks, compareBought, settle } from './compare.ts'
import { draw } from './draw.ts'
import { POINTS, type Point, type Role } from './messages.ts'

export interface Verdict {
  readonly role: Role
  readonly point: Point
  readonly nth: number
  readonly sellers: number
  readonly killed: boolean
  readonly items: number
  readonly receipts: number
  readonly retried: number
  readonly peerLost: number
  /** Sentences; none means that all held. */
  readonly problems: string[]
}

const ITEMS = 5

export async function runPoint (seed: number, index: number): Promise<Verdict> {
  // Every point comes up equally often; only when it strikes is drawn.
  const all = [...POINTS.seller.map(point => ['seller', point] as const), ...POINTS.buyer.map(point => ['buyer', point] as const)]
  const [role, point] = all[index % all.length]!
  const nth = 1 + draw(seed, index, 'nth', ITEMS - 2)
  const sellers = 1 + draw(seed, index, 'sellers', 2)
  const scratch = await mkdtemp(join(tmpdir(), 'inos-crash-'))
  const children: Child[] = []
  const open = async (name: string, sells: boolean, peers: string[], crash: { point: Point, nth: number } | null): Promise<Child> => {
    const child = await Child.launch({ dataDir: join(scratch, name), sells, peers, crash })
    children.push(child)
    return child
  }
  try {
    const crash = { point, nth }
    const first = await open('seller', true, [], role === 'seller' ? crash : null)
    const second = sellers === 2 ? await open('other', true, [], null) : null
    const addresses = [first, second].filter(child => child !== null).map(({ address }) => address)
    const buyer = await open('buyer', false, addresses, role === 'buyer' ? crash : null)
    buyer.say({ do: 'buy', items: Array.from({ length: ITEMS }, (_, item) => item) })
    const finished = await buyer.hear('all bought')
    const victim = role === 'seller' ? first : buyer
    // A seller may die over the last cheque, after the buyer has all it wanted.
    await Promise.race([victim.exited, new Promise(resolve => setTimeout(resolve, 2_000))])
    const killed = !victim.alive

    const seller = role === 'seller' && killed ? await open('seller', true, [], null) : first
    const healed = role === 'buyer' && killed ? await open('buyer', false, [seller, second].filter(child => child !== null).map(({ address }) => address), null) : buyer
    if (role === 'seller' && killed) await healed.connect(seller.address)
    const nodes = [healed, seller, second].filter(child => child !== null)
    const books = await settle(nodes)
    const bought = buyer.bought
    const problems = [
      ...(killed ? [] : ['nobody was killed']),
      ...(role === 'buyer' || finished !== null ? [] : ['the buyer ended']),
      ...compareBooks(nodes.map(({ id }, at) => ({ id, books: books[at]! }))).map(({ text }) => text),
      ...compareBought(bought, books[0]!).map(({ text }) => text),
      ...bought.flatMap(result => {
        if (result.ok) return []
        // Whose only seller is gone is told so: with the attempt that lost it, afterwards before any attempt.
        const told = sellers === 1 && role === 'seller' && (result.code === 'ERR_PEER_LOST' ? result.attempts > 0 : result.code === 'ERR_NO_OFFER')
        return told ? [] : [`item ${result.item} failed with ${result.code} after ${result.attempts} attempts`]
      }),
      ...(role === 'seller' && bought.length !== ITEMS ? [`the buyer got ${bought.length} of ${ITEMS} answers`] : [])
    ]
    for (const node of nodes) await node.stop()
    return {
      role, point, nth, sellers, killed, items: bought.length, receipts: books.reduce((total, { receipts }) => total + receipts.length, 0),
      retried: bought.filter(result => result.ok && result.attempts > 0).length, peerLost: bought.filter(result => !result.ok && result.code === 'ERR_PEER_LOST').length, problems
    }
  } finally {
    for (const child of children) child.kill()
    await Promise.all(children.map(({ exited }) => exited))
    await rm(scratch, { recursive: true, force: true })
  }
}
