/**
 * The blobs of a node: put, read, pinned, announced and collected. How they come here from others is
 * `blob-fetch.ts`, who gets some of this node's `giving.ts`, where they lie the platform's store.
 */
import type { Network } from '../network/network.ts'
import { CID, isRaw, parseCid, rawCidOfDigest } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { chunkLength, nameBlob } from '../packet/manifest.ts'
import type { Blobs, BlobSource, BlobView, PutOptions } from './blob-views.ts'
import { type Bring, capabilityOf } from './blob-fetch.ts'
import { cutChunks } from './cut.ts'
import type { Giving } from './giving.ts'
import type { Manifests } from './manifests.ts'
import type { Platform } from './rooms.ts'
import { type BlobStore, NO_LABEL, partsOf } from './store.ts'

export interface BlobsOptions {
  readonly platform: Platform
  readonly store: BlobStore
  readonly manifests: Manifests
  readonly bring: Bring
  readonly news: News
  /** Null: a mesh of one. */
  readonly giving: Giving | null
}

export function createBlobs ({ platform, store, manifests, bring, news, giving }: BlobsOptions): Blobs {
  /** Store all chunks and keep them until the blob has a name. @returns its name */
  const put = async (source: BlobSource, { pin = true, share = true, signal, onProgress }: PutOptions): Promise<string> => {
    await using parts = new AsyncDisposableStack()
    const digests: Uint8Array[] = []
    let size = 0
    const keep = async (cid: string, bytes: Uint8Array): Promise<void> => {
      parts.defer(store.keep([cid]))
      await store.put(cid, bytes)
    }
    for await (const chunk of cutChunks(source)) {
      signal?.throwIfAborted()
      if (size + chunk.length > LIMITS.blobs.bytesMax) throw new InosError('ERR_INPUT_TOO_LARGE', `A blob has at most ${LIMITS.blobs.bytesMax} bytes.`)
      const digest = await platform.digest(chunk)
      await keep(rawCidOfDigest(digest).toString(), chunk)
      digests.push(digest)
      size += chunk.length
      onProgress?.({ bytes: size, total: source instanceof Uint8Array ? source.length : size })
    }
    const { cid, manifest } = nameBlob(size, digests)
    const name = cid.toString()
    if (manifest !== null) await keep(name, manifest)
    const before = store.label(name)
    await store.setLabel(name, { pinned: pin || before.pinned, shared: share || before.shared })
    if (share) news.add(name)
    return name
  }

  const view = async (cid: string): Promise<BlobView> => {
    const manifest = isRaw(CID.parse(cid)) ? null : await manifests.get(cid)
    const sizes = new Map(store.list())
    const here = manifest === null ? sizes.get(cid) ?? 0 : manifest.chunks.reduce((sum, chunk, at) => sum + (store.has(chunk) ? chunkLength(manifest, at) : 0), 0)
    return { cid, size: manifest?.size ?? here, here, ...store.label(cid) }
  }

  /** Forget what is said of a blob. */
  const unlabel = async (cid: string): Promise<void> => {
    news.remove(cid)
    await store.setLabel(cid, NO_LABEL)
  }

  return {
    put: (source, options = {}) => put(source, options),
    async * get (cid, options = {}) {
      using blob = await bring(cid, { ...options, inOrder: true })
      for (let at = 0; at < blob.chunks; at++) {
        options.signal?.throwIfAborted()
        yield await blob.read(at, options.signal)
      }
    },
    async ls () {
      const roots = [...store.list()].map(([cid]) => cid).filter(cid => !isRaw(CID.parse(cid)))
      const parts = new Set<string>()
      for (const cid of roots) for (const part of await partsOf(store, cid).catch(() => [])) if (part !== cid) parts.add(part)
      const small = [...store.list()].map(([cid]) => cid).filter(cid => isRaw(CID.parse(cid)) && (!parts.has(cid) || store.label(cid).pinned))
      const views: BlobView[] = []
      for (const cid of [...roots, ...small]) await view(cid).then(blob => views.push(blob), () => {})
      return views
    },
    usage: () => ({ bytes: store.bytes, bytesMax: store.bytesMax, givenBytes: giving?.bytes ?? 0 }),
    async pin (cid, options = {}) {
      using blob = await bring(cid, options)
      await store.setLabel(blob.cid, { ...store.label(blob.cid), pinned: true })
    },
    async unpin (name) {
      const cid = parseCid(name).toString()
      await store.setLabel(cid, { ...store.label(cid), pinned: false })
    },
    async rm (name) {
      const cid = parseCid(name).toString()
      if (!store.has(cid)) throw new InosError('ERR_GONE', `The blob ${cid} is not here.`)
      const parts = await partsOf(store, cid).catch(() => [cid])
      await unlabel(cid)
      for (const part of parts) if (!store.label(part).pinned) await store.remove(part)
    },
    async gc () {
      const before = store.bytes
      for (const [cid] of [...store.list()]) if (await store.remove(cid)) await unlabel(cid)
      return { bytes: before - store.bytes }
    }
  }
}

/** What this node tells the mesh of its blobs. */
export interface News {
  add (cid: string): void
  remove (cid: string): void
}

/** Announce what is shared and here, the latest of too many; from the beginning what was so before. */
export function createNews (network: Network | null, store: BlobStore, signal: AbortSignal): News {
  const told = new Set<string>()
  const remove = (cid: string): void => { if (told.delete(cid)) network?.withdraw(capabilityOf(cid)) }
  const add = (cid: string): void => {
    if (network === null || told.has(cid)) return
    told.add(cid)
    if (told.size > LIMITS.blobs.announcedMax) remove(told.values().next().value!)
    // Nobody to tell is no fault: it is said again when somebody comes.
    network.provide(capabilityOf(cid), signal).catch(() => {})
  }
  for (const [cid, { shared }] of store.labels()) if (shared && store.has(cid)) add(cid)
  return { add, remove }
}
