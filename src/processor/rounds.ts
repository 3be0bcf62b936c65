/**
 * Answers in rounds. A peer that has many jobs waiting here gains nothing by each answer a moment sooner, and
 * one signature, one write to disk and one to the socket for several of them cost both ends little more than
 * for one. Whoever waits for all of its answers gets each at once.
 */
import { LIMITS } from '../packet/limits.ts'
import type { Platform } from './rooms.ts'

/** Answers that wait to leave together, and how few jobs may be left undone until they do. */
interface Round { readonly undoneMin: number, readonly end: AbortController, readonly over: Promise<void> }

/** What one peer has here: jobs, those of them that are not done, when the latest were, and the round that leaves next. */
interface Traffic { jobs: number, undone: number, readonly done: number[], round: Round | null }

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
    const traffic = this.#peers.get(peer) ?? { jobs: 0, undone: 0, done: [], round: null }
    this.#peers.set(peer, traffic)
    traffic.jobs++
    traffic.undone++
    try {
      const found = await work().finally(() => { this.#note(traffic) })
      await (traffic.round ??= this.#begin(traffic))?.over
      return found
    } finally {
      if (--traffic.jobs === 0) this.#peers.delete(peer)
    }
  }

  /** One more is done. Of what was here when the round began one half is done in it: no executor rests before the peer has sent more. */
  #note (traffic: Traffic): void {
    const { done, round } = traffic
    traffic.undone--
    done.push(this.#platform.now())
    if (done.length > LIMITS.market.roundSamples) done.shift()
    if (round !== null && traffic.undone <= round.undoneMin) round.end.abort()
  }

  /** @returns null where a round would be too short for several answers */
  #begin (traffic: Traffic): Round | null {
    const { undone, done } = traffic
    const { roundMsMin, roundMsMax, roundSamples } = LIMITS.market
    const ms = undone / 2 * (done.at(-1)! - done[0]!) / (roundSamples - 1)
    if (done.length < roundSamples || ms < roundMsMin) return null
    const end = new AbortController()
    // Nobody waits for a node that stops.
    const over = this.#platform.sleep(roundMsMax, AbortSignal.any([this.#stopping, end.signal])).catch(() => {}).then(() => { traffic.round = null })
    return { undoneMin: Math.floor(undone / 2), end, over }
  }
}
