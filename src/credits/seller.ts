/**
 * The selling side of credits: exposure for every order that runs, a receipt and a debt for every
 * one that ended, and the payer's cheques, written to disk before they are acknowledged.
 */
import { equals } from 'multiformats/bytes'
import { formatCredits } from '../packet/amounts.ts'
import type { CID } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { requireNet } from '../packet/mesh.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'
import { type Ack, checkCancel, checkCheque, checkReceipt, type Cheque, type Offer, type Order, type Receipt } from '../packet/records.ts'
import { type Books, checkLane, checkVia, convict, requireField } from './books.ts'
import { type Bundle, type BundleRecords, encodeBundle, readBundle } from './bundle.ts'
import { encodeFraud } from './frauds.ts'
import { bill, worstCase } from './pricing.ts'
import type { OrderState } from './reconcile.ts'
import { del, KEYS, type Op, put } from './store.ts'
import type { RefundView } from './views.ts'

/** What only the run can say; the rest of a receipt follows from order and offer. */
export type RunFacts = Pick<Receipt, 'module' | 'input' | 'outcome' | 'exitCode' | 'result' | 'resultBytes' | 'files' | 'filesBytes' | 'fuel' | 'pages' | 'profile' | 'state'> &
  Partial<Pick<Receipt, 'children' | 'below'>>

/** An order that may run here, its most set aside. Leaving its scope releases what was not settled. */
export interface Hold extends AsyncDisposable {
  readonly order: Sealed<Order>
  /**
   * The run ended: sign its receipt, make its charge due and store the answer, in one batch.
   * @param original receipt of the run that was not done again; then `base` alone is charged
   * @param makeReply answer to be stored, from the receipt; repeats of the order get these bytes
   * @throws {InosError} ERR_INTERNAL when the run passed the limits that were priced; ERR_RECORD_INVALID,
   * ERR_RECEIPT_INVALID for facts that no receipt can say; ERR_STORE
   */
  settle (facts: RunFacts, makeReply: (bundle: Bundle) => Uint8Array, original?: Bundle): Promise<Bundle>
  /**
   * Nothing is charged.
   * @param burnt µcr of work that a host fault threw away; it counts against the pool of strangers
   */
  release (burnt?: bigint): Promise<void>
}

/** How a cheque was taken: with an ack to send, or not, because cheques before it or these receipts lack here. */
export type Taken =
  | { readonly kind: 'ack', readonly bytes: Uint8Array }
  | { readonly kind: 'behind', readonly lacking: readonly CID[] }

export class Seller {
  readonly #books: Books
  /** Orders being checked or run, and whose they are. */
  readonly #running = new Map<string, string>()
  /** Orders that were looked for on disk and have no receipt, so that accepting one need not look again. */
  readonly #unsold = new Set<string>()
  /** Of those that run: given up by their payers. */
  readonly #cancelled = new Set<string>()
  /** Orders for which something is being given back. */
  readonly #refunding = new Set<string>()

  constructor (books: Books) {
    this.#books = books
  }

  async acceptOrder (peer: string, order: Sealed<Order>, offer: Sealed<Offer>, limits: SpecLimits): Promise<Hold> {
    this.#checkOrder(peer, order, offer)
    const { ledger, journal, now } = this.#books
    const { costMax } = order.payload
    const most = worstCase(offer.payload, limits)
    if (most > costMax) {
      throw new InosError('ERR_BUDGET', `At these limits the job can cost ${formatCredits(most)}; the order allows ${formatCredits(costMax)}.`, { hint: 'Raise costMax or lower the limits.' })
    }
    const id = order.id.toString()
    if (this.#running.has(id)) throw new InosError('ERR_BUSY', 'This order is already running here.')
    this.#running.set(id, peer)
    try {
      if (!this.#unsold.delete(id) && await journal.read(KEYS.receipt(id)) !== undefined) throw new InosError('ERR_GONE', 'This order was run here before.')
      ledger.reserve(peer, costMax, now())
    } catch (error) {
      this.#running.delete(id)
      this.#cancelled.delete(id)
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
    // While its receipt waits to be signed, an order is neither open nor over.
    let settling = false
    const end = (burnt: bigint): Op[] => {
      open = false
      this.#running.delete(order.id.toString())
      this.#cancelled.delete(order.id.toString())
      return this.#books.ledger.unreserve(peer, order.payload.costMax, burnt, this.#books.now())
    }
    const release = async (burnt = 0n): Promise<void> => {
      const ops = open && !settling ? end(burnt) : []
      if (ops.length > 0) await this.#books.journal.commit(ops)
    }
    return {
      order,
      settle: async (facts, makeReply, original) => {
        if (!open || settling) throw new InosError('ERR_INTERNAL', 'A hold is settled once.')
        settling = true
        try {
          const amount = billOf(order, offer, facts, original !== undefined)
          return await this.#settle(receiptOf(order, facts, amount, original?.receipt.id), { order, offer, original }, peer, makeReply, () => end(0n))
        } finally {
          settling = false
        }
      },
      release,
      [Symbol.asyncDispose]: () => release()
    }
  }

  /** Exposure, debt and answer change together, when the receipt is signed. */
  async #settle (receipt: Receipt, records: Omit<BundleRecords, 'receipt'>, peer: string, makeReply: (bundle: Bundle) => Uint8Array, end: () => Op[]): Promise<Bundle> {
    const { ledger, journal, replies, now } = this.#books
    const { order } = records
    let bundle: Bundle | undefined
    await journal.commitSealed('receipt', receipt, sealed => {
      if (this.#cancelled.has(order.id.toString())) throw new InosError('ERR_CANCELLED', 'The payer has given this order up.')
      bundle = encodeBundle({ receipt: sealed, ...records })
      const kept = replies.add(order.id.toString(), peer, order.payload.expires, makeReply(bundle), now())
      return [...kept, ...end(), ...ledger.charge(bundle, peer, now())]
    })
    return bundle!
  }

  /**
   * The payer's word that it has given an order up: what runs for it ends without a charge, what is due for it is dropped. One
   * that is paid stays paid, and of one that never came nothing is kept.
   * @returns the order's id
   */
  async takeCancel (peer: string, bytes: Uint8Array): Promise<string> {
    const { net, ledger, journal, replies, signer, verify } = this.#books
    const cancel = openEnvelope(bytes, 'cancel', checkCancel)
    const { payer, executor, order } = cancel.payload
    const { key } = ledger.line(peer)
    requireNet('cancel', cancel.payload.net, net)
    requireField(equals(payer, key), 'cancel', 'payer', 'is not the peer that sent it')
    requireField(equals(executor, signer.publicKey), 'cancel', 'executor', 'is not this node')
    verifySealed(cancel, key, verify)
    const id = order.toString()
    if (this.#running.get(id) === peer) this.#cancelled.add(id)
    const waived = ledger.waive(peer, order)
    if (waived.length > 0) await journal.commit([...waived, ...replies.forget(id), put(KEYS.cancel(id), bytes)])
    return id
  }

  /** Whether an order runs here now. */
  isRunning (order: CID): boolean { return this.#running.has(order.toString()) }

  /** A receipt of mine that I lost: its debt stands again. The caller has made sure that it is the first. */
  async adopt (bundle: Bundle, peer: string): Promise<void> {
    const { ledger, journal, now } = this.#books
    this.#unsold.delete(bundle.order.id.toString())
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
    if (bytes === undefined) {
      this.#rememberUnsold(order)
      return false
    }
    const { executor, payer } = readBundle(bytes).receipt.payload
    return equals(executor, signer.publicKey) && equals(payer, ledger.line(peer).key)
  }

  #rememberUnsold (order: string): void {
    // It may have come, run and ended while the disk was asked.
    if (this.#running.has(order) || this.#books.replies.payer(order) !== undefined) return
    this.#unsold.add(order)
    if (this.#unsold.size > LIMITS.credits.unsoldMax) this.#unsold.delete(this.#unsold.values().next().value!)
  }

  async takeCheque (peer: string, bytes: Uint8Array): Promise<Taken> {
    const { net, ledger, journal, signer, verify, now } = this.#books
    const cheque = openEnvelope(bytes, 'cheque', checkCheque)
    const line = ledger.line(peer)
    checkLane('cheque', cheque.payload, net, line.key, signer.publicKey)
    checkVia(cheque.payload, ledger.rules)
    verifySealed(cheque, line.key, verify)
    const { n } = cheque.payload
    if (n <= line.in.n) return await this.#repeatAck(peer, cheque)
    if (n > line.in.n + 1) return { kind: 'behind', lacking: [] }
    const amounts = new Map([...await this.#waived(peer, cheque), ...await this.#refundable(peer, cheque)])
    // Where the disk was asked, the same cheque may have been taken meanwhile.
    if (n <= ledger.line(peer).in.n) return await this.#repeatAck(peer, cheque)
    const lacking = ledger.checkCheque(cheque, peer, order => amounts.get(order.toString()))
    if (lacking.length > 0) return await this.#refuseOrLack(lacking)
    const waived = cheque.payload.items.filter(({ order, kind }) => kind === 'job' && !ledger.line(peer).due.has(order))
    const due = waived.flatMap(item => [...ledger.unwaive(peer, item), del(KEYS.cancel(item.order.toString()))])
    const ack = seal<Ack>('ack', { net, from: line.key, to: signer.publicKey, epoch: 0, n, cheque: cheque.id }, signer)
    await journal.commit([...due, ...ledger.takeCheque(cheque, peer, now()), put(KEYS.ack(peer, n), ack.bytes)], true)
    return { kind: 'ack', bytes: ack.bytes }
  }

  /** What orders cost that a cheque pays for and its payer gave up, as one with an old copy of its books may have: the cheque counts. */
  async #waived (peer: string, { payload: { items } }: Sealed<Cheque>): Promise<Map<string, bigint>> {
    const { ledger, journal, signer } = this.#books
    const found = new Map<string, bigint>()
    for (const { order, kind } of items) {
      const id = order.toString()
      if (kind !== 'job' || ledger.line(peer).due.has(order) || await journal.read(KEYS.cancel(id)) === undefined) continue
      const bytes = await journal.read(KEYS.receipt(id))
      if (bytes === undefined) continue
      const { charge, payer, executor } = readBundle(bytes).receipt.payload
      if (equals(payer, ledger.line(peer).key) && equals(executor, signer.publicKey)) found.set(id, charge)
    }
    return found
  }

  /** For each refund on a cheque, what the peer charged this node for that order; below zero where it may give back nothing. */
  async #refundable (peer: string, { payload: { items } }: Sealed<Cheque>): Promise<Map<string, bigint>> {
    const { ledger, journal } = this.#books
    const found = new Map<string, bigint>()
    for (const { order } of items.filter(({ kind }) => kind === 'refund')) {
      const id = order.toString()
      const [bytes, before] = [await journal.read(KEYS.receipt(id)), await journal.read(KEYS.refund(id))]
      if (bytes === undefined) continue
      const { executor, charge } = readBundle(bytes).receipt.payload
      found.set(id, before === undefined && equals(executor, ledger.line(peer).key) ? charge : -1n)
    }
    return found
  }

  /**
   * Give back a part or all of what an order cost, once; it is owed from now on.
   * @throws {InosError} ERR_USAGE when nothing can be given back, or not so much; nothing has changed
   */
  async refund (order: string, amount?: bigint): Promise<RefundView> {
    const { ledger, journal, signer, now } = this.#books
    if (this.#refunding.has(order)) throw new InosError('ERR_USAGE', 'For this order something is being given back.')
    this.#refunding.add(order)
    try {
      const bytes = await journal.read(KEYS.receipt(order))
      const sold = bytes === undefined ? null : readBundle(bytes).receipt.payload
      if (sold === null || !equals(sold.executor, signer.publicKey) || equals(sold.payer, signer.publicKey)) throw new InosError('ERR_USAGE', `This node has sold nothing under the order ${order.slice(0, 80)}.`)
      const back = amount ?? sold.charge
      if (back <= 0n || back > sold.charge) throw new InosError('ERR_USAGE', `Of an order that cost ${formatCredits(sold.charge)}, ${formatCredits(back)} cannot be given back.`)
      const before = await journal.read(KEYS.refund(order))
      if (before !== undefined) throw new InosError('ERR_USAGE', 'For this order something was given back before.')
      const peer = peerIdOfKey(sold.payer)
      // What is not paid may still be given up by its payer, and then nothing was ever paid that could be given back.
      if (ledger.line(peer).due.has(sold.order) || await journal.read(KEYS.cancel(order)) !== undefined) throw new InosError('ERR_USAGE', `The order ${order} is not paid.`)
      await journal.commit(ledger.refund(sold.order, back, peer, now()), true)
      return { order, peer, amount: back }
    } finally {
      this.#refunding.delete(order)
    }
  }

  async #repeatAck (peer: string, cheque: Sealed<Cheque>): Promise<Taken> {
    const { journal } = this.#books
    const { n } = cheque.payload
    const stored = await journal.read(KEYS.in(peer, n))
    const ack = await journal.read(KEYS.ack(peer, n))
    const first = stored === undefined ? null : openEnvelope(stored, 'cheque', checkCheque)
    if (first !== null && !first.id.equals(cheque.id)) await convict(this.#books, encodeFraud('cheque', first, cheque))
    requireField(first?.id.equals(cheque.id) === true, 'cheque', 'n', `is ${n}, and another cheque with that number was taken before`)
    // A repeat must not be acknowledged before the first one is on disk.
    await journal.written()
    return ack === undefined ? { kind: 'behind', lacking: [] } : { kind: 'ack', bytes: ack }
  }

  /** Orders that are not due here were paid before, or their receipts were lost in a crash: the payer has them. */
  async #refuseOrLack (lacking: readonly CID[]): Promise<Taken> {
    for (const order of lacking) {
      requireField(await this.#books.journal.read(KEYS.receipt(order.toString())) === undefined, 'cheque', 'items', `name the order ${order}, which is not due from this payer`)
    }
    return { kind: 'behind', lacking }
  }

  /** What became of an order of the peer here. */
  async stateOf (peer: string, order: string): Promise<OrderState> {
    if (this.#running.get(order) === peer) return 'running'
    if (this.#books.replies.payer(order) === peer || await this.#soldTo(peer, order)) return await this.#books.journal.read(KEYS.cancel(order)) === undefined ? 'done' : 'unknown'
    // It may have arrived or ended while the disk was asked.
    if (this.#running.get(order) === peer) return 'running'
    return this.#books.replies.payer(order) === peer ? 'done' : 'unknown'
  }
}

function billOf (order: Sealed<Order>, offer: Sealed<Offer>, facts: RunFacts, cached: boolean): bigint {
  const amount = bill(offer.payload, facts, order.payload.costMax, cached)
  if (amount <= order.payload.costMax) return amount
  throw new InosError('ERR_INTERNAL', `A run cost ${formatCredits(amount)} where its limits allow ${formatCredits(order.payload.costMax)}.`)
}

/**
 * A pure function of order and run, so that a receipt made again is the same.
 * @param cached receipt of the run, where it was not done again
 */
export function receiptOf ({ id, payload: { net, executor, payer, spec } }: Sealed<Order>, facts: RunFacts, amount: bigint, cached: CID | null = null): Receipt {
  const { module, input, outcome, exitCode, result, resultBytes, files, filesBytes, fuel, pages, profile, state, children = [], below } = facts
  return checkReceipt({
    net, executor, payer, order: id, item: 0, spec, module, input, outcome, exitCode, result, resultBytes, files, filesBytes, fuel, pages,
    charge: amount, children, ...below === undefined ? {} : { below }, class: 'deterministic', profile, cached, proof: null,
    ...(state === undefined ? {} : { state })
  })
}
