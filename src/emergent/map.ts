/**
 * Threads, as INOS has them: one module over many inputs, as many at once as the mesh has room
 * for. A thin layer over `compute`, which chooses, pays and verifies; here is what many items need:
 * order and back-pressure, a budget over all, other nodes for what fails or lags behind.
 */
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { BlobRef, ComputeOptions, Module, Processor, Result } from '../processor/processor.ts'
import { Crew } from './crew.ts'
import type { Errand } from './item.ts'
import { Needs } from './needs.ts'
import { Pace } from './pace.ts'
import { createBudget } from './purse.ts'

export interface MapProgress {
  readonly done: number
  readonly failed: number
  readonly running: number
  /** How often an item was begun again, because it failed, took too long or needed more than its narrowed limits. */
  readonly repeats: number
  /** µcr charged, and most that running items may still cost. */
  readonly cost: bigint
  readonly held: bigint
  readonly fuel: bigint
}

export interface MapOptions extends Omit<ComputeOptions, 'onProgress' | 'purse' | 'once' | 'key'> {
  /** Items in flight, or done and not yet yielded. @default two to 32 for each slot of this node and its peers, more of short items; at least 4 */
  concurrency?: number
  /** Yield in the order of the inputs; else as they are done. @default true */
  ordered?: boolean
  /** `yield`: an item that failed comes like the others, with its error. @default 'throw' */
  onError?: 'throw' | 'yield'
  /** µcr that all items together may cost: what was charged and what is held never pass it. @default none */
  budget?: bigint
  /** Whether an item that takes far longer than the others is given to a second node; the first right answer counts, the other try is cancelled. @default true */
  hedge?: boolean
  /**
   * Whether limits of later items are narrowed to what earlier ones needed, so that less is held for each and more run at once: after three bought items
   * to between 4 and 8 times the fuel and output that any has used, never above `limits`. Limits are part of the spec, so receipts name the narrowed ones.
   * An item that needs more is run again with `limits`; what it burnt until then is charged, and has a receipt of its own. Never with `resume`, where
   * an item must be the same job each time. @default true
   */
  narrow?: boolean
  /**
   * A name for this map, 1 to `LIMITS.map.nameCharsMax` characters. A map that is begun again with its name, module, options and inputs in their order
   * gives what is done from what is kept, pays nothing twice and runs only the rest; `budget` and `onProgress` count only
   * what this one buys. Input `i` has the key `NAME/i`: a different input there fails with ERR_USAGE. @default none
   */
  resume?: string
  onProgress?: (progress: MapProgress) => void
}

export interface MapItem extends Result { readonly index: number, readonly error?: undefined }

/** An item that failed, with `onError: 'yield'`. */
export interface MapFailure { readonly index: number, readonly error: InosError }

/** Any source of inputs, of any length; read only as fast as items are taken. Streams of the web and of Node are among them. */
export type Inputs = Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string> | ReadableStream<Uint8Array | string>

/** `map` of one node. */
export interface MapMethod {
  (wasm: Uint8Array | Module | BlobRef, inputs: Inputs, options: MapOptions & { onError: 'yield' }): AsyncGenerator<MapItem | MapFailure, void>
  (wasm: Uint8Array | Module | BlobRef, inputs: Inputs, options?: MapOptions & { onError?: 'throw' }): AsyncGenerator<MapItem, void>
  (wasm: Uint8Array | Module | BlobRef, inputs: Inputs, options?: MapOptions): AsyncGenerator<MapItem | MapFailure, void>
}

/**
 * Run `wasm` once per input; named by its CID, it is fetched by whoever runs an item. Breaking out of the loop cancels what is still running.
 * @throws {InosError} the first item's failure, unless they are yielded; the others are cancelled then. ERR_BUDGET
 * where the next item could pass the budget, ERR_USAGE, ERR_CANCELLED
 */
export function map (node: Processor, wasm: Uint8Array | Module | BlobRef, inputs: Inputs, options: MapOptions & { onError: 'yield' }): AsyncGenerator<MapItem | MapFailure, void>
export function map (node: Processor, wasm: Uint8Array | Module | BlobRef, inputs: Inputs, options?: MapOptions & { onError?: 'throw' }): AsyncGenerator<MapItem, void>
export function map (node: Processor, wasm: Uint8Array | Module | BlobRef, inputs: Inputs, options?: MapOptions): AsyncGenerator<MapItem | MapFailure, void>
export async function * map (node: Processor, wasm: Uint8Array | Module | BlobRef, inputs: Inputs, options: MapOptions = {}): AsyncGenerator<MapItem | MapFailure, void> {
  const { concurrency, ordered = true, onError = 'throw', budget: most, hedge = true, narrow = true, limits, resume, onProgress, signal, ...compute } = options
  if (concurrency !== undefined && (!Number.isSafeInteger(concurrency) || concurrency < 1)) throw new InosError('ERR_USAGE', `${concurrency} items at once are none.`)
  if (resume !== undefined && (typeof resume !== 'string' || resume.length === 0 || resume.length > LIMITS.map.nameCharsMax)) {
    throw new InosError('ERR_USAGE', `The name of a map has 1 to ${LIMITS.map.nameCharsMax} characters.`)
  }
  const budget = createBudget(most)
  const module = wasm instanceof Uint8Array ? await node.load(wasm) : wasm
  const crew = new Crew({ ordered, yields: onError === 'yield', hedge, budget, onProgress })
  const pace = new Pace(() => node.clock.now())
  const needs = new Needs(limits, narrow && resume === undefined)
  const errand: Errand = { node, module, name: resume, options: { ...compute, purse: budget }, pace, needs, signal: crew.signal }
  const room = createRoom(node, pace)
  const source = iteratorOf(inputs)
  const cancelled = (): void => { crew.fail(new InosError('ERR_CANCELLED', 'The map was cancelled.', { cause: signal?.reason })) }
  if (signal?.aborted === true) cancelled()
  signal?.addEventListener('abort', cancelled, { once: true })
  let reading = false
  let ended = false
  /** Read on while there is room, whatever the consumer is doing meanwhile. */
  const fill = async (): Promise<void> => {
    reading = true
    try {
      while (!ended && crew.size < (concurrency ?? room()) && !crew.signal.aborted) {
        const { done, value } = await source.next()
        if (done === true) ended = true
        else if (!crew.signal.aborted) crew.start(errand, value)
      }
    } catch (error) {
      ended = true
      crew.fail(toInosError(error))
    }
    reading = false
    crew.wake()
  }

  void crew.watch(errand)
  try {
    for (;;) {
      const item = crew.take()
      if (!reading) void fill()
      if (item !== null) yield item
      else if (ended && crew.size === 0) return
      // Looked at again before the source gives its next input, which may well depend on what comes out here.
      else await crew.change()
    }
  } finally {
    signal?.removeEventListener('abort', cancelled)
    await crew.dismiss()
    // A source that is still being read ends when it gives its next input; nobody waits for that.
    if (reading) void Promise.resolve(source.return?.()).catch(() => {})
    else if (!ended) await source.return?.()
  }
}

/** `map` as a method of a node. */
export function mapOf (node: Processor): MapMethod {
  return ((wasm, inputs, options) => map(node, wasm, inputs, options)) as MapMethod
}

function iteratorOf (inputs: Inputs): AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string> {
  if (Symbol.asyncIterator in inputs) return inputs[Symbol.asyncIterator]()
  return Symbol.iterator in inputs ? inputs[Symbol.iterator]() : readerOf(inputs)
}

/** Not every browser's streams can be iterated. */
function readerOf (stream: ReadableStream<Uint8Array | string>): AsyncIterator<Uint8Array | string> {
  const reader = stream.getReader()
  return {
    next: async () => await reader.read() as IteratorResult<Uint8Array | string>,
    return: async () => {
      await reader.cancel()
      return { done: true, value: undefined }
    }
  }
}

/** How many items may be in flight: one at work and one waiting in each slot, and of short items as many as keep all busy until more have come. */
function createRoom (node: Processor, pace: Pace): () => number {
  const { aheadMs, perSlotMin, perSlotMax, lookMs } = LIMITS.map
  let slots = 0
  let lookedAt = Number.NEGATIVE_INFINITY
  return () => {
    // All peers are more to look at than an item is.
    const now = node.clock.now()
    if (now - lookedAt >= lookMs) {
      slots = node.peers().reduce((sum, peer) => sum + (peer.offer?.slots ?? 0), node.slots)
      lookedAt = now
    }
    const wanted = Math.ceil(aheadMs * pace.rate)
    return Math.min(Math.max(4, slots * perSlotMin, Math.min(wanted, slots * perSlotMax)), LIMITS.wire.windowPacketsMax)
  }
}
