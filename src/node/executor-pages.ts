/**
 * Pages of states on the pipe between the main process and an executor: without the zeros at their end, and not at all
 * where the executor has them still. Both sides hold on to the pages that the last run left, until the next run is sent, so that
 * messages that follow one another at one executor bring only what changed elsewhere. What stands around pages is left to `executor-messages.ts`.
 */
import { Buffer } from 'node:buffer'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import { applyChange } from '../wasm/state.ts'
import type { State, StateChange } from '../wasm/runtime.ts'

/** Pages at an executor, by their place. */
export type Held = State['pages']

export const NONE: Held = []

/** What both sides hold after a run: all pages of the state it kept; nothing where it kept none, or too much. */
export function heldAfter (before: State | null | undefined, change: StateChange | undefined): Held {
  if (change === undefined) return NONE
  const { pages } = applyChange(before ?? null, change)
  return pages.filter(page => page !== null).length * PAGE_BYTES > LIMITS.executor.heldBytesMax ? NONE : pages
}

/** The same pages, none of them a part of a message that would be kept with it. */
export function alone (pages: Held): Held {
  return pages.map(page => page === null || page.length === page.buffer.byteLength ? page : page.slice())
}

/** Numbers of the pages that must be sent, and of those that are there. In the main process the same page is the same array. */
export function missing (pages: Held, held: Held): { readonly full: number[], readonly held: number[] } {
  const all = pages.flatMap((page, at) => page === null ? [] : at)
  return { full: all.filter(at => pages[at] !== held[at]), held: all.filter(at => pages[at] === held[at]) }
}

const ZEROS = Buffer.alloc(PAGE_BYTES)
/** Below this, bytes are looked at one by one. */
const STEP_BYTES_MIN = 64

/** A page travels without the zeros at its end, which most pages have many of. */
export function withoutEnd (page: Uint8Array): Uint8Array {
  let end = page.length
  for (let step = PAGE_BYTES; step >= STEP_BYTES_MIN; step /= 2) {
    while (end >= step && ZEROS.compare(page, end - step, end, 0, step) === 0) end -= step
  }
  while (end > 0 && page[end - 1] === 0) end--
  return page.subarray(0, end)
}

export function wholePage (bytes: Uint8Array): Uint8Array {
  if (bytes.length === PAGE_BYTES) return bytes
  const page = new Uint8Array(PAGE_BYTES)
  page.set(bytes)
  return page
}
