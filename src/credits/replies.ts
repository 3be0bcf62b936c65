/**
 * Answers this node gave, kept for a payer that asks again: a repeat gets the stored bytes, never a
 * second run. In memory only whose they are and until when; the bytes lie in the store.
 *
 * An answer goes when it is paid and its order has expired, or when there are too many, the oldest
 * first. Its order stays known by its receipt, so that the answer to a repeat is then "gone".
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { del, KEYS, type Op, put } from './store.ts'

interface Kept {
  readonly peer: string
  /** Unix seconds: when it was made, when its order expires. */
  readonly at: number
  readonly expires: number
  readonly size: number
}

export class Replies {
  /** By order, oldest first. */
  readonly #kept = new Map<string, Kept>()
  readonly #countMax: number
  readonly #bytesMax: number
  #bytes = 0

  constructor (countMax: number = LIMITS.store.repliesMax, bytesMax: number = LIMITS.store.repliesBytesMax) {
    this.#countMax = countMax
    this.#bytesMax = bytesMax
  }

  /** PeerId of the payer an answer is kept for. */
  payer (order: string): string | undefined { return this.#kept.get(order)?.peer }

  /** @throws {InosError} ERR_INTERNAL when one answer is larger than a packet; nothing has changed */
  add (order: string, peer: string, expires: number, bytes: Uint8Array, now: number): Op[] {
    if (bytes.length > LIMITS.wire.frameBytesMax) throw new InosError('ERR_INTERNAL', `An answer of ${bytes.length} bytes fits no packet.`)
    const kept = { peer, at: now, expires, size: bytes.length }
    this.#keep(order, kept)
    return [put(KEYS.reply(order), bytes), put(KEYS.kept(order), encodeCanonical([peer, kept.at, expires, kept.size])), ...this.#shrink()]
  }

  /** Drop what is paid and past its order's expiry. */
  expire (now: number, isUnpaid: (order: string, peer: string) => boolean): Op[] {
    const over = this.#kept.entries().filter(([order, { peer, expires }]) => expires < now && !isUnpaid(order, peer))
    return over.toArray().flatMap(([order]) => this.#drop(order))
  }

  /** An answer that nobody may ask for any more. */
  forget (order: string): Op[] { return this.#kept.has(order) ? this.#drop(order) : [] }

  /** Rows of `kept`, in any order, as they were stored. @throws {InosError} ERR_STORE */
  restore (rows: readonly (readonly [order: string, value: Uint8Array])[]): void {
    const all = rows.map(([order, value]) => [order, readKept(value)] as const)
    all.sort(([, a], [, b]) => a.at - b.at)
    for (const [order, kept] of all) this.#keep(order, kept)
  }

  #keep (order: string, kept: Kept): void {
    this.#kept.set(order, kept)
    this.#bytes += kept.size
  }

  #shrink (): Op[] {
    const ops: Op[] = []
    while (this.#kept.size > this.#countMax || this.#bytes > this.#bytesMax) {
      const oldest = this.#kept.keys().next()
      if (oldest.done === true) break
      ops.push(...this.#drop(oldest.value))
    }
    return ops
  }

  #drop (order: string): Op[] {
    this.#bytes -= this.#kept.get(order)?.size ?? 0
    this.#kept.delete(order)
    return [del(KEYS.reply(order)), del(KEYS.kept(order))]
  }
}

function readKept (bytes: Uint8Array): Kept {
  const value = decodeCanonical(bytes)
  const [peer, at, expires, size] = Array.isArray(value) ? value : []
  if (typeof peer !== 'string' || !isUint(at) || !isUint(expires) || !isUint(size)) throw new InosError('ERR_STORE', 'A stored answer is damaged.')
  return { peer, at, expires, size }
}

function isUint (value: unknown): value is number { return Number.isSafeInteger(value) && (value as number) >= 0 }
