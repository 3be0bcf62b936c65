/**
 * Credits: who may spend how much, on signed cumulative cheques between two peers. Whole µcr only.
 *
 * The door of this room. It knows no packets, no network and no WASM: bytes from peers come in and
 * are checked, bytes for peers go out and are on disk by then. Peers are PeerIds, orders and
 * receipts CIDs as text.
 *
 * Three promises carry it: what must not be unsaid (cheque, ack) is durable before it leaves; what
 * is sent again is the stored bytes, never signed anew; and taking the same record twice is taking
 * it once. An order binds its payer: whatever became of the hold, a valid receipt for it is paid,
 * once, even if these books have lost the order; but not after its executor has refused it, or this
 * node has given it up unanswered, by a signed word that its executor gets (`giveUpOrder`).
 */
import { equals } from 'multiformats/bytes'
import { CID } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { checkCancel, checkOrder, type Cheque, type Offer, type Order } from '../packet/records.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'
import { Acceptance, type Recalled } from './acceptance.ts'
import { audit } from './audit.ts'
import { type Books, type CreditsComponents, openBooks } from './books.ts'
import { type Bundle, type BundleRecords, encodeBundle } from './bundle.ts'
import { Buyer, type OrderRequest } from './buyer.ts'
import { boughtBelow, forgetBelow, keepOffer, keepOrder, keptOffer } from './children.ts'
import { Clearings, pagesOf } from './clearings.ts'
import { explain } from './explain.ts'
import { frauds, history, receipts } from './history.ts'
import { bundleRows, type LedgerOptions } from './ledger.ts'
import { Reconciler, type SyncResult } from './reconcile.ts'
import { type Hold, receiptOf, type RunFacts, Seller } from './seller.ts'
import { KEYS, type Op } from './store.ts'
import { nonceOf } from './tree.ts'
import { bouncedOf, type Room as Terms, type Rules } from './terms.ts'
import type { AccountView, AuditReport, Balance, FraudView, HistoryEntry, LineReport, LineView, ReceiptView, RefundView } from './views.ts'

export type { CreditsComponents, Hold, LedgerOptions as CreditsOptions, OrderRequest, RunFacts, SyncResult }

/** How a cheque was taken: its ack to send, or the body of a sync answer that says what lacks. */
export type ChequeAnswer =
  | { readonly kind: 'ack', readonly bytes: Uint8Array }
  | { readonly kind: 'behind', readonly body: Uint8Array }

/** What belongs to a job of one's own beside what it did. */
export interface OwnRecords {
  /** Receipt of the run by this node that was not done again. */
  readonly original?: Bundle | undefined
  /** The caller's name for the job. */
  readonly key?: string | undefined
  /** What `orderOwn` gave. @default one made now */
  readonly order?: Sealed<Order> | undefined
}

export interface Credits {
  /** Constant time. */
  balance (): Balance
  line (peer: string): LineView
  /** µcr of orders the peer would still accept, if it gives this node the line that this node gives others, and that this node would still promise it. */
  spendable (peer: string): bigint
  /** The same with its reason, and what would help. */
  taken (peer: string): Terms
  /** In a mesh: what this node has at the issuer; null elsewhere, and for the issuer. */
  account (): AccountView | null
  /** Whether these are the books of the issuer of a mesh. */
  readonly isIssuer: boolean
  /** A later charter of the mesh of these books. */
  setRules (rules: Rules): void
  /** Peers this node owes a cheque, or that have not acknowledged one. */
  creditors (): string[]

  /**
   * Sign an order and hold its most. Neither waits for the disk: an order that these books have lost is paid all the same.
   * @throws {InosError} ERR_RECORD_INVALID for an offer that is not the executor's or has expired,
   * or a cost out of range, ERR_BUSY with too many orders open, ERR_BUDGET, ERR_POLICY with proof of fraud, ERR_INSUFFICIENT_CREDITS
   * when this node would promise more than its account covers, or than it promises all new sellers together; ERR_USAGE where
   * its key stands for another spec
   */
  placeOrder (request: OrderRequest): Promise<Sealed<Order>>
  /**
   * What was bought under a key before, the latest first; an open order is waited for again from now on. What was released
   * without a word is given up by one, durably: null when the job may be bought.
   * @throws {InosError} ERR_USAGE when the key stands for another spec, ERR_GONE while the receipt of what was paid for it lacks here
   */
  recall (key: string, spec: CID): Promise<Recalled | null>
  /** Whether an order was placed under a key. Constant time. */
  isKeyed (order: string): boolean
  /** The executor refused: the hold is released, and a receipt it shows for the order after all is not paid. */
  refuseOrder (order: string): Promise<void>
  /**
   * The job is done elsewhere or not at all: the hold is released, and a receipt shown for the order from now on is not paid.
   * Durable when this resolves. An order that was answered or released before stays what it is.
   */
  giveUpOrder (order: string): Promise<void>
  /** This node's word on orders that it gave up and the peer has not heard of, as many as one packet carries. */
  untoldCancels (peer: string): Promise<Uint8Array[]>
  /** The peer has heard of these. */
  toldCancels (peer: string, cancels: readonly Uint8Array[]): Promise<void>
  /** This node's word that it gave the order up; null when it did not. */
  cancelOf (order: string): Promise<Uint8Array | null>
  /**
   * A payer's word that it gave an order up: what is due for it is dropped, what runs for it cannot be settled any more.
   * @returns the order's id, for its work to be ended @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH; nothing has changed
   */
  takeCancel (peer: string, cancel: Uint8Array): Promise<string>
  /**
   * A receipt bundle from a peer, its bytes or its opened records, with an answer or as `due`. As payer this node owes its charge
   * from now on; as executor that lost it in a crash, the charge is due again. The same one again
   * changes nothing.
   * @param kept what must be on the disk before the books say that the receipt is here; checked meanwhile @default nothing
   * @throws {InosError} ERR_RECEIPT_INVALID, ERR_WRONG_MESH, ERR_GONE when this node has given the order up, ERR_BUSY when it comes late and is to come again; nothing has changed
   */
  acceptReceipt (peer: string, bundle: Uint8Array | BundleRecords, kept?: Promise<void>): Promise<Bundle>
  /**
   * One cheque over what is owed to a peer, durable when this resolves. Null when nothing is owed,
   * too many cheques wait for their ack, or the line is not synced.
   */
  nextCheque (peer: string): Promise<Sealed<Cheque> | null>
  /** @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH; nothing has changed */
  takeAck (peer: string, ack: Uint8Array): Promise<void>

  /**
   * Check an order and set its most aside.
   * @param order opened, its signature not yet checked
   * @param offer the offer of this node that the order names
   * @param limits those of the spec that the order names
   * @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH, ERR_BUDGET, ERR_INSUFFICIENT_CREDITS, ERR_BUSY while it
   * runs, ERR_GONE when it ran before; nothing was set aside
   */
  acceptOrder (peer: string, order: Sealed<Order>, offer: Sealed<Offer>, limits: SpecLimits): Promise<Hold>
  /** The answer this payer got for an order; 'gone' when it is no longer kept, null when there was none. */
  storedReply (peer: string, order: string): Promise<Uint8Array | 'gone' | 'running' | null>
  /**
   * Take the next cheque of a peer; its ack is durable when this resolves. The same cheque again
   * gets the same ack. One that comes too early, or pays for receipts lost here, changes nothing
   * and is answered by a sync body, after which the peer sends what lacks.
   * @throws {InosError} ERR_RECORD_INVALID naming what is wrong, ERR_WRONG_MESH; nothing has changed
   */
  takeCheque (peer: string, cheque: Uint8Array): Promise<ChequeAnswer>

  /**
   * As the issuer of a mesh: what a member has, µcr.
   * @throws {InosError} ERR_USAGE when this node is no issuer
   */
  accountOf (peer: string): bigint
  /**
   * As the issuer: give a member credit, durable when this resolves; its next cheque carries it.
   * @param id CID of the certificate that promises it; the same one again gives nothing
   * @throws {InosError} ERR_USAGE when this node is no issuer, ERR_BUDGET
   */
  grant (peer: string, id: CID, amount: bigint): Promise<void>
  /**
   * As the issuer: clear what the payers' accounts cover of cheques that `peer` was given, in one
   * durable batch; the next cheque to `peer` pays it out.
   * @returns the issuer's latest word on the lane of each, signed
   * @throws {InosError} ERR_USAGE when this node is no issuer, ERR_RECORD_INVALID, ERR_WRONG_MESH, ERR_BUSY also while the
   * line is not synced, or clearings for this peer lack here (`takeClearing`); nothing has changed
   */
  clear (peer: string, cheques: readonly Uint8Array[]): Promise<Uint8Array[]>
  /** As a member: cheques to show to the issuer, by packet. @param again also those that have bounced */
  claims (again: boolean): Promise<Uint8Array[][]>
  /**
   * As a member: the issuer's word on cheques to or from this node; an older one changes nothing.
   * As the issuer: its own word that it has lost, brought back by who was paid.
   * @returns the other party of the lane
   * @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH, ERR_USAGE in the open mesh; nothing has changed
   */
  takeClearing (clearing: Uint8Array): Promise<string>
  /** As a member: the issuer's latest word on each lane to this node, by packet, for an issuer whose books are an old copy. */
  clearings (): Promise<Uint8Array[][]>
  /** The issuer's latest word on a peer's cheques to this node, for that peer to know; null when there is none. */
  clearingOf (peer: string): Promise<Uint8Array | null>

  /**
   * A job of one's own on this node: order and receipt signed by it, stored, nothing moves.
   */
  recordOwn (spec: CID, facts: RunFacts, records?: OwnRecords): Promise<Bundle>
  /** The order of such a job, before it runs: its children’s orders name it. Nothing is stored. @param parent order of the job whose child it is */
  orderOwn (spec: CID, parent?: CID): Sealed<Order>
  /** The same for a job that may have to run again: the first one under this key, kept before any order of its children is. */
  keepOrderOwn (key: string, spec: CID, parent?: CID): Promise<Sealed<Order>>
  /** The offer that a peer's order accepts, where something is bought for that order, so that it can run again after a restart; until the job is over. */
  keepOffer (peer: string, order: Sealed<Order>, offer: Sealed<Offer>): Promise<void>
  /** @returns null where none is kept */
  keptOffer (order: Sealed<Order>): Promise<Sealed<Offer> | null>
  /** What was bought for the children of a job under their keys, µcr: charges, and the most of orders without an answer. @param base see `keyBelow` */
  boughtBelow (base: string): Promise<ReadonlyMap<string, bigint>>
  /** A job is over: the keys of its children stand for nothing any more. */
  forgetBelow (base: string): Promise<void>

  /**
   * Whether the peer has said since this start which cheques of this node it holds, and all of them
   * are here. Before that no cheque is written to it.
   */
  isSynced (peer: string): boolean
  /** Whether a question to this peer would hand it replicas of cheques that were written since. */
  hasReplicasFor (peer: string): boolean
  /** Bodies of the questions to ask a peer when its connection comes up; at least one. */
  syncQuestions (peer: string): Promise<Uint8Array[]>
  /** @throws {InosError} ERR_BAD_PACKET */
  answerSync (peer: string, question: Uint8Array): Promise<Uint8Array>
  /**
   * Apply a peer's answer, to a question or to a cheque. Cheques it brings back are adopted, durably.
   * @throws {InosError} ERR_BAD_PACKET, ERR_RECORD_INVALID when it answers no question, or holds
   * cheques that these books never wrote and that it does not show; ERR_POLICY when it is caught in a lie
   */
  applySync (peer: string, answer: Uint8Array): Promise<SyncResult>
  /**
   * Give back a part or all of what a sold order cost, once. It is owed from now on and goes out
   * with the next cheque.
   * @param order CID as text @param amount µcr, @default all of it
   * @throws {InosError} ERR_USAGE; nothing has changed
   */
  refund (order: string, amount?: bigint): Promise<RefundView>
  /** Release holds of orders past expiry and grace, forget paid answers. @returns orders released */
  expire (): Promise<string[]>

  /** Every payment, job by job, oldest first. */
  history (): AsyncIterable<HistoryEntry>
  receipts (): AsyncIterable<ReceiptView>
  /** A stored receipt bundle by its receipt's CID; null when there is none. */
  bundle (receipt: string): Promise<Uint8Array | null>
  /** Proofs of fraud, by peer. */
  frauds (): AsyncIterable<FraudView>
  /** Whether there is proof of fraud against a peer: it gets no orders, no work and no cheques. Constant time. */
  isFraud (peer: string): boolean
  /** What a peer would accept from this node and this node from it, and why. @throws {InosError} ERR_USAGE */
  explain (peer: string): LineReport
  /** Every row as it lies on disk, in order of keys: what `inos credits export` writes. */
  dump (): AsyncIterable<readonly [key: string, value: Uint8Array]>
  /** Fold the signed records again, check every signature and link, compare with `balance`. */
  audit (): Promise<AuditReport>
  /** Resolves when the books could not be written, at once and not at the next command: ERR_STORE. Nothing is bought, sold or paid from then on. */
  readonly broken: Promise<InosError>
  /** Wait until everything is written. The store is its owner's to close. */
  close (): Promise<void>
}

/**
 * Open the books of a node.
 * @throws {InosError} ERR_DATA_DIR when another version wrote them, ERR_STORE
 */
export async function createCredits (components: CreditsComponents, options: LedgerOptions = {}): Promise<Credits> {
  const books = await openBooks(components, options)
  const room = new Room(books)
  await dropSpares(books, order => room.giveUpOrder(order))
  return room
}

/** A key whose job was tried at two nodes when this one ended: of what is open one order stays, or none where one is answered. */
async function dropSpares ({ keys, ledger, journal }: Books, giveUp: (order: string) => Promise<void>): Promise<void> {
  for (const orders of keys.shared()) {
    const answered = await Promise.all(orders.map(async ({ order }) => await journal.read(KEYS.receipt(order)) !== undefined))
    const open = orders.filter(({ order }) => ledger.openOrder(order) !== undefined)
    for (const { order } of answered.includes(true) ? open : open.slice(1)) await giveUp(order)
  }
}

class Room implements Credits {
  readonly #books: Books
  readonly #buyer: Buyer
  readonly #seller: Seller
  readonly #reconciler: Reconciler
  readonly #clearings: Clearings
  readonly #acceptance: Acceptance

  constructor (books: Books) {
    this.#books = books
    this.#buyer = new Buyer(books)
    this.#seller = new Seller(books)
    this.#acceptance = new Acceptance(books, this.#buyer, this.#seller)
    this.#reconciler = new Reconciler(books, (peer, order) => this.#seller.stateOf(peer, order))
    this.#clearings = new Clearings(books)
  }

  balance (): Balance { return this.#books.ledger.balance() }

  line (peer: string): LineView {
    const { due, owed, in: earned, out: spent, clearedIn, clearedOut } = this.#books.ledger.line(peer)
    return { spendable: this.spendable(peer), due: due.sum + bouncedOf(clearedIn), owed: owed.sum + bouncedOf(clearedOut), earned: earned.total, spent: spent.total }
  }

  spendable (peer: string): bigint { return this.taken(peer).free }
  taken (peer: string): Terms { return this.#books.ledger.taken(peer, this.#books.now()) }
  account (): AccountView | null { return this.#books.ledger.account() }
  get isIssuer (): boolean { return this.#books.ledger.isIssuer }
  setRules (rules: Rules): void { this.#books.ledger.setRules(rules) }
  accountOf (peer: string): bigint { return this.#clearings.account(peer) }
  async grant (peer: string, id: CID, amount: bigint): Promise<void> { await this.#clearings.grant(peer, id, amount) }
  async clear (peer: string, cheques: readonly Uint8Array[]): Promise<Uint8Array[]> { return await this.#clearings.clear(peer, cheques) }
  async claims (again: boolean): Promise<Uint8Array[][]> { return pagesOf(await this.#clearings.claims(again)) }
  async takeClearing (clearing: Uint8Array): Promise<string> { return await this.#clearings.takeClearing(clearing) }
  async clearings (): Promise<Uint8Array[][]> { return pagesOf(await this.#clearings.known()) }
  async clearingOf (peer: string): Promise<Uint8Array | null> { return await this.#clearings.latest(peer) }

  creditors (): string[] {
    return this.#books.ledger.lines().filter(line => line.owed.size > 0 || line.unacked.length > 0).map(({ peer }) => peer)
  }

  async acceptReceipt (peer: string, given: Uint8Array | BundleRecords, kept?: Promise<void>): Promise<Bundle> { return await this.#acceptance.accept(peer, given, kept) }
  async recall (key: string, spec: CID): Promise<Recalled | null> { return await this.#acceptance.recall(key, spec) }
  async placeOrder (request: OrderRequest): Promise<Sealed<Order>> { return await this.#buyer.placeOrder(request) }
  async refuseOrder (order: string): Promise<void> { await this.#buyer.refuseOrder(order) }
  async giveUpOrder (order: string): Promise<void> { await this.#buyer.giveUp(order) }
  isKeyed (order: string): boolean { return this.#books.keys.has(order) }
  async untoldCancels (peer: string): Promise<Uint8Array[]> { return await this.#buyer.untold(peer) }
  async toldCancels (peer: string, cancels: readonly Uint8Array[]): Promise<void> { await this.#buyer.told(peer, cancels) }
  async takeCancel (peer: string, cancel: Uint8Array): Promise<string> { return await this.#seller.takeCancel(peer, cancel) }
  async cancelOf (order: string): Promise<Uint8Array | null> {
    const cancel = await this.#books.journal.read(KEYS.cancel(order))
    // As a seller these books keep the payer's word under the same key.
    return cancel !== undefined && equals(openEnvelope(cancel, 'cancel', checkCancel).payload.payer, this.#books.signer.publicKey) ? cancel : null
  }

  async nextCheque (peer: string): Promise<Sealed<Cheque> | null> { return await this.#buyer.nextCheque(peer) }
  async takeAck (peer: string, ack: Uint8Array): Promise<void> { await this.#buyer.takeAck(peer, ack) }
  async acceptOrder (peer: string, order: Sealed<Order>, offer: Sealed<Offer>, limits: SpecLimits): Promise<Hold> { return await this.#seller.acceptOrder(peer, order, offer, limits) }
  async storedReply (peer: string, order: string): Promise<Uint8Array | 'gone' | 'running' | null> { return await this.#seller.storedReply(peer, order) }
  isSynced (peer: string): boolean { return this.#books.ledger.recovery.isSynced(peer) }
  hasReplicasFor (peer: string): boolean { return this.#books.keeper.lanesFor(peer).length > 0 }
  async syncQuestions (peer: string): Promise<Uint8Array[]> { return await this.#reconciler.questions(peer) }
  async answerSync (peer: string, question: Uint8Array): Promise<Uint8Array> { return await this.#reconciler.answer(peer, question) }
  async refund (order: string, amount?: bigint): Promise<RefundView> { return await this.#seller.refund(order, amount) }

  async takeCheque (peer: string, cheque: Uint8Array): Promise<ChequeAnswer> {
    const taken = await this.#seller.takeCheque(peer, cheque)
    return taken.kind === 'ack' ? taken : { kind: 'behind', body: this.#reconciler.behind(peer, taken.lacking) }
  }

  async applySync (peer: string, answer: Uint8Array): Promise<SyncResult> {
    const result = await this.#reconciler.apply(peer, answer)
    // Of cheques that were adopted the receipts are wanted, too; one that cannot be taken is not asked for again.
    let taken = 0
    for (const bytes of result.receipts) taken += await this.#acceptance.takeBack(peer, bytes).catch(refusedAs(0))
    return { ...result, more: result.more || taken > 0 }
  }

  orderOwn (spec: CID, parent?: CID): Sealed<Order> {
    const { net, signer, now, randomBytes } = this.#books
    return seal('order', checkOrder({
      net, payer: signer.publicKey, executor: signer.publicKey, offer: null, spec, costMax: 0n, level: 0, tick: 0n, expires: now() + LIMITS.job.orderSeconds, nonce: nonceOf(parent, randomBytes)
    }), signer)
  }

  async keepOrderOwn (key: string, spec: CID, parent?: CID): Promise<Sealed<Order>> { return await keepOrder(this.#books, key, spec, () => this.orderOwn(spec, parent)) }
  async keepOffer (peer: string, order: Sealed<Order>, offer: Sealed<Offer>): Promise<void> { await keepOffer(this.#books, peer, order, offer) }
  async keptOffer (order: Sealed<Order>): Promise<Sealed<Offer> | null> { return await keptOffer(this.#books, order) }
  async boughtBelow (base: string): Promise<ReadonlyMap<string, bigint>> { return await boughtBelow(this.#books, base) }
  async forgetBelow (base: string): Promise<void> { await forgetBelow(this.#books, base) }

  async recordOwn (spec: CID, facts: RunFacts, { original, key, order = this.orderOwn(spec) }: OwnRecords = {}): Promise<Bundle> {
    const { journal, signer } = this.#books
    const bundle = encodeBundle({ receipt: seal('receipt', receiptOf(order, facts, facts.below?.charge ?? 0n, original?.receipt.id), signer), order, offer: null, original })
    await journal.commit([...bundleRows(bundle), ...key === undefined ? [] : this.#nameOwn(key, order)])
    return bundle
  }

  /** It takes the place of what ran here under the key before. */
  #nameOwn (key: string, { id, payload: { spec } }: Sealed<Order>): Op[] {
    const { keys, ledger, signer, now } = this.#books
    const before = keys.orders(key, spec).filter(({ peer }) => peer === signer.id)
    const placed = { order: id.toString(), peer: signer.id }
    return [...before.flatMap(({ order }) => keys.drop(order)), ...keys.add(key, spec, placed, now(), order => ledger.openOrder(order) !== undefined)]
  }

  async expire (): Promise<string[]> {
    const { ledger, journal, replies, now } = this.#books
    const over = ledger.openOrders().filter(({ order }) => order.payload.expires + LIMITS.credits.graceSeconds < now()).map(({ order }) => order.id.toString())
    const unpaid = (order: string, peer: string): boolean => ledger.line(peer).due.has(CID.parse(order))
    const ops = [...over.flatMap(order => ledger.releaseOrder(order)), ...replies.expire(now(), unpaid)]
    if (ops.length > 0) await journal.commit(ops)
    return over
  }

  history (): AsyncIterable<HistoryEntry> { return history(this.#books) }
  receipts (): AsyncIterable<ReceiptView> { return receipts(this.#books) }

  async bundle (receipt: string): Promise<Uint8Array | null> {
    const order = await this.#books.journal.read(KEYS.of(receipt))
    return order === undefined ? null : await this.#books.journal.read(KEYS.receipt(CID.decode(order).toString())) ?? null
  }

  frauds (): AsyncIterable<FraudView> { return frauds(this.#books) }
  isFraud (peer: string): boolean { return this.#books.ledger.fraudsOf(peer) > 0 }
  explain (peer: string): LineReport { return explain(this.#books, peer) }

  async * dump (): AsyncIterable<readonly [key: string, value: Uint8Array]> {
    const { journal } = this.#books
    yield * await journal.look(() => journal.all())
  }

  async audit (): Promise<AuditReport> { return await audit(this.#books) }
  get broken (): Promise<InosError> { return this.#books.journal.broken }
  async close (): Promise<void> { await this.#books.journal.written() }
}

/** What a refusal comes to; any other error goes on. */
function refusedAs<T> (value: T): (error: unknown) => T {
  return error => {
    if (error instanceof InosError && error.code !== 'ERR_STORE') return value
    throw error
  }
}
