/**
 * What an actor leaves on disk: each message it has handled, and the bytes its state is made of again after a restart.
 * Nothing here sends or runs anything.
 *
 *     actor!NAME                its id, module and options
 *     module!CID                the module, where an actor was spawned with its bytes
 *     log!ID!N                  message N: its spec, receipt, how it ended, the state after it, its reply if it has a name
 *     delta!ID!N                what message N changed of the state
 *     image!ID!N                the whole state after message N, the last two
 *     snapshot!ID!N             such an image that is kept until it is let go
 *     next!ID                   what the message under way changed and gave, before its receipt is accepted
 *     message!ID!TEXT           the number of a message by the name its caller gave it
 *
 * ID is 32 hex digits, N 14. The state after N is the latest image up to N and the deltas behind it.
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { applyDelta, encodeDelta } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { LIMITS } from '../packet/limits.ts'

type Op = { type: 'put', key: string, value: Uint8Array } | { type: 'del', key: string }

/** What is needed of a database; every abstract-level with `valueEncoding: 'view'` has it. */
export interface ActorStore {
  get (key: string): Promise<Uint8Array | undefined>
  /** All or nothing; with `sync` on disk before it resolves. */
  batch (ops: Op[], options: { sync: boolean }): Promise<void>
  /** Rows as of the call, in order of keys. */
  iterator (range: { gte: string, lt: string }): AsyncIterable<[string, Uint8Array]>
}

export type Digest = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>

/** A message as it was handled. */
export interface LogEntry {
  /** Canonical bytes of its spec. */
  readonly spec: Uint8Array
  /** CIDs as text. */
  readonly receipt: string
  /** The state after it; null while there is none. */
  readonly state: string | null
  readonly outcome: string
  readonly exitCode: number | null
  readonly fuel: bigint
  readonly cost: bigint
  readonly executor: string
  /** The name its caller gave it, and its reply; null where it has none. */
  readonly name: string | null
  readonly reply: Uint8Array | null
}

/** Where an actor stands: messages handled, the state after them, and who ran the last one. */
export interface Standing { readonly n: number, readonly state: KeptState | null, readonly home: string | null }

const N_DIGITS = 14
const digits = (n: number): string => n.toString(16).padStart(N_DIGITS, '0')
const numberOf = (key: string): number => Number.parseInt(key.slice(-N_DIGITS), 16)

export const ROWS = {
  actor: (name: string) => `actor!${name}`,
  module: (cid: string) => `module!${cid}`
} as const

/** All keys that begin with a text. */
export const below = (prefix: string): { gte: string, lt: string } => ({ gte: prefix, lt: `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}` })

export class ActorLog {
  readonly #store: ActorStore
  readonly #digest: Digest
  readonly #id: string
  /** Numbers of the latest messages with a name, oldest first. */
  readonly #named = new Map<string, number>()
  /** Messages and bytes of deltas since the last image. */
  #since = 0
  #sinceBytes = 0
  #images: number[] = []

  /** @param id 32 hex digits */
  constructor (store: ActorStore, digest: Digest, id: string) {
    this.#store = store
    this.#digest = digest
    this.#id = id
  }

  /** Where the actor stands. @throws {InosError} ERR_STORE when what lies there does not fit together */
  async open (): Promise<Standing> {
    const named: Array<readonly [number, string]> = []
    const prefix = this.#key('message', '')
    for await (const [key, value] of this.#store.iterator(below(prefix))) named.push([numberOf(new TextDecoder().decode(value)), key.slice(prefix.length)])
    for (const [n, name] of named.sort(([a], [b]) => a - b)) this.#named.set(name, n)
    let n = 0
    for await (const [key] of this.#store.iterator(below(this.#key('log', '')))) n = numberOf(key)
    for await (const [key] of this.#store.iterator(below(this.#key('image', '')))) this.#images.push(numberOf(key))
    const { state, since, sinceBytes } = await this.#load(n)
    const entry = n === 0 ? null : await this.entry(n)
    if ((entry?.state ?? null) !== (state?.id ?? null)) throw damaged(`its state after message ${n} is not the one its log names`)
    this.#since = since
    this.#sinceBytes = sinceBytes
    return { n, state, home: entry?.executor ?? null }
  }

  /** The state after message n; null before there was one. @throws {InosError} ERR_GONE when it was collected */
  async stateAt (n: number): Promise<KeptState | null> {
    const { state } = await this.#load(n)
    const id = n === 0 ? null : (await this.entry(n))?.state ?? null
    if (id !== (state?.id ?? null)) throw new InosError('ERR_GONE', `The state after message ${n} is kept no more.`, { hint: 'A snapshot keeps the state at its time.' })
    return state
  }

  /** What the rows up to message n make, and how many changes lie behind the whole state they begin with. */
  async #load (n: number): Promise<{ state: KeptState | null, since: number, sinceBytes: number }> {
    let base: readonly [number, Uint8Array] | null = null
    for (const kind of ['image', 'snapshot']) {
      for await (const [key, value] of this.#store.iterator({ gte: this.#key(kind, ''), lt: this.#key(kind, digits(n + 1)) })) {
        if (base === null || numberOf(key) > base[0]) base = [numberOf(key), value]
      }
    }
    let state = base === null ? null : await applyDelta(null, base[1], this.#digest)
    let [since, sinceBytes] = [0, 0]
    for await (const [, delta] of this.#store.iterator({ gte: this.#key('delta', digits((base?.[0] ?? 0) + 1)), lt: this.#key('delta', digits(n + 1)) })) {
      state = await applyDelta(state, delta, this.#digest)
      since++
      sinceBytes += delta.length
    }
    return { state, since, sinceBytes }
  }

  async entry (n: number): Promise<LogEntry | null> {
    const bytes = await this.#store.get(this.#key('log', digits(n)))
    return bytes === undefined ? null : decodeEntry(bytes)
  }

  /** The message that a caller gave this name. */
  async named (name: string): Promise<{ n: number, entry: LogEntry } | null> {
    const n = this.#named.get(name)
    const entry = n === undefined ? null : await this.entry(n)
    return entry === null ? null : { n: n!, entry }
  }

  async * entries (): AsyncGenerator<{ n: number, entry: LogEntry }, void> {
    for await (const [key, value] of this.#store.iterator(below(this.#key('log', '')))) yield { n: numberOf(key), entry: decodeEntry(value) }
  }

  /** Keep what the message under way changed and gave; the durable write of its log comes later, and brings this one to the disk with it. */
  async keepNext (state: string, delta: Uint8Array, result: Uint8Array): Promise<void> {
    await this.#store.batch([put(this.#key('next'), encodeCanonical({ state, delta, result }))], { sync: false })
  }

  /** What a message changed and gave that was under way, if it led to this state. */
  async next (state: string): Promise<{ readonly delta: Uint8Array, readonly result: Uint8Array } | null> {
    const bytes = await this.#store.get(this.#key('next'))
    const value = bytes === undefined ? null : decodeCanonical(bytes)
    if (!isMap(value) || value['state'] !== state || !isBytes(value['delta']) || !isBytes(value['result'])) return null
    return { delta: value['delta'], result: value['result'] }
  }

  /** Message n is handled: on disk when this resolves. @param delta null where it changed nothing */
  async add (n: number, entry: LogEntry, delta: Uint8Array | null, state: KeptState | null): Promise<void> {
    const { name } = entry
    const ops: Op[] = [put(this.#key('log', digits(n)), encodeCanonical(entry)), del(this.#key('next'))]
    if (delta !== null) ops.push(put(this.#key('delta', digits(n)), delta))
    if (name !== null) ops.push(put(this.#key('message', name), new TextEncoder().encode(digits(n))))
    const forgotten = name !== null && this.#named.size >= LIMITS.actor.messagesKnownMax ? this.#named.keys().next().value! : null
    if (forgotten !== null) ops.push(del(this.#key('message', forgotten)))
    await this.#store.batch(ops, { sync: true })
    if (forgotten !== null) this.#named.delete(forgotten)
    if (name !== null) this.#named.set(name, n)
    this.#since++
    this.#sinceBytes += delta?.length ?? 0
    // The message is handled, whatever becomes of this; what cannot be written now is tried again after the next.
    if (state !== null) await this.#image(n, state).catch(() => {})
  }

  /** Write the whole state now and then, and collect what nothing is made of any more. */
  async #image (n: number, state: KeptState): Promise<void> {
    const { imageEvery, imageBytesMin, imagesKept } = LIMITS.actor
    const bytes = Math.max(imageBytesMin, this.#images.length === 0 ? 0 : sizeOfPages(state))
    if (this.#since < imageEvery && this.#sinceBytes < bytes) return
    const images = [...this.#images, n]
    const kept = images.slice(-imagesKept)
    const gone = images.slice(0, -imagesKept)
    const ops: Op[] = [put(this.#key('image', digits(n)), encodeDelta(null, state)), ...gone.map(each => del(this.#key('image', digits(each))))]
    if (kept.length === imagesKept) {
      for await (const [key] of this.#store.iterator({ gte: this.#key('delta', ''), lt: this.#key('delta', digits(kept[0]! + 1)) })) ops.push(del(key))
    }
    await this.#store.batch(ops, { sync: false })
    this.#images = kept
    this.#since = 0
    this.#sinceBytes = 0
  }

  /** Keep the state after message n until `release`. @returns bytes written */
  async snapshot (n: number, state: KeptState): Promise<number> {
    const image = encodeDelta(null, state)
    await this.#store.batch([put(this.#key('snapshot', digits(n)), image)], { sync: true })
    return image.length
  }

  /** Numbers of the messages after which snapshots are kept. */
  async snapshots (): Promise<number[]> {
    const numbers: number[] = []
    for await (const [key] of this.#store.iterator(below(this.#key('snapshot', '')))) numbers.push(numberOf(key))
    return numbers
  }

  async release (n: number): Promise<void> { await this.#store.batch([del(this.#key('snapshot', digits(n)))], { sync: true }) }

  /** Rows of this actor, to be deleted with it. */
  async * rows (): AsyncGenerator<string, void> {
    yield this.#key('next')
    for (const kind of ['log', 'delta', 'image', 'snapshot', 'message']) {
      for await (const [key] of this.#store.iterator(below(this.#key(kind, '')))) yield key
    }
  }

  #key (kind: string, rest?: string): string { return rest === undefined ? `${kind}!${this.#id}` : `${kind}!${this.#id}!${rest}` }
}

const put = (key: string, value: Uint8Array): Op => ({ type: 'put', key, value })
const del = (key: string): Op => ({ type: 'del', key })

function sizeOfPages ({ pages }: KeptState): number { return Array.from(pages.values()).reduce((sum, page) => sum + page.length, 0) }

function decodeEntry (bytes: Uint8Array): LogEntry {
  const value = decodeCanonical(bytes)
  if (!isMap(value) || !isBytes(value['spec'])) throw damaged('a row of its log cannot be read')
  return { ...value as unknown as LogEntry, fuel: BigInt(value['fuel'] as number), cost: BigInt(value['cost'] as number) }
}

function damaged (why: string): InosError {
  return new InosError('ERR_STORE', `The rows of an actor are damaged: ${why}.`)
}
