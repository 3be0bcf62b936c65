/** The blobs on their way from one peer: each once, so many at a time, the rest in a queue. */
import type { CID } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { BlobFetch, type FetchOptions } from './blobs.ts'
import type { Frames } from './frames.ts'
import type { WireLimits } from './framing.ts'
import type { Timers } from './network.ts'
import { converse } from './talk.ts'

export interface FetchesOptions {
  peer: string
  timers: Timers
  limits: WireLimits
  open (signal: AbortSignal): Promise<Frames>
  /** A fetch is over. */
  onIdle (): void
}

export class Fetches {
  readonly #options: FetchesOptions
  readonly #byCid = new Map<string, BlobFetch>()
  readonly #queue: BlobFetch[] = []
  #running = 0

  constructor (options: FetchesOptions) { this.#options = options }

  get idle (): boolean { return this.#byCid.size === 0 && this.#running === 0 }

  /** @see BlobFetch.wait for what it throws; ERR_BUSY when too many wait already */
  fetch (cid: CID, options: FetchOptions): Promise<Uint8Array> {
    const key = cid.toString()
    const known = this.#byCid.get(key)
    if (known !== undefined) return known.wait(options)
    if (this.#queue.length >= this.#options.limits.requestsQueuedMax) {
      throw new InosError('ERR_BUSY', `${this.#queue.length} fetches from ${this.#options.peer} wait already.`)
    }
    const fetch: BlobFetch = new BlobFetch(cid, () => {
      this.#byCid.delete(key)
      const at = this.#queue.indexOf(fetch)
      if (at >= 0) this.#queue.splice(at, 1)
      this.#options.onIdle()
    })
    this.#byCid.set(key, fetch)
    this.#queue.push(fetch)
    const blob = fetch.wait(options)
    this.#pump()
    return blob
  }

  /** None of them arrives. */
  fail (error: InosError): void {
    for (const fetch of [...this.#byCid.values()]) fetch.fail(error)
  }

  /** A peer serves only so many blobs at once; the rest wait here instead of being refused there. */
  #pump (): void {
    while (this.#running < this.#options.limits.blobsPerPeerMax) {
      const fetch = this.#queue.shift()
      if (fetch === undefined) return
      this.#running++
      void this.#run(fetch).finally(() => {
        this.#running--
        this.#options.onIdle()
        this.#pump()
      })
    }
  }

  async #run (fetch: BlobFetch): Promise<void> {
    const { peer, timers, limits, open } = this.#options
    const late = new AbortController()
    const cancel = timers.after(limits.dialMsMax, () => { late.abort() })
    try {
      const frames = await open(late.signal)
      fetch.start(frames)
      converse(frames, fetch)
      await frames.closed
    } catch (error) {
      fetch.fail(error instanceof InosError ? error : new InosError('ERR_NOT_REACHABLE', `${peer} could not be reached.`, { cause: error }))
    } finally {
      cancel()
    }
  }
}
