/** Receipts of jobs run, bought and sold: checked offline, or by running the job again. */
import { signal } from '@preact/signals'
import { h, type ComponentChildren } from 'preact'
import type { Verdict } from '../../src/assembly/verdict.ts'
import { decodeBytes, encodeBytes, type Told } from '../link.ts'
import { Button, count, credits, Facts, id, Table, useFresh } from '../parts.ts'
import { act, shown } from '../state.ts'

const verdict = signal<{ readonly of: string, readonly how: string, readonly is: Told<Verdict> | null } | null>(null)

async function check (operation: 'verify' | 'verifyStored' | 'rerun', of: string, argument: unknown): Promise<void> {
  const how = operation === 'rerun' ? 'run again' : 'checked offline'
  verdict.value = { of, how, is: null }
  const is = await act<Told<Verdict>>(operation, argument)
  verdict.value = is === null ? null : { of, how, is }
}

async function checkFile (event: Event): Promise<void> {
  const field = event.currentTarget as HTMLInputElement
  const file = field.files?.[0]
  if (file === undefined) return
  await check('verify', file.name, encodeBytes(new Uint8Array(await file.arrayBuffer())))
  field.value = ''
}

async function save (receipt: string): Promise<void> {
  const bytes = await act<{ '/': { bytes: string } }>('receipt', receipt)
  if (bytes === null) return
  const url = URL.createObjectURL(new Blob([decodeBytes(bytes)]))
  Object.assign(document.createElement('a'), { href: url, download: `${receipt}.inos` }).click()
  URL.revokeObjectURL(url)
}

function Said (): ComponentChildren {
  if (verdict.value === null) return null
  const { of, how, is } = verdict.value
  if (is === null) return h('p', { class: 'busy' }, `${of} is being ${how} …`)
  const word = is.ok === null ? 'Not to be told' : is.ok ? 'Valid' : 'Wrong'
  return h('div', { id: 'verdict', class: `verdict ${is.ok === null ? '' : is.ok ? 'good' : 'bad'}` },
    h('p', null, h('strong', { class: is.ok === null ? undefined : is.ok ? 'good' : 'bad' }, word), is.field === null ? null : [' at ', h('code', { id: 'field' }, is.field)], ' · ', h('span', { class: 'id' }, of), ` ${how}`), h('p', null, is.message),
    is.facts === null ? null : h(Facts, { of: Object.fromEntries(Object.entries(is.facts).map(([name, value]) => [name, h('span', { class: 'id' }, String(value))])) }))
}

export function Receipts (): ComponentChildren {
  useFresh('receipts')
  const rows = (shown('receipts') ?? []).toReversed()
  return h('div', null,
    h('section', null, h('h2', null, 'Check a receipt file'), h('label', null, 'A file that --receipt or Save wrote', h('input', { type: 'file', id: 'receipt-file', onChange: (event: Event) => { void checkFile(event) } })), h('div', { role: 'status' }, h(Said, null))),
    h('section', null, h(Table<typeof rows[number]>, {
      caption: 'Receipts of this node', rows, keyOf: row => row.id, empty: 'No receipts yet; every job makes one.', selected: verdict.value?.of ?? null,
      columns: [
        { name: 'Receipt', of: row => id(row.id) }, { name: 'Role', of: row => row.role }, { name: 'With', of: row => id(row.peer) }, { name: 'Ended', of: row => row.outcome === 'ok' ? `exit ${row.exitCode}` : row.outcome },
        { name: 'Fuel', kind: 'number', of: row => count(row.fuel) }, { name: 'Charge', kind: 'number', of: row => credits(row.charge) }, { name: 'Paid', of: row => row.role === 'own' ? '–' : row.paid ? 'yes' : row.givenUp ? 'given up' : 'not yet' },
        { name: 'Do', of: row => h('span', { class: 'row' },
          h(Button, { does: () => check('verifyStored', row.id, row.id), label: `Verify ${row.id}` }, 'Verify'), h(Button, { does: () => check('rerun', row.id, row.id), label: `Run again the job of ${row.id}` }, 'Run again'), h(Button, { does: () => save(row.id), label: `Save ${row.id}` }, 'Save')) }
      ]
    })))
}
