/** This platform's clock and timers, as the network room wants them. */
import type { Timers } from '../network/network.ts'

export const timers: Timers = {
  now: () => performance.now(),
  after (ms, run) {
    const timer = setTimeout(run, ms)
    return () => { clearTimeout(timer) }
  }
}
