/**
 * States of calls that ran here, in memory, so that the next call on this node needs no transfer: found only for whoever ordered
 * the call, the longest unused forgotten first. Whoever calls keeps its own; this is a cache.
 */
import { sizeOf } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { LIMITS } from '../packet/limits.ts'
import { Lru } from './lru.ts'

export interface StateCache {
  /** @param id CID as text */
  get (peer: string, id: string): KeptState | undefined
  keep (peer: string, state: KeptState): void
  /** A page of any state of this peer, by its sha2-256 in hex. */
  page (peer: string, hex: string): Uint8Array | undefined
}

export function createStateCache (bytesMax: number = LIMITS.state.cacheBytesMax): StateCache {
  /** Pages that two states share count twice. */
  const states = new Lru<{ readonly peer: string, readonly state: KeptState }>({ entriesMax: LIMITS.state.cacheEntriesMax, bytesMax })
  return {
    get: (peer, id) => states.get(`${peer}/${id}`)?.state,
    keep (peer, state) { states.keep(`${peer}/${state.id}`, { peer, state }, sizeOf(state)) },
    page (peer, hex) {
      for (const entry of states.values()) {
        const page = entry.peer === peer ? entry.state.pages.get(hex) : undefined
        if (page !== undefined) return page
      }
      return undefined
    }
  }
}
