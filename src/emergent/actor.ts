/**
 * Actors: a module that keeps a state, and messages that are handled one after the other. A thin layer over `compute`, of
 * which each message is a call with a step: the state after it is kept here before its receipt is accepted, and its log is
 * on disk before its reply is given. So a host can be lost at any time, and a message is counted once.
 */
import { fromHex, toHex } from 'multiformats/bytes'
import { messageSeed } from '../packet/actor.ts'
import { encodeCanonical } from '../packet/cbor.ts'
import { InosError } from '../packet/errors.ts'
import { applyDelta } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { LIMITS } from '../packet/limits.ts'
import { outcomeError } from '../packet/outcome.ts'
import type { BlobRef, ComputeOptions, Module, Processor, Result, Step } from '../processor/processor.ts'
import type { ActorLog, Digest, LogEntry, Standing } from './actor-log.ts'

/** So much of a message's hash stands in the key of its job. */
const KEY_HASH_BYTES = 16

/** Options of each call that an actor makes. */
export type ActorOptions = Pick<ComputeOptions, 'entry' | 'args' | 'env' | 'limits' | 'costMax' | 'where' | 'verify' | 'retries' | 'avoid'>

export interface CallOptions {
  /**
   * The caller's name for this message, 1 to 128 characters: one of the latest 1,024 that is sent again gets the reply it got before, and is
   * not counted twice. Without one only a message that was not acknowledged, and is the next to be sent again, is known again. @default none
   */
  id?: string
  signal?: AbortSignal
}

/** How an actor answered one message. */
export interface Reply {
  /** Which message of the actor it was, from 1 on. */
  readonly n: number
  readonly bytes: Uint8Array
  readonly exitCode: number | null
  /** CID of the state after it; null while there is none. */
  readonly state: string | null
  readonly fuel: bigint
  /** µcr. */
  readonly cost: bigint
  /** PeerId of who ran it. */
  readonly executor: string
  readonly receiptId: string
  /** It was handled before, and is given again. */
  readonly repeated: boolean
  text (): string
  json (): unknown
}

export interface ActorView {
  readonly name: string
  /** 32 hex digits. */
  readonly id: string
  /** CIDs as text. */
  readonly module: string
  readonly state: string | null
  /** Messages handled. */
  readonly n: number
  /** Of messages that wait or are under way. */
  readonly queued: number
  /** Where its messages run, if it takes them; null: wherever compute would. */
  readonly home: string | null
  readonly pages: number
  /** Bytes of pages that are not all zero. */
  readonly bytes: number
  readonly stopped: boolean
}

export interface SnapshotView { readonly n: number, readonly state: string, readonly bytes: number }

export interface ActorParts {
  readonly processor: Processor
  readonly log: ActorLog
  readonly digest: Digest
  readonly id: string
  readonly name: string
  /** What each message is computed with, and its CID as text. */
  readonly module: Module | BlobRef
  readonly moduleId: string
  readonly options: ActorOptions
  /** Where its rows lie. */
  readonly start: Standing
  /** It is stopped, or forgotten with all its rows. */
  stopped (forget: boolean): Promise<void>
}

export class Actor {
  readonly name: string
  readonly id: string
  readonly #parts: ActorParts
  #n: number
  #state: KeptState | null
  #home: string | undefined
  #queued = 0
  #stopped = false
  /** The end of the last turn. */
  #last: Promise<unknown> = Promise.resolve()

  constructor (parts: ActorParts) {
    this.#parts = parts
    this.name = parts.name
    this.id = parts.id
    this.#n = parts.start.n
    this.#state = parts.start.state
    this.#home = parts.start.home ?? undefined
  }

  /**
   * Send a message and wait for its reply. Messages are handled in the order of their calls, one at a time.
   * @param message what the module reads as its input @returns its output
   * @throws {InosError} as `compute`; a message whose guest trapped or met a limit is handled and leaves the state as it was. ERR_BUSY when too many wait
   */
  async call (message: Uint8Array | string = '', options: CallOptions = {}): Promise<Reply> {
    checkName(options.id)
    if (this.#queued >= LIMITS.actor.queueMax) throw new InosError('ERR_BUSY', `${LIMITS.actor.queueMax} messages wait for "${this.name}" already.`)
    const bytes = typeof message === 'string' ? new TextEncoder().encode(message) : message.slice()
    return await this.#turn(() => this.#handle(bytes, options))
  }

  /** Keep the state of now until it is released. @throws {InosError} ERR_USAGE before the first message */
  async snapshot (): Promise<SnapshotView> {
    return await this.#turn(async () => {
      if (this.#state === null) throw new InosError('ERR_USAGE', `"${this.name}" has no state yet; it has one after its first message.`)
      return { n: this.#n, state: this.#state.id, bytes: await this.#parts.log.snapshot(this.#n, this.#state) }
    })
  }

  /** Numbers of the messages after which states are kept. */
  async snapshots (): Promise<number[]> { return await this.#parts.log.snapshots() }

  async release (n: number): Promise<void> { await this.#parts.log.release(n) }

  /** The state after message n, for a call with a step of one's own. @throws {InosError} ERR_GONE when it is kept no more */
  async stateAt (n: number): Promise<KeptState | null> { return await this.#turn(() => this.#parts.log.stateAt(n)) }

  /**
   * From the next message on run there, as long as that node takes its messages; the state goes along with it.
   * @param peer PeerId of a connected peer, or of this node
   * @throws {InosError} ERR_NOT_REACHABLE, ERR_USAGE when the actor may not run there
   */
  async migrate (peer: string): Promise<void> {
    await this.#turn(async () => {
      const { processor, options: { where = 'any' } } = this.#parts
      const isOwn = peer === processor.id
      if (!isOwn && !processor.peers().some(({ id }) => id === peer)) throw new InosError('ERR_NOT_REACHABLE', `The peer ${peer.slice(0, 80)} is not connected.`)
      const isAllowed = where === 'any' || where === peer || (where === 'remote' ? !isOwn : where === 'local' && isOwn)
      if (!isAllowed) throw new InosError('ERR_USAGE', `"${this.name}" runs at "${where}" only.`)
      this.#home = peer
    })
  }

  /** Take no more messages, after those that wait. With `forget` its state, log and snapshots are deleted, and its name is free. */
  async stop ({ forget = false }: { forget?: boolean } = {}): Promise<void> {
    const before = this.#stopped
    const ended = this.#turn(() => this.#parts.stopped(forget))
    this.#stopped = true
    try {
      await ended
    } catch (error) {
      this.#stopped = before
      throw error
    }
  }

  /**
   * Its history as a file that `verifyChain` checks offline: canonical dag-cbor { actor, steps }, a step being spec and receipt bundle.
   * @throws {InosError} ERR_GONE when a receipt is not in the books any more
   */
  async chain (): Promise<Uint8Array> {
    const steps: Uint8Array[][] = []
    for await (const { n, entry: { spec, receipt } } of this.#parts.log.entries()) {
      const bundle = await this.#parts.processor.receipt(receipt)
      if (bundle === null) throw new InosError('ERR_GONE', `The receipt of message ${n} is not in the books of this node.`)
      steps.push([spec, bundle])
    }
    return encodeCanonical({ actor: fromHex(this.id), steps })
  }

  view (): ActorView {
    const pages = this.#state?.record.pages.length ?? 0
    const bytes = Array.from(this.#state?.pages.values() ?? []).reduce((sum, page) => sum + page.length, 0)
    return { name: this.name, id: this.id, module: this.#parts.moduleId, state: this.#state?.id ?? null, n: this.#n, queued: this.#queued, home: this.#home ?? null, pages, bytes, stopped: this.#stopped }
  }

  async #turn<T> (work: () => Promise<T>): Promise<T> {
    if (this.#stopped) throw new InosError('ERR_USAGE', `"${this.name}" is stopped.`, { hint: 'Spawn it again.' })
    this.#queued++
    const turn = this.#last.then(work).finally(() => { this.#queued-- })
    this.#last = turn.catch(() => {})
    return await turn
  }

  async #handle (message: Uint8Array, { id, signal }: CallOptions): Promise<Reply> {
    signal?.throwIfAborted()
    const { processor, log, module, options } = this.#parts
    const known = id === undefined ? null : await log.named(id)
    if (known !== null) return replyOf(known.n, known.entry, known.entry.reply!, true)
    const n = this.#n + 1
    let delta: Uint8Array | null = null
    const step: Step = {
      before: this.#state,
      keep: async (after, change, result) => {
        await log.keepNext(after.id, change, result)
        delta = change
      },
      find: async state => {
        const kept = await log.next(state)
        if (kept === null) return null
        delta = kept.delta
        return { state: await applyDelta(this.#state, kept.delta, this.#parts.digest), result: kept.result }
      }
    }
    const result = await processor.run(module, message, {
      ...options, step, seed: messageSeed(fromHex(this.id), n), key: await this.#keyOf(n, message),
      ...(this.#home === undefined ? {} : { prefer: this.#home }), ...(signal === undefined ? {} : { signal })
    })
    const state = result.state ?? this.#state
    const entry = entryOf(result, state, id)
    await log.add(n, entry, result.state === undefined ? null : delta, state)
    this.#n = n
    this.#state = state
    this.#home = result.executor
    return replyOf(n, entry, result.bytes, false)
  }

  /** The same message sent again is the same job; another one in its place is another. */
  async #keyOf (n: number, message: Uint8Array): Promise<string> {
    const hash = await this.#parts.digest(message)
    return `actor/${this.id}/${n}/${toHex(hash.subarray(0, KEY_HASH_BYTES))}`
  }
}


function entryOf (result: Result, state: KeptState | null, id: string | undefined): LogEntry {
  const { spec, outcome, exitCode, fuel, cost, executor, receiptId, bytes } = result
  return { spec, receipt: receiptId, state: state?.id ?? null, outcome, exitCode, fuel, cost, executor, name: id ?? null, reply: id === undefined ? null : bytes }
}

/** @throws {InosError} for a message whose guest did not end well */
function replyOf (n: number, { outcome, exitCode, state, fuel, cost, executor, receipt }: LogEntry, bytes: Uint8Array, repeated: boolean): Reply {
  const failure = outcomeError({ outcome: outcome as Result['outcome'], fuel })
  if (failure !== null) throw failure
  const text = (): string => new TextDecoder().decode(bytes)
  return { n, bytes, exitCode, state, fuel, cost, executor, receiptId: receipt, repeated, text, json: () => JSON.parse(text()) }
}

function checkName (id: unknown): void {
  if (id === undefined || (typeof id === 'string' && id.length > 0 && id.length <= LIMITS.actor.messageCharsMax && id.isWellFormed())) return
  throw new InosError('ERR_USAGE', `The id of a message is text of 1 to ${LIMITS.actor.messageCharsMax} characters.`)
}
