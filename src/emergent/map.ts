/**
 * Threads, as INOS has them: one module over many inputs, as many at once as the mesh has room
 * for. A thin layer over `compute`, which retries lost items at other nodes by itself.
 */
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { ComputeOptions, Module, Processor, Result } from '../processor/processor.ts'

export interface MapProgress { readonly done: number, readonly failed: number, readonly running: number, readonly cost: bigint, readonly fuel: bigint }

export interface MapOptions extends Omit<ComputeOptions, 'onProgress'> {
  /** Items in flight, or done and not yet yielded. @default twice the slots of this node and its peers, at least 4 */
  concurrency?: number
  /** Yield in the order of the inputs; else as they are done. @default true */
  ordered?: boolean
  onProgress?: (progress: MapProgress) => void
}

export interface MapItem extends Result { readonly index: number }

/** Any source of inputs; read only as fast as items are taken. */
export type Inputs = Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>

/**
 * Run `wasm` once per input. Breaking out of the loop cancels what is still running.
 * @throws {InosError} the first item's failure; the others are cancelled then. ERR_USAGE, ERR_CANCELLED
 */
export async function * map (node: Processor, wasm: Uint8Array | Module, inputs: Inputs, options: MapOptions = {}): AsyncGenerator<MapItem> {
  const { concurrency = roomIn(node), ordered = true, onProgress, signal, ...compute } = options
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) throw new InosError('ERR_USAGE', `${concurrency} items at once are none.`)
  const module = wasm instanceof Uint8Array ? await node.load(wasm) : wasm
  const crew = new Crew(ordered, onProgress)
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
      while (!ended && crew.size < concurrency && !crew.signal.aborted) {
        const { done, value } = await source.next()
        if (done === true) ended = true
        else if (!crew.signal.aborted) crew.start(index => node.compute(module, value, { ...compute, signal: crew.signal }).then(result => ({ ...result, index })))
      }
    } catch (error) {
      ended = true
      crew.fail(toInosError(error))
    }
    reading = false
    crew.wake()
  }

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

/** Items at work, and those that are done but not taken. */
class Crew {
  readonly #ordered: boolean
  readonly #onProgress: ((progress: MapProgress) => void) | undefined
  readonly #cancel = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #done = new Map<number, MapItem>()
  readonly #total = { done: 0, failed: 0, cost: 0n, fuel: 0n }
  #fault: InosError | null = null
  #started = 0
  #taken = 0
  #wake = (): void => {}

  constructor (ordered: boolean, onProgress: ((progress: MapProgress) => void) | undefined) {
    this.#ordered = ordered
    this.#onProgress = onProgress
  }

  get signal (): AbortSignal { return this.#cancel.signal }
  get size (): number { return this.#running.size + this.#done.size }

  start (run: (index: number) => Promise<MapItem>): void {
    const index = this.#started++
    const work: Promise<void> = run(index).then(item => {
      this.#total.done++
      this.#total.cost += item.cost
      this.#total.fuel += item.fuel
      this.#done.set(index, item)
    }, error => {
      this.#total.failed++
      this.fail(toInosError(error))
    }).finally(() => {
      this.#running.delete(work)
      this.#report()
      this.wake()
    })
    this.#running.add(work)
    this.#report()
  }

  /** The next item, or null when there is none yet. @throws {InosError} what failed first */
  take (): MapItem | null {
    if (this.#fault !== null) throw this.#fault
    const index = this.#ordered ? this.#taken : this.#done.keys().next().value
    const item = index === undefined ? undefined : this.#done.get(index)
    if (item === undefined) return null
    this.#done.delete(item.index)
    this.#taken++
    return item
  }

  fail (error: InosError): void {
    this.#fault ??= error
    this.wake()
  }

  wake (): void { this.#wake() }

  /** Resolves when there is something new to look at. */
  change (): Promise<void> {
    return new Promise(resolve => { this.#wake = resolve })
  }

  /** Cancel what runs, and wait for its end. */
  async dismiss (): Promise<void> {
    this.#cancel.abort()
    await Promise.all(this.#running)
  }

  #report (): void {
    if (this.#cancel.signal.aborted) return
    try {
      this.#onProgress?.({ ...this.#total, running: this.#running.size })
    } catch {
      // A listener's fault must not fail the map.
    }
  }
}

function iteratorOf (inputs: Inputs): AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string> {
  return Symbol.asyncIterator in inputs ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]()
}

function roomIn (node: Processor): number {
  const slots = node.peers().reduce((sum, peer) => sum + (peer.offer?.slots ?? 0), node.slots)
  return Math.min(Math.max(4, slots * 2), LIMITS.wire.windowPacketsMax)
}
