/** A store of blobs in memory, without a limit: over a map that outlives the node that uses it. */
import { type BlobStore, createPins, Kept, type Label, NO_LABEL } from '../processor/store.ts'

export function storeIn (blobs: Map<string, Uint8Array>): BlobStore {
  const labels = new Map<string, Label>()
  const kept = new Kept()
  const store: BlobStore = {
    get bytes () { return [...blobs.values()].reduce((sum, { length }) => sum + length, 0) },
    bytesMax: Number.MAX_SAFE_INTEGER,
    has: cid => blobs.has(cid),
    async get (cid) { return blobs.get(cid) ?? null },
    async put (cid, bytes) { blobs.set(cid, bytes.slice()) },
    list: () => [...blobs].map(([cid, { length }]) => [cid, length]),
    keep: cids => kept.keep(cids),
    async remove (cid) {
      if (kept.has(cid)) return false
      blobs.delete(cid)
      return true
    },
    label: cid => labels.get(cid) ?? NO_LABEL,
    labels: () => labels.entries(),
    async setLabel (cid, label) {
      await pins.set(cid, label.pinned)
      labels.set(cid, label)
    }
  }
  const pins = createPins(store)
  return store
}
