/**
 * Having a blob here: what is in the store stays while it is held, what is missing comes from whoever
 * named it, who announced it, or a peer, once however many wait for it. What was fetched before a
 * holder or this node was lost is not fetched again.
 */
import { equals } from 'multiformats/bytes'
import type { Network, Timers } from '../network/network.ts'
import { isShared, scopeOfPeer } from '../network/places.ts'
import type { Sessions } from '../network/sessions.ts'
import { fetchChunks } from '../network/swarm.ts'
import { unlessAborted } from '../network/talk.ts'
import { CID, isRaw, parseCid } from '../packet/cid.ts'
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { chunkLength, decodeManifest, type Manifest } from '../packet/manifest.ts'
import type { BlobOptions, BlobProgress } from './blob-views.ts'
import type { Manifests } from './manifests.ts'
import type { Platform } from './rooms.ts'
import type { BlobStore } from './store.ts'

const { bytesMax: BYTES_MAX, chunkBytes, fetchesMax, findMsMax, sourcesMax } = LIMITS.blobs

/** A blob that is here, as long as it is held. */
export interface Held extends Disposable {
  readonly cid: string
  readonly size: number
  /** How many `read` knows; all but the last have `LIMITS.blobs.chunkBytes`, unless there is only one. */
  readonly chunks: number
  /** One chunk, checked; fetched again if the disk has lost it. @throws {InosError} as `bring` */
  read (chunk: number, signal?: AbortSignal): Promise<Uint8Array>
}

export interface BringOptions extends BlobOptions {
  /** Who named it, and is asked first. */
  from?: string | undefined
  /** Above it, it is not taken. @default LIMITS.blobs.bytesMax */
  bytesMax?: number
  /** From the first chunk on. @default from any, so that those who fetch at once have different ones to give */
  inOrder?: boolean
}

/**
 * Have a blob here.
 * @throws {InosError} ERR_GONE, ERR_VERIFICATION, ERR_INPUT_TOO_LARGE, ERR_STORE, ERR_CANCELLED, ERR_USAGE
 */
export type Bring = (cid: string, options?: BringOptions) => Promise<Held>

export interface FetchingOptions {
  readonly platform: Platform
  readonly store: BlobStore
  readonly manifests: Manifests
  readonly timers: Timers
  /** Null: a mesh of one. */
  readonly network: Network | null
  sessions (): Sessions
  readonly stopping: AbortSignal
  /** A blob that may be given to anybody has begun to come, or is complete. */
  onShared (cid: string, complete: boolean): Promise<void>
}

/** Under what the DHT lists who has a blob. */
export function capabilityOf (cid: string): string { return `blob/${cid}` }

/** One fetch for all who wait. */
interface Fetch {
  readonly done: Promise<void>
  readonly stop: AbortController
  readonly listeners: Set<(progress: BlobProgress) => void>
  latest: BlobProgress | null
  waiting: number
}

export function createFetching (options: FetchingOptions): Bring {
  const { store, manifests, stopping } = options
  const fetches = new Map<string, Fetch>()

  /** Wait for the one fetch of a blob, which ends when nobody does. */
  const join = async (cid: string, bring: BringOptions): Promise<void> => {
    const fetch = fetches.get(cid) ?? begin(cid, bring)
    const { onProgress, signal } = bring
    const listener = onProgress === undefined ? null : (progress: BlobProgress): void => { onProgress(progress) }
    if (listener !== null) {
      fetch.listeners.add(listener)
      if (fetch.latest !== null) listener(fetch.latest)
    }
    fetch.waiting++
    try {
      await unlessAborted(fetch.done, signal)
    } finally {
      if (listener !== null) fetch.listeners.delete(listener)
      if (--fetch.waiting === 0) fetch.stop.abort(new InosError('ERR_CANCELLED', 'Nobody waits for the blob any longer.'))
    }
  }

  const begin = (cid: string, bring: BringOptions): Fetch => {
    if (fetches.size >= fetchesMax) throw new InosError('ERR_BUSY', `${fetches.size} blobs are being fetched already.`)
    const stop = new AbortController()
    const listeners: Fetch['listeners'] = new Set()
    const tell = (progress: BlobProgress): void => {
      fetch.latest = progress
      for (const listener of listeners) listener(progress)
    }
    const done = fetchBlob(options, cid, bring, AbortSignal.any([stop.signal, stopping]), tell).finally(() => { fetches.delete(cid) })
    const fetch: Fetch = { done, stop, listeners, latest: null, waiting: 0 }
    fetches.set(cid, fetch)
    return fetch
  }

  const isHere = async (cid: string): Promise<boolean> => {
    if (isRaw(CID.parse(cid))) return store.has(cid)
    const manifest = store.has(cid) ? await manifests.get(cid) : null
    return manifest?.chunks.every(chunk => store.has(chunk)) ?? false
  }

  const hold = async (cid: string, bring: BringOptions): Promise<Held> => {
    const { bytesMax = BYTES_MAX } = bring
    const isWhole = isRaw(CID.parse(cid))
    const manifest = isWhole ? null : await manifests.get(cid)
    const names = manifest?.chunks ?? [cid]
    const release = store.keep(isWhole ? names : [cid, ...names])
    try {
      const read = async (chunk: number, signal = bring.signal): Promise<Uint8Array> => {
        for (let tries = 0; ; tries++) {
          const bytes = await store.get(names[chunk]!)
          if (bytes !== null) return bytes
          if (tries > 0) throw new InosError('ERR_STORE', `A part of the blob ${cid} cannot be kept on this disk.`)
          await join(cid, { ...bring, signal })
        }
      }
      const size = manifest?.size ?? (await read(0)).length
      if (size > bytesMax) throw new InosError('ERR_INPUT_TOO_LARGE', `The blob ${cid} has ${size} bytes; at most ${bytesMax} are taken.`)
      return { cid, size, chunks: names.length, read, [Symbol.dispose]: release }
    } catch (error) {
      release()
      throw error
    }
  }

  return async (name, bring = {}) => {
    const cid = parseCid(name).toString()
    bring.signal?.throwIfAborted()
    if (!await isHere(cid)) await join(cid, bring)
    return await hold(cid, bring)
  }
}

/** @throws {InosError} as `Bring` */
async function fetchBlob (options: FetchingOptions, cid: string, bring: BringOptions, signal: AbortSignal, tell: (progress: BlobProgress) => void): Promise<void> {
  const { store, manifests } = options
  if (isRaw(CID.parse(cid))) {
    await store.put(cid, await fetchWhole(options, cid, bring, signal, Math.min(bring.bytesMax ?? BYTES_MAX, LIMITS.wire.blobBytesMax), tell))
    return
  }
  if (!store.has(cid)) {
    const bytes = await fetchWhole(options, cid, bring, signal, chunkBytes, () => {})
    checkManifest(cid, bytes)
    await store.put(cid, bytes)
  }
  const manifest = await manifests.get(cid)
  if (manifest === null) throw new InosError('ERR_STORE', `The manifest of ${cid} cannot be kept on this disk.`)
  const { bytesMax = BYTES_MAX } = bring
  if (manifest.size > bytesMax) throw new InosError('ERR_INPUT_TOO_LARGE', `The blob ${cid} has ${manifest.size} bytes; at most ${bytesMax} are taken.`)
  await fetchMissing(options, cid, manifest, bring, signal, tell)
}

/** A name that fits bytes of another kind is one that nobody can use. */
function checkManifest (cid: string, bytes: Uint8Array): void {
  try {
    decodeManifest(bytes)
  } catch (cause) {
    throw new InosError('ERR_VERIFICATION', `${cid} names no blob.`, { cause })
  }
}

async function fetchMissing (options: FetchingOptions, cid: string, manifest: Manifest, bring: BringOptions, signal: AbortSignal, tell: (progress: BlobProgress) => void): Promise<void> {
  const { store, timers, platform } = options
  const missing = manifest.chunks.flatMap((name, at) => store.has(name) ? [] : [at])
  let bytes = manifest.size - missing.reduce((sum, at) => sum + chunkLength(manifest, at), 0)
  if (manifest.size > store.bytesMax) throw new InosError('ERR_STORE', `The blob ${cid} has ${manifest.size} bytes, and this node keeps ${store.bytesMax} of all blobs.`)
  const release = store.keep([cid, ...manifest.chunks])
  let isShared = false
  try {
    tell({ bytes, total: manifest.size })
    await fetchChunks({
      cid,
      chunks: bring.inOrder === true ? missing : rotate(missing, platform.randomBytes(4)),
      timers,
      signal,
      tap: (peer, until) => options.sessions().tap(peer, cid, until),
      holders: until => holdersOf(options, cid, bring.from, until),
      meet: (address, by, until) => meet(options, address, by, until),
      keep: async (chunk, part, shared) => {
        const digest = await platform.digest(part)
        if (!equals(digest, CID.parse(manifest.chunks[chunk]!).multihash.digest)) throw new InosError('ERR_VERIFICATION', `Chunk ${chunk} of the blob ${cid} is wrong.`)
        await store.put(manifest.chunks[chunk]!, part)
        bytes += part.length
        tell({ bytes, total: manifest.size })
        if (!shared || isShared) return
        isShared = true
        await options.onShared(cid, false)
      }
    })
    if (isShared) await options.onShared(cid, true)
  } finally {
    release()
  }
}

/** From a place of chance on, and round to it. */
function rotate (chunks: readonly number[], [a = 0, b = 0, c = 0]: Uint8Array): number[] {
  const from = Math.floor((a << 16 | b << 8 | c) / 2 ** 24 * chunks.length)
  return [...chunks.slice(from), ...chunks.slice(0, from)]
}

/** What comes as one: a small blob, a manifest. Checked by the one who receives it; asked of one holder after the other. */
async function fetchWhole (options: FetchingOptions, cid: string, { from }: BringOptions, signal: AbortSignal, bytesMax: number, tell: (progress: BlobProgress) => void): Promise<Uint8Array> {
  let why: InosError | undefined
  for await (const peer of holdersOf(options, cid, from, signal)) {
    try {
      return await options.sessions().fetch(peer, cid, { bytesMax, signal, onBytes: (bytes, total) => { tell({ bytes, total }) } })
    } catch (thrown) {
      const error = toInosError(thrown)
      if (error.code === 'ERR_INPUT_TOO_LARGE' || signal.aborted) throw error
      why = error
    }
  }
  signal.throwIfAborted()
  throw new InosError('ERR_GONE', `Nobody who can be reached has the blob ${cid}.`, {
    ...(why === undefined ? {} : { cause: why }), hint: 'Check the CID, and that a node that has it is reachable.'
  })
}

/** Who may have it, each once: who named it, who announced it, and those with whom a session is open. */
async function * holdersOf ({ network, sessions, timers, stopping }: FetchingOptions, cid: string, from: string | undefined, signal: AbortSignal): AsyncIterable<string> {
  if (network === null) return
  const seen = new Set([network.id])
  const isNew = (peer: string): boolean => !seen.has(peer) && seen.add(peer).size > 0
  if (from !== undefined && isNew(from)) yield from
  const late = new AbortController()
  const cancel = timers.after(findMsMax, () => { late.abort() })
  try {
    for await (const peer of network.find(capabilityOf(cid), AbortSignal.any([signal, stopping, late.signal]))) if (isNew(peer)) yield peer
  } finally {
    cancel()
  }
  for (const { id } of sessions().list().slice(0, sourcesMax)) if (isNew(id)) yield id
}

/** Connect to a peer that another has named, if its address can mean the same to both. */
async function meet ({ network, sessions }: FetchingOptions, address: string, by: string, signal: AbortSignal): Promise<string> {
  const scope = scopeOfPeer(network?.peers().find(({ id }) => id === by)?.addresses ?? [])
  if (!isShared(address, scope)) throw new InosError('ERR_POLICY', `${by} names an address that it may not.`)
  return await sessions().connect(address, signal)
}
