/** What `bench/browser.ts` has a Web Worker do, where large modules may be compiled in one turn: one guest, with and without the profile. */
import type { Guest } from './engine-guests.ts'
import { compare, ready, round, roundsOf, warmUp } from './engine-run.ts'
import { medianOf } from './rate.ts'

export interface EngineOrder { readonly guest: Guest, readonly sampleMsMin: number, readonly pairs: number }

/** Metered over plain time of the clock on the wall: a page has no other. */
export interface EngineFigures { readonly ratio: number, readonly spread: readonly [min: number, max: number], readonly plainMs: number }

/** What is used of a worker's own scope. */
interface Scope {
  onmessage: ((event: { data: EngineOrder }) => void) | null
  postMessage (figures: EngineFigures | { readonly error: string }): void
}

const scope = globalThis as unknown as Scope

function time (run: () => unknown, rounds = 1): number {
  const before = performance.now()
  for (let i = 0; i < rounds; i++) run()
  return (performance.now() - before) / rounds
}

function measure ({ guest, sampleMsMin, pairs }: EngineOrder): EngineFigures {
  const [plain, metered] = [ready(guest, undefined), ready(guest, {})]
  warmUp(guest, plain, [metered])
  const { ratios, plainMs } = compare(plain, metered, time, roundsOf(plain.run, time, sampleMsMin), pairs)
  return { ratio: round(medianOf(ratios)), spread: [round(Math.min(...ratios)), round(Math.max(...ratios))], plainMs: round(plainMs) }
}

scope.onmessage = ({ data }) => {
  try {
    scope.postMessage(measure(data))
  } catch (error) {
    scope.postMessage({ error: String(error) })
  }
}
