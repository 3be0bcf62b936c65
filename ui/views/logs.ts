/** What the node has told since this page was opened, number by number. */
import { signal } from '@preact/signals'
import { h, type ComponentChildren } from 'preact'
import { time } from '../parts.ts'
import { lines, missed } from '../state.ts'

const filter = signal('')
const SHOWN_MAX = 300

export function Logs (): ComponentChildren {
  const all = lines.value.filter(({ name, detail }) => filter.value === '' || `${name} ${JSON.stringify(detail)}`.includes(filter.value))
  return h('section', null,
    h('label', null, 'Only those with', h('input', { value: filter, onInput: (event: Event) => { filter.value = (event.currentTarget as HTMLInputElement).value } })),
    missed.value === 0 ? null : h('p', { class: 'bad', id: 'missed' }, 'This page was away for longer than the node remembers; events are missing.'),
    all.length === 0 ? h('p', { class: 'quiet' }, 'Nothing yet.') : h('ol', { class: 'log', id: 'log', reversed: true }, all.slice(-SHOWN_MAX).reverse().map(({ id, name, detail, at }) => h('li', { key: id, 'data-id': id }, `${time(at)} ${id.split('-')[1]} ${name} ${JSON.stringify(detail)}`))))
}
