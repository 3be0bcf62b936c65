/**
 * The shelf: bytes this node has set out for one peer to fetch by CID, modules and inputs of jobs
 * it sent, results of jobs it ran. Whatever is not on a peer's shelf does not exist for that peer.
 */
import { LIMITS } from '../packet/limits.ts'
import type { Blob } from './job.ts'

export interface Shelf {
  /**
   * Set out for one peer; call the result to take it down again.
   * @param more finds what the peer may want besides, by CID, until then
   */
  lend (peer: string, blobs: readonly Blob[], more?: (cid: string) => Promise<Uint8Array>): () => void
  /** Let a peer fetch a stored blob from now on, oldest forgotten first. */
  allow (peer: string, cid: string): void
  /** Whether it is set out for this peer. */
  has (peer: string, cid: string): boolean
  get (peer: string, cid: string): Promise<Uint8Array | null>
}

export function createShelf (stored: (cid: string) => Promise<Uint8Array | null>): Shelf {
  const lent = new Map<string, { bytes: Uint8Array, uses: number }>()
  const allowed = new Set<string>()
  /** By peer: what finds more for it. */
  const finders = new Map<string, Set<(cid: string) => Promise<Uint8Array>>>()
  const key = (peer: string, cid: string): string => `${peer}/${cid}`

  return {
    lend (peer, blobs, more) {
      if (more !== undefined) finders.set(peer, (finders.get(peer) ?? new Set()).add(more))
      const keys = blobs.map(blob => {
        const name = key(peer, blob.cid.toString())
        const slot = lent.get(name) ?? { bytes: blob.bytes, uses: 0 }
        slot.uses++
        lent.set(name, slot)
        return name
      })
      return () => {
        const others = finders.get(peer)
        if (more !== undefined && others?.delete(more) === true && others.size === 0) finders.delete(peer)
        for (const name of keys.splice(0)) {
          const slot = lent.get(name)
          if (slot !== undefined && --slot.uses === 0) lent.delete(name)
        }
      }
    },
    allow (peer, cid) {
      const name = key(peer, cid)
      allowed.delete(name)
      allowed.add(name)
      if (allowed.size > LIMITS.store.repliesMax) allowed.delete(allowed.values().next().value!)
    },
    has (peer, cid) {
      const name = key(peer, cid)
      return lent.has(name) || allowed.has(name)
    },
    async get (peer, cid) {
      const name = key(peer, cid)
      const found = lent.get(name)?.bytes ?? (allowed.has(name) ? await stored(cid) : null)
      if (found !== null) return found
      for (const find of finders.get(peer) ?? []) {
        const bytes = await find(cid).catch(() => null)
        if (bytes !== null) return bytes
      }
      return null
    }
  }
}
