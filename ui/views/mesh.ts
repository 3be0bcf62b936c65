/** Who this node is connected with: a picture, and the same as a table. */
import { forceCenter, forceLink, forceManyBody, forceSimulation, type SimulationLinkDatum, type SimulationNodeDatum } from 'd3-force'
import { signal } from '@preact/signals'
import { h, type ComponentChildren } from 'preact'
import { useMemo } from 'preact/hooks'
import { Button, count, credits, id, Table, time, useFresh } from '../parts.ts'
import { act, isTab, shown } from '../state.ts'

const address = signal('')
const WIDTH = 900
const HEIGHT = 380
/** Steps of the layout: all at once, so that nothing moves on the page. */
const STEPS = 120
/** Further names would cover each other. */
const NAMES_MAX = 40

interface Dot extends SimulationNodeDatum { readonly id: string }

/** A line to each peer, through its relay where there is one. */
function lay (self: string, peers: readonly { readonly id: string, readonly via: string | null }[]): { dots: Dot[], links: SimulationLinkDatum<Dot>[] } {
  const dots: Dot[] = [{ id: self, fx: 0, fy: 0 }, ...peers.map(({ id }) => ({ id }))]
  const known = new Set(dots.map(dot => dot.id))
  const links = peers.map(({ id, via }) => ({ source: via !== null && known.has(via) ? via : self, target: id }))
  const steps = peers.length > 200 ? STEPS / 4 : STEPS
  forceSimulation(dots).force('link', forceLink<Dot, SimulationLinkDatum<Dot>>(links).id(dot => dot.id).distance(110)).force('charge', forceManyBody().strength(-220)).force('center', forceCenter(0, 0)).stop().tick(steps)
  return { dots, links }
}

function Graph ({ self, peers }: { self: string, peers: readonly { readonly id: string, readonly via: string | null }[] }): ComponentChildren {
  const key = peers.map(({ id, via }) => `${id} ${via}`).join()
  const { dots, links } = useMemo(() => lay(self, peers), [self, key])
  const reach = Math.max(200, ...dots.map(({ x = 0, y = 0 }) => Math.max(Math.abs(x) * 2 + 160, Math.abs(y) * 2 * WIDTH / HEIGHT + 160)))
  const end = (dot: unknown): Dot => dot as Dot
  return h('svg', { class: 'graph', viewBox: `${-reach / 2} ${-reach * HEIGHT / WIDTH / 2} ${reach} ${reach * HEIGHT / WIDTH}`, role: 'img', 'aria-label': `This node and ${peers.length} peers; the table below says the same.` },
    links.map(({ source, target }) => h('line', { key: end(target).id, x1: end(source).x, y1: end(source).y, x2: end(target).x, y2: end(target).y })),
    dots.map(dot => h('g', { key: dot.id, class: dot.id === self ? 'self' : undefined, transform: `translate(${dot.x ?? 0} ${dot.y ?? 0})` },
      h('circle', { r: dot.id === self ? 13 : 9 }), dots.length > NAMES_MAX && dot.id !== self ? null : h('text', { y: 26, 'text-anchor': 'middle' }, dot.id === self ? 'this node' : `…${dot.id.slice(-6)}`))))
}

export function Mesh (): ComponentChildren {
  useFresh('status', 'peers', 'knownPeers', 'mesh', 'work')
  const peers = shown('peers') ?? []
  const known = (shown('knownPeers') ?? []).filter(one => !peers.some(({ id }) => id === one.id))
  const mesh = shown('mesh')
  const connect = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (await act('connect', address.value) !== null) address.value = ''
  }
  return h('div', null,
    mesh === null ? null : h('p', null, 'A member of the private mesh ', h('strong', null, mesh.name || id(mesh.net)), '.'),
    h('section', null, peers.length === 0
      ? h('p', { id: 'nobody' }, 'No peer is connected. Type an address of one below', ...(isTab() ? ['.'] : ['; a second node on this machine is ', h('code', null, 'inos up --data /tmp/other'), '.']))
      : h(Graph, { self: shown('status')?.id ?? '', peers })),
    h('section', null, h(Table<typeof peers[number]>, {
      caption: 'Peers that are connected', rows: peers, keyOf: peer => peer.id, empty: 'Nobody.',
      columns: [
        { name: 'Peer', of: peer => id(peer.id) }, { name: 'By', of: peer => `${peer.transport}, ${peer.direction === 'in' ? 'dialled us' : 'dialled by us'}` }, { name: 'Through', of: peer => peer.via === null ? 'straight' : id(peer.via) },
        { name: 'Ping', kind: 'number', of: peer => peer.latencyMs === null ? '–' : `${peer.latencyMs.toFixed(1)} ms` }, { name: 'Idle slots', kind: 'number', of: peer => peer.offer === null ? '–' : `${peer.offer.idle} of ${peer.offer.slots}` },
        { name: 'Our jobs', kind: 'number', of: peer => count(peer.inFlight) }, { name: 'It owes', kind: 'number', of: peer => credits(peer.line.due) }, { name: 'We owe', kind: 'number', of: peer => credits(peer.line.owed) }
      ]
    })),
    h('section', null, h('h2', null, 'Connect'), h('form', { class: 'row', onSubmit: connect },
      h('label', null, 'Address of a node', h('input', { size: 60, required: true, value: address, placeholder: '/ip4/…/tcp/…/p2p/…', onInput: (event: Event) => { address.value = (event.currentTarget as HTMLInputElement).value } })), h('button', { class: 'primary' }, 'Connect'))),
    known.length === 0 ? null : h('section', null, h(Table<typeof known[number]>, {
      caption: 'Peers it knows, not connected now', rows: known, keyOf: peer => peer.id, empty: 'None.',
      columns: [{ name: 'Peer', of: peer => id(peer.id) }, { name: 'Last met', of: peer => peer.met === null ? 'only heard of' : time(peer.met * 1000) }, { name: 'Address', of: peer => h('span', { class: 'id' }, peer.addresses[0] ?? '') }, { name: 'Do', of: peer => h(Button, { does: () => act('forget', peer.id), label: `Forget ${peer.id}` }, 'Forget') }]
    })))
}
