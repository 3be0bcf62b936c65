/** What one asks first: how the node does, what it earned, how others get here, and a place to drop a module. */
import { signal } from '@preact/signals'
import { h, type ComponentChildren } from 'preact'
import { encode } from 'uqr'
import { type Joining, tabLink } from '../../src/assembly/tab-link.ts'
import { toInosError } from '../../src/packet/errors.ts'
import { Button, Cards, credits, Facts, state, Table, time, useFresh, id, count } from '../parts.ts'
import { act, isTab, shown } from '../state.ts'
import { Submit } from '../submit.ts'
import { Earnings } from '../working.ts'

const invite = signal<string | null>(null)
/** Where somebody hosts the page for tabs; kept by this browser. */
const page = signal(localStorage.getItem('inos-tab-page') ?? '')

/** A QR code as one path. */
export function Qr ({ text, label }: { text: string, label: string }): ComponentChildren {
  const { size, data } = encode(text, { border: 2 })
  const path = data.flatMap((row, y) => row.flatMap((dark, x) => dark ? [`M${x} ${y}h1v1h-1z`] : [])).join('')
  return h('svg', { class: 'qr', viewBox: `0 0 ${size} ${size}`, role: 'img', 'aria-label': label }, h('path', { d: path, fill: '#000' }))
}

/** A link by which a tab joins, for who knows where such a page is hosted. */
function LinkForTabs ({ joining }: { joining: Joining }): ComponentChildren {
  let said: ComponentChildren = null
  if (page.value !== '') {
    try {
      const link = tabLink(page.value, joining)
      said = h('div', null, h(Qr, { text: link, label: 'QR code of the link below' }), h('p', null, h('code', { id: 'tab-link' }, link)), h(Button, { does: () => navigator.clipboard.writeText(link) }, 'Copy the link'))
    } catch (error) {
      const { message, hint } = toInosError(error)
      said = h('p', { class: 'quiet' }, message, ' ', hint)
    }
  }
  const write = (event: Event): void => {
    page.value = (event.currentTarget as HTMLInputElement).value.trim()
    localStorage.setItem('inos-tab-page', page.value)
  }
  return h('div', null, h('label', null, 'A link for browser tabs: address of a page built by npm run build:tab', h('input', { id: 'tab-page', size: 50, type: 'url', placeholder: 'https://…', value: page, onInput: write })), said)
}

function Invite (): ComponentChildren {
  const status = shown('status')
  const mesh = shown('mesh')
  const address = shown('reachability')?.addresses[0] ?? status?.addresses[0]
  const isIssuer = mesh !== null && mesh.issuer === status?.id
  const text = isIssuer ? invite.value : address ?? null
  const make = async (): Promise<void> => { invite.value = await act<string>('invite', {}) }
  const words = isIssuer
    ? [h('p', null, 'An invite lets one member into ', h('strong', null, mesh.name || 'this mesh'), ': ', h('code', null, 'inos mesh join INVITE'), '.'), h(Button, { does: make }, 'Make an invite')]
    : address === undefined ? [h('p', { class: 'quiet' }, ...(isTab() ? ['Nobody can dial a tab by itself. Where a node it is connected with relays, it has an address, and it is told here.'] : ['This node does not listen, so nobody can join by its address. ', h('code', null, 'inos up'), ' does.']))]
    : [h('p', null, 'Whoever has this address joins this node: ', ...(isTab() ? ['it can be pasted into this page in another browser, or in Mesh.'] : [h('code', null, 'inos up --peer ADDRESS'), '.']))]
  return h('section', null, h('h2', null, 'Invite'), ...words,
    text === null ? null : h('div', null, h(Qr, { text, label: 'QR code of the line below' }), h('p', null, h('code', { id: 'invite' }, text)), h(Button, { does: () => navigator.clipboard.writeText(text) }, 'Copy'), h(LinkForTabs, { joining: isIssuer ? { invite: text } : { addresses: status?.addresses ?? [] } })))
}

export function Overview (): ComponentChildren {
  useFresh('status', 'credits', 'jobs', 'peers', 'trade', 'reachability', 'mesh', 'work')
  const balance = shown('credits')
  const jobs = shown('jobs') ?? []
  const peers = shown('peers') ?? []
  const reach = shown('reachability')
  const atWork = jobs.filter(({ ended }) => ended === null).length
  return h('div', null,
    h(Cards, { of: { Balance: h('span', { id: 'balance' }, credits(balance?.balance)), Spent: credits(balance?.spent), 'Own jobs at work': count(atWork), 'Load of late': `${shown('trade')?.loadPercent ?? 0} %` } }),
    h(Earnings, null),
    h(Submit, null),
    h('section', null, h('h2', null, 'Latest jobs'), h(Table<typeof jobs[number]>, {
      caption: 'The five latest jobs', rows: jobs.slice(-5).reverse(), keyOf: job => job.id, empty: `No jobs yet. Drop a module above${isTab() ? '.' : ', or run one: inos run FILE.wasm'}`,
      columns: [{ name: 'Job', of: job => job.id }, { name: 'State', of: job => state(job.state) }, { name: 'At', of: job => id(job.peer) }, { name: 'Began', of: job => time(job.began) }, { name: 'Cost', kind: 'number', of: job => credits(job.cost) }]
    })),
    peers.length > 0 ? null : h('p', { class: 'quiet', id: 'alone' }, 'No peers yet: jobs run here, at no cost. Connect to one in Mesh, or invite somebody.'),
    (shown('status')?.notes ?? []).map(note => h('p', { key: note, class: 'quiet' }, note)),
    h(Invite, null),
    h('section', null, h('h2', null, 'This node'), h(Facts, { of: {
      PeerId: h('span', { class: 'id' }, shown('status')?.id ?? ''), Reached: reach === null ? 'by nobody' : `${reach.status}: ${reach.reason}`, ...(reach?.next == null || isTab() ? {} : { Next: reach.next }), Addresses: h('span', { class: 'id' }, (shown('status')?.addresses ?? []).join(' ')),
      Open: `${credits(balance?.held)} held, ${credits(balance?.due)} to come, ${credits(balance?.owed)} to pay`
    } })))
}
