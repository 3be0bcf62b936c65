/** Pieces that views share: amounts and names as words, tables, verdicts. Everything from elsewhere is a text node. */
import { h, type ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { formatCredits, groupDigits } from '../src/packet/amounts.ts'
import { type Shown, view } from './state.ts'

/** Keep answers fresh while a view is open. */
export function useFresh (...names: (keyof Shown)[]): void { useEffect(() => view(names), []) }

export function credits (amount: string | null | undefined): string { return amount == null ? '–' : formatCredits(BigInt(amount)) }
export function count (value: string | number | null | undefined): string { return value == null ? '–' : groupDigits(typeof value === 'string' ? BigInt(value) : Math.round(value)) }

/** The end of a PeerId or CID tells it from others; the whole is in its title. */
export function id (text: string | null | undefined): ComponentChildren { return text == null || text === '' ? h('span', { class: 'quiet' }, '–') : h('span', { class: 'id', title: text }, text.length > 14 ? `…${text.slice(-10)}` : text) }

export function time (ms: number | null): string { return ms === null ? '–' : new Date(ms).toLocaleTimeString() }
export function bytes (size: number): string {
  for (const [unit, of] of [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]] as const) if (size >= of) return `${(size / of).toFixed(1)} ${unit}`
  return `${size} B`
}

const CLASSES: Readonly<Record<string, string>> = { settled: 'good', failed: 'bad', cancelled: 'quiet' }
export function state (word: string): ComponentChildren { return h('span', { class: CLASSES[word] ?? 'busy' }, word) }

export interface Column<Row> { readonly name: string, readonly kind?: 'number' | 'long', of (row: Row): ComponentChildren }

/** More rows than a person reads at once are cut off; how many is said. */
const ROWS_MAX = 200

export function Table<Row> ({ caption, columns, rows, keyOf, empty, selected, foot }: {
  caption: string, columns: readonly Column<Row>[], rows: readonly Row[], keyOf (row: Row, at: number): string, empty: string, selected?: string | null, foot?: ComponentChildren
}): ComponentChildren {
  if (rows.length === 0) return h('p', { class: 'quiet' }, empty)
  const cut = rows.length > ROWS_MAX ? `, the first ${ROWS_MAX} of ${count(rows.length)}` : ''
  return h('div', { class: 'wide', tabIndex: 0, role: 'region', 'aria-label': caption }, h('table', null,
    h('caption', null, caption, cut),
    h('thead', null, h('tr', null, columns.map(({ name, kind }) => h('th', { key: name, scope: 'col', class: kind }, name)))),
    h('tbody', null, rows.slice(0, ROWS_MAX).map((row, at) => {
      const key = keyOf(row, at)
      return h('tr', { key, 'data-key': key, 'aria-current': selected === key ? 'true' : undefined }, columns.map(({ name, kind, of }) => h('td', { key: name, class: kind }, of(row))))
    })),
    foot === undefined ? null : h('tfoot', null, foot)))
}

export function Facts ({ of }: { of: Readonly<Record<string, ComponentChildren>> }): ComponentChildren {
  return h('dl', { class: 'facts' }, Object.entries(of).flatMap(([name, value]) => [h('dt', { key: name }, name), h('dd', { key: `${name} of` }, value)]))
}

export function Cards ({ of }: { of: Readonly<Record<string, ComponentChildren>> }): ComponentChildren {
  return h('div', { class: 'cards' }, Object.entries(of).map(([name, value]) => h('section', { key: name }, h('dl', null, h('dt', null, name), h('dd', null, value)))))
}

export function Button ({ does, children, kind, ...rest }: { does: () => unknown, children?: ComponentChildren, kind?: string, disabled?: boolean | undefined, label?: string }): ComponentChildren {
  return h('button', { type: 'button', class: kind, disabled: rest.disabled, 'aria-label': rest.label, onClick: () => { void does() } }, children)
}
