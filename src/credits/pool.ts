/**
 * A pool: a level that what it counts raises, and that time lowers at the refill rate, never below zero. Two of them
 * bound what strangers can cost this node, as buyers and as sellers; what raises and lowers each is in `strangers.ts`.
 *
 * Who would pass the size is refused: level + everything open + the new order's most. So over any time T everything
 * that was counted and not taken off again is at most size + rate · T; stopping at zero only ever keeps the level too
 * high. A debt that time took off the level still stands on its own line.
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { InosError } from '../packet/errors.ts'

const SECONDS_PER_HOUR = 3_600n

export class Pool {
  /** µcr */
  readonly size: bigint
  readonly #perHour: bigint
  #level = 0n
  /** Unix seconds at which `#level` was true. */
  #at = 0

  /** @param size µcr @param perHour µcr by which time lowers the level */
  constructor (size: bigint, perHour: bigint) {
    this.size = size
    this.#perHour = perHour
  }

  /** µcr that are left. @param open most that what is open now can add */
  free (open: bigint, now: number): bigint {
    this.#age(now)
    return this.size - this.#level - open
  }

  raise (amount: bigint, now: number): void {
    this.#age(now)
    this.#level += amount
  }

  lower (amount: bigint, now: number): void {
    this.#age(now)
    this.#level = amount < this.#level ? this.#level - amount : 0n
  }

  #age (now: number): void {
    const refill = BigInt(Math.max(0, now - this.#at)) * this.#perHour / SECONDS_PER_HOUR
    // Waiting for a whole µcr keeps slow rates exact; a clock set back moves nothing.
    if (refill === 0n && this.#level > 0n) return
    this.#level = refill < this.#level ? this.#level - refill : 0n
    this.#at = Math.max(now, this.#at)
  }

  encode (): Uint8Array { return encodeCanonical([this.#level, this.#at]) }

  /** @throws {InosError} ERR_STORE */
  restore (bytes: Uint8Array): void {
    const value = decodeCanonical(bytes)
    if (!Array.isArray(value) || value.length !== 2 || !Number.isSafeInteger(value[1])) {
      throw new InosError('ERR_STORE', 'The stored pool of strangers is damaged.')
    }
    this.#level = BigInt(value[0] as bigint)
    this.#at = value[1] as number
  }
}
