/**
 * The buying side of credits: a hold for every order, a debt for every receipt, a cheque over many
 * debts, written to disk before it is sent and never signed twice.
 */
import { equals } from 'multiformats/bytes'
import { CID } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed, verifySealed } from '../packet/envelope.ts'
import { LIMITS } from '../packet/limits.ts'
import { requireNet } from '../packet/mesh.ts'
import { type Ack, type Cancel, checkAck, checkCancel, checkOrder, type Cheque, type Offer, type Order } from '../packet/records.ts'
import { type Books, checkLane, requireField } from './books.ts'
import type { Bundle } from './bundle.ts'
import { del, KEYS, type Op, put } from './store.ts'
import { nonceOf } from './tree.ts'

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
  /** A caller's name for the job; kept with the order, which is on disk then before it leaves. @default none */
  readonly key?: string | undefined
  /** What an order with a key outlives from then on; the end of this process alone is a write without its sync. @default 'power cut' */
  readonly outlives?: 'process' | 'power cut' | undefined
  /** The order of the job whose child this one is: its nonce says so. @default none */
  readonly parent?: CID | undefined
}

const NOTHING = new Uint8Array(0)

export class Buyer {
  readonly #books: Books

  constructor (books: Books) {
    this.#books = books
  }

  async placeOrder ({ executor, offer, spec, costMax, seconds, key: name, outlives, parent }: OrderRequest): Promise<Sealed<Order>> {
    const { net, ledger, journal, keys, offers, signer, now, randomBytes } = this.#books
    const { key } = ledger.line(executor)
    if (name !== undefined) keys.orders(name, spec)
    offers.check(offer)
    requireField(equals(offer.payload.executor, key), 'offer', 'executor', 'is not the peer that is to run the order')
    requireNet('offer', offer.payload.net, net)
    requireField(offer.payload.expires >= now(), 'offer', 'expires', 'is in the past')
    const payload = checkOrder({
      net, payer: signer.publicKey, executor: key, offer: offer.id, spec, costMax, level: 0, tick: 0n, expires: now() + seconds, nonce: nonceOf(parent, randomBytes)
    })
    // Held before anything waits, so that nobody else spends the same credit.
    ledger.hold(executor, costMax, now())
    return await journal.commitSealed('order', payload, order => [
      ...ledger.placeOrder(order, executor), ...name === undefined ? [] : this.#name(name, order, executor, offer)
    ], name === undefined ? 'queued' : outlives === 'process' ? 'written' : 'durable')
  }

  #name (key: string, { id, payload: { spec } }: Sealed<Order>, peer: string, offer: Sealed<Offer>): Op[] {
    const { ledger, keys, now } = this.#books
    const order = id.toString()
    return [...keys.add(key, spec, { order, peer }, now(), other => ledger.openOrder(other) !== undefined), put(KEYS.offer(order), offer.bytes)]
  }

  /** The executor has said that it does not run an open order: it is given up, and hears of that where it shows a receipt after all. */
  async refuseOrder (order: string): Promise<void> {
    const { ledger, journal } = this.#books
    const open = ledger.openOrder(order)
    if (open !== undefined) await journal.commit(this.#end(order, open.peer))
  }

  /** Give an open order up: its hold ends, and what is shown for it from now on is not paid. Durable before it is said. */
  async giveUp (order: string): Promise<void> {
    const open = this.#books.ledger.openOrder(order)
    if (open !== undefined) await this.disown(order, open.peer)
  }

  /** The same for an order that may have been released without a word, or lost. The caller has made sure that it has no receipt. */
  async disown (order: string, peer: string): Promise<void> {
    const { journal, untold } = this.#books
    const orders = untold.get(peer) ?? new Set<string>()
    untold.set(peer, orders.add(order))
    const oldest = orders.size > LIMITS.credits.untoldMax ? [...orders.keys().take(1)] : []
    await journal.commit([...this.#end(order, peer), put(KEYS.untold(peer, order), NOTHING), ...this.#told(peer, oldest)], true)
  }

  /** The end of a hold, if there is one, with this node's word that the order is given up. */
  #end (order: string, peer: string): Op[] {
    const { net, ledger, keys, signer } = this.#books
    const cancel = seal<Cancel>('cancel', { net, payer: signer.publicKey, executor: ledger.line(peer).key, order: CID.parse(order) }, signer)
    return [...ledger.releaseOrder(order), ...keys.drop(order), put(KEYS.cancel(order), cancel.bytes)]
  }

  /** Cancels the peer has not heard of, as many as one packet carries. */
  async untold (peer: string): Promise<Uint8Array[]> {
    const orders = this.#books.untold.get(peer)?.keys().take(LIMITS.wire.recordsPerPacketMax).toArray() ?? []
    const found = await Promise.all(orders.map(async order => await this.#books.journal.read(KEYS.cancel(order))))
    return found.filter(bytes => bytes !== undefined)
  }

  /** The peer has heard of these. */
  async told (peer: string, cancels: readonly Uint8Array[]): Promise<void> {
    const ops = this.#told(peer, cancels.map(bytes => openEnvelope(bytes, 'cancel', checkCancel).payload.order.toString()))
    if (ops.length > 0) await this.#books.journal.commit(ops)
  }

  #told (peer: string, orders: readonly string[]): Op[] {
    const { untold } = this.#books
    for (const order of orders) untold.get(peer)?.delete(order)
    if (untold.get(peer)?.size === 0) untold.delete(peer)
    return orders.map(order => del(KEYS.untold(peer, order)))
  }

  /** A verified receipt for an order of mine becomes owed. The caller has made sure that it is the first. */
  async owe (bundle: Bundle, peer: string): Promise<void> {
    const { ledger, journal, keys, now } = this.#books
    await journal.commit([...ledger.owe(bundle, peer, now()), ...keys.answered(bundle.order.id.toString())])
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
    const { net, ledger, journal, keeper, signer, verify } = this.#books
    const ack: Sealed<Ack> = openEnvelope(bytes, 'ack', checkAck)
    const line = ledger.line(peer)
    checkLane('ack', ack.payload, net, signer.publicKey, line.key)
    verifySealed(ack, line.key, verify)
    const { n, cheque } = ack.payload
    requireField(n >= 1 && n <= line.out.n, 'ack', 'n', 'names a cheque that was never written')
    const mark = line.unacked.find(mark => mark.n === n)
    if (mark === undefined) return
    requireField(mark.id.equals(cheque), 'ack', 'cheque', 'is not the cheque that was written')
    // A replica of what the payee never had would stop the lane for good.
    keeper.changed(peer, n)
    await journal.commit([...ledger.acknowledge(peer, n), put(KEYS.acked(peer), bytes)])
  }
}
