/**
 * The static page: says what a tab would do for a mesh, asks, and after an explicit yes is a node, shown by the frame of the dashboard.
 */
import { signal } from '@preact/signals'
import { h, render, type ComponentChildren } from 'preact'
import { Frame } from './frame.ts'
import { linkInPage } from './in-page.ts'
import { Button } from './parts.ts'
import { Pausing } from './pausing.ts'
import { begin } from './state.ts'
import { keepChoices, keepYes, readChoices, readYes, takeJoining } from './tab-choices.ts'
import { describeTrouble, openNode, type Trouble } from './tab-node.ts'

const choices = signal(readChoices())
const phase = signal<'asking' | 'joining' | 'joined' | 'left'>('asking')
const trouble = signal<Trouble | null>(null)
let joining = new AbortController()

function choose (change: Partial<typeof choices.value>): void {
  choices.value = { ...choices.value, ...change }
  keepChoices(choices.value)
}

/** A person has said yes, now or before a reload of this tab. */
async function start (how: 'work' | 'buy'): Promise<void> {
  trouble.value = null
  phase.value = 'joining'
  joining = new AbortController()
  try {
    const node = await openNode(choices.value, how === 'work', joining.signal)
    const { hidden, battery } = choices.value
    begin(await linkInPage(node, { pauses: { hidden, battery }, chose: choose, left: leave }))
    keepYes(choices.value.joining, how)
    phase.value = 'joined'
  } catch (error) {
    keepYes('', null)
    if (!joining.signal.aborted) trouble.value = describeTrouble(error)
    phase.value = 'asking'
  }
}

function leave (): void {
  keepYes('', null)
  phase.value = 'left'
}

function Asking (): ComponentChildren {
  const isBusy = phase.value === 'joining'
  const { joining: text, slots, hidden, battery } = choices.value
  const cores = navigator.hardwareConcurrency
  const ask = (event: Event): void => {
    event.preventDefault()
    void start('work')
  }
  return h('main', null,
    h('h1', null, 'Let this tab work for a mesh'),
    phase.value === 'left' ? h('p', { role: 'status', id: 'left' }, 'This tab has stopped. What it has earned, and who it is, stays in this browser.') : null,
    h('section', null, h('h2', null, 'What happens if you say yes'), h('ul', null,
      h('li', null, 'This tab becomes a node of INOS: it connects to the node that your link names, and to others of that mesh.'),
      h('li', null, 'They send it small programs to compute. These run in a sandbox inside this tab; they see neither your files nor your other tabs, and reach no network.'),
      h('li', null, 'It uses this machine’s processor, memory, power and network while the page is open. Others see its network address.'),
      h('li', null, 'For each job it earns credits, which buy work of other machines. They are kept in this browser.'),
      h('li', null, 'Stop is in view all the time. Closing the tab ends everything as well.'))),
    h('form', { onSubmit: ask }, h('section', null,
      h('label', null, 'Invite or address', h('input', { id: 'joining', size: 60, value: text, autocomplete: 'off', spellcheck: false, disabled: isBusy, placeholder: 'inos:… or /ip4/…', onInput: (event: Event) => { choose({ joining: (event.currentTarget as HTMLInputElement).value }) } })),
      h('p', { class: 'quiet' }, 'Whoever runs a node finds it in the dashboard under Overview, and can make it a link to this page.'),
      h(Pausing, { pauses: { hidden, battery }, choose }),
      h('label', null, 'Jobs at once', h('select', { value: String(slots), disabled: isBusy, onChange: (event: Event) => { choose({ slots: Number((event.currentTarget as HTMLSelectElement).value) }) } },
        h('option', { value: '0' }, `${cores}, all processor cores`), Array.from({ length: cores - 1 }, (_, at) => h('option', { key: at, value: String(at + 1) }, String(at + 1)))))),
    h('div', { class: 'row' }, isBusy
      ? [h('span', { class: 'busy', role: 'status' }, 'Joining …'), h(Button, { kind: 'stop', does: () => { joining.abort(); phase.value = 'asking' } }, 'Stop')]
      : [h('button', { class: 'primary', id: 'yes' }, 'Yes, let this tab work'), h(Button, { does: () => start('buy') }, 'Join without working for others')])),
    trouble.value === null ? null : h('div', { class: 'notice', role: 'alert', id: 'trouble' }, h('p', null, trouble.value.message), trouble.value.next === null ? null : h('p', null, trouble.value.next)))
}

/** In a frame of another site a person may not see what a button is for, so there is none. */
function Framed (): ComponentChildren {
  return h('main', null, h('h1', null, 'INOS'), h('p', null, 'This page asks for a yes, which only a tab of its own can get. ', h('a', { href: location.href, target: '_blank', rel: 'noreferrer' }, 'Open it in one'), '.'))
}

function Page (): ComponentChildren { return phase.value === 'joined' ? h(Frame, null) : h(Asking, null) }

/** Fill in what the address names. */
function takeLink (): void {
  const linked = takeJoining()
  if (linked !== null) choose({ joining: linked })
}

if (window.top !== window) {
  render(h(Framed, null), document.body)
} else {
  takeLink()
  // A link that is opened where the page is open already loads nothing.
  addEventListener('hashchange', () => { if (phase.value === 'asking' || phase.value === 'left') takeLink() })
  const yes = readYes(choices.value.joining)
  render(h(Page, null), document.body)
  if (yes !== null) void start(yes)
}
