/**
 * Replicas: the latest cheque of each lane lies with up to two other peers too, so that who has
 * lost its books learns of it even from those it did not pay. Here are both sides: what of this
 * node's is still to be handed out, and what it keeps for others.
 *
 * One row per lane, replaced by the next cheque; so many per author, so many in all. A replica is
 * only a hint with a signature: what it means is decided in `reconcile.ts`.
 */
import { equals } from 'multiformats/bytes'
import { openEnvelope, verifySealed } from '../packet/envelope.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { sameNet } from '../packet/mesh.ts'
import { checkCheque } from '../packet/records.ts'
import type { Books } from './books.ts'
import { KEYS, type Op, put } from './store.ts'

/** A lane of this node and the number of its latest cheque. */
export interface Handed { readonly peer: string, readonly n: number }

export class Keeper {
  readonly #books: Omit<Books, 'keeper'>
  /** Own lanes that changed, each with the peers that keep its latest cheque. */
  readonly #changed = new Map<string, { n: number, readonly keepers: Set<string> }>()
  /** What is kept: author → payee → number. */
  readonly #kept: Map<string, Map<string, number>>

  /** @param kept what lies on disk */
  constructor (books: Omit<Books, 'keeper'>, kept: Map<string, Map<string, number>>) {
    this.#books = books
    this.#kept = kept
  }

  /** The payee has acknowledged a cheque. */
  changed (peer: string, n: number): void { this.#changed.set(peer, { n, keepers: new Set() }) }

  /** Lanes whose latest cheque this peer should keep. */
  lanesFor (keeper: string): Handed[] {
    return this.#changed.entries()
      .filter(([peer, { keepers }]) => peer !== keeper && !keepers.has(keeper))
      .take(LIMITS.credits.replicasPerPeerMax)
      .map(([peer, { n }]) => ({ peer, n })).toArray()
  }

  async bytesOf (lanes: readonly Handed[]): Promise<Uint8Array[]> {
    return await this.#read(lanes.map(({ peer, n }) => KEYS.out(peer, n)))
  }

  /** The peer has answered: it keeps these. */
  handed (keeper: string, lanes: readonly Handed[]): void {
    for (const { peer, n } of lanes) {
      const lane = this.#changed.get(peer)
      if (lane?.n !== n) continue
      lane.keepers.add(keeper)
      if (lane.keepers.size >= LIMITS.credits.keepersMax) this.#changed.delete(peer)
    }
  }

  /**
   * Keep cheques of an author; those of another mesh, older than what is kept, or for which there is no room, are left out.
   * @throws {InosError} ERR_RECORD_INVALID for one it did not sign; nothing has changed
   */
  keep (author: string, cheques: readonly Uint8Array[]): Op[] {
    const { ledger, net, verify } = this.#books
    const { key } = ledger.line(author)
    const opened = cheques.slice(0, LIMITS.credits.replicasPerPeerMax).map(bytes => {
      const cheque = openEnvelope(bytes, 'cheque', checkCheque)
      verifySealed(cheque, key, verify)
      return cheque
    })
    return opened.filter(({ payload }) => equals(payload.from, key) && sameNet(payload.net, net)).flatMap(({ payload: { to, n }, bytes }) => {
      const peer = peerIdOfKey(to)
      return this.#take(author, peer, n) ? [put(KEYS.replica(author, peer), bytes)] : []
    })
  }

  #take (author: string, peer: string, n: number): boolean {
    const lanes = this.#kept.get(author) ?? new Map<string, number>()
    const known = lanes.get(peer)
    if (known === undefined && (lanes.size >= LIMITS.credits.replicasPerPeerMax || this.#size() >= LIMITS.credits.replicasMax)) return false
    if (known !== undefined && known >= n) return false
    this.#kept.set(author, lanes.set(peer, n))
    return true
  }

  #size (): number { return this.#kept.values().reduce((sum, { size }) => sum + size, 0) }

  /** What is kept for an author. */
  async keptFor (author: string): Promise<Uint8Array[]> {
    return await this.#read(Array.from(this.#kept.get(author)?.keys() ?? [], peer => KEYS.replica(author, peer)))
  }

  /** As many as fit an answer. */
  async #read (keys: readonly string[]): Promise<Uint8Array[]> {
    const found: Uint8Array[] = []
    let room: number = LIMITS.credits.recordsPerSyncBytes
    for (const key of keys) {
      const bytes = await this.#books.journal.read(key)
      if (bytes === undefined || bytes.length > room) continue
      room -= bytes.length
      found.push(bytes)
    }
    return found
  }
}
