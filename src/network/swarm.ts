/**
 * One blob that has a manifest, fetched from whoever has it: several chunks of several holders at once,
 * each given to `keep` as it comes, which checks it. A holder that is lost, stalls or sends what is wrong
 * is left, and only the chunks it still owed are asked of others. It knows no disk and no DHT.
 */
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { type ChunkTap, type Given, ROOM_BYTES } from './chunks.ts'
import type { Timers } from './network.ts'

const { windowChunks, sourcesMax, referredMs, retryMs, searchMs, searchesMax } = LIMITS.blobs

export interface SwarmOptions {
  /** For messages. */
  cid: string
  /** Numbers of the chunks to fetch, in the order to ask for them. */
  chunks: readonly number[]
  timers: Timers
  signal: AbortSignal
  tap (peer: string, signal: AbortSignal): Promise<ChunkTap>
  /** Peers that may have the blob, the likeliest first; asked again while none is left. */
  holders (signal: AbortSignal): AsyncIterable<string>
  /** Connect to another holder that `by` has named. @returns its PeerId */
  meet (address: string, by: string, signal: AbortSignal): Promise<string>
  /** Check and keep a chunk, whose bytes are overwritten when this resolves. @throws {InosError} ERR_VERIFICATION for wrong bytes; any other ends the fetch */
  keep (chunk: number, bytes: Uint8Array, shared: boolean): Promise<void>
}

/** Others that are dialled for one fetch. */
const DIALLED_MAX = 64

/** A holder that is asked. */
interface Source {
  readonly peer: string
  /** Chunks it did not give, and when to ask it for them again. */
  readonly declined: Map<number, number>
  /** Nothing more is asked of it. */
  over: boolean
}

/**
 * Fetch all chunks.
 * @throws {InosError} ERR_GONE when nobody has what is missing, ERR_CANCELLED, and what `keep` throws; chunks that were kept stay kept
 */
export async function fetchChunks (options: SwarmOptions): Promise<void> {
  const swarm = new Swarm(options)
  await swarm.run()
}

class Swarm {
  readonly #options: SwarmOptions
  /** Numbers nobody is asked for now, in order. */
  readonly #missing: Set<number>
  /** Numbers that somebody is asked for, or that are being checked. */
  readonly #under = new Set<number>()
  readonly #sources = new Map<string, Source>()
  /** Peers that sent what is wrong, or refused for good. */
  readonly #banned = new Set<string>()
  readonly #dialled = new Set<string>()
  readonly #over = new AbortController()
  /** Holders that are being asked. */
  #open = 0
  /** Dials of those that holders have named. */
  #meeting = 0
  #failure: InosError | null = null
  #why: InosError | null = null
  #change = Promise.withResolvers<void>()

  constructor (options: SwarmOptions) {
    this.#options = options
    this.#missing = new Set(options.chunks)
  }

  async run (): Promise<void> {
    const { signal } = this.#options
    const cancel = (): void => { this.#fail(new InosError('ERR_CANCELLED', 'The fetch was cancelled.', { cause: signal.reason })) }
    if (signal.aborted) cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      await this.#search()
    } finally {
      signal.removeEventListener('abort', cancel)
      this.#over.abort()
      this.#changed()
    }
    if (this.#failure !== null) throw this.#failure
  }

  get #done (): boolean { return this.#failure !== null || this.#missing.size + this.#under.size === 0 }

  /** Look for holders, while there are too few, until all is here. */
  async #search (): Promise<void> {
    for (let vain = 0; !this.#done;) {
      const before = this.#missing.size + this.#under.size
      let met = 0
      try {
        for await (const peer of this.#options.holders(this.#over.signal)) {
          if (this.#done) return
          if (this.#join(peer)) met++
          while (this.#open >= sourcesMax && !this.#done) await this.#change.promise
        }
      } catch {
        // A search that breaks off has found what it has found.
      }
      while (this.#open > 0 && !this.#done) await this.#change.promise
      if (this.#done) return
      vain = met > 0 && this.#missing.size + this.#under.size < before ? 0 : vain + 1
      if (vain >= searchesMax) return this.#fail(this.#nobody())
      await this.#pause(searchMs)
    }
  }

  #nobody (): InosError {
    const { cid, chunks } = this.#options
    const here = chunks.length - this.#missing.size
    return new InosError('ERR_GONE', `Nobody gives what is missing of the blob ${cid}: ${this.#missing.size} of ${chunks.length} chunks.`, {
      hint: here > 0 ? 'What is here stays; the next fetch goes on from there.' : 'Check the CID, and that a node that has it is reachable.',
      ...(this.#why === null ? {} : { cause: this.#why })
    })
  }

  /** Begin to ask a peer. @returns whether that is new */
  #join (peer: string): boolean {
    if (this.#banned.has(peer) || this.#sources.has(peer) || this.#open >= sourcesMax) return false
    const source: Source = { peer, declined: new Map(), over: false }
    this.#sources.set(peer, source)
    this.#open++
    void this.#drain(source).finally(() => {
      source.over = true
      this.#sources.delete(peer)
      this.#open--
      this.#changed()
    })
    return true
  }

  async #drain (source: Source): Promise<void> {
    try {
      const tap = await this.#options.tap(source.peer, this.#over.signal)
      try {
        await Promise.all(Array.from({ length: windowChunks }, () => this.#lane(source, tap)))
      } finally {
        tap.close()
      }
    } catch (error) {
      this.#why = toInosError(error)
      if (this.#why.code === 'ERR_VERIFICATION' || this.#why.code === 'ERR_BAD_PACKET') this.#banned.add(source.peer)
    }
  }

  /** One of the chunks that are on their way from a holder at once; the next is asked for while one is being kept. */
  async #lane (source: Source, tap: ChunkTap): Promise<void> {
    const rooms = [new Uint8Array(ROOM_BYTES), new Uint8Array(ROOM_BYTES)]
    let keeping = Promise.resolve()
    for (let turn = 0; !this.#done && !source.over; turn++) {
      const next = this.#take(source)
      if (next === null) {
        await keeping
        await this.#pause(retryMs)
        continue
      }
      const { chunk, insist } = next
      try {
        const given = await tap.ask(chunk, insist, rooms[turn % 2]!)
        await keeping
        if (given.bytes === null) this.#decline(source, chunk, given)
        else keeping = this.#keep(source, chunk, given.bytes, given.shared)
        // It is waited for before the room is used again.
        keeping.catch(() => {})
      } catch (error) {
        source.over = true
        this.#giveBack(chunk)
        throw error
      }
    }
    await keeping
  }

  #take (source: Source): { chunk: number, insist: boolean } | null {
    let late: number | null = null
    const now = this.#options.timers.now()
    for (const chunk of this.#missing) {
      const at = source.declined.get(chunk)
      if (at === undefined) return this.#begin(chunk, false)
      // Nobody else may be left who could be asked.
      if (late === null && (now >= at || this.#open + this.#meeting === 1)) late = chunk
    }
    return late === null ? null : this.#begin(late, true)
  }

  #begin (chunk: number, insist: boolean): { chunk: number, insist: boolean } {
    this.#missing.delete(chunk)
    this.#under.add(chunk)
    return { chunk, insist }
  }

  async #keep (source: Source, chunk: number, bytes: Uint8Array, shared: boolean): Promise<void> {
    try {
      await this.#options.keep(chunk, bytes, shared)
    } catch (thrown) {
      const error = toInosError(thrown)
      if (error.code !== 'ERR_VERIFICATION') this.#fail(error)
      source.over = true
      this.#giveBack(chunk)
      throw error
    }
    this.#under.delete(chunk)
    if (this.#done) this.#changed()
  }

  #decline (source: Source, chunk: number, { here, others }: Given): void {
    const now = this.#options.timers.now()
    // The others get their time to be reached and to give it.
    source.declined.set(chunk, now + (others.length > 0 ? referredMs : retryMs))
    // One answer says it of all chunks, or each of them would be asked for in vain.
    if (here !== null) {
      for (const other of this.#missing) {
        if (((here[other >> 3] ?? 0) >> (other & 7) & 1) === 0) source.declined.set(other, now + retryMs)
        else source.declined.delete(other)
      }
    }
    this.#giveBack(chunk)
    for (const address of others) void this.#meet(address, source.peer)
  }

  /** Ask somebody whom a holder has named. */
  async #meet (address: string, by: string): Promise<void> {
    if (this.#dialled.has(address) || this.#dialled.size >= DIALLED_MAX) return
    this.#dialled.add(address)
    this.#meeting++
    try {
      const peer = await this.#options.meet(address, by, this.#over.signal)
      if (!this.#done) this.#join(peer)
    } catch {
      // The holder that named it gives the chunk itself when it is asked again.
    } finally {
      this.#meeting--
      this.#changed()
    }
  }

  #giveBack (chunk: number): void {
    this.#under.delete(chunk)
    this.#missing.add(chunk)
    this.#changed()
  }

  #fail (error: InosError): void {
    this.#failure ??= error
    this.#over.abort()
    this.#changed()
  }

  #changed (): void {
    this.#change.resolve()
    this.#change = Promise.withResolvers()
  }

  /** Wait for a change, but no longer than `ms`. */
  async #pause (ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#options.timers.after(ms, resolve)
    await Promise.race([promise, this.#change.promise])
    cancel()
  }
}
