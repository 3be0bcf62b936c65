/**
 * Strangers: what all peers of the open mesh together may cost this node, whatever their names. In a
 * private mesh there are none, and nothing here counts.
 */
import type { Line } from './line.ts'
import { Pool } from './pool.ts'
import type { Sheet } from './sheet.ts'
import { KEYS, type Op, put } from './store.ts'
import { netOf } from './terms.ts'

export class Strangers {
  readonly #sheet: Sheet
  readonly #isOpen: boolean
  readonly #pool: Pool

  /** @param isOpen whether these are books of the open mesh @param poolMax µcr @param poolPerHour µcr */
  constructor (sheet: Sheet, isOpen: boolean, poolMax: bigint, poolPerHour: bigint) {
    this.#sheet = sheet
    this.#isOpen = isOpen
    this.#pool = new Pool(poolMax, poolPerHour)
  }

  /** What the pool has left. */
  pool (now: number): { max: bigint, free: bigint } {
    const free = this.#pool.free(this.#sheet.sums.running, now)
    return { max: this.#pool.size, free: free > 0n ? free : 0n }
  }

  /** The pool follows what this peer owes in all: work for it raises the level, work by it lowers it. */
  track (line: Line, now: number, change: () => void): Op[] {
    const before = debtTo(line)
    change()
    const after = debtTo(line)
    if (after === before || !this.#isOpen) return []
    if (after > before) this.#pool.raise(after - before, now)
    else this.#pool.lower(before - after, now)
    return [this.#row()]
  }

  /** Work for a stranger that was thrown away. */
  burn (amount: bigint, now: number): Op[] {
    if (amount <= 0n || !this.#isOpen) return []
    this.#pool.raise(amount, now)
    return [this.#row()]
  }

  restore (bytes: Uint8Array): void { this.#pool.restore(bytes) }

  #row (): Op { return put(KEYS.pool, this.#pool.encode()) }
}

function debtTo (line: Line): bigint {
  const net = netOf(line)
  return net > 0n ? net : 0n
}
