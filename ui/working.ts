/** Whether this node works for others: the switch in the frame's head, and what it has done so far. */
import { h, type ComponentChildren } from 'preact'
import { Button, Cards, count, credits, useFresh } from './parts.ts'
import { act, shown } from './state.ts'

const PAUSES = { hidden: 'paused while nobody sees this page', battery: 'paused while on battery' }

export function Working (): ComponentChildren {
  useFresh('work')
  const work = shown('work')
  if (work === null) return null
  const words = work.paused !== null && work.allowed ? PAUSES[work.paused] : work.serving ? 'works for others' : 'buys only'
  return h('span', { id: 'working', class: work.serving ? 'good' : undefined }, words, ' ',
    h(Button, { does: () => act('serve', !work.allowed) }, work.allowed ? 'Take no more work' : 'Work for others'))
}

/** What it has earned by working, and how it is connected. */
export function Earnings (): ComponentChildren {
  useFresh('work', 'credits', 'peers')
  const work = shown('work')
  const peers = shown('peers') ?? []
  const kinds = [...new Set(peers.map(({ transport, via }) => via === null ? transport : `${transport} by relay`))].sort()
  return h(Cards, { of: {
    'Earned by working': h('span', { id: 'earned' }, credits(shown('credits')?.earned)), 'Jobs done for others': h('span', { id: 'jobs-done' }, count(work?.jobs)), 'Fuel burnt for others': h('span', { id: 'fuel-burnt' }, count(work?.fuel)),
    Connected: h('span', { id: 'connected' }, peers.length === 0 ? 'to nobody' : `to ${peers.length} by ${kinds.join(', ')}`)
  } })
}
