/** Modules that keep their memory: which there are, where they run, and how to talk to one. */
import { signal } from '@preact/signals'
import { h, type ComponentChildren } from 'preact'
import { decodeBytes, encodeBytes } from '../link.ts'
import { Button, bytes, count, id, Table, useFresh } from '../parts.ts'
import { act, shown } from '../state.ts'

const message = signal('')
const to = signal('')
const reply = signal<string | null>(null)

async function send (event: Event): Promise<void> {
  event.preventDefault()
  const answer = await act<{ bytes: { '/': { bytes: string } } }>('actor', { do: 'call', name: to.value, message: encodeBytes(new TextEncoder().encode(message.value)), id: null })
  reply.value = answer === null ? null : new TextDecoder().decode(decodeBytes(answer.bytes))
}

export function Actors (): ComponentChildren {
  useFresh('actors')
  const rows = shown('actors') ?? []
  return h('div', null,
    h('section', null, h(Table<typeof rows[number]>, {
      caption: 'Actors of this node', rows, keyOf: actor => actor.id, empty: 'No actors yet: inos actor spawn FILE.wasm --name NAME',
      columns: [
        { name: 'Name', of: actor => actor.name }, { name: 'Runs', of: actor => actor.stopped ? h('span', { class: 'quiet' }, 'stopped') : actor.home === null ? 'anywhere' : id(actor.home) }, { name: 'Messages', kind: 'number', of: actor => count(actor.n) }, { name: 'Waiting', kind: 'number', of: actor => count(actor.queued) },
        { name: 'Memory', kind: 'number', of: actor => bytes(actor.bytes) }, { name: 'State', of: actor => id(actor.state) },
        { name: 'Do', of: actor => actor.stopped ? '' : h('span', { class: 'row' }, h(Button, { does: () => { to.value = actor.name }, label: `Write to ${actor.name}` }, 'Write'), h(Button, { does: () => act('actor', { do: 'snapshot', name: actor.name }), label: `Snapshot of ${actor.name}` }, 'Snapshot'), h(Button, { does: () => act('actor', { do: 'stop', name: actor.name, forget: false }), label: `Stop ${actor.name}` }, 'Stop')) }
      ]
    })),
    to.value === '' ? null : h('section', null, h('h2', null, `Write to ${to.value}`),
      h('form', { class: 'row', onSubmit: send }, h('label', null, 'Message', h('input', { size: 50, value: message, onInput: (event: Event) => { message.value = (event.currentTarget as HTMLInputElement).value } })), h('button', { class: 'primary' }, 'Send')),
      h('div', { role: 'status' }, reply.value === null ? null : h('pre', null, reply.value))))
}
