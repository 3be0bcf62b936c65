/**
 * What a map learns of its items and nodes while it runs: how long an item takes, which node to
 * leave alone for a while because it was lost or slow, and which for good because its answer was wrong.
 */
import type { Attempt } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

/** Codes of a wrong answer: asked again, it would be paid for guessing. */
const WRONG: ReadonlySet<string> = new Set(['ERR_VERIFICATION', 'ERR_RECEIPT_INVALID', 'ERR_RECORD_INVALID'])
/** Codes of a node that was there and is not, or whose executor broke. */
export const LOST: ReadonlySet<string> = new Set(['ERR_PEER_LOST', 'ERR_NOT_REACHABLE', 'ERR_EXECUTOR_LOST', 'ERR_DEADLINE'])

export class Pace {
  readonly #now: () => number
  /** Milliseconds of the latest items. */
  readonly #samples: number[] = []
  #median = Number.POSITIVE_INFINITY
  /** When the latest items were done, ms. */
  readonly #ends: number[] = []
  readonly #wrong = new Set<string>()
  readonly #resting = new Map<string, { until: number, ms: number }>()

  /** @param now milliseconds */
  constructor (now: () => number) {
    this.#now = now
  }

  /** An item was done by a node. */
  finished (peer: string, ms: number): void {
    this.#resting.delete(peer)
    this.#samples.push(ms)
    if (this.#samples.length > LIMITS.map.samplesMax) this.#samples.shift()
    this.#ends.push(this.#now())
    if (this.#ends.length > LIMITS.map.samplesMax) this.#ends.shift()
    if (this.#samples.length >= LIMITS.map.samplesMin) this.#median = this.#samples.toSorted((a, b) => a - b)[this.#samples.length >> 1]!
  }

  /** Whether any item was done. */
  get hasDone (): boolean { return this.#samples.length > 0 }

  /** Items done in a millisecond, of the latest; 0 while nobody knows. */
  get rate (): number {
    const ms = (this.#ends.at(-1) ?? 0) - (this.#ends[0] ?? 0)
    return this.#ends.length < LIMITS.map.samplesMin ? 0 : (this.#ends.length - 1) / Math.max(ms, 1)
  }

  /** How long an item may take before another node is asked as well, ms; infinite while nobody knows how long they take. */
  get patience (): number {
    const { hedgeFactor, hedgeMsMin } = LIMITS.map
    return Math.max(hedgeMsMin, hedgeFactor * this.#median)
  }

  /** Each time longer: the node was lost, or beaten by one that was asked later. */
  rest (peer: string): void {
    const { restMsMin, restMsMax } = LIMITS.map
    const before = this.#resting.get(peer)
    // All its items tell the same story at once; only one that is told after its rest is another.
    if (before !== undefined && before.until > this.#now()) return
    const ms = Math.min((before?.ms ?? restMsMin / 2) * 2, restMsMax)
    this.#resting.set(peer, { until: this.#now() + ms, ms })
  }

  learn (attempts: readonly Attempt[]): void {
    for (const { peer, code } of attempts) {
      if (WRONG.has(code)) this.#wrong.add(peer)
      else if (LOST.has(code)) this.rest(peer)
    }
  }

  /** @param all also those that only rest */
  avoided (all: boolean): string[] {
    const resting = this.#resting.entries().filter(([, { until }]) => all && until > this.#now())
    return [...this.#wrong, ...resting.map(([peer]) => peer)]
  }
}
