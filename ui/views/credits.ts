/** What was earned and spent: sums, the balance over time, and every payment of the ledger. */
import { h, type ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import Plot from 'uplot'
import { Cards, credits, id, Table, useFresh } from '../parts.ts'
import { type Answers, shown, theme } from '../state.ts'

const HEIGHT = 220
type Row = Answers['history'][number]

const signed = (row: Row): bigint => row.direction === 'earned' ? BigInt(row.amount) : -BigInt(row.amount)

/** Balance after each payment, in credits; the chart alone may lose a millionth to floating point. */
function Chart ({ rows }: { rows: readonly Row[] }): ComponentChildren {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const into = place.current
    if (into === null) return
    const style = getComputedStyle(document.documentElement)
    const colour = (name: string): string => { into.style.color = `var(${name})`; return getComputedStyle(into).color || style.color }
    const [ink, line, accent] = [colour('--ink'), colour('--line'), colour('--accent')]
    let sum = 0n
    const ends = rows.map(row => Number(sum += signed(row)) / 1e6)
    const axis = { stroke: ink, grid: { stroke: line }, ticks: { stroke: line } }
    const plot = new Plot({ width: into.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { show: false }, scales: { x: { time: false } }, axes: [{ ...axis, label: 'payments' }, { ...axis, label: 'credits' }], series: [{}, { stroke: accent, width: 2 }] }, [[0, ...ends.map((_end, at) => at + 1)], [0, ...ends]], into)
    const resize = new ResizeObserver(() => { plot.setSize({ width: into.clientWidth, height: HEIGHT }) })
    resize.observe(into)
    return () => { resize.disconnect(); plot.destroy() }
  }, [rows, theme.value])
  return h('div', { ref: place, role: 'img', 'aria-label': 'The balance after each payment; the ledger below says the same.' })
}

export function Credits (): ComponentChildren {
  useFresh('credits', 'history', 'account')
  const balance = shown('credits')
  const account = shown('account')
  const rows = shown('history') ?? []
  const sum = rows.reduce((total, row) => total + signed(row), 0n)
  return h('div', null,
    h(Cards, { of: { Balance: credits(balance?.balance), Earned: credits(balance?.earned), Spent: credits(balance?.spent), Held: credits(balance?.held), 'To come': credits(balance?.due), 'To pay': credits(balance?.owed), ...(account === null ? {} : { 'Free at the issuer': credits(account.free) }) } }),
    h('section', null, h('h2', null, 'Balance'), rows.length === 0 ? h('p', { class: 'quiet' }, 'Nothing was paid yet. Jobs that run here for their own node cost nothing.') : h(Chart, { rows })),
    h('section', null, h('h2', null, 'Ledger'), h(Table<Row>, {
      caption: 'Every payment, the latest first', rows: rows.toReversed(), keyOf: (row, at) => `${row.order} ${row.kind} ${rows.length - at}`, empty: 'No payments yet.',
      columns: [
        { name: 'When', of: row => row.at === null ? '–' : new Date(row.at * 1000).toLocaleString() }, { name: 'For', of: row => row.kind }, { name: 'Peer', of: row => id(row.peer) }, { name: 'Receipt', of: row => id(row.receipt) },
        { name: 'Cheque', kind: 'number', of: row => row.n }, { name: 'Amount', kind: 'number', of: row => h('span', { class: row.direction === 'earned' ? 'good' : undefined, 'data-amount': String(signed(row)) }, `${row.direction === 'earned' ? '+' : '−'}${credits(row.amount)}`) }
      ],
      foot: h('tr', null, h('th', { scope: 'row', colSpan: 5 }, 'Sum'), h('td', { class: 'number', id: 'sum', 'data-amount': String(sum) }, credits(String(sum))))
    })))
}
