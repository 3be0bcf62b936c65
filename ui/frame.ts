/** The page's frame: who this is, whether it listens, Stop, the menu, and the view that the address names. */
import { signal } from '@preact/signals'
import { type FunctionComponent, h, type ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { Button, credits, id, useFresh } from './parts.ts'
import { act, live, shown, trouble } from './state.ts'
import { Actors } from './views/actors.ts'
import { Blobs } from './views/blobs.ts'
import { Credits } from './views/credits.ts'
import { Jobs } from './views/jobs.ts'
import { Logs } from './views/logs.ts'
import { Market } from './views/market.ts'
import { Mesh } from './views/mesh.ts'
import { Overview } from './views/overview.ts'
import { Receipts } from './views/receipts.ts'
import { Settings } from './views/settings.ts'
import { Working } from './working.ts'

const VIEWS: Readonly<Record<string, readonly [title: string, view: FunctionComponent]>> = {
  overview: ['Overview', Overview], mesh: ['Mesh', Mesh], jobs: ['Jobs', Jobs], credits: ['Credits', Credits], receipts: ['Receipts', Receipts],
  market: ['Market', Market], actors: ['Actors', Actors], blobs: ['Blobs', Blobs], logs: ['Logs', Logs], settings: ['Settings', Settings]
}
const nameOf = (): string => {
  const name = location.hash.slice(2)
  return Object.hasOwn(VIEWS, name) ? name : 'overview'
}
const current = signal(nameOf())
const stopped = signal(false)
addEventListener('hashchange', () => { current.value = nameOf() })

function Stop (): ComponentChildren {
  const dialog = useRef<HTMLDialogElement>(null)
  const stop = async (): Promise<void> => {
    dialog.current?.close()
    stopped.value = true
    await act('stop')
  }
  return h('span', null,
    h(Button, { kind: 'stop', does: () => dialog.current?.showModal(), disabled: stopped.value }, stopped.value ? 'Stopping' : 'Stop'),
    h('dialog', { ref: dialog, 'aria-label': 'Stop this node' },
      h('p', null, 'The node pays what it owes, ends jobs that run here, and goes. Its books and its identity stay.'),
      h('div', { class: 'row' }, h(Button, { kind: 'stop', does: stop }, 'Stop the node'), h(Button, { does: () => dialog.current?.close() }, 'Keep it'))))
}

export function Frame (): ComponentChildren {
  useFresh('status', 'credits')
  const main = useRef<HTMLElement>(null)
  const [title, View] = VIEWS[current.value]!
  useEffect(() => {
    document.title = `${title} · INOS`
  }, [title])
  // Where a page begins anew with another node, nothing has stopped yet.
  useEffect(() => { stopped.value = false }, [])
  return h('div', null,
    h('header', null,
      h('a', { class: 'skip', href: `#/${current.value}`, onClick: (event: Event) => { event.preventDefault(); main.current?.focus() } }, 'Skip to the view'),
      h('strong', null, 'INOS'), h('span', null, 'node ', id(shown('status')?.id)),
      h('span', { id: 'live', role: 'status', class: live.value.is ? 'good' : 'bad' }, live.value.is ? 'live' : 'not connected'),
      h('span', { class: 'push' }, h(Working, null), ' · ', credits(shown('credits')?.balance)),
      h(Stop, null)),
    h('nav', { 'aria-label': 'Views' }, Object.entries(VIEWS).map(([name, [words]]) => h('a', { key: name, href: `#/${name}`, 'aria-current': name === current.value ? 'page' : undefined }, words))),
    live.value.is || live.value.why === '' ? null : h('div', { class: 'notice', role: 'alert' }, stopped.value ? 'The node has stopped.' : live.value.why),
    trouble.value === null ? null : h('div', { class: 'notice', role: 'alert', id: 'trouble' }, trouble.value, ' ', h(Button, { does: () => { trouble.value = null } }, 'Dismiss')),
    h('main', { ref: main, tabIndex: -1 }, h('h1', null, title), h(View, { key: current.value })))
}
