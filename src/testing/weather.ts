/**
 * What happens to bytes on their way, as the streams of a node feel it: a lost segment comes again
 * after a timeout, and all behind it waits; one that is lost again and again takes its connection
 * along. A duplicate is what no transport of ours lets through: a session takes it as a violation,
 * ends, and the two peers have to reconcile.
 */
import { createHash } from 'node:crypto'
import type { Carry } from '../network/memory.ts'
import type { Chance } from './chance.ts'
import type { Weather } from './options.ts'

export const FAIR: Weather = { latencyMs: [5, 40], loss: 0, duplicate: 0 }

/** As Linux: the shortest retransmission timeout, doubled each time; and how often before the connection is given up. */
const RESEND_MS = 200
const RESENDS_MAX = 6

/** All that went over the mesh. */
export class Trace {
  readonly #hash = createHash('sha256')
  /** Writes to streams, one for all frames of a tick; and their bytes. */
  messages = 0
  bytes = 0

  add (now: number, from: string, to: string, bytes: Uint8Array): void {
    this.messages++
    this.bytes += bytes.length
    this.#hash.update(`${now} ${from} ${to} ${bytes.length}\n`).update(bytes)
  }

  /** sha2-256 of every write so far: when, from whom, to whom, and what. */
  digest (): string { return this.#hash.copy().digest('hex') }
}

/** @param weather asked anew each time */
export function createCarry (weather: () => Weather, chance: Chance, trace: Trace, now: () => number): Carry {
  return (from, to, bytes) => {
    if (bytes.length > 0) trace.add(now(), from, to, bytes)
    const { latencyMs: [min, max], loss, duplicate } = weather()
    let ms = min + chance.below(max - min + 1)
    for (let lost = 0; loss > 0 && chance.number() < loss; lost++) {
      if (lost === RESENDS_MAX) return null
      ms += RESEND_MS * 2 ** lost
    }
    return { ms, copies: duplicate > 0 && bytes.length > 0 && chance.number() < duplicate ? 2 : 1 }
  }
}
