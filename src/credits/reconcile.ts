/**
 * Two peers make their line agree again. Sync before sign: after each start this node signs no
 * cheque to a peer before that peer has said, signed over a fresh nonce, which of its cheques it
 * holds. Those that these books lack are brought back and adopted; those that the peer lacks are
 * sent again as they are.
 *
 * A peer that hides a cheque convicts itself: its head with our nonce says less than a cheque shown
 * later, or than its head before. Where forgetting costs nothing, because these books have all that
 * it held, it is only given the bytes again: it may be an old copy of its own books.
 */
import { equals } from 'multiformats/bytes'
import { CID } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey, toHex } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { checkCheque, checkHead, type Cheque, type Head } from '../packet/records.ts'
import { type Books, checkLane, convict, requireField } from './books.ts'
import { readBundle } from './bundle.ts'
import { encodeFraud, type Fraud } from './frauds.ts'
import type { Handed } from './keeper.ts'
import { KEYS, type Op, put } from './store.ts'
import { decodeAnswer, decodeQuestion, encodeAnswer, encodeQuestion, type SyncAnswer } from './sync.ts'

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
  /** Receipt files of paid orders that these books had lost, still to be accepted. */
  readonly receipts: readonly Uint8Array[]
  /** Something that was lost came back, and there may be more: ask again. */
  readonly more: boolean
}

/** What became of an order of a peer here. */
export type OrderState = 'done' | 'running' | 'unknown'

/** A question on its way: what was known when it was asked. */
interface Asked { readonly peer: string, readonly floor: number, readonly handed: readonly Handed[] }

const NONCE_BYTES = 16

export class Reconciler {
  readonly #books: Books
  readonly #stateOf: (peer: string, order: string) => Promise<OrderState>
  /** By nonce as text. */
  readonly #asked = new Map<string, Asked>()

  constructor (books: Books, stateOf: (peer: string, order: string) => Promise<OrderState>) {
    this.#books = books
    this.#stateOf = stateOf
  }

  async questions (peer: string): Promise<Uint8Array[]> {
    const { ledger, keeper, signer } = this.#books
    const { ordersPerSyncMax } = LIMITS.credits
    const spent = await this.#lacking(peer)
    const lost = ledger.openOrders().filter(open => open.lost && open.peer === peer).map(({ order }) => order.id)
    const pages = Math.max(1, Math.ceil(lost.length / ordersPerSyncMax))
    const handed = peer === signer.id ? [] : keeper.lanesFor(peer)
    const keep = await keeper.bytesOf(handed)
    return Array.from({ length: pages }, (_, page) => encodeQuestion({
      orders: lost.slice(page * ordersPerSyncMax, (page + 1) * ordersPerSyncMax),
      lacking: page === 0 ? spent : [],
      nonce: this.#ask({ peer, floor: Math.max(ledger.line(peer).out.n, ledger.recovery.floor(peer)), handed: page === 0 ? handed : [] }),
      from: ledger.line(peer).out.n,
      keep: page === 0 ? keep : []
    }))
  }

  #ask (asked: Asked): Uint8Array {
    const nonce = this.#books.randomBytes(NONCE_BYTES)
    this.#asked.set(toHex(nonce), asked)
    if (this.#asked.size > LIMITS.credits.questionsMax * LIMITS.credits.keepersMax) this.#asked.delete(this.#asked.keys().next().value!)
    return nonce
  }

  /** Orders on cheques of mine to this peer whose receipts these books have lost, as many as one question holds. */
  async #lacking (peer: string): Promise<CID[]> {
    const { journal } = this.#books
    const orders: CID[] = []
    for await (const [key] of await journal.look(() => journal.rows('spent', peer))) {
      orders.push(CID.parse(key.split('!')[2]!))
      if (orders.length >= LIMITS.credits.ordersPerSyncMax) break
    }
    return orders
  }

  async answer (peer: string, body: Uint8Array): Promise<Uint8Array> {
    const { net, ledger, journal, keeper, signer } = this.#books
    const { orders, lacking, nonce, from, keep } = decodeQuestion(body)
    const lists: Record<OrderState, CID[]> = { done: [], running: [], unknown: [] }
    for (const order of orders) lists[await this.#stateOf(peer, order.toString())].push(order)
    const kept = await keeper.keptFor(peer)
    const receipts = await this.#collect(lacking, order => this.#tradedWith(peer, order))
    const line = ledger.line(peer)
    const { n, last } = line.in
    const replicas = keeper.keep(peer, keep)
    if (replicas.length > 0) await journal.commit(replicas)
    // A head must not say more than a power cut leaves.
    await journal.written()
    const head = seal<Head>('head', { net, from: line.key, to: signer.publicKey, epoch: 0, n, cheque: last, nonce }, signer)
    const numbers = Array.from({ length: Math.max(0, Math.min(n - from, LIMITS.credits.recordsPerSyncMax)) }, (_, i) => from + 1 + i)
    const cheques = await this.#collect(numbers, async n => await journal.read(KEYS.in(peer, n)) ?? null)
    return encodeAnswer({ n, last, head: head.bytes, cheques, receipts, kept, lacking: [], ...lists })
  }

  /** Records as far as they are found and fit an answer. */
  async #collect<T> (names: readonly T[], read: (name: T) => Promise<Uint8Array | null>): Promise<Uint8Array[]> {
    const found: Uint8Array[] = []
    let room: number = LIMITS.credits.recordsPerSyncBytes
    for (const name of names) {
      const bytes = await read(name)
      if (bytes === null) continue
      room -= bytes.length
      if (room < 0 || found.length >= LIMITS.credits.recordsPerSyncMax) break
      found.push(bytes)
    }
    return found
  }

  /** The body that says what lacks, where a cheque could not be taken. */
  behind (peer: string, lacking: readonly CID[]): Uint8Array {
    const { n, last } = this.#books.ledger.line(peer).in
    return encodeAnswer({ n, last, head: null, cheques: [], receipts: [], kept: [], lacking, done: [], running: [], unknown: [] })
  }

  async apply (peer: string, body: Uint8Array): Promise<SyncResult> {
    const { ledger, journal } = this.#books
    const answer = decodeAnswer(body)
    const adopted = answer.head === null ? 0 : await this.#takeHead(peer, answer, answer.head)
    const complete = answer.n <= ledger.line(peer).out.n
    if (complete || adopted === 0) await this.#checkPrefix(peer, answer)
    // An order that somebody still waits for may only be on its way, whatever the peer says of it.
    const mine = (order: CID): boolean => {
      const open = ledger.openOrder(order.toString())
      return open?.peer === peer && open.lost
    }
    const released = answer.unknown.filter(mine)
    const ops = released.flatMap(order => ledger.releaseOrder(order.toString()))
    if (answer.head !== null && complete) {
      ledger.recovery.sync(peer, this.#books.now())
      ops.push(put(KEYS.head(peer), answer.head))
    }
    if (ops.length > 0) await journal.commit(ops)
    return { released, done: answer.done.filter(mine), running: answer.running.filter(mine), resend: this.#resend(peer, answer), receipts: answer.receipts, more: adopted > 0 }
  }

  /** What the peer has signed to hold, and what it brings back. @returns how many cheques were adopted */
  async #takeHead (peer: string, answer: SyncAnswer, bytes: Uint8Array): Promise<number> {
    const { ledger, hub, journal, keeper, now } = this.#books
    const { asked, head } = this.#openHead(peer, answer, bytes)
    keeper.handed(peer, asked.handed)
    await this.#takeClaims(answer.kept)
    const [stored, claim] = [await journal.read(KEYS.head(peer)), await journal.read(KEYS.claim(peer))]
    const before = stored === undefined ? null : openEnvelope(stored, 'head', checkHead)
    const { n } = head.payload
    // From here to the commit nothing waits, or another answer could adopt the same cheques in between.
    const { out } = ledger.line(peer)
    // It held more when it signed before, and that is not here either.
    if (before !== null && before.payload.n <= asked.floor && n < before.payload.n && out.n < before.payload.n) return await this.#refuteHead(encodeFraud('head', before, head))
    const cheques = answer.cheques.map(cheque => this.#openOwn(peer, cheque)).filter(({ payload }) => payload.n > out.n && payload.n <= n)
    const [first] = cheques
    try {
      ledger.recovery.check(cheques, peer)
    } catch (error) {
      // A cheque I signed that does not follow mine: it was hidden when the head before was signed.
      if (before !== null && first?.payload.n === out.n + 1 && before.payload.n < first.payload.n) return await this.#refuteHead(encodeFraud('hidden', before, first))
      throw error
    }
    const found = [...cheques, ...this.#following(peer, cheques, claim)]
    const ops = found.length === 0 ? [] : [...ledger.recovery.adopt(found, peer, now()), ...hub?.adopt(found, peer) ?? []]
    if (n > out.n) {
      ledger.recovery.raiseFloor(peer, n)
      ops.push(put(KEYS.head(peer), bytes))
    }
    if (ops.length > 0) await journal.commit(ops, true)
    return found.length
  }

  /** Form, lane, signature, and that it answers a question of mine. */
  #openHead (peer: string, { n, last }: SyncAnswer, bytes: Uint8Array): { asked: Asked, head: Sealed<Head> } {
    const { net, ledger, signer, verify } = this.#books
    const head = openEnvelope(bytes, 'head', checkHead)
    const { key } = ledger.line(peer)
    checkLane('head', head.payload, net, signer.publicKey, key)
    const nonce = toHex(head.payload.nonce)
    const asked = this.#asked.get(nonce)
    if (asked === undefined || asked.peer !== peer) throw new InosError('ERR_RECORD_INVALID', 'The field "nonce" of the head answers no question of this node.')
    requireField(head.payload.n === n && (last === null ? head.payload.cheque === null : head.payload.cheque?.equals(last) === true), 'head', 'n', 'is not what the answer says')
    verifySealed(head, key, verify)
    this.#asked.delete(nonce)
    return { asked, head }
  }

  /** A cheque of mine to this peer, in its bytes. */
  #openOwn (peer: string, bytes: Uint8Array): Sealed<Cheque> {
    const { net, ledger, signer, verify } = this.#books
    const cheque = openEnvelope(bytes, 'cheque', checkCheque)
    checkLane('cheque', cheque.payload, net, signer.publicKey, ledger.line(peer).key)
    verifySealed(cheque, signer.publicKey, verify)
    return cheque
  }

  /** Replicas that others bring back: a number above mine stops the lane until everything up to it is here. */
  async #takeClaims (kept: readonly Uint8Array[]): Promise<void> {
    const { ledger, journal } = this.#books
    const ops: Op[] = []
    for (const bytes of kept) {
      const peer = peerIdOfKey(openEnvelope(bytes, 'cheque', checkCheque).payload.to)
      const { payload: { n } } = this.#openOwn(peer, bytes)
      if (n <= Math.max(ledger.line(peer).out.n, ledger.recovery.floor(peer))) continue
      ledger.recovery.raiseFloor(peer, n)
      ops.push(put(KEYS.claim(peer), bytes))
    }
    if (ops.length > 0) await journal.commit(ops, true)
  }

  /** The cheque that a third peer brought, if it follows these. */
  #following (peer: string, cheques: readonly Sealed<Cheque>[], bytes: Uint8Array | undefined): Sealed<Cheque>[] {
    if (bytes === undefined) return []
    const { ledger } = this.#books
    const claim = this.#openOwn(peer, bytes)
    if (claim.payload.n !== (cheques.at(-1)?.payload.n ?? ledger.line(peer).out.n) + 1) return []
    const last = cheques.at(-1)?.id ?? ledger.line(peer).out.last
    return last !== null && claim.payload.prev?.equals(last) === true ? [claim] : []
  }

  /** @throws {InosError} ERR_POLICY, always: the proof is kept, the peer gets no more work */
  async #refuteHead (fraud: Fraud): Promise<never> {
    await convict(this.#books, fraud)
    throw new InosError('ERR_POLICY', `The peer ${fraud.peer} has signed that it holds fewer cheques of this node than it does.`, { hint: 'It gets no more work; the proof is kept.' })
  }

  /** The peer's idea of this lane must be a prefix of what was really written. */
  async #checkPrefix (peer: string, { n, last }: SyncAnswer): Promise<void> {
    const { out } = this.#books.ledger.line(peer)
    const refuse = (): never => {
      throw new InosError('ERR_RECORD_INVALID', `The peer ${peer} holds a cheque ${n} of this node that this node does not know.`, {
        hint: 'Nothing is signed for this peer before that cheque is found.'
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
      const bytes = await this.#tradedWith(peer, order)
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

  /** The bundle of a job between this peer, and no other, and this node. */
  async #tradedWith (peer: string, order: CID): Promise<Uint8Array | null> {
    const { ledger, journal } = this.#books
    const bytes = await journal.read(KEYS.receipt(order.toString()))
    if (bytes === undefined) return null
    const { key } = ledger.line(peer)
    const { executor, payer } = readBundle(bytes).receipt.payload
    return equals(executor, key) || equals(payer, key) ? bytes : null
  }
}
