/**
 * Recovery: what of my lanes peers are known to hold, and these books may not. Which cheques exist
 * for certain, who has been asked since this start, and the way in for cheques of mine that were
 * lost. Whose word is taken for it, and what follows from a lie, is in `reconcile.ts`.
 */
import { encodeCanonical } from '../packet/cbor.ts'
import type { Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { type Cheque, type ChequeItem, isIssuerKind } from '../packet/records.ts'
import { type Lane, type Line, repeats, sumOf } from './line.ts'
import { refundRow, type Sheet } from './sheet.ts'
import { del, KEYS, NOTHING, type Op, put } from './store.ts'
import type { Strangers } from './strangers.ts'

export class Recovery {
  readonly #sheet: Sheet
  readonly #strangers: Strangers
  /** Peers that said since this start what they hold of mine, and when; the longest known is forgotten first. */
  readonly #synced = new Map<string, number>()
  /** Numbers of cheques of mine that exist for certain, where these books have fewer. */
  readonly #floors = new Map<string, number>()
  #adoptions = 0

  constructor (sheet: Sheet, strangers: Strangers) {
    this.#sheet = sheet
    this.#strangers = strangers
  }

  /** How often cheques were adopted. */
  get adoptions (): number { return this.#adoptions }

  /** Whether the peer has said since this start what it holds of mine, and all that is known to exist is here. */
  isSynced (peer: string): boolean { return this.#synced.has(peer) && this.floor(peer) === 0 }

  /** The peer has said what it holds, and these books hold that too. */
  sync (peer: string, now: number): void {
    this.#synced.delete(peer)
    this.#synced.set(peer, now)
    if (this.#synced.size > LIMITS.credits.syncedPeersMax) this.#synced.delete(this.#synced.keys().next().value!)
  }

  /** Unix seconds of the last sync since this start; null before the first. */
  syncedAt (peer: string): number | null { return this.#synced.get(peer) ?? null }

  /** The number up to which cheques of mine to the peer must be found before the next one is signed; 0 when none lacks. */
  floor (peer: string): number { return this.#floors.get(peer) ?? 0 }

  /** A cheque of mine with this number exists. */
  raiseFloor (peer: string, n: number): void {
    if (n > Math.max(this.#sheet.line(peer).out.n, this.floor(peer))) this.#floors.set(peer, n)
  }

  /**
   * Whether cheques that this node signed continue its lane as it stands here.
   * @throws {InosError} ERR_RECORD_INVALID; nothing has changed
   */
  check (cheques: readonly Sealed<Cheque>[], peer: string): void {
    let lane: Lane = { ...this.#sheet.line(peer).out }
    for (const { id, payload: { n, prev, total, items } } of cheques) {
      const follows = n === lane.n + 1 && (lane.last === null ? prev === null : prev?.equals(lane.last) === true)
      if (!follows || total !== lane.total + sumOf(items) || repeats(items)) {
        throw new InosError('ERR_RECORD_INVALID', `The cheque ${n} that ${peer} holds does not continue the lane these books know.`)
      }
      lane = { ...lane, n, total, last: id }
    }
  }

  /** Checked cheques of mine that these books had lost: what they pay is paid. To be written durably. */
  adopt (cheques: readonly Sealed<Cheque>[], peer: string, now: number): Op[] {
    const line = this.#sheet.known(peer)
    const ops: Op[] = []
    const pool = this.#strangers.track(line, now, () => { for (const cheque of cheques) ops.push(...this.#adoptOne(line, cheque)) })
    this.#adoptions++
    if (this.floor(peer) <= line.out.n) this.#floors.delete(peer)
    return [...ops, ...pool, this.#sheet.lanesRow(line)]
  }

  #adoptOne (line: Line, cheque: Sealed<Cheque>): Op[] {
    const { n, items } = cheque.payload
    const owed = new Set(this.#sheet.spend(line, cheque).map(({ order }) => order.toString()))
    return [put(KEYS.out(line.peer, n), cheque.bytes), put(KEYS.paid(0, 'out', line.peer, n), NOTHING), ...items.flatMap(item => this.#paid(line, item, n, owed))]
  }

  /** An item of an adopted cheque. Where nothing was owed for it here, its order must never become owed again. */
  #paid (line: Line, { order, amount, kind }: ChequeItem, n: number, owed: ReadonlySet<string>): Op[] {
    const id = order.toString()
    if (owed.has(id)) return [del(KEYS.owed(line.peer, id))]
    if (kind === 'refund') return [refundRow(id, amount)]
    // What an issuer granted or passed on is no order: its hub remembers it.
    if (isIssuerKind(kind)) return []
    return [...this.#sheet.release(id), put(KEYS.spent(line.peer, id), encodeCanonical(n))]
  }
}
