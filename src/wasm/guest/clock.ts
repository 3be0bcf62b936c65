/**
 * Virtual time. A guest's clock shows what its work has cost, never what time it is: 1 ns per unit of
 * fuel, plus whatever it asked to sleep. Two runs of one spec read the same times.
 */
import { CLOCK } from './wasi-abi.ts'

/** Where every realtime clock starts: 2025-01-01T00:00:00Z in ns since 1970. Part of the profile. */
export const EPOCH_NANOSECONDS = 1_735_689_600_000_000_000n
export const CLOCK_RESOLUTION_NANOSECONDS = 1n

const U64_MAX = 2n ** 64n - 1n

function saturate (time: bigint): bigint {
  return time > U64_MAX ? U64_MAX : time
}

export class VirtualClock {
  readonly #fuelUsed: () => bigint
  #slept = 0n

  constructor (fuelUsed: () => bigint) {
    this.#fuelUsed = fuelUsed
  }

  /** Whether a clock of this number exists. */
  knows (id: number): boolean {
    return id <= CLOCK.threadCputime
  }

  /** Whether a guest can wait on this clock: CPU time does not pass while it sleeps. */
  canWait (id: number): boolean {
    return id === CLOCK.realtime || id === CLOCK.monotonic
  }

  /** Nanoseconds, u64, never running backwards; at the end of time it stands still. */
  now (id: number): bigint {
    const fuel = this.#fuelUsed()
    if (id === CLOCK.realtime) return saturate(EPOCH_NANOSECONDS + fuel + this.#slept)
    return saturate(id === CLOCK.monotonic ? fuel + this.#slept : fuel)
  }

  /** Let `nanoseconds` pass. */
  sleep (nanoseconds: bigint): void {
    this.#slept = saturate(this.#slept + nanoseconds)
  }
}
