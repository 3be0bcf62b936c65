/**
 * What jobs used of this machine, and what follows: how fast a slot burns fuel, and when the next
 * job may start where the owner gives only a share of the CPU. Knows nothing of executors.
 */
import { LIMITS } from '../packet/limits.ts'

/** Node's timers hold 31 bits of milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1

export class Usage {
  readonly #cores: number
  readonly #now: () => number
  readonly #ran = { fuel: 0, ms: 0 }
  #share = 1
  /** Milliseconds of one core that may be used at once; below zero, what was used ahead of its time. */
  #credit: number = LIMITS.executor.shareBurstMs
  #at: number

  constructor (cores: number, now: () => number = () => performance.now()) {
    this.#cores = cores
    this.#now = now
    this.#at = now()
  }

  /** Part of all cores that jobs may have on average, above 0 and at most 1. */
  get share (): number { return this.#share }
  set share (share: number) {
    this.#refill()
    this.#share = share
  }

  /** Jobs that may run at once. */
  get slotsMax (): number { return Math.max(1, Math.ceil(this.#cores * this.#share)) }

  /** Fuel in a second of one slot; undefined until a run was long enough to tell. */
  get fuelPerSec (): number | undefined { return this.#ran.ms === 0 ? undefined : this.#ran.fuel / this.#ran.ms * 1_000 }

  /** A job has had a core for so long. @param fuel null when it also compiled, or ran nothing */
  worked (ms: number, fuel: bigint | null): void {
    this.#refill()
    this.#credit -= ms
    const { speedMsMin, speedMsMax } = LIMITS.executor
    if (fuel === null || ms < speedMsMin) return
    const ran = this.#ran
    ran.fuel += Number(fuel)
    ran.ms += ms
    if (ran.ms <= speedMsMax) return
    ran.fuel /= 2
    ran.ms /= 2
  }

  /** Milliseconds until the next job may start. A guest can't be slowed while it runs, so its rest comes after it. */
  restMs (): number {
    if (this.#share === 1) return 0
    this.#refill()
    return this.#credit > 0 ? 0 : Math.min(TIMER_MS_MAX, Math.ceil(-this.#credit / this.#rate) + 1)
  }

  get #rate (): number { return this.#share * this.#cores }

  #refill (): void {
    const now = this.#now()
    this.#credit = Math.min(LIMITS.executor.shareBurstMs, this.#credit + (now - this.#at) * this.#rate)
    this.#at = now
  }
}
