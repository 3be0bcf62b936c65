/**
 * The audit: fold the signed records on disk again, from nothing, and compare with the running
 * totals. Every signature, link, chain and sum is checked; derived rows are not looked at. A record
 * that fails is named and not counted.
 */
import { equals } from 'multiformats/bytes'
import { formatCredits } from '../packet/amounts.ts'
import { decodeCanonical } from '../packet/cbor.ts'
import { openEnvelope, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { keyOfPeerId, peerIdOfKey } from '../packet/identity.ts'
import { requireNet } from '../packet/mesh.ts'
import { checkCancel, checkCheque, checkOrder, type Cheque, isIssuerKind } from '../packet/records.ts'
import { type Books, checkLane, checkVia, convict } from './books.ts'
import { openBundle, readBundle } from './bundle.ts'
import { encodeFraud, type FraudKind, openFraud } from './frauds.ts'
import { MeshFold } from './mesh-fold.ts'
import { KEYS } from './store.ts'
import type { AuditReport, BadRecord, Balance } from './views.ts'

type Rows = AsyncIterable<[string, Uint8Array]>
/** Charges by order, of one peer and one role. */
type Charges = Map<string, { peer: string, amount: bigint }>

/** @throws {InosError} ERR_STORE */
export async function audit (books: Books): Promise<AuditReport> {
  const { journal } = books
  const looked = journal.look(() => [
    journal.rows('receipt'), journal.rows('order'), journal.rows('granted'), journal.rows('clearing'), journal.rows('in'), journal.rows('out'),
    journal.rows('fraud'), journal.rows('spent'), journal.rows('refund'), journal.rows('cancel')
  ] as const)
  const running = books.ledger.balance()
  const [receipts, orders, granted, clearings, incoming, outgoing, frauds, spentRows, refunds, cancels] = await looked
  const fold = new Fold(books)
  for await (const [key] of spentRows) fold.lost.add(key.slice('spent!'.length))
  await fold.each(cancels, (key, bytes) => fold.cancel(key, bytes))
  await fold.each(receipts, (key, bytes) => fold.receipt(key, bytes))
  await fold.each(orders, (key, bytes) => fold.order(key, bytes))
  for await (const [key, bytes] of refunds) fold.refund(key, bytes)
  const { mesh } = fold
  await fold.each(granted, (key, bytes) => mesh.grant(key, bytes))
  await fold.each(clearings, (key, bytes) => mesh.clearing(key, bytes))
  const earnedByJobs = await fold.lanes(incoming, fold.sold, fold.refundable.bought, peer => [keyOfPeerId(peer), books.signer.publicKey])
  const spentOnJobs = await fold.lanes(outgoing, fold.bought, fold.refundable.sold, peer => [books.signer.publicKey, keyOfPeerId(peer)])
  await fold.each(frauds, (key, bytes) => fold.fraud(key, bytes))
  await fold.convictStrays()
  const { grants, fees, due, owed } = mesh.sums(fold.bad)
  const earned = earnedByJobs + (books.hub === null ? 0n : fees)
  const spent = spentOnJobs + (books.hub === null ? fees : 0n)
  const totals = {
    balance: earned - spent + grants, held: fold.held, due: sumOf(fold.sold) + due, owed: sumOf(fold.bought) + sumOf(fold.refunds) + owed, earned, spent
  }
  const same = (Object.keys(totals) as (keyof Balance)[]).every(name => totals[name] === running[name])
  return { ok: same && fold.bad.length === 0, id: books.signer.id, ...totals, records: fold.records, bad: fold.bad }
}

class Fold {
  readonly #books: Books
  readonly bad: BadRecord[] = []
  readonly #badKeys = new Set<string>()
  /** Not yet paid, as far as the fold has come. */
  readonly sold: Charges = new Map()
  readonly bought: Charges = new Map()
  /** What a cheque the other way may give back, once. */
  readonly refundable: Record<'sold' | 'bought', Charges> = { sold: new Map(), bought: new Map() }
  /** What this node gives back, not yet on a cheque as far as the fold has come. */
  readonly refunds: Charges = new Map()
  /** Peers and orders whose receipts were lost after they were paid. */
  readonly lost = new Set<string>()
  readonly #answered = new Set<string>()
  /** Orders their payers gave up. */
  readonly #cancelled = new Set<string>()
  readonly mesh: MeshFold
  records = 0
  held = 0n
  /** Good records under the key of another, each with the key that is its own. */
  readonly #strays: { readonly kind: FraudKind, readonly record: Sealed, readonly key: string }[] = []

  constructor (books: Books) {
    this.#books = books
    this.mesh = new MeshFold(books)
  }

  /** Check each row; one that throws is bad, the next goes on. */
  async each (rows: Rows, check: (key: string, bytes: Uint8Array) => void): Promise<void> {
    for await (const [key, bytes] of rows) {
      try {
        check(key, bytes)
        this.records++
      } catch (error) {
        if (!(error instanceof InosError)) throw error
        this.#badKeys.add(key)
        this.bad.push({ key, reason: error.message })
      }
    }
  }

  receipt (key: string, bytes: Uint8Array): void {
    const { verify, signer: { publicKey } } = this.#books
    const { receipt, order, selfExecuted } = openBundle(bytes, verify)
    const id = order.id.toString()
    const { payer, executor, charge } = receipt.payload
    if (key !== KEYS.receipt(id)) this.#strays.push({ kind: 'receipt', record: receipt, key: KEYS.receipt(id) })
    mustHold(key === KEYS.receipt(id), 'It lies under another order’s key.')
    mustHold(equals(payer, publicKey) || equals(executor, publicKey), 'It is between other parties.')
    this.#answered.add(id)
    // Jobs of its own it may have done before it joined a mesh.
    if (selfExecuted) return
    requireNet('receipt', receipt.payload.net, this.#books.net)
    const role = equals(payer, publicKey) ? 'bought' : 'sold'
    const entry = { peer: peerIdOfKey(role === 'bought' ? executor : payer), amount: charge }
    if (role === 'bought' || !this.#cancelled.has(id)) this[role].set(id, entry)
    this.refundable[role].set(id, entry)
  }

  cancel (key: string, bytes: Uint8Array): void {
    const { net, verify, signer: { publicKey } } = this.#books
    const cancel = openEnvelope(bytes, 'cancel', checkCancel)
    const { order, payer, executor } = cancel.payload
    mustHold(key === KEYS.cancel(order.toString()), 'It lies under another order’s key.')
    mustHold(equals(payer, publicKey) || equals(executor, publicKey), 'It is between other parties.')
    requireNet('cancel', cancel.payload.net, net)
    verifySealed(cancel, payer, verify)
    this.#cancelled.add(order.toString())
  }

  /** A refund is this node's own where it sold the order; a row of the peer's is on a cheque already. */
  refund (key: string, bytes: Uint8Array): void {
    const sold = this.refundable.sold.get(key.slice('refund!'.length))
    if (sold !== undefined) this.refunds.set(key.slice('refund!'.length), { peer: sold.peer, amount: BigInt(decodeCanonical(bytes) as bigint) })
  }

  order (key: string, bytes: Uint8Array): void {
    const { net, verify, signer: { publicKey } } = this.#books
    const order = openEnvelope(bytes, 'order', checkOrder)
    mustHold(key === `order!${order.id}`, 'It lies under another order’s key.')
    mustHold(equals(order.payload.payer, publicKey), 'It is not an order of this node.')
    requireNet('order', order.payload.net, net)
    verifySealed(order, publicKey, verify)
    mustHold(!this.#answered.has(order.id.toString()), 'It is open and has a receipt.')
    this.held += order.payload.costMax
  }

  /** All lanes of one direction. @returns what their cheques paid for jobs, and gave back of them */
  async lanes (rows: Rows, charges: Charges, refundable: Charges, parties: (peer: string) => [from: Uint8Array, to: Uint8Array]): Promise<bigint> {
    let sum = 0n
    let lane = { peer: '', n: 0, last: null as Sealed<Cheque> | null }
    await this.each(rows, (key, bytes) => {
      const [, peer, digits] = key.split('!') as [string, string, string]
      if (lane.peer !== peer) lane = { peer, n: 0, last: null }
      const n = Number.parseInt(digits, 16)
      const { last } = lane
      const follows = n === lane.n + 1
      // A bad cheque breaks the chain once: the next one is held against its own sums.
      lane = { peer, n, last: null }
      const cheque = openEnvelope(bytes, 'cheque', checkCheque)
      checkLane('cheque', cheque.payload, this.#books.net, ...parties(peer))
      checkVia(cheque.payload, this.#books.ledger.rules)
      verifySealed(cheque, cheque.payload.from, this.#books.verify)
      if (cheque.payload.n !== n && key.startsWith('in!')) this.#strays.push({ kind: 'cheque', record: cheque, key: KEYS.in(peer, cheque.payload.n) })
      mustHold(cheque.payload.n === n && follows, 'A cheque before it is missing.')
      if (last !== null || n === 1) checkChain(cheque.payload, last)
      lane.last = cheque
      sum += this.#payItems(key, cheque.payload, peer, charges, refundable)
    })
    return sum
  }

  fraud (key: string, bytes: Uint8Array): void {
    const { peer, id } = openFraud(bytes, this.#books.verify)
    mustHold(key === KEYS.fraud(peer, id.toString()), 'It lies under another proof’s key.')
  }

  /** Two records of one peer for one place, both signed, are a fraud wherever they lie. */
  async convictStrays (): Promise<void> {
    for (const { kind, record, key } of this.#strays) {
      const bytes = await this.#books.journal.read(key)
      if (bytes === undefined) continue
      try {
        const held = kind === 'cheque' ? openEnvelope(bytes, kind, checkCheque) : readBundle(bytes).receipt
        const fraud = openFraud(encodeFraud(kind, held, record).bytes, this.#books.verify)
        if (fraud.peer !== this.#books.signer.id) await convict(this.#books, fraud)
      } catch (error) {
        // The same record twice, or a damaged one, which is named already.
        if (!(error instanceof InosError) || error.code === 'ERR_STORE') throw error
      }
    }
  }

  /** Each job on it pays one receipt of this peer, in full, once, or gives back of one, once. @returns the sum of those */
  #payItems (key: string, { items }: Cheque, peer: string, charges: Charges, refundable: Charges): bigint {
    for (const item of items.filter(({ kind }) => isIssuerKind(kind))) {
      const reason = this.mesh.item(item, peer, charges === this.bought)
      if (reason !== null) this.bad.push({ key, reason })
    }
    const charged = items.filter(({ kind }) => !isIssuerKind(kind))
    for (const { order, amount, kind } of charged) {
      const id = order.toString()
      const open = kind === 'refund' ? refundable : charges
      const charge = open.get(id)
      const isPaidFor = charge?.peer === peer && (kind === 'refund' ? amount <= charge.amount : charge.amount === amount)
      if (kind === 'refund') this.refunds.delete(id)
      if (isPaidFor) open.delete(id)
      else if (this.lost.has(`${peer}!${id}`)) continue
      // A damaged receipt is named already; the cheque that paid it stands by its own signature.
      else if (!this.#badKeys.has(`receipt!${id}`)) this.bad.push({ key, reason: `It pays ${formatCredits(amount)} for the order ${id}, for which no receipt is unpaid.` })
    }
    return charged.reduce((sum, { amount }) => sum + amount, 0n)
  }
}

function checkChain ({ prev, total, items }: Cheque, last: Sealed<Cheque> | null): void {
  mustHold(last === null ? prev === null : prev?.equals(last.id) === true, 'It does not follow the cheque before it.')
  mustHold(total === items.reduce((sum, { amount }) => sum + amount, last?.payload.total ?? 0n), 'Its total is not the last one and its items together.')
}

function sumOf (charges: Charges): bigint {
  return charges.values().reduce((sum, { amount }) => sum + amount, 0n)
}

function mustHold (holds: boolean, reason: string): void {
  if (!holds) throw new InosError('ERR_RECORD_INVALID', reason)
}
