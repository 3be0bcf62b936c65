/** From what a run changed to the state after it, and from a state to what the engine puts into an instance. */
import { keptOf } from '../packet/kept-state.ts'
import type { KeptState, StateRecord } from '../packet/state-views.ts'
import { toHex } from '../packet/identity.ts'
import type { Spec } from '../packet/spec.ts'
import { encodeState } from '../packet/state.ts'
import type { State, StateChange } from '../wasm/runtime.ts'
import type { Digest } from './job.ts'

/** What the engine puts into an instance. */
export function bytesIn ({ record: { pages, globals, tables, dropped }, pages: bytes }: KeptState): State {
  return { pages: pages.map(hash => hash === null ? null : bytes.get(toHex(hash))!), globals, tables, dropped }
}

/** The state after a run, from the one before it. */
export async function nextState (before: KeptState | null, { pages: count, changed, globals, tables, dropped }: StateChange, { module, profile }: Spec, digest: Digest): Promise<KeptState> {
  const hashes = Array.from({ length: count }, (_, at) => before?.record.pages[at] ?? null)
  const fresh = new Map<string, Uint8Array>()
  for (const [at, page] of changed) {
    const hash = hashes[at] = page === null ? null : await digest(page)
    if (hash !== null) fresh.set(toHex(hash), page!)
  }
  const record: StateRecord = { module, profile, pages: hashes, globals, tables: tables.map(table => [...table]), dropped: [...dropped] }
  return keptOf(encodeState(record), hex => fresh.get(hex) ?? before?.pages.get(hex))
}
