/**
 * What happens in a node as one numbered stream, for pages that come, go and come back: server-sent events, the latest
 * of which are kept, so that who names the last one it saw misses none, or is told that it did.
 */
import type { ServerResponse } from 'node:http'
import { LIMITS } from '../packet/limits.ts'
import type { Processor, ProcessorEvents } from '../processor/processor.ts'
import { toJson } from './dashboard-json.ts'

export interface EventStream {
  /** Number an event and send it to every page. */
  tell (name: string, detail: unknown): void
  /**
   * Send what came after `last`, then what comes.
   * @param last the id of the last event that was seen; null: begin with what comes
   * @returns false when too many listen already
   */
  attach (response: ServerResponse, last: string | null): boolean
  stop (): void
}

interface Kept { readonly n: number, readonly frame: string }

const NAMES = ['peer:connect', 'peer:disconnect', 'reach:change', 'job:state', 'job:end', 'credits:change', 'credits:broken', 'receipt'] as const satisfies readonly (keyof ProcessorEvents)[]

/** @param life tells the numbers of this start of the node from those of another */
export function createEventStream (life: string, max: number = LIMITS.dashboard.eventsMax): EventStream {
  const kept: Kept[] = []
  const pages = new Set<ServerResponse>()
  let count = 0
  // A comment now and then, so that neither side takes silence for a loss.
  const pulse = setInterval(() => { for (const page of pages) send(page, ':\n\n') }, LIMITS.dashboard.pulseMs)
  pulse.unref()

  const send = (page: ServerResponse, text: string): void => {
    // A page that does not read is let go; it comes back with the number it has, and nothing is lost.
    if (!page.write(text) && page.writableLength > LIMITS.dashboard.backlogBytesMax) page.destroy()
  }
  const frameOf = (n: number, name: string, detail: unknown): string => `id: ${life}-${n}\nevent: ${name}\ndata: ${toJson(detail)}\n\n`

  return {
    tell (name, detail) {
      const frame = frameOf(++count, name, detail)
      kept.push({ n: count, frame })
      if (kept.length > max) kept.shift()
      for (const page of pages) send(page, frame)
    },
    attach (response, last) {
      if (pages.size >= LIMITS.dashboard.streamsMax) return false
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      const [before, seen] = numberOf(last, life)
      const first = kept[0]?.n ?? count + 1
      // Without data of its own: the page reads everything anew.
      const isGap = last !== null && (!before || seen > count || seen + 1 < first)
      response.write(frameOf(isGap || last === null ? count : seen, isGap ? 'gap' : 'hello', { last: count }))
      if (!isGap && last !== null) for (const { n, frame } of kept) if (n > seen) response.write(frame)
      pages.add(response)
      response.on('close', () => { pages.delete(response) })
      return true
    },
    stop () {
      clearInterval(pulse)
      for (const page of pages) page.end()
    }
  }
}

/** Whether an id is of this life, and its number. */
function numberOf (id: string | null, life: string): [boolean, number] {
  const found = /^([\w]{1,32})-(\d{1,15})$/.exec(id ?? '')
  return [found?.[1] === life, Number(found?.[2] ?? 0)]
}

/** Everything a node tells, to the stream. @returns how to end it */
export function relayEvents (node: Pick<Processor, 'on'>, stream: EventStream): () => void {
  const ends = NAMES.map(name => node.on(name, detail => { stream.tell(name, detail) }))
  return () => { for (const end of ends) end() }
}
