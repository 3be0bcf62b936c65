/**
 * Threads, as INOS has them: one module over many inputs, as many at once as the mesh has room
 * for. A thin layer over `compute`, which retries lost items at other nodes by itself.
 */
import { toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { ComputeOptions, Module, Processor, Result } from '../processor/processor.ts'

export interface MapProgress { readonly done: number, readonly failed: number, readonly running: number, readonly cost: bigint, readonly fuel: bigint }

export interface MapOptions extends Omit<ComputeOptions, 'onProgress'> {
  /** Items in flight. @default twice the slots of this node and its peers, at least 4 */
  concurrency?: number
  /** Yield in the order of the inputs; else as they are done. @default true */
  ordered?: boolean
  onProgress?: (progress: MapProgress) => void
}

export interface MapItem extends Result { readonly index: number }

/** Any source of inputs; read only as fast as items finish. */
export type Inputs = Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>

/**
 * Run `wasm` once per input. Breaking out of the loop cancels what is still running.
 * @throws {InosError} the first item's failure; the others are cancelled then
 */
export async function * map (node: Processor, wasm: Uint8Array | Module, inputs: Inputs, options: MapOptions = {}): AsyncGenerator<MapItem> {
  const { concurrency = roomIn(node), ordered = true, onProgress, signal, ...compute } = options
  const module = wasm instanceof Uint8Array ? await node.load(wasm) : wasm
  const cancel = new AbortController()
  const running = new Map<number, Promise<MapItem>>()
  const total = { done: 0, failed: 0, running: 0, cost: 0n, fuel: 0n }
  const report = (): void => onProgress?.({ ...total, running: running.size })

  const start = (index: number, input: Uint8Array | string): void => {
    const signals = signal === undefined ? [cancel.signal] : [signal, cancel.signal]
    const item = node.compute(module, input, { ...compute, signal: AbortSignal.any(signals) }).then(result => {
      total.done++
      total.cost += result.cost
      total.fuel += result.fuel
      return { ...result, index }
    }, error => {
      total.failed++
      throw toInosError(error)
    })
    // Seen when awaited below; until then a failure must not count as unhandled.
    item.catch(() => {})
    running.set(index, item)
  }
  const next = async (): Promise<MapItem> => {
    const item = await (ordered ? running.values().next().value! : Promise.race(running.values()))
    running.delete(item.index)
    report()
    return item
  }

  try {
    let index = 0
    for await (const input of inputs) {
      start(index++, input)
      report()
      if (running.size >= concurrency) yield await next()
    }
    while (running.size > 0) yield await next()
  } finally {
    cancel.abort()
    await Promise.allSettled(running.values())
  }
}

function roomIn (node: Processor): number {
  const slots = node.peers().reduce((sum, peer) => sum + (peer.offer?.slots ?? 0), 1)
  return Math.min(Math.max(4, slots * 2), LIMITS.wire.windowPacketsMax)
}
