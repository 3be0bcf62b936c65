/** What the owner decides: when a tab pauses, share of the CPU, prices, and how this page looks. */
import { signal } from '@preact/signals'
import { h, type ComponentChildren } from 'preact'
import { useFresh } from '../parts.ts'
import { Pausing } from '../pausing.ts'
import { act, shown, theme } from '../state.ts'

const said = signal('')

/** Whole µcr; an empty field gives the price back to the node. */
async function change (event: Event): Promise<void> {
  event.preventDefault()
  const fields = new FormData(event.currentTarget as HTMLFormElement)
  const cpuPercent = Number(fields.get('cpu'))
  const prices = Object.fromEntries([...fields].filter(([name]) => name !== 'cpu').map(([name, text]) => [name, text === '' ? null : Number(text)]))
  said.value = await act('setTrade', { cpuPercent, prices }) === null ? '' : 'Kept; it holds from now on.'
}

export function Settings (): ComponentChildren {
  useFresh('trade', 'work')
  const trade = shown('trade')
  const pauses = shown('work')?.pauses ?? null
  return h('div', null,
    h('section', null, h('label', null, 'Look of this page', h('select', { value: theme, onChange: (event: Event) => { theme.value = (event.currentTarget as HTMLSelectElement).value } }, ['system', 'light', 'dark'].map(one => h('option', { key: one, value: one }, one))))),
    pauses === null ? null : h('section', null, h('h2', null, 'When this tab pauses'), h(Pausing, { pauses, choose: chosen => act('pause', chosen) })),
    trade === null ? null : h('section', null, h('h2', null, 'Trade'), h('form', { onSubmit: change },
      h('div', { class: 'row' }, h('label', null, 'Share of the CPU, percent', h('input', { name: 'cpu', type: 'number', min: 1, max: 100, required: true, defaultValue: String(trade.cpuPercent) })),
        Object.entries(trade.prices).map(([name, price]) => h('label', { key: name }, `${name}, µcr`, h('input', { name, type: 'number', min: 0, step: 1, defaultValue: trade.fixed.includes(name as never) ? price : '', placeholder: `moves, now ${price}` })))),
      h('p', { class: 'quiet' }, 'Prices that are left empty move with the load.'), h('button', { class: 'primary' }, 'Keep'), h('span', { role: 'status' }, ` ${said.value}`))))
}
