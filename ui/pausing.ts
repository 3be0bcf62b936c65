/** What pauses a tab that works: chosen before it joins, and changed later under Settings. */
import { h, type ComponentChildren } from 'preact'
import type { Pauses } from './in-page.ts'

export function Pausing ({ pauses, choose }: { pauses: Pauses, choose: (pauses: Pauses) => unknown }): ComponentChildren {
  const box = (name: keyof Pauses, words: string): ComponentChildren => h('label', { class: 'check' },
    h('input', { type: 'checkbox', checked: pauses[name], onChange: (event: Event) => { choose({ ...pauses, [name]: (event.currentTarget as HTMLInputElement).checked }) } }), words)
  return h('div', null, box('hidden', 'Pause while nobody sees this page'), box('battery', 'Pause while this machine runs on its battery, where the browser tells'))
}
