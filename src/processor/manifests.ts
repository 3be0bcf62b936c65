/** Manifests of blobs that are here, read once and remembered while they are used. */
import { LIMITS } from '../packet/limits.ts'
import { decodeManifest, type Manifest } from '../packet/manifest.ts'
import type { BlobStore } from './store.ts'

export interface Manifests {
  /** Null when it is not here. @throws {InosError} ERR_RECORD_INVALID when what is here is none */
  get (cid: string): Promise<Manifest | null>
}

export function createManifests (store: Pick<BlobStore, 'get'>): Manifests {
  const known = new Map<string, Manifest>()
  return {
    async get (cid) {
      const bytes = known.get(cid) ?? await store.get(cid)
      if (bytes === null) return null
      const manifest = bytes instanceof Uint8Array ? decodeManifest(bytes) : bytes
      known.delete(cid)
      known.set(cid, manifest)
      if (known.size > LIMITS.blobs.manifestsMax) known.delete(known.keys().next().value!)
      return manifest
    }
  }
}
