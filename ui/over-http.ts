/**
 * The link to a node behind its local API, and the stream of events it listens to. The token comes in the address's fragment and is
 * kept for this tab alone; it travels as a header only, which is why the stream is read by fetch and not by EventSource.
 */
import { type Link, type NodeEvent, Refusal } from './link.ts'

const KEPT = 'inos-token'

/** Take the token out of the address bar, where a glance or a screenshot would have it. */
export function takeToken (): void {
  const found = /^#([\w-]{43})$/.exec(location.hash)?.[1]
  if (found === undefined) return
  sessionStorage.setItem(KEPT, found)
  history.replaceState(null, '', '#/overview')
}

const headers = (): Record<string, string> => ({ 'x-inos-token': sessionStorage.getItem(KEPT) ?? '' })

async function ask<T> (name: string, argument?: unknown): Promise<T> {
  const response: Response = await fetch(`/api/${name}`, argument === undefined
    ? { headers: headers() }
    : { method: 'POST', headers: { ...headers(), 'content-type': 'application/json' }, body: JSON.stringify(argument) })
  if (response.status === 401) throw new Refusal('401', 'This tab has no token, or an old one. Open the link that `inos up --ui` prints.', null)
  const { value, error } = await response.json().catch(() => ({ error: { code: String(response.status), message: `The node answered with status ${response.status}.`, hint: null } }))
  if (error !== undefined) throw new Refusal(error.code, error.message, error.hint)
  return value
}

/** Wait before coming back, ms: short at first, for most cuts are. */
const AGAIN_MS_MIN = 250
const AGAIN_MS_MAX = 8_000

/** Listen for as long as the page lives; what was missed in a cut is asked for by the number of the last event. */
async function listen (hear: (event: NodeEvent) => void, live: (is: boolean, why: string) => void): Promise<never> {
  let last: string | null = null
  let wait = AGAIN_MS_MIN
  for (;;) {
    let why: string = 'The node does not answer.'
    try {
      const response: Response = await fetch('/api/events', { headers: { ...headers(), ...(last === null ? {} : { 'last-event-id': last }) } })
      if (response.status === 401) why = 'This tab has no token, or an old one. Open the link that `inos up --ui` prints.'
      else if (response.ok && response.body !== null) {
        live(true, '')
        wait = AGAIN_MS_MIN
        for await (const event of readEvents(response.body)) {
          last = event.id
          hear(event)
        }
      }
    } catch {
      // The cut is told below.
    }
    live(false, why)
    await new Promise(resolve => { setTimeout(resolve, wait) })
    wait = Math.min(wait * 2, AGAIN_MS_MAX)
  }
}

/** Only what the node sends: each event has an id, a name and one line of JSON. */
async function * readEvents (body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<NodeEvent, void> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    const frames = text.split('\n\n')
    text = frames.pop() ?? ''
    for (const frame of frames) {
      const found = /^id: (.+)\nevent: (.+)\ndata: (.+)$/.exec(frame)
      if (found !== null) yield { id: found[1]!, name: found[2]!, detail: JSON.parse(found[3]!) }
    }
  }
}

export const overHttp: Link = { ask, listen: (hear, live) => { void listen(hear, live) } }
