/**
 * The buying side of credits: a hold for every order, a debt for every receipt, a cheque over many
 * debts, written to disk before it is sent and never signed twice.
 */
import { equals } from 'multiformats/bytes'
import { CID } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { requireNet } from '../packet/mesh.ts'
import { type Ack, checkAck, checkCheque, checkOrder, type Cheque, type Offer, type Order } from '../packet/records.ts'
import { type Books, checkLane, requireField } from './books.ts'
import { type Bundle, readBundle } from './bundle.ts'
import { KEYS, put } from './store.ts'
import { decodeAnswer, encodeQuestion, type SyncAnswer } from './sync.ts'

export interface OrderRequest {
  /** PeerId of who is to run it. */
  readonly executor: string
  /** The price list this order accepts. */
  readonly offer: Sealed<Offer>
  readonly spec: CID
  /** Most it may cost, µcr; held until the order ends. */
  readonly costMax: bigint
  /** How long the order binds this node. */
  readonly seconds: number
}

/** A stored record that the peer lacks, to be sent as it is. */
export interface Resend { readonly kind: 'due' | 'cheque', readonly bytes: Uint8Array }

export interface SyncResult {
  /** Orders the peer never had; their holds are released. */
  readonly released: readonly CID[]
  /** Open orders that the peer has run (their receipts come as `due`), or is running. */
  readonly done: readonly CID[]
  readonly running: readonly CID[]
  /** What the peer lacks, in the order in which to send it; read from disk as it is asked for. */
  readonly resend: AsyncIterable<Resend>
}

const NONCE_BYTES = 16

export class Buyer {
  readonly #books: Books

  constructor (books: Books) {
    this.#books = books
  }

  async placeOrder ({ executor, offer, spec, costMax, seconds }: OrderRequest): Promise<Sealed<Order>> {
    const { net, ledger, journal, offers, signer, now, randomBytes } = this.#books
    const { key } = ledger.line(executor)
    if (ledger.fraudsOf(executor) > 0) throw new InosError('ERR_POLICY', `There is proof of fraud against ${executor}; it gets no orders.`, { hint: '`inos credits frauds ls` shows it.' })
    offers.check(offer)
    requireField(equals(offer.payload.executor, key), 'offer', 'executor', 'is not the peer that is to run the order')
    requireNet('offer', offer.payload.net, net)
    requireField(offer.payload.expires >= now(), 'offer', 'expires', 'is in the past')
    const payload = checkOrder({
      net, payer: signer.publicKey, executor: key, offer: offer.id, spec, costMax, level: 0, tick: 0n, expires: now() + seconds, nonce: randomBytes(NONCE_BYTES)
    })
    // Held before anything waits, so that nobody else spends the same credit.
    ledger.hold(executor, costMax)
    return await journal.commitSealed('order', payload, order => ledger.placeOrder(order, executor))
  }

  async refuseOrder (order: string): Promise<void> {
    const { ledger, journal } = this.#books
    const ops = ledger.releaseOrder(order)
    if (ops.length > 0) await journal.commit(ops)
  }

  loseOrder (order: string): void {
    const open = this.#books.ledger.openOrder(order)
    if (open !== undefined) open.lost = true
  }

  /** A verified receipt for an order of mine becomes owed. The caller has made sure that it is the first. */
  async owe (bundle: Bundle, peer: string): Promise<void> {
    const { ledger, journal } = this.#books
    await journal.commit(ledger.owe(bundle, peer, this.#books.now()))
  }

  async nextCheque (peer: string): Promise<Sealed<Cheque> | null> {
    const { ledger, journal, signer } = this.#books
    const draft = ledger.draftCheque(peer)
    if (draft === null) return null
    const cheque = seal('cheque', draft, signer)
    await journal.commit(ledger.pay(cheque, peer, this.#books.now()), true)
    return cheque
  }

  async takeAck (peer: string, bytes: Uint8Array): Promise<void> {
    const { net, ledger, journal, signer, verify } = this.#books
    const ack: Sealed<Ack> = openEnvelope(bytes, 'ack', checkAck)
    const line = ledger.line(peer)
    checkLane('ack', ack.payload, net, signer.publicKey, line.key)
    verifySealed(ack, line.key, verify)
    const { n, cheque } = ack.payload
    requireField(n >= 1 && n <= line.out.n, 'ack', 'n', 'names a cheque that was never written')
    const mark = line.unacked.find(mark => mark.n === n)
    if (mark === undefined) return
    requireField(mark.id.equals(cheque), 'ack', 'cheque', 'is not the cheque that was written')
    await journal.commit([...ledger.acknowledge(peer, n), put(KEYS.acked(peer), bytes)])
  }

  syncQuestions (peer: string): Uint8Array[] {
    const lost = this.#books.ledger.openOrders().filter(open => open.lost && open.peer === peer).map(({ order }) => order.id)
    const { ordersPerSyncMax } = LIMITS.credits
    const pages = Math.max(1, Math.ceil(lost.length / ordersPerSyncMax))
    return Array.from({ length: pages }, (_, page) => encodeQuestion(lost.slice(page * ordersPerSyncMax, (page + 1) * ordersPerSyncMax)))
  }

  async applySync (peer: string, body: Uint8Array): Promise<SyncResult> {
    const { ledger, journal } = this.#books
    const answer = decodeAnswer(body)
    await this.#checkLast(peer, answer)
    // An order that somebody still waits for may only be on its way, whatever the peer says of it.
    const mine = (order: CID): boolean => {
      const open = ledger.openOrder(order.toString())
      return open?.peer === peer && open.lost
    }
    const released = answer.unknown.filter(mine)
    const ops = released.flatMap(order => ledger.releaseOrder(order.toString()))
    if (ops.length > 0) await journal.commit(ops)
    ledger.line(peer).synced = this.#books.now()
    return { released, done: answer.done.filter(mine), running: answer.running.filter(mine), resend: this.#resend(peer, answer) }
  }

  /** The peer's idea of this lane must be a prefix of what was really written. */
  async #checkLast (peer: string, { n, last }: SyncAnswer): Promise<void> {
    const { out } = this.#books.ledger.line(peer)
    const refuse = (): never => {
      throw new InosError('ERR_RECORD_INVALID', `The peer ${peer} holds a cheque ${n} of this node that this node does not know.`, {
        hint: 'These books may be an old copy: bring back the newest ones before paying this peer.'
      })
    }
    if (n === 0) return
    if (n > out.n) refuse()
    const stored = n === out.n ? out.last : await this.#chequeId(peer, n)
    if (stored === null || !last?.equals(stored)) refuse()
  }

  async #chequeId (peer: string, n: number): Promise<CID | null> {
    const bytes = await this.#books.journal.read(KEYS.out(peer, n))
    return bytes === undefined ? null : openEnvelope(bytes, 'cheque', checkCheque).id
  }

  async * #resend (peer: string, { n, lacking }: SyncAnswer): AsyncIterable<Resend> {
    const { ledger, journal } = this.#books
    for (const order of lacking) {
      const bytes = await this.#boughtFrom(peer, order)
      if (bytes !== null) yield { kind: 'due', bytes }
    }
    const line = ledger.line(peer)
    // What it holds but has not acknowledged goes again too: the ack was lost.
    const acked = line.out.n - line.unacked.length
    for (let next = Math.min(n, acked) + 1; next <= line.out.n; next++) {
      const bytes = await journal.read(KEYS.out(peer, next))
      if (bytes !== undefined) yield { kind: 'cheque', bytes }
    }
    for (const order of line.due.orders()) {
      const bytes = line.due.has(CID.parse(order)) ? await journal.read(KEYS.receipt(order)) : undefined
      if (bytes !== undefined) yield { kind: 'due', bytes }
    }
  }

  /** The bundle of a job that this peer, and no other, sold to this node. */
  async #boughtFrom (peer: string, order: CID): Promise<Uint8Array | null> {
    const { ledger, journal } = this.#books
    const bytes = await journal.read(KEYS.receipt(order.toString()))
    return bytes !== undefined && equals(readBundle(bytes).receipt.payload.executor, ledger.line(peer).key) ? bytes : null
  }
}
