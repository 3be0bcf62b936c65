/**
 * Where the time of one job goes: moments that buyer and seller pass, both on the machine's one
 * monotonic clock, job after job. What no moment stands for is told apart by what lies between two.
 */
import { hrtime } from 'node:process'
import type { ComputeOptions, JobState, Processor } from '../src/processor/processor.ts'
import type { Runtime } from '../src/wasm/runtime.ts'
import { medianOf } from './rate.ts'

/** Microseconds of the machine's clock, the same in every process. */
export function nowUs (): number { return Number(hrtime.bigint()) / 1_000 }

/** What a seller noted of one job. */
export interface SellerMoments { held: number, began: number, ended: number, settled: number }
/** What a buyer noted of one job. */
export interface BuyerMoments { asked: number, sent: number, answered: number, finished: number, paid: number }

/** Median microseconds between moments of one job after another. */
export type Stages = Record<typeof STAGES[number][0], number>

const STAGES = [
  ['describe, choose, order', (b: BuyerMoments, _: SellerMoments) => b.sent - b.asked],
  ['wire, admit, hold', (b: BuyerMoments, s: SellerMoments) => s.held - b.sent],
  ['gather', (_: BuyerMoments, s: SellerMoments) => s.began - s.held],
  ['executor', (_: BuyerMoments, s: SellerMoments) => s.ended - s.began],
  ['receipt', (_: BuyerMoments, s: SellerMoments) => s.settled - s.ended],
  ['wire back', (b: BuyerMoments, s: SellerMoments) => b.answered - s.settled],
  ['verify', (b: BuyerMoments, _: SellerMoments) => b.finished - b.answered],
  ['whole job', (b: BuyerMoments, _: SellerMoments) => b.finished - b.asked],
  ['then paid', (b: BuyerMoments, _: SellerMoments) => b.paid - b.finished]
] as const

export function stagesOf (buyer: readonly BuyerMoments[], seller: readonly SellerMoments[]): Stages {
  if (buyer.length === 0 || buyer.length !== seller.length) throw new Error(`${buyer.length} jobs were bought, ${seller.length} sold`)
  return Object.fromEntries(STAGES.map(([name, length]) => [name, Math.round(medianOf(buyer.map((moments, at) => length(moments, seller[at]!))))])) as Stages
}

/** What a seller that runs one job at a time notes of each. */
export class Notes {
  readonly #moments: SellerMoments[] = []

  /** The same runtime, noting when each run began and ended. */
  around (runtime: Runtime): Runtime {
    return {
      inspect: wasm => runtime.inspect(wasm),
      load: () => runtime.load(),
      stop: () => runtime.stop(),
      execute: async (run, options) => {
        const began = nowUs()
        const outcome = await runtime.execute(run, options)
        Object.assign(this.#moments.at(-1) ?? {}, { began, ended: nowUs() })
        return outcome
      }
    }
  }

  listenTo (node: Processor): void {
    node.on('job:state', ({ role, state }) => {
      if (role !== 'seller') return
      if (state === 'running') this.#moments.push({ held: nowUs(), began: 0, ended: 0, settled: 0 })
      else Object.assign(this.#moments.at(-1) ?? {}, { settled: nowUs() })
    })
  }

  /** All since it was last asked. */
  take (): SellerMoments[] { return this.#moments.splice(0) }
}

/** Buy one job and wait until it is paid. */
export async function noteJob (compute: (options: Pick<ComputeOptions, 'onProgress'>) => Promise<void>, settle: () => Promise<void>): Promise<BuyerMoments> {
  const moments = { asked: nowUs(), sent: 0, answered: 0, finished: 0, paid: 0 }
  const onProgress = ({ state }: JobState): void => {
    if (state === 'sending') moments.sent = nowUs()
    if (state === 'verifying') moments.answered = nowUs()
  }
  await compute({ onProgress })
  moments.finished = nowUs()
  await settle()
  moments.paid = nowUs()
  return moments
}
