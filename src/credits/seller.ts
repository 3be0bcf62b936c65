/**
 * The selling side of credits: exposure for every order that runs, a receipt and a debt for every
 * one that ended, and the payer's cheques, written to disk before they are acknowledged.
 */
import { equals } from 'multiformats/bytes'
import type { CID } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { requireNet } from '../packet/mesh.ts'
import type { SpecLimits } from '../packet/spec.ts'
import { type Ack, checkCheque, checkReceipt, type Cheque, type Offer, type Order, type Receipt } from '../packet/records.ts'
import { type Books, checkLane, requireField } from './books.ts'
import { type Bundle, encodeBundle, readBundle } from './bundle.ts'
import { charge, worstCase } from './pricing.ts'
import { KEYS, type Op, put } from './store.ts'
import { decodeQuestion, encodeAnswer } from './sync.ts'

/** What only the run can say; the rest of a receipt follows from order and offer. */
export type RunFacts = Pick<Receipt, 'module' | 'input' | 'outcome' | 'exitCode' | 'result' | 'resultBytes' | 'files' | 'filesBytes' | 'fuel' | 'pages' | 'profile'>

/** An order that may run here, its most set aside. Leaving its scope releases what was not settled. */
export interface Hold extends AsyncDisposable {
  readonly order: Sealed<Order>
  /**
   * The run ended: sign its receipt, make its charge due and store the answer, in one batch.
   * @param makeReply answer to be stored, from the receipt; repeats of the order get these bytes
   * @throws {InosError} ERR_INTERNAL when the run passed the limits that were priced; ERR_RECORD_INVALID,
   * ERR_RECEIPT_INVALID for facts that no receipt can say; ERR_STORE
   */
  settle (facts: RunFacts, makeReply: (bundle: Bundle) => Uint8Array): Promise<Bundle>
  /**
   * Nothing is charged.
   * @param burnt µcr of work that a host fault threw away; it counts against the pool of strangers
   */
  release (burnt?: bigint): Promise<void>
}

/** How a cheque was taken: its ack to send, or the body of a sync answer that says what lacks. */
export type ChequeAnswer =
  | { readonly kind: 'ack', readonly bytes: Uint8Array }
  | { readonly kind: 'behind', readonly body: Uint8Array }

export class Seller {
  readonly #books: Books
  /** Orders being checked or run, and whose they are. */
  readonly #running = new Map<string, string>()

  constructor (books: Books) {
    this.#books = books
  }

  async acceptOrder (peer: string, order: Sealed<Order>, offer: Sealed<Offer>, limits: SpecLimits): Promise<Hold> {
    this.#checkOrder(peer, order, offer)
    const { ledger, journal, now } = this.#books
    const { costMax } = order.payload
    const most = worstCase(offer.payload, limits)
    if (most > costMax) {
      throw new InosError('ERR_BUDGET', `At these limits the job can cost ${most} µcr; the order allows ${costMax}.`, { hint: 'Raise costMax or lower the limits.' })
    }
    const id = order.id.toString()
    if (this.#running.has(id)) throw new InosError('ERR_BUSY', 'This order is already running here.')
    this.#running.set(id, peer)
    try {
      if (await journal.read(KEYS.receipt(id)) !== undefined) throw new InosError('ERR_GONE', 'This order was run here before.')
      ledger.reserve(peer, costMax, now())
    } catch (error) {
      this.#running.delete(id)
      throw error
    }
    return this.#holdOf(peer, order, offer)
  }

  #checkOrder (peer: string, order: Sealed<Order>, offer: Sealed<Offer>): void {
    const { net, ledger, offers, signer, verify, now } = this.#books
    const { payload } = order
    const { key } = ledger.line(peer)
    requireNet('order', payload.net, net)
    requireField(equals(payload.executor, signer.publicKey), 'order', 'executor', 'is not this node')
    requireField(equals(payload.payer, key), 'order', 'payer', 'is not the peer that sent it')
    requireField(payload.offer?.equals(offer.id) === true, 'order', 'offer', 'is not an offer of this node')
    requireField(equals(offer.payload.executor, signer.publicKey), 'offer', 'executor', 'is not this node')
    requireNet('offer', offer.payload.net, net)
    requireField(payload.tick === 0n, 'order', 'tick', 'asks for payment by ticks')
    requireField(payload.expires >= now(), 'order', 'expires', 'is in the past')
    requireField(offer.payload.expires >= now(), 'offer', 'expires', 'is in the past')
    offers.check(offer)
    verifySealed(order, key, verify)
  }

  #holdOf (peer: string, order: Sealed<Order>, offer: Sealed<Offer>): Hold {
    let open = true
    const end = (burnt: bigint): Op[] => {
      open = false
      this.#running.delete(order.id.toString())
      return this.#books.ledger.unreserve(peer, order.payload.costMax, burnt, this.#books.now())
    }
    const release = async (burnt = 0n): Promise<void> => {
      const ops = open ? end(burnt) : []
      if (ops.length > 0) await this.#books.journal.commit(ops)
    }
    return {
      order,
      settle: async (facts, makeReply) => {
        if (!open) throw new InosError('ERR_INTERNAL', 'A hold is settled once.')
        const bundle = this.#bill(order, offer, facts)
        return await this.#settle(bundle, peer, makeReply(bundle), () => end(0n))
      },
      release,
      [Symbol.asyncDispose]: () => release()
    }
  }

  #bill (order: Sealed<Order>, offer: Sealed<Offer>, facts: RunFacts): Bundle {
    const amount = charge(offer.payload, facts)
    if (amount > order.payload.costMax) {
      throw new InosError('ERR_INTERNAL', `A run cost ${amount} µcr where its limits allow ${order.payload.costMax}.`)
    }
    const receipt = seal('receipt', receiptOf(order, facts, amount), this.#books.signer)
    return encodeBundle({ receipt, order, offer })
  }

  /** No await before the commit: exposure, debt and answer change together. */
  async #settle (bundle: Bundle, peer: string, reply: Uint8Array, end: () => Op[]): Promise<Bundle> {
    const { ledger, journal, replies, now } = this.#books
    const kept = replies.add(bundle.order.id.toString(), peer, bundle.order.payload.expires, reply, now())
    await journal.commit([...kept, ...end(), ...ledger.charge(bundle, peer, now())])
    return bundle
  }

  /** Whether an order runs here now. */
  isRunning (order: CID): boolean { return this.#running.has(order.toString()) }

  /** A receipt of mine that I lost: its debt stands again. The caller has made sure that it is the first. */
  async adopt (bundle: Bundle, peer: string): Promise<void> {
    const { ledger, journal, now } = this.#books
    await journal.commit(ledger.charge(bundle, peer, now()))
  }

  async storedReply (peer: string, order: string): Promise<Uint8Array | 'gone' | 'running' | null> {
    const { journal, replies } = this.#books
    if (this.#running.get(order) === peer) return 'running'
    if (replies.payer(order) === peer) return await journal.read(KEYS.reply(order)) ?? 'gone'
    return await this.#soldTo(peer, order) ? 'gone' : null
  }

  /** Whether a receipt of mine for this order of this peer is stored. */
  async #soldTo (peer: string, order: string): Promise<boolean> {
    const { ledger, journal, signer } = this.#books
    const bytes = await journal.read(KEYS.receipt(order))
    if (bytes === undefined) return false
    const { executor, payer } = readBundle(bytes).receipt.payload
    return equals(executor, signer.publicKey) && equals(payer, ledger.line(peer).key)
  }

  async takeCheque (peer: string, bytes: Uint8Array): Promise<ChequeAnswer> {
    const { net, ledger, journal, signer, verify } = this.#books
    const cheque = openEnvelope(bytes, 'cheque', checkCheque)
    const line = ledger.line(peer)
    checkLane('cheque', cheque.payload, net, line.key, signer.publicKey)
    verifySealed(cheque, line.key, verify)
    const { n } = cheque.payload
    if (n <= line.in.n) return await this.#repeatAck(peer, cheque)
    if (n > line.in.n + 1) return this.#behind(peer, [])
    const lacking = ledger.checkCheque(cheque, peer)
    if (lacking.length > 0) return await this.#refuseOrLack(peer, lacking)
    const ack = seal<Ack>('ack', { net, from: line.key, to: signer.publicKey, epoch: 0, n, cheque: cheque.id }, signer)
    await journal.commit([...ledger.takeCheque(cheque, peer), put(KEYS.ack(peer, n), ack.bytes)], true)
    return { kind: 'ack', bytes: ack.bytes }
  }

  async #repeatAck (peer: string, cheque: Sealed<Cheque>): Promise<ChequeAnswer> {
    const { journal } = this.#books
    const { n } = cheque.payload
    const stored = await journal.read(KEYS.in(peer, n))
    const ack = await journal.read(KEYS.ack(peer, n))
    requireField(stored !== undefined && openEnvelope(stored, 'cheque', checkCheque).id.equals(cheque.id), 'cheque', 'n', `is ${n}, and another cheque with that number was taken before`)
    // A repeat must not be acknowledged before the first one is on disk.
    await journal.written()
    return ack === undefined ? this.#behind(peer, []) : { kind: 'ack', bytes: ack }
  }

  /** Orders that are not due here were paid before, or their receipts were lost in a crash: the payer has them. */
  async #refuseOrLack (peer: string, lacking: readonly CID[]): Promise<ChequeAnswer> {
    for (const order of lacking) {
      requireField(await this.#books.journal.read(KEYS.receipt(order.toString())) === undefined, 'cheque', 'items', `name the order ${order}, which is not due from this payer`)
    }
    return this.#behind(peer, lacking)
  }

  #behind (peer: string, lacking: readonly CID[]): ChequeAnswer {
    const { n, last } = this.#books.ledger.line(peer).in
    return { kind: 'behind', body: encodeAnswer({ n, last, lacking, done: [], running: [], unknown: [] }) }
  }

  async answerSync (peer: string, body: Uint8Array): Promise<Uint8Array> {
    const lists: Record<'done' | 'running' | 'unknown', CID[]> = { done: [], running: [], unknown: [] }
    for (const order of decodeQuestion(body)) lists[await this.#stateOf(peer, order.toString())].push(order)
    const { n, last } = this.#books.ledger.line(peer).in
    return encodeAnswer({ n, last, lacking: [], ...lists })
  }

  async #stateOf (peer: string, order: string): Promise<'done' | 'running' | 'unknown'> {
    if (this.#running.get(order) === peer) return 'running'
    if (this.#books.replies.payer(order) === peer || await this.#soldTo(peer, order)) return 'done'
    // It may have arrived or ended while the disk was asked.
    if (this.#running.get(order) === peer) return 'running'
    return this.#books.replies.payer(order) === peer ? 'done' : 'unknown'
  }
}

/** A pure function of order and run, so that a receipt made again is the same. */
export function receiptOf ({ id, payload: { net, executor, payer, spec } }: Sealed<Order>, facts: RunFacts, amount: bigint): Receipt {
  const { module, input, outcome, exitCode, result, resultBytes, files, filesBytes, fuel, pages, profile } = facts
  return checkReceipt({
    net, executor, payer, order: id, item: 0, spec, module, input, outcome, exitCode, result, resultBytes, files, filesBytes, fuel, pages,
    charge: amount, children: [], class: 'deterministic', profile, proof: null
  })
}
