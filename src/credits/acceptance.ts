/**
 * Receipts as they come in: with an answer, alone as `due`, or brought back after a crash, for orders that are
 * open, over, or forgotten here. What is asked for one order is done one after the other. And what
 * became of the orders that were placed under a key.
 */
import { equals } from 'multiformats/bytes'
import type { CID } from '../packet/cid.ts'
import { openEnvelope, type Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { requireNet } from '../packet/mesh.ts'
import { checkOffer, type Offer, type Order } from '../packet/records.ts'
import { type Books, convict } from './books.ts'
import { type Bundle, type BundleRecords, checkBundle, encodeBundle, readBundle } from './bundle.ts'
import type { Buyer } from './buyer.ts'
import { encodeFraud, isRepeated } from './frauds.ts'
import type { KeyedOrder } from './keys.ts'
import { bundleRows } from './ledger.ts'
import type { Seller } from './seller.ts'
import { del, KEYS } from './store.ts'

/** What was bought under a key before: its receipt, or the order that waits for one. */
export type Recalled =
  | { readonly kind: 'answered', readonly bundle: Bundle }
  | { readonly kind: 'open', readonly peer: string, readonly order: Sealed<Order>, readonly offer: Sealed<Offer> }

export class Acceptance {
  readonly #books: Books
  readonly #buyer: Buyer
  readonly #seller: Seller
  /** Orders whose receipt is being looked up, each with the end of its queue. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor (books: Books, buyer: Buyer, seller: Seller) {
    this.#books = books
    this.#buyer = buyer
    this.#seller = seller
  }

  /** See `Credits.acceptReceipt`. */
  async accept (peer: string, given: Uint8Array | BundleRecords, kept?: Promise<void>): Promise<Bundle> {
    const { ledger, offers, verify } = this.#books
    const records = given instanceof Uint8Array ? readBundle(given) : given
    const bundle = checkBundle(records, verify, { order: id => ledger.openOrder(id.toString())?.order, offer: id => offers.get(id) })
    await kept
    const role = this.#roleIn(bundle, peer)
    const id = bundle.order.id.toString()
    // An open order has no receipt yet; only for others must the disk be asked.
    if (role === 'payer' && ledger.openOrder(id) !== undefined) await this.#buyer.owe(bundle, peer)
    else await this.#inTurn(id, () => this.#acceptLate(bundle, peer, role))
    return bundle
  }

  #roleIn ({ order, receipt }: Bundle, peer: string): 'payer' | 'executor' {
    const { ledger, signer: { publicKey } } = this.#books
    const { key } = ledger.line(peer)
    const { payer, executor, net } = order.payload
    const role = equals(payer, publicKey) && equals(executor, key) ? 'payer' : equals(executor, publicKey) && equals(payer, key) ? 'executor' : null
    if (role === null) throw new InosError('ERR_RECEIPT_INVALID', `The receipt ${receipt.id} fails at "payer": it is not between this node and ${peer}.`)
    requireNet('receipt', net, this.#books.net)
    return role
  }

  /** The order is not open here: it was answered or given up before, or a crash took it. */
  async #acceptLate (bundle: Bundle, peer: string, role: 'payer' | 'executor'): Promise<void> {
    const { ledger, journal } = this.#books
    const id = bundle.order.id.toString()
    let stored: Uint8Array | undefined
    let spent: Uint8Array | undefined
    // Cheques adopted while the disk was asked may have paid for it.
    for (let adoptions = -1; adoptions !== ledger.recovery.adoptions;) {
      adoptions = ledger.recovery.adoptions
      stored = await journal.read(KEYS.receipt(id))
      spent = await journal.read(KEYS.spent(peer, id))
    }
    if (stored !== undefined) {
      const { receipt } = readBundle(stored)
      if (receipt.id.equals(bundle.receipt.id)) return
      // The executor signed both. As executor this node knows what it did; the payer's copy proves nothing against the payer.
      if (role === 'payer' && !isRepeated(receipt.payload, bundle.receipt.payload)) await convict(this.#books, encodeFraud('receipt', receipt, bundle.receipt))
      throw new InosError('ERR_RECEIPT_INVALID', `The receipt ${bundle.receipt.id} fails at "order": another receipt for it was accepted.`)
    }
    if (this.#seller.isRunning(bundle.order.id)) throw new InosError('ERR_BUSY', 'The order of this receipt is running here again.')
    if (role === 'payer' && spent !== undefined) return await journal.commit([...bundleRows(bundle), del(KEYS.spent(peer, id))])
    if (role === 'payer' && await journal.read(KEYS.cancel(id)) !== undefined) throw new InosError('ERR_GONE', `This node has given the order ${id} up.`)
    await (role === 'payer' ? this.#buyer.owe(bundle, peer) : this.#seller.adopt(bundle, peer))
  }

  /** Run `work` after what was asked before for the same order. */
  async #inTurn (order: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(order) ?? Promise.resolve()).then(work, work)
    this.#turns.set(order, turn)
    try {
      await turn
    } finally {
      if (this.#turns.get(order) === turn) this.#turns.delete(order)
    }
  }

  /** @returns 1 for a receipt that was lacking, 0 for one that nobody asked for */
  async takeBack (peer: string, bytes: Uint8Array): Promise<number> {
    const records = readBundle(bytes)
    if (await this.#books.journal.read(KEYS.spent(peer, records.order.id.toString())) === undefined) return 0
    await this.accept(peer, records)
    return 1
  }

  /** See `Credits.recall`. */
  async recall (key: string, spec: CID): Promise<Recalled | null> {
    const { keys, ledger, journal } = this.#books
    for (;;) {
      const orders = keys.orders(key, spec).toReversed()
      for (const { order } of orders) {
        const bytes = await journal.read(KEYS.receipt(order))
        if (bytes !== undefined) return { kind: 'answered', bundle: encodeBundle(readBundle(bytes)) }
      }
      const last = orders[0]
      if (last === undefined) return null
      const offer = await journal.read(KEYS.offer(last.order))
      const open = ledger.openOrder(last.order)
      if (open !== undefined && offer !== undefined) {
        open.lost = false
        return { kind: 'open', peer: open.peer, order: open.order, offer: openEnvelope(offer, 'offer', checkOffer) }
      }
      await this.#inTurn(last.order, () => this.#disown(last))
    }
  }

  /** A receipt may have come meanwhile: then that is what became of it. */
  async #disown ({ order, peer }: KeyedOrder): Promise<void> {
    const { journal } = this.#books
    if (await journal.read(KEYS.receipt(order)) !== undefined) return
    if (await journal.read(KEYS.spent(peer, order)) !== undefined) {
      throw new InosError('ERR_GONE', `What was paid for the order ${order} is not here yet.`, { hint: `Connect to ${peer}, which has the receipt.` })
    }
    await this.#buyer.disown(order, peer)
  }
}
