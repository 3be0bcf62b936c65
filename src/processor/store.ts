/**
 * Where blobs are kept, as the platform provides it: chunks, manifests and whole small blobs by their
 * CID, within a limit. What of it belongs together, who may have it and how it comes here is said in
 * `blobs.ts`.
 */
import { CID, isRaw } from '../packet/cid.ts'
import { decodeManifest } from '../packet/manifest.ts'

/** What a node has been told about a blob. */
export interface Label {
  /** It stays, whatever else is put. */
  readonly pinned: boolean
  /** Whoever names it may have it. */
  readonly shared: boolean
}

export const NO_LABEL: Label = { pinned: false, shared: false }

/** Content-addressed bytes that survive restarts, as long as there is room. */
export interface BlobStore {
  /** What all blobs take, and may take. */
  readonly bytes: number
  readonly bytesMax: number
  /** Whether something is here, unless it turns out to be damaged. */
  has (cid: string): boolean
  /** Verified bytes, or null when there are none. @param room where they may be put, if they fit */
  get (cid: string, room?: Uint8Array<ArrayBuffer>): Promise<Uint8Array | null>
  /**
   * Keep bytes, which may be changed when this resolves; the least recently used go for them. The name is taken on trust, since `get` verifies.
   * @throws {InosError} ERR_STORE when the disk is full or fails; nothing else is affected
   */
  put (cid: string, bytes: Uint8Array): Promise<void>
  /** Names and sizes of all that is here. */
  list (): Iterable<[string, number]>
  /** Do not let these go, also those that come later; call the result once to end that. */
  keep (cids: Iterable<string>): () => void
  /** Let go what nobody keeps. @returns whether nobody did */
  remove (cid: string): Promise<boolean>
  label (cid: string): Label
  labels (): Iterable<[string, Label]>
  /** Durable when it resolves; a pinned blob with all its parts is kept from now on. @throws {InosError} ERR_STORE */
  setLabel (cid: string, label: Label): Promise<void>
}

/** Names of all that a blob consists of, itself first; of one whose manifest is not here, only itself. */
export async function partsOf (store: Pick<BlobStore, 'get'>, cid: string): Promise<readonly string[]> {
  if (isRaw(CID.parse(cid))) return [cid]
  const manifest = await store.get(cid)
  return manifest === null ? [cid] : [cid, ...decodeManifest(manifest).chunks]
}

/** Names of blobs that stay, by how many want them to. */
export class Kept {
  readonly #counts = new Map<string, number>()

  get size (): number { return this.#counts.size }

  has (cid: string): boolean { return this.#counts.has(cid) }

  /** @returns ends it, once */
  keep (cids: Iterable<string>): () => void {
    const names = [...cids]
    for (const cid of names) this.#counts.set(cid, (this.#counts.get(cid) ?? 0) + 1)
    return () => {
      for (const cid of names.splice(0)) {
        const left = this.#counts.get(cid)! - 1
        if (left === 0) this.#counts.delete(cid)
        else this.#counts.set(cid, left)
      }
    }
  }
}

/** Blobs that a store keeps for good, with all their parts. */
export interface Pins { set (cid: string, pinned: boolean): Promise<void> }

export function createPins (store: Pick<BlobStore, 'get' | 'keep'>): Pins {
  const releases = new Map<string, () => void>()
  return {
    async set (cid, pinned) {
      const parts = pinned ? await partsOf(store, cid) : []
      releases.get(cid)?.()
      if (pinned) releases.set(cid, store.keep(parts))
      else releases.delete(cid)
    }
  }
}
