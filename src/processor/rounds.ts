/**
 * Answers in rounds. A peer that has many jobs waiting here gains nothing by each answer a moment sooner, and
 * one signature, one write to disk and one to the socket for several of them cost both ends little more than
 * for one. Whoever waits for all of its answers gets each at once.
 */
import { LIMITS } from '../packet/limits.ts'
import type { Platform } from './rooms.ts'

/** What one peer has here: jobs not yet done, when the latest were, and the round that leaves next. */
interface Traffic { jobs: number, readonly done: number[], round: Promise<void> | null }

export class Rounds {
  readonly #platform: Pick<Platform, 'now' | 'sleep'>
  readonly #stopping: AbortSignal
  readonly #peers = new Map<string, Traffic>()

  constructor (platform: Pick<Platform, 'now' | 'sleep'>, stopping: AbortSignal) {
    this.#platform = platform
    this.#stopping = stopping
  }

  /** Do a job of a peer; what comes of it is handed out with the peer's next round. @throws what `work` throws, at once */
  async run<T> (peer: string, work: () => Promise<T>): Promise<T> {
    const traffic = this.#peers.get(peer) ?? { jobs: 0, done: [], round: null }
    this.#peers.set(peer, traffic)
    traffic.jobs++
    try {
      const found = await work()
      if (this.#isBusy(traffic)) await (traffic.round ??= this.#wait(traffic))
      return found
    } finally {
      if (--traffic.jobs === 0) this.#peers.delete(peer)
    }
  }

  /** Whether what else is here lasts for two rounds: one is what was done in this one, and no executor rests before the peer has sent more. */
  #isBusy ({ jobs, done }: Traffic): boolean {
    const { roundMs, roundSamples } = LIMITS.market
    done.push(this.#platform.now())
    if (done.length > roundSamples) done.shift()
    const ms = done.at(-1)! - done[0]!
    return done.length === roundSamples && (jobs - 1) * ms >= 2 * roundMs * (roundSamples - 1)
  }

  async #wait (traffic: Traffic): Promise<void> {
    // Nobody waits for a node that stops.
    await this.#platform.sleep(LIMITS.market.roundMs, this.#stopping).catch(() => {})
    traffic.round = null
  }
}
