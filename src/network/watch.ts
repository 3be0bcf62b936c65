/**
 * Time as a stream needs it: a deadline that moves with every packet, and a pace at which a peer
 * is read. Both run on the timers that were handed in.
 */
import type { Timers } from './network.ts'

/** One deadline that moves often, on a timer that is set seldom. */
export class Watch {
  readonly #timers: Timers
  readonly #late: () => void
  #deadline = Infinity
  #alarm = Infinity
  #cancel: () => void = () => {}

  constructor (timers: Timers, late: () => void) {
    this.#timers = timers
    this.#late = late
  }

  /** @param deadline on the clock of `timers`; Infinity: none */
  set (deadline: number): void {
    this.#deadline = deadline
    // An alarm that rings too early looks at the deadline again; only one too late must be moved.
    if (deadline >= this.#alarm) return
    this.#cancel()
    this.#arm()
  }

  stop (): void {
    this.#cancel()
    this.#alarm = Infinity
    this.#deadline = Infinity
  }

  #arm (): void {
    this.#alarm = this.#deadline
    this.#cancel = this.#timers.after(Math.max(0, this.#deadline - this.#timers.now()), () => {
      this.#alarm = Infinity
      if (this.#timers.now() >= this.#deadline) this.#late()
      else if (this.#deadline !== Infinity) this.#arm()
    })
  }
}

/** How fast one peer is read: a bucket of `perSecond` packets that refills evenly. */
export class Pace {
  readonly #perSecond: number
  readonly #timers: Timers
  #left: number
  #at: number

  constructor (perSecond: number, timers: Timers) {
    this.#perSecond = perSecond
    this.#timers = timers
    this.#left = perSecond
    this.#at = timers.now()
  }

  /** Count packets that came. @returns milliseconds to wait before reading on */
  take (packets: number): number {
    const now = this.#timers.now()
    this.#left = Math.min(this.#perSecond, this.#left + (now - this.#at) * this.#perSecond / 1000) - packets
    this.#at = now
    return this.#left >= 0 ? 0 : -this.#left * 1000 / this.#perSecond
  }
}
