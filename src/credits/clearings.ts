/**
 * Clearing with signatures and disk around the pure `hub.ts` and `ledger.ts`: the issuer's answers
 * to cheques it is shown, and what payee and payer do with them.
 *
 * Who has been answered once gets the stored bytes again, or a newer word that says no less.
 */
import { equals } from 'multiformats/bytes'
import type { CID } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { requireNet } from '../packet/mesh.ts'
import { checkCheque, checkClearing, type Cheque, type Clearing } from '../packet/records.ts'
import { type Books, checkLane, checkVia, requireField } from './books.ts'
import type { Hub } from './hub.ts'
import { KEYS, type Op } from './store.ts'
import type { Rules } from './terms.ts'

export class Clearings {
  readonly #books: Books

  constructor (books: Books) {
    this.#books = books
  }

  // At the issuer.

  #hub (): Hub {
    const { hub } = this.#books
    if (hub === null) throw new InosError('ERR_USAGE', 'This node is not the issuer of a mesh.')
    return hub
  }

  account (peer: string): bigint { return this.#hub().account(peer) }

  async grant (peer: string, id: CID, amount: bigint): Promise<void> {
    const ops = this.#hub().grant(peer, id, amount)
    if (ops.length > 0) await this.#books.journal.commit(ops, true)
    else await this.#books.journal.written()
  }

  async clear (peer: string, records: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const hub = this.#hub()
    const { journal, signer, ledger } = this.#books
    this.#requireSynced(peer)
    if (hub.lostFor(peer) > 0n) throw new InosError('ERR_BUSY', 'This issuer lacks clearings that it has signed for you.', { hint: 'Show it the clearings first.' })
    const { key, owed } = ledger.line(peer)
    if (owed.size + records.length > LIMITS.credits.unpaidPerPeerMax) throw new InosError('ERR_BUSY', 'The cheques of this issuer must be acknowledged before more is cleared.')
    const cheques = records.map(bytes => this.#openCheque(bytes, key))
    const ops: Op[] = []
    // No await from here to the commit, and each draft sees what the one before has changed.
    for (const cheque of cheques) {
      const draft = hub.draftClearing(cheque)
      if (draft !== null) ops.push(...hub.clear(seal('clearing', checkClearing(draft), signer)))
    }
    if (ops.length > 0) await journal.commit(ops, true)
    else await journal.written()
    return await Promise.all(cheques.map(async ({ payload: { from } }) => await this.#stored(from, key)))
  }

  /** Before it, these books may be an old copy that would pay or clear a second time. */
  #requireSynced (peer: string): void {
    if (!this.#books.ledger.recovery.isSynced(peer)) throw new InosError('ERR_BUSY', 'This issuer has yet to compare its books with yours.', { hint: 'Try again when both have synced.' })
  }

  /** A clearing of this issuer that its payee brings back. @returns the payee */
  async #recover (clearing: Sealed<Clearing>): Promise<string> {
    const hub = this.#hub()
    const peer = peerIdOfKey(clearing.payload.to)
    this.#requireSynced(peer)
    if (hub.lacks(clearing.payload)) await this.#books.journal.commit(hub.clear(clearing), true)
    return peer
  }

  async #stored (from: Uint8Array, to: Uint8Array): Promise<Uint8Array> {
    const bytes = await this.#books.journal.read(KEYS.clearing(peerIdOfKey(from), peerIdOfKey(to)))
    if (bytes === undefined) throw new InosError('ERR_STORE', 'A clearing that was written is gone.')
    return bytes
  }

  #openCheque (bytes: Uint8Array, to: Uint8Array): Sealed<Cheque> {
    const cheque = openEnvelope(bytes, 'cheque', checkCheque)
    checkLane('cheque', cheque.payload, this.#books.net, cheque.payload.from, to)
    checkVia(cheque.payload, this.#books.ledger.rules)
    requireField(cheque.payload.via !== null && !equals(cheque.payload.from, to), 'cheque', 'via', 'says that there is nothing to clear')
    verifySealed(cheque, cheque.payload.from, this.#books.verify)
    return cheque
  }

  // At a member.

  async claims (again: boolean): Promise<Uint8Array[]> {
    const { ledger, journal } = this.#books
    const cheques = await Promise.all(ledger.claims(again).map(({ peer, in: { n } }) => journal.read(KEYS.in(peer, n))))
    return cheques.filter(cheque => cheque !== undefined)
  }

  async takeClearing (bytes: Uint8Array): Promise<string> {
    const { ledger, journal, signer, verify, net } = this.#books
    const { issuer } = this.#rules()
    const clearing = openEnvelope(bytes, 'clearing', checkClearing)
    const { from, to, epoch, total } = clearing.payload
    const isMine = equals(from, signer.publicKey)
    requireNet('clearing', clearing.payload.net, net)
    requireField(ledger.isIssuer || isMine || equals(to, signer.publicKey), 'clearing', 'to', 'and "from" are other parties')
    requireField(epoch === 0, 'clearing', 'epoch', 'is not that of this lane')
    verifySealed(clearing, issuer, verify)
    if (ledger.isIssuer) return await this.#recover(clearing)
    const peer = peerIdOfKey(isMine ? to : from)
    requireField(!isMine || total <= ledger.line(peer).out.total, 'clearing', 'total', 'is more than this node has ever paid there')
    const ops = ledger.takeClearing(clearing, peer)
    if (ops !== null) await journal.commit(ops)
    return peer
  }

  /** The issuer's latest word on each lane to this node. */
  async known (): Promise<Uint8Array[]> {
    const { ledger } = this.#books
    const peers = ledger.lines().filter(({ clearedIn }) => clearedIn.total > 0n).map(({ peer }) => peer)
    const clearings = await Promise.all(peers.map(peer => this.latest(peer)))
    return clearings.filter(bytes => bytes !== null)
  }

  /** The issuer's latest word on a peer's cheques to this node. */
  async latest (peer: string): Promise<Uint8Array | null> {
    const { journal, signer } = this.#books
    return await journal.read(KEYS.clearing(peer, signer.id)) ?? null
  }

  #rules (): Rules {
    const { rules } = this.#books.ledger
    if (rules === null) throw new InosError('ERR_USAGE', 'This node belongs to no mesh.')
    return rules
  }
}

/** Records by packet, as many as fit each. */
export function pagesOf (records: readonly Uint8Array[]): Uint8Array[][] {
  const pages: Uint8Array[][] = []
  let bytes = 0
  for (const record of records) {
    const page = pages.at(-1)
    bytes += record.length
    if (page === undefined || page.length >= LIMITS.wire.recordsPerPacketMax || bytes > LIMITS.credits.claimBytesMax) {
      pages.push([record])
      bytes = record.length
    } else page.push(record)
  }
  return pages
}
