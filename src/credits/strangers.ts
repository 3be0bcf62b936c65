/**
 * Strangers: what all peers of the open mesh together, however many names they take, can cost this
 * node. In a private mesh there are none, and nothing here counts.
 *
 * As buyers: what they owe, each for itself. A receipt of this node raises the level, their work for
 * it and time lower it.
 *
 * As sellers: what this node promises newcomers. An order sets its most aside, an accepted receipt
 * turns it into a level that only time lowers. A promise is kept by work for its holder, and a name
 * that costs nothing may have earned it by a wrong result. So neither keeping a promise nor setting it
 * off against what the holder owes makes room for another one: names that sell and spend in turn,
 * or buy and work off, get no more than names that only sell.
 *
 * A newcomer is who has sold this node less than `sellerEvidence` in all. That is the one evidence
 * there is. A cheque from the peer, or a debt it worked off, is none: a name gets either for nothing, by
 * a signature or by one wrong result, and a thousand names get a thousand. What a name has sold it sold
 * through this pool, so that only `size / sellerEvidence` names get out of a full one, each by using up its
 * part of it. Then what it may be promised is a line like anybody's, until it is caught.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Line } from './line.ts'
import { Pool } from './pool.ts'
import type { Sheet } from './sheet.ts'
import { KEYS, type Op, put } from './store.ts'
import { isNew, netOf, type Room, soldBy } from './terms.ts'

export interface StrangerLimits {
  /** µcr that strangers may owe, and µcr an hour by which time lowers that. */
  readonly poolMax: bigint
  readonly poolPerHour: bigint
  /** µcr that newcomers may be promised, and µcr an hour by which time lowers that. */
  readonly sellerPoolMax: bigint
  readonly sellerPoolPerHour: bigint
}

export interface PoolView { readonly max: bigint, readonly free: bigint }

export class Strangers {
  readonly #sheet: Sheet
  readonly #isOpen: boolean
  readonly #buyers: Pool
  readonly #sellers: Pool

  /** @param isOpen whether these are books of the open mesh */
  constructor (sheet: Sheet, isOpen: boolean, limits: StrangerLimits) {
    this.#sheet = sheet
    this.#isOpen = isOpen
    this.#buyers = new Pool(limits.poolMax, limits.poolPerHour)
    this.#sellers = new Pool(limits.sellerPoolMax, limits.sellerPoolPerHour)
  }

  /** What is left for buyers. */
  buyers (now: number): PoolView { return viewOf(this.#buyers, this.#sheet.sums.running, now) }

  /** What is left for newcomers that sell. */
  sellers (now: number): PoolView { return viewOf(this.#sellers, this.#sheet.sums.heldNew, now) }

  /** What newcomers may still be promised, where this peer is one; null where the pool does not matter. */
  roomOf (line: Line, now: number): Room | null {
    if (!this.#isOpen || !isNew(line)) return null
    const { free, max } = this.sellers(now)
    return {
      free,
      says: `${free} µcr are left of the ${max} that this node promises all new sellers together`,
      hint: 'Let open orders end, come back later, buy from nodes that have sold more here, or join with a larger `sellerPoolMax`.'
    }
  }

  /** The buyers' pool follows what this peer owes in all: work for it raises the level, work by it lowers it. */
  track (line: Line, now: number, change: () => void): Op[] {
    const before = debtTo(line)
    change()
    const after = debtTo(line)
    if (after === before || !this.#isOpen) return []
    if (after > before) this.#buyers.raise(after - before, now)
    else this.#buyers.lower(before - after, now)
    return [this.#buyersRow()]
  }

  /** A receipt of this peer is accepted; called before it is owed. */
  bought (line: Line, charge: bigint, now: number): Op[] {
    const amount = this.#newPart(line, charge)
    if (amount === 0n) return []
    this.#sellers.raise(amount, now)
    return [put(KEYS.promises, this.#sellers.encode())]
  }

  /**
   * Whether a receipt can be taken for an order that is not held any more. It binds this node, but not at once:
   * who refuses orders to free what they hold, and then presents receipts for all, waits for room.
   * @throws {InosError} ERR_BUSY; nothing has changed
   */
  mustTake (line: Line, charge: bigint, now: number): void {
    if (this.#newPart(line, charge) <= this.sellers(now).free) return
    throw new InosError('ERR_BUSY', `The order of this receipt is over, and for its ${charge} µcr there is no room now in what this node promises new sellers.`, { hint: 'Present it again later.' })
  }

  /** What of a charge a newcomer still sells as one. */
  #newPart (line: Line, charge: bigint): bigint {
    if (!this.#isOpen) return 0n
    const left = LIMITS.credits.sellerEvidence - soldBy(line)
    return left <= 0n ? 0n : charge < left ? charge : left
  }

  /** Work for a stranger that was thrown away. */
  burn (amount: bigint, now: number): Op[] {
    if (amount <= 0n || !this.#isOpen) return []
    this.#buyers.raise(amount, now)
    return [this.#buyersRow()]
  }

  restoreBuyers (bytes: Uint8Array): void { this.#buyers.restore(bytes) }
  restoreSellers (bytes: Uint8Array): void { this.#sellers.restore(bytes) }

  #buyersRow (): Op { return put(KEYS.pool, this.#buyers.encode()) }
}

function debtTo (line: Line): bigint {
  const net = netOf(line)
  return net > 0n ? net : 0n
}

function viewOf (pool: Pool, open: bigint, now: number): PoolView {
  const free = pool.free(open, now)
  return { max: pool.size, free: free > 0n ? free : 0n }
}
