/**
 * Convicts: peers against whom there is proof that they cheated. One proof is enough, of whatever
 * kind (`frauds.ts` says what is one): no orders, no work, no cheque, for good. What a convict is
 * owed stays in the books.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Room } from './terms.ts'

const HINT = '`inos credits frauds ls` shows it.'

export class Convicts {
  /** By peer the ids of the proofs. */
  readonly #proofs = new Map<string, Set<string>>()

  /** @returns whether the proof is to be kept: not when it is known, or as many as are kept */
  add (peer: string, id: string): boolean {
    const known = this.#proofs.get(peer) ?? new Set()
    if (known.has(id) || known.size >= LIMITS.credits.fraudsPerPeerMax) return false
    this.#proofs.set(peer, known.add(id))
    return true
  }

  has (peer: string): boolean { return this.#proofs.has(peer) }

  /** Proofs against a peer. */
  count (peer: string): number { return this.#proofs.get(peer)?.size ?? 0 }

  /** What is still given to or taken from a peer that cheated, whatever its line or account would cover; null for any other. */
  room (peer: string): Room | null {
    return this.has(peer) ? { free: 0n, says: `there is proof of fraud against ${peer}`, hint: HINT } : null
  }

  /** @throws {InosError} ERR_POLICY when there is proof against the peer */
  check (peer: string): void {
    if (this.has(peer)) throw new InosError('ERR_POLICY', `There is proof of fraud against ${peer}; it gets no orders, and none are taken from it.`, { hint: HINT })
  }
}
