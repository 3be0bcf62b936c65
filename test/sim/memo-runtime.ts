/**
 * One engine for a whole simulated mesh, that runs each spec once: a run is deterministic, so that its
 * outcome may be given again. What is simulated is the mesh; the engine is measured elsewhere.
 */
import { createHash } from 'node:crypto'
import { createEngine } from '../../src/wasm/engine.ts'
import { rangesOf, wholeOf } from '../../src/wasm/ranges.ts'
import type { Outcome, Run, Runtime } from '../../src/wasm/runtime.ts'

export function createMemoRuntime (): Runtime & { readonly runs: number } {
  const engine = createEngine()
  const outcomes = new Map<string, Promise<Outcome>>()
  return {
    ...engine,
    get runs () { return outcomes.size },
    execute (run, options) {
      const key = keyOf(run)
      // Without the signal of who came first: the others want the outcome whatever it does.
      const outcome = outcomes.get(key) ?? engine.execute(run, { payer: options.payer })
      outcomes.set(key, outcome)
      return outcome
    }
  }
}

/** All that decides an outcome; jobs of the simulation bring no files. */
function keyOf ({ moduleId, input, entry, args, env, outputs, limits, seed }: Run): string {
  const { fuelMax, memoryPagesMax, outputBytesMax } = limits
  return createHash('sha256').update(wholeOf(rangesOf(input))).update(seed).update(JSON.stringify([moduleId, entry, args, env, outputs, `${fuelMax}`, memoryPagesMax, outputBytesMax])).digest('hex')
}
