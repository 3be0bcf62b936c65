/**
 * The runtime of a node in a test: the engine in the calling thread. It counts fuel, pages and output as
 * every runtime does; what executor processes add, a memory cap, a lease and walls, is not here.
 */
import { InosError } from '../packet/errors.ts'
import type { Compute, ExecuteOptions, Runtime } from '../wasm/runtime.ts'
import type { NodeOptions } from './options.ts'

export interface TestRuntimeOptions {
  readonly engine: Runtime
  /** Guests that run at once; others wait. */
  readonly slots: number
  /** Speed of a slot. @default unknown */
  readonly fuelPerSec?: number | undefined
  /** Runs before each guest, which ends with what it throws: it stands for what an executor would take or break. */
  readonly before?: NodeOptions['before'] | undefined
  /** Runs after each guest: the time that its fuel takes. */
  readonly pass?: ((fuel: bigint, signal: AbortSignal | undefined) => Promise<void>) | undefined
}

export interface TestRuntime extends Runtime {
  /** Guests that were started. */
  readonly runs: number
}

export function createTestRuntime ({ engine, slots, fuelPerSec, before, pass }: TestRuntimeOptions): TestRuntime {
  const waiting = new Set<() => void>()
  const stopping = new AbortController()
  let busy = 0
  let runs = 0

  /** A place to run in, once one is free. @throws {InosError} ERR_CANCELLED */
  const place = async (signal: AbortSignal): Promise<void> => {
    if (busy < slots) {
      busy++
      return
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = (): void => {
        if (waiting.delete(enter)) reject(new InosError('ERR_CANCELLED', 'The work was cancelled.', { cause: signal.reason }))
      }
      waiting.add(enter)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** It goes on to whoever waits longest. */
  const leave = (): void => {
    const [next] = waiting
    if (next === undefined) busy--
    else if (waiting.delete(next)) next()
  }

  /** A guest that waits for a child leaves its place, and takes one again to go on; whoever waits longest is first. */
  const yielding = (compute: Compute): Pick<ExecuteOptions, 'compute' | 'onWait'> => {
    let waitsFor: number | undefined
    const over = new Set<number>()
    return {
      onWait: at => {
        if (over.has(at)) return
        waitsFor = at
        leave()
      },
      compute: async (child, at) => {
        try {
          return await compute(child, at)
        } finally {
          over.add(at)
          if (waitsFor === at) await place(stopping.signal)
        }
      }
    }
  }

  return {
    get runs () { return runs },
    async execute (run, options) {
      const { signal } = options
      await place(signal === undefined ? stopping.signal : AbortSignal.any([signal, stopping.signal]))
      try {
        await before?.(run, options)
        runs++
        const outcome = await engine.execute(run, options.compute === undefined ? options : { ...options, ...yielding(options.compute) })
        await pass?.(outcome.fuel, signal)
        return outcome
      } finally {
        leave()
      }
    },
    inspect: wasm => engine.inspect(wasm),
    load: () => ({ slots, busy, queued: waiting.size, ...(fuelPerSec === undefined ? {} : { fuelPerSec }) }),
    stop: async () => { stopping.abort() }
  }
}
