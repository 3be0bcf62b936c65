/**
 * How long a job may keep an executor. Wall time counts only while the job runs; at the end of the
 * lease the pool kills the executor, since a guest cannot be interrupted otherwise.
 */
import { LIMITS } from '../packet/limits.ts'

/** Node's timers hold 31 bits of milliseconds; who has fuel for more than 24 days gets 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** Compile estimate of a module nobody has looked at yet, in CPU milliseconds. */
export function estimateMs (moduleBytes: number): number {
  return moduleBytes / 1_000_000 * LIMITS.executor.estimateMsPerMB
}

export class Lease {
  readonly #expire: () => void
  readonly #fuelMs: number
  #cpuMs = 0
  #readMs = 0
  #usedMs = 0
  #since: number | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  readonly #later: (run: () => void) => void

  /**
   * @param fuelMax fuel the job may burn; 0n for one that runs nothing
   * @param later calls when all that has arrived by now was read
   */
  constructor (fuelMax: bigint, expire: () => void, later: (run: () => void) => void) {
    this.#later = later
    this.#fuelMs = Number(fuelMax) * LIMITS.executor.leaseNanosecondsPerFuel / 1e6
    this.#expire = expire
  }

  /** Whole length, in milliseconds. */
  get ms (): number {
    const { leaseMsBase, leaseEstimateFactor } = LIMITS.executor
    return Math.min(TIMER_MS_MAX, leaseMsBase + this.#cpuMs * leaseEstimateFactor + this.#fuelMs + this.#readMs)
  }

  /** Learn that compiling takes `cpuMs` of CPU; an estimate never shortens a lease. */
  expect (cpuMs: number): void {
    this.#cpuMs = Math.max(this.#cpuMs, Math.min(cpuMs, LIMITS.executor.estimateMsMax))
    if (this.#since !== undefined) this.resume()
  }

  /** Learn that so many bytes lie outside of memory and may be read, once. */
  read (bytes: number): void { this.#readMs = bytes / 1_000_000 * LIMITS.executor.leaseMsPerStoredMB }

  /** The job waits for something that is not its fault. */
  pause (): void {
    clearTimeout(this.#timer)
    if (this.#since !== undefined) this.#usedMs += performance.now() - this.#since
    this.#since = undefined
  }

  resume (): void {
    this.pause()
    this.#since = performance.now()
    this.#timer = setTimeout(() => { this.#runOut() }, this.ms - this.#usedMs)
  }

  /** If this platform was stopped for a while, the answer may wait to be read. */
  #runOut (): void {
    this.#later(() => {
      if (this.#since !== undefined) this.#expire()
    })
  }
}
