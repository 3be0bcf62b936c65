/**
 * The pool: what all strangers together can cost this node.
 *
 * Its level is what strangers owe, each for itself: a receipt raises it, work of theirs for this node
 * lowers it, and time lowers it at the refill rate, never below zero. A cheque moves nothing here: it
 * proves a debt and is worth only what its payer will work for. Whoever asks for work is refused when
 * level + everything running + the new order's most would pass the size. So over any time T all
 * strangers together, however many names they take, get at most size + rate · T of this node's work:
 * lowering by time is the only way a debt leaves the level without work in return, and stopping at
 * zero only ever keeps the level too high.
 *
 * A debt that time took off the level still stands on its own line, which stays closed by it.
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

  /** µcr that strangers may still cost. @param running most that what runs now can cost */
  free (running: bigint, now: number): bigint {
    this.#age(now)
    return this.size - this.#level - running
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
