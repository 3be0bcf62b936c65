/** Jobs of this node's own callers: where each is, why, what it burnt, and everything that was weighed for it. */
import { signal } from '@preact/signals'
import { h, type ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import type { JobReport } from '../../src/processor/processor.ts'
import type { Told } from '../link.ts'
import { Button, count, credits, Facts, id, state, Table, time, useFresh } from '../parts.ts'
import { act, shown } from '../state.ts'

const open = signal<string | null>(null)
const report = signal<Told<JobReport> | null>(null)
const filter = signal('all')

function Fuel ({ fuel, most }: { fuel: string | null, most: number }): ComponentChildren {
  if (fuel === null) return null
  const share = Math.max(1, Math.round(Number(fuel) / Math.max(most, 1) * 100))
  return h('span', null, count(fuel), h('span', { class: 'bar', style: { display: 'block' }, 'aria-hidden': true }, h('i', { style: { width: `${share}%` } })))
}

export function Jobs (): ComponentChildren {
  useFresh('jobs', 'status')
  const all = shown('jobs') ?? []
  const rows = all.filter(job => filter.value === 'all' || (filter.value === 'work' ? job.ended === null : job.state === filter.value)).reverse()
  const most = rows.reduce((max, job) => Math.max(max, Number(job.fuel ?? 0)), 0)
  const chosen = all.find(job => job.id === open.value)
  // What is known of an open job grows with its states.
  useEffect(() => {
    const { value } = open
    if (value !== null) void act<Told<JobReport>>('explain', value).then(found => { if (open.value === value) report.value = found })
  }, [open.value, chosen?.state, chosen?.tries])
  return h('div', null,
    h('section', null,
      h('label', null, 'Show', h('select', { value: filter, onChange: (event: Event) => { filter.value = (event.currentTarget as HTMLSelectElement).value } }, ['all', 'work', 'settled', 'failed', 'cancelled'].map(one => h('option', { key: one, value: one }, one === 'work' ? 'at work' : one)))),
      h(Table<typeof rows[number]>, {
        caption: 'Jobs, the latest first', rows, keyOf: job => job.id, selected: open.value, empty: all.length === 0 ? 'No jobs yet. Drop a module on Overview, or run one: inos run FILE.wasm' : 'None of these.',
        columns: [
          { name: 'Job', of: job => job.id }, { name: 'State', of: job => state(job.state) }, { name: 'Why', kind: 'long', of: job => job.reason ?? (job.outcome === null || job.outcome === 'ok' ? '' : job.outcome) }, { name: 'At', of: job => id(job.peer) },
          { name: 'Tries', kind: 'number', of: job => count(job.tries) }, { name: 'Fuel', of: job => h(Fuel, { fuel: job.fuel, most }) }, { name: 'Cost', kind: 'number', of: job => credits(job.cost) }, { name: 'Began', of: job => time(job.began) },
          { name: 'Do', of: job => h('span', { class: 'row' }, h(Button, { does: () => { report.value = null; open.value = job.id }, label: `Explain job ${job.id}` }, 'Explain'), job.ended !== null ? null : h(Button, { does: () => act('cancel', job.id), label: `Cancel job ${job.id}` }, 'Cancel')) }
        ]
      })),
    report.value === null ? null : h(Report, { of: report.value }))
}

function Report ({ of }: { of: Told<JobReport> }): ComponentChildren {
  return h('section', { id: 'report', 'aria-label': `Job ${of.id}` }, h('h2', null, `Why job ${of.id} went where it went`),
    h(Facts, { of: { Module: h('span', { class: 'id' }, of.module), Input: h('span', { class: 'id' }, of.input), State: state(of.state), ...(of.reason === null ? {} : { Why: of.reason }), ...(of.hint === null ? {} : { Help: of.hint }), Receipt: h('span', { class: 'id' }, of.receipt ?? '–') } }),
    h(Table<typeof of.steps[number]>, { caption: 'Its states', rows: of.steps, keyOf: (_step, at) => String(at), empty: 'None.', columns: [{ name: 'When', of: step => time(step.at) }, { name: 'State', of: step => state(step.state) }, { name: 'At', of: step => id(step.peer) }, { name: 'Why', kind: 'long', of: step => step.reason ?? '' }] }),
    of.attempts.length === 0 ? null : h(Table<typeof of.attempts[number]>, { caption: 'Tries that failed', rows: of.attempts, keyOf: (_one, at) => String(at), empty: '', columns: [{ name: 'At', of: one => id(one.peer) }, { name: 'Code', of: one => one.code }, { name: 'Cause', kind: 'long', of: one => one.message }] }),
    of.rounds.map((round, at) => h('div', { key: at }, h('p', null, `${time(round.at)}: `, round.reason), h(Table<typeof round.bids[number]>, {
      caption: `Who was weighed in choice ${at + 1}, the best first`, rows: round.bids, keyOf: bid => bid.peer, empty: 'Nobody had to be asked.',
      columns: [{ name: 'Peer', of: bid => id(bid.peer) }, { name: 'Expected', kind: 'number', of: bid => credits(bid.cost) }, { name: 'At most', kind: 'number', of: bid => credits(bid.costMax) }, { name: 'Seconds', kind: 'number', of: bid => bid.seconds?.toFixed(2) ?? '–' }, { name: 'Burden', kind: 'number', of: bid => bid.burden?.toFixed(2) ?? '–' }, { name: 'Why not', kind: 'long', of: bid => bid.reason ?? '' }]
    }))))
}
