/**
 * The part of an audit that only the books of a private mesh have: grants, and what the issuer has
 * said of each lane, folded again from the signed records.
 */
import { equals } from 'multiformats/bytes'
import { formatCredits } from '../packet/amounts.ts'
import { decodeCanonical } from '../packet/cbor.ts'
import { openEnvelope, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { requireNet } from '../packet/mesh.ts'
import { checkClearing, type ChequeItem, type Clearing } from '../packet/records.ts'
import type { Books } from './books.ts'
import type { BadRecord } from './views.ts'

/** What the mesh adds to an audit's sums. */
export interface MeshSums { readonly grants: bigint, readonly fees: bigint, readonly due: bigint, readonly owed: bigint }

export class MeshFold {
  readonly #books: Books
  /** Grants that are on no cheque yet, by the CID of their certificate. */
  readonly #granted = new Map<string, { peer: string, amount: bigint }>()
  /** At the issuer, by member: what clearings moved in, what of it is on cheques, and what they moved out. */
  readonly #moved = new Map<string, { in: bigint, passed: bigint, out: bigint }>()
  #grants = 0n
  #fees = 0n
  #bouncedIn = 0n
  #bouncedOut = 0n

  constructor (books: Books) {
    this.#books = books
  }

  grant (key: string, bytes: Uint8Array): void {
    const [peer, amount] = decodeCanonical(bytes) as [string, bigint]
    this.#granted.set(key.slice('granted!'.length), { peer, amount: BigInt(amount) })
  }

  clearing (key: string, bytes: Uint8Array): void {
    const { net, hub, ledger, signer, verify } = this.#books
    const clearing = openEnvelope(bytes, 'clearing', checkClearing)
    const { from, to, cleared, fee } = clearing.payload
    requireNet('clearing', clearing.payload.net, net)
    verifySealed(clearing, ledger.rules!.issuer, verify)
    mustHold(key === `clearing!${peerIdOfKey(from)}!${peerIdOfKey(to)}`, 'It lies under another lane’s key.')
    if (hub !== null) {
      this.#fees += fee
      this.#of(peerIdOfKey(to)).in += cleared - fee
      this.#of(peerIdOfKey(from)).out += cleared
    } else this.#bounce(clearing.payload, equals(from, signer.publicKey))
  }

  #bounce ({ total, cleared, fee }: Clearing, isMine: boolean): void {
    if (isMine) this.#bouncedOut += total - cleared
    else {
      this.#bouncedIn += total - cleared
      this.#fees += fee
    }
  }

  /** A grant or clearing on a cheque. @returns what is wrong with it, or null */
  item ({ order, amount, kind }: ChequeItem, peer: string, isMine: boolean): string | null {
    if (!isMine) {
      const isMoney = this.#books.ledger.rules !== null && equals(this.#books.ledger.line(peer).key, this.#books.ledger.rules.issuer)
      if (kind === 'grant') this.#grants += amount
      return isMoney ? null : 'It gives what only the issuer of a mesh can give.'
    }
    if (kind === 'clearing') {
      this.#of(peer).passed += amount
      return null
    }
    this.#grants -= amount
    const grant = this.#granted.get(order.toString())
    this.#granted.delete(order.toString())
    return grant?.peer === peer && grant.amount === amount ? null : `It gives ${formatCredits(amount)} for ${order}, which was not granted.`
  }

  #of (peer: string): { in: bigint, passed: bigint, out: bigint } {
    const moved = this.#moved.get(peer) ?? { in: 0n, passed: 0n, out: 0n }
    this.#moved.set(peer, moved)
    return moved
  }

  /** @param bad gets a member that has more on cheques than was cleared for it, or an account below zero */
  sums (bad: BadRecord[]): MeshSums {
    let owed = this.#granted.values().reduce((sum, { amount }) => sum + amount, 0n)
    for (const [peer, moved] of this.#moved) {
      if (moved.in > moved.passed) owed += moved.in - moved.passed
      if (moved.in < moved.passed) bad.push({ key: `line!${peer}`, reason: 'Cheques pass more on than was cleared for this member.' })
      if (this.#books.hub !== null && this.#books.hub.account(peer) < 0n) bad.push({ key: `line!${peer}`, reason: 'More was cleared out of this account than it had.' })
    }
    return { grants: this.#grants, fees: this.#fees, due: this.#bouncedIn, owed: owed + this.#bouncedOut }
  }
}

function mustHold (holds: boolean, reason: string): void {
  if (!holds) throw new InosError('ERR_RECORD_INVALID', reason)
}
