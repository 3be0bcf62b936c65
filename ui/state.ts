/** What the page knows of its node: one signal for each thing that is asked, asked again when an event says that it changed. */
import { effect, signal, type Signal } from '@preact/signals'
import type { AccountView, Balance, HistoryEntry, JobView, PeerView, ReceiptView } from '../src/processor/processor.ts'
import type { ActorView } from '../src/emergent/actor.ts'
import type { MeshView } from '../src/network/mesh-views.ts'
import type { KnownPeer } from '../src/network/known-peers.ts'
import type { NodeTrade } from '../src/assembly/trade.ts'
import type { Status } from '../src/node/control-messages.ts'
import type { BlobView, StoreView } from '../src/processor/blob-views.ts'
import type { Reachability } from '../src/network/reachability.ts'
import type { WorkView } from '../src/assembly/work-done.ts'
import { type Link, type NodeEvent, Refusal, type Told } from './link.ts'

/** Everything that is shown, by the name under which it is asked. */
export interface Shown {
  status: Pick<Status, 'id' | 'addresses'> & { readonly notes?: readonly string[] }
  credits: Balance
  account: AccountView | null
  history: HistoryEntry[]
  jobs: JobView[]
  receipts: ReceiptView[]
  peers: PeerView[]
  knownPeers: KnownPeer[]
  reachability: Reachability | null
  trade: NodeTrade
  mesh: MeshView | null
  blobs: BlobView[]
  blobUsage: StoreView
  actors: ActorView[]
  work: WorkView
}
type Name = keyof Shown
export type Answers = { [Each in Name]: Told<Shown[Each]> }

export interface Line { readonly id: string, readonly name: string, readonly detail: unknown, readonly at: number }

/** What an event makes old. */
const STALES: Readonly<Record<string, readonly Name[]>> = {
  'peer:connect': ['peers', 'knownPeers', 'status'], 'peer:disconnect': ['peers'], 'reach:change': ['reachability', 'status'], 'job:state': ['jobs', 'trade'], 'job:end': ['peers', 'actors', 'blobs', 'blobUsage'],
  'credits:change': ['credits', 'account', 'history', 'peers'], receipt: ['receipts', 'credits', 'history', 'work'], work: ['work', 'trade']
}
/** Nothing is asked more often than this, whatever happens; what no event tells is asked this often while it is looked at. */
const PACE_MS = 400
const LATE_MS = 5_000
const LINES_MAX = 2_000

let link: Link | null = null
const cells = new Map<Name, { readonly value: Signal<unknown>, viewers: number, stale: boolean, busy: boolean, asked: number }>()
export const lines: Signal<readonly Line[]> = signal([])
export const missed: Signal<number> = signal(0)
export const live: Signal<{ readonly is: boolean, readonly why: string }> = signal({ is: false, why: '' })
/** What last went wrong on a person's request. */
export const trouble: Signal<string | null> = signal(null)
export const theme: Signal<string> = signal(localStorage.getItem('inos-theme') ?? 'system')
effect(() => {
  localStorage.setItem('inos-theme', theme.value)
  document.documentElement.dataset['theme'] = theme.value
})

function cell (name: Name) {
  const found = cells.get(name) ?? { value: signal<unknown>(null), viewers: 0, stale: true, busy: false, asked: 0 }
  cells.set(name, found)
  return found
}

/** The latest answer; null before the first. */
export function shown<Each extends Name> (name: Each): Answers[Each] | null { return cell(name).value.value as Answers[Each] | null }

/** Keep some answers fresh. @returns how to stop */
export function view (names: readonly Name[]): () => void {
  for (const name of names) cell(name).viewers++
  refresh()
  return () => { for (const name of names) cell(name).viewers-- }
}

function refresh (): void {
  if (link === null) return
  for (const [name, one] of cells) {
    const age = performance.now() - one.asked
    if (one.busy || one.viewers === 0 || !(one.stale ? age > PACE_MS || one.asked === 0 : age > LATE_MS)) continue
    one.busy = true
    one.stale = false
    one.asked = performance.now()
    const answer = name === 'actors' ? link.ask('actor', { do: 'ls' }) : link.ask(name)
    const of = link
    answer.then(value => { if (of === link) one.value.value = value }, () => { one.stale = true }).finally(() => { one.busy = false })
  }
}

function hear ({ id, name, detail }: NodeEvent): void {
  if (name === 'gap') missed.value++
  if (name === 'gap' || name === 'hello') for (const one of cells.values()) one.stale = true
  for (const stale of STALES[name] ?? []) cell(stale).stale = true
  if (name !== 'hello') lines.value = [...lines.value.slice(1 - LINES_MAX), { id, name, detail, at: Date.now() }]
}

/** Do what a person asked for, and say what came of it where it failed. */
export async function act<T> (name: string, argument: unknown = null): Promise<T | null> {
  try {
    trouble.value = null
    if (link === null) throw new Error('There is no node.')
    const value = await link.ask<T>(name, argument)
    for (const one of cells.values()) one.stale = true
    return value
  } catch (error) {
    trouble.value = error instanceof Refusal ? [error.message, error.hint].filter(Boolean).join(' ') : 'The node does not answer.'
    return null
  }
}

/** Show this node from now on, and forget the one before. */
export function begin (to: Link): void {
  if (link === null) setInterval(refresh, 100)
  link = to
  lines.value = []
  trouble.value = null
  for (const one of cells.values()) {
    one.value.value = null
    one.stale = true
    one.asked = 0
  }
  to.listen(hear, (is, why) => { if (link === to) live.value = { is, why } })
}

/** Whether the node is in this page, and not a program whose commands a reader could type. */
export function isTab (): boolean { return (shown('work')?.pauses ?? null) !== null }
