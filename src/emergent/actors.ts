/**
 * The actors of a node, by name: spawned once and found again after a restart. What one does is `actor.ts`, what it leaves
 * on disk `actor-log.ts`.
 */
import { ACTOR_ID_BYTES } from '../packet/actor.ts'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { parseCid } from '../packet/cid.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { toHex } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import type { BlobRef, Module, Processor } from '../processor/processor.ts'
import { Actor, type ActorOptions, type ActorView } from './actor.ts'
import { ActorLog, type ActorStore, below, type Digest, ROWS } from './actor-log.ts'

export interface SpawnOptions extends ActorOptions {
  /** 1 to 64 characters. An actor of this name that was there goes on, with its module and these options. */
  name: string
}

/** What a node says and does about actors. */
export interface ActorMethods {
  /**
   * An actor: a module that keeps its memory from message to message. Its entry `run`, or the one named, is called for each of them.
   * @param wasm its bytes, which are kept with the actor; named by its CID it is fetched by whoever runs a message, as long as somebody has it
   * @throws {InosError} ERR_USAGE for a name that belongs to an actor of another module; ERR_STORE
   */
  spawn (wasm: Uint8Array | Module | BlobRef, options: SpawnOptions): Promise<Actor>
  /** One that was spawned before, as it was. @throws {InosError} ERR_USAGE */
  actor (name: string): Promise<Actor>
  actors (): Promise<ActorView[]>
}

export interface ActorsParts {
  readonly processor: Processor
  /** Opened when the first actor is asked for. */
  store (): Promise<ActorStore>
  readonly digest: Digest
  randomBytes (length: number): Uint8Array
}

interface Row { readonly id: string, readonly module: string, readonly options: ActorOptions, readonly stopped: boolean }

export function actorsOf (parts: ActorsParts): ActorMethods {
  const registry = new Registry(parts)
  return {
    spawn: (wasm, options) => registry.alone(() => registry.spawn(wasm, options)),
    actor: name => registry.alone(() => registry.find(name)),
    actors: () => registry.alone(() => registry.list())
  }
}

class Registry {
  readonly #parts: ActorsParts
  /** Those that take messages. */
  readonly #live = new Map<string, Actor>()
  #last: Promise<unknown> = Promise.resolve()

  constructor (parts: ActorsParts) { this.#parts = parts }

  /** One change at a time: two calls must not make two actors of one name. */
  async alone<T> (work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return await turn
  }

  async spawn (wasm: Uint8Array | Module | BlobRef, { name, ...wanted }: SpawnOptions): Promise<Actor> {
    checkName(name)
    const { processor, randomBytes } = this.#parts
    const store = await this.#parts.store()
    const bytes = wasm instanceof Uint8Array ? wasm : 'cid' in wasm ? null : wasm.bytes
    const given = bytes === null ? null : await processor.load(bytes)
    const module = given?.id ?? parseCid((wasm as BlobRef).cid).toString()
    const row = await this.#row(store, name)
    if (row !== null && row.module !== module) throw new InosError('ERR_USAGE', `"${name}" is an actor of another module, ${row.module}.`, { hint: 'Take another name, or stop that one with `forget`.' })
    const live = this.#live.get(name)
    if (live !== undefined) return live
    if (row === null) await this.#makeRoom(store)
    const options = clean(wanted)
    const id = row?.id ?? toHex(randomBytes(ACTOR_ID_BYTES))
    const next: Row = { id, module, options, stopped: false }
    const isKept = await store.get(ROWS.module(module)) !== undefined
    await store.batch([
      ...(given === null || isKept ? [] : [{ type: 'put' as const, key: ROWS.module(module), value: given.bytes }]),
      { type: 'put', key: ROWS.actor(name), value: encodeCanonical(next) }
    ], { sync: true })
    return await this.#open(store, name, next, given ?? await this.#moduleOf(store, module))
  }

  async find (name: string): Promise<Actor> {
    const live = this.#live.get(name)
    if (live !== undefined) return live
    const store = await this.#parts.store()
    const row = await this.#row(store, name)
    if (row === null) throw new InosError('ERR_USAGE', `There is no actor "${name.slice(0, 80)}" here.`, { hint: 'Spawn it.' })
    if (row.stopped) throw new InosError('ERR_USAGE', `"${name}" is stopped.`, { hint: 'Spawn it again.' })
    return await this.#open(store, name, row, await this.#moduleOf(store, row.module))
  }

  async list (): Promise<ActorView[]> {
    const store = await this.#parts.store()
    const views: ActorView[] = []
    for await (const [key, value] of store.iterator(below(ROWS.actor('')))) {
      const name = key.slice(ROWS.actor('').length)
      const live = this.#live.get(name)
      views.push(live === undefined ? await this.#viewOf(store, name, decodeRow(value)) : live.view())
    }
    return views
  }

  async #viewOf (store: ActorStore, name: string, { id, module, stopped }: Row): Promise<ActorView> {
    const { n, state, home } = await new ActorLog(store, this.#parts.digest, id).open()
    const bytes = Array.from(state?.pages.values() ?? []).reduce((sum, page) => sum + page.length, 0)
    return { name, id, module, state: state?.id ?? null, n, queued: 0, home, pages: state?.record.pages.length ?? 0, bytes, stopped }
  }

  /** Its bytes where an actor was spawned with them; else whoever runs a message fetches them. */
  async #moduleOf (store: ActorStore, cid: string): Promise<Module | BlobRef> {
    const bytes = await store.get(ROWS.module(cid))
    return bytes === undefined ? { cid } : await this.#parts.processor.load(bytes)
  }

  async #row (store: ActorStore, name: string): Promise<Row | null> {
    const bytes = await store.get(ROWS.actor(name))
    return bytes === undefined ? null : decodeRow(bytes)
  }

  async #makeRoom (store: ActorStore): Promise<void> {
    let count = 0
    for await (const _row of store.iterator(below(ROWS.actor('')))) count++
    if (count >= LIMITS.actor.actorsMax) throw new InosError('ERR_USAGE', `There are ${count} actors here already.`, { hint: 'Stop one with `forget`.' })
  }

  async #open (store: ActorStore, name: string, row: Row, module: Module | BlobRef): Promise<Actor> {
    const { processor, digest } = this.#parts
    const log = new ActorLog(store, digest, row.id)
    const actor: Actor = new Actor({
      processor, log, digest, name, module, moduleId: row.module, id: row.id, options: row.options, start: await log.open(),
      stopped: forget => this.alone(async () => {
        if (forget) await this.#forget(store, name, row, log)
        else await store.batch([{ type: 'put', key: ROWS.actor(name), value: encodeCanonical({ ...row, stopped: true }) }], { sync: true })
        this.#live.delete(name)
      })
    })
    this.#live.set(name, actor)
    return actor
  }

  async #forget (store: ActorStore, name: string, row: Row, log: ActorLog): Promise<void> {
    const keys = [ROWS.actor(name), ...await Array.fromAsync(log.rows())]
    for await (const [key, value] of store.iterator(below(ROWS.actor('')))) {
      if (key !== ROWS.actor(name) && decodeRow(value).module === row.module) return await store.batch(keys.map(key => ({ type: 'del', key })), { sync: true })
    }
    await store.batch([...keys, ROWS.module(row.module)].map(key => ({ type: 'del', key })), { sync: true })
  }
}

/** What the store can hold. */
function clean (options: ActorOptions): ActorOptions {
  const present = (value: object): object => Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined))
  return present({ ...options, ...(options.limits === undefined ? {} : { limits: present(options.limits) }) }) as ActorOptions
}

/** Amounts come back as numbers where they fit one. */
function decodeRow (bytes: Uint8Array): Row {
  const value = decodeCanonical(bytes)
  if (!isMap(value) || typeof value['id'] !== 'string' || typeof value['module'] !== 'string' || !isMap(value['options']) || isBytes(value['id'])) throw new InosError('ERR_STORE', 'The row of an actor is damaged.')
  const { id, module, options, stopped } = value as unknown as Row
  const { costMax, limits, ...rest } = options
  const fuelMax = limits?.fuelMax
  return {
    id, module, stopped,
    options: {
      ...rest, ...(costMax === undefined ? {} : { costMax: BigInt(costMax) }),
      ...(limits === undefined ? {} : { limits: { ...limits, ...(fuelMax === undefined ? {} : { fuelMax: BigInt(fuelMax) }) } })
    }
  }
}

function checkName (name: unknown): void {
  const isName = typeof name === 'string' && name.length > 0 && name.length <= LIMITS.actor.nameCharsMax && name.isWellFormed() && !/\p{Cc}/u.test(name)
  if (!isName) throw new InosError('ERR_USAGE', `The name of an actor is text of 1 to ${LIMITS.actor.nameCharsMax} characters.`)
}
