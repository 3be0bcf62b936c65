/** Drop a .wasm file, or choose one: it becomes a job, with what is typed as its input. */
import { signal } from '@preact/signals'
import { h, type ComponentChildren } from 'preact'
import { decodeBytes, encodeBytes, type Told } from './link.ts'
import { count, credits, Facts, id } from './parts.ts'
import type { PlainResult } from '../src/node/operator.ts'
import { act, trouble } from './state.ts'

const over = signal(false)
const running = signal<string | null>(null)
const result = signal<{ readonly name: string, readonly of: Told<PlainResult> } | null>(null)
const input = signal('')
const args = signal('')
const where = signal('any')
/** What of a result is shown. */
const CHARS_MAX = 4_000
/** The node takes 128 MiB of JSON at most, in which bytes take four thirds. */
const FILE_BYTES_MAX = 90 * 2 ** 20

async function submit (file: File): Promise<void> {
  if (!file.name.endsWith('.wasm') || file.size > FILE_BYTES_MAX) {
    trouble.value = `${file.name} is no .wasm file of at most 90 MiB.`
    return
  }
  running.value = file.name
  const wasm = encodeBytes(new Uint8Array(await file.arrayBuffer()))
  const words = args.value.split(/\s+/).filter(word => word !== '')
  const done = await act<Told<PlainResult>>('run', { wasm, input: encodeBytes(new TextEncoder().encode(input.value)), options: { where: where.value, ...(words.length === 0 ? {} : { args: words }) } })
  running.value = null
  if (done !== null) result.value = { name: file.name, of: done }
}

function drop (event: DragEvent): void {
  event.preventDefault()
  over.value = false
  const file = event.dataTransfer?.files[0]
  if (file !== undefined) void submit(file)
}

export function Submit (): ComponentChildren {
  const choose = (event: Event): void => {
    const field = event.currentTarget as HTMLInputElement
    const file = field.files?.[0]
    if (file !== undefined) void submit(file)
    field.value = ''
  }
  return h('section', null, h('h2', null, 'Run a module'),
    h('div', { class: over.value ? 'drop over' : 'drop', id: 'drop', onDragOver: (event: DragEvent) => { event.preventDefault(); over.value = true }, onDragLeave: () => { over.value = false }, onDrop: drop },
      h('div', { class: 'row' },
        h('label', null, 'A .wasm file, dropped here or chosen', h('input', { type: 'file', accept: '.wasm', onChange: choose, disabled: running.value !== null })),
        h('label', null, 'Input', h('input', { value: input, onInput: (event: Event) => { input.value = (event.currentTarget as HTMLInputElement).value } })),
        h('label', null, 'Arguments', h('input', { value: args, onInput: (event: Event) => { args.value = (event.currentTarget as HTMLInputElement).value } })),
        h('label', null, 'Where', h('select', { value: where, onChange: (event: Event) => { where.value = (event.currentTarget as HTMLSelectElement).value } },
          h('option', { value: 'any' }, 'anywhere'), h('option', { value: 'local' }, 'here'), h('option', { value: 'remote' }, 'not here'))))),
    h('div', { role: 'status' }, running.value === null ? null : h('p', { class: 'busy' }, `${running.value} is at work; its states are under Jobs.`), result.value === null ? null : h(Outcome, result.value)))
}

function Outcome ({ name, of }: { name: string, of: Told<PlainResult> }): ComponentChildren {
  const text = new TextDecoder().decode(decodeBytes(of.bytes))
  const said = new TextDecoder().decode(decodeBytes(of.stderr))
  return h('div', { id: 'outcome' }, h(Facts, { of: { Module: name, Outcome: of.outcome === 'ok' ? `exit code ${of.exitCode}` : of.outcome, 'Ran at': id(of.executor), Fuel: count(of.fuel), Cost: credits(of.cost), Receipt: id(of.receiptId) } }),
    h('pre', { tabIndex: 0, role: 'region', 'aria-label': 'Result' }, text.slice(0, CHARS_MAX)), text.length > CHARS_MAX ? h('p', { class: 'quiet' }, `${count(text.length)} characters; the first ${CHARS_MAX} are shown.`) : null,
    said === '' ? null : h('pre', { class: 'quiet', tabIndex: 0, role: 'region', 'aria-label': 'What it wrote to stderr' }, said.slice(0, CHARS_MAX)))
}
