/**
 * States of calls that ran here, in memory, so that the next call on this node needs no transfer: found only for whoever ordered
 * the call, the longest unused forgotten first. Whoever calls keeps its own; this is a cache.
 */
import { sizeOf } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { LIMITS } from '../packet/limits.ts'

export interface StateCache {
  /** @param id CID as text */
  get (peer: string, id: string): KeptState | undefined
  keep (peer: string, state: KeptState): void
  /** A page of any state of this peer, by its sha2-256 in hex. */
  page (peer: string, hex: string): Uint8Array | undefined
}

export function createStateCache (bytesMax: number = LIMITS.state.cacheBytesMax): StateCache {
  /** Least lately used first. Pages that two states share count twice. */
  const states = new Map<string, { readonly peer: string, readonly state: KeptState }>()
  let held = 0
  const drop = (key: string): void => {
    const entry = states.get(key)
    if (entry === undefined) return
    held -= sizeOf(entry.state)
    states.delete(key)
  }
  return {
    get (peer, id) {
      const key = `${peer}/${id}`
      const entry = states.get(key)
      if (entry === undefined) return undefined
      states.delete(key)
      states.set(key, entry)
      return entry.state
    },
    keep (peer, state) {
      const key = `${peer}/${state.id}`
      drop(key)
      states.set(key, { peer, state })
      held += sizeOf(state)
      while (held > bytesMax || states.size > LIMITS.state.cacheEntriesMax) drop(states.keys().next().value!)
    },
    page (peer, hex) {
      for (const entry of states.values()) {
        const page = entry.peer === peer ? entry.state.pages.get(hex) : undefined
        if (page !== undefined) return page
      }
      return undefined
    }
  }
}
