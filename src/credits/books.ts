/**
 * What buyer, seller and audit share: the ledger in memory, the journal on disk, the key that signs,
 * and the few checks every record of a line has to pass. Opens them from a store.
 */
import { equals } from 'multiformats/bytes'
import { CID } from '../packet/cid.ts'
import { openEnvelope, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey, rememberGood, type Signer, type Verify } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { requireNet, sameNet } from '../packet/mesh.ts'
import { type Cheque, checkCheque, checkClearing, checkHead, checkOrder, type Offer } from '../packet/records.ts'
import type { Fraud } from './frauds.ts'
import { Hub } from './hub.ts'
import { Keeper } from './keeper.ts'
import { Keys } from './keys.ts'
import { Ledger, type LedgerOptions } from './ledger.ts'
import { readDebt } from './line.ts'
import { Replies } from './replies.ts'
import { migrate } from './migrations.ts'
import { Journal, KEYS, type Prefix, type Store } from './store.ts'
import { type Rules, viaOf } from './terms.ts'

/** What the room is made of; the platform lends it. */
export interface CreditsComponents {
  readonly store: Store
  readonly signer: Signer
  readonly verify: Verify
  /** Unix seconds. */
  now (): number
  randomBytes (length: number): Uint8Array
}

export interface Books extends Omit<CreditsComponents, 'store'> {
  /** The mesh of all their records; null: the open one. */
  readonly net: Uint8Array | null
  readonly ledger: Ledger
  /** Of the issuer of a mesh; null anywhere else. */
  readonly hub: Hub | null
  readonly journal: Journal
  readonly replies: Replies
  readonly offers: KnownOffers
  readonly keeper: Keeper
  /** By peer: orders given up that it has not heard of. */
  readonly untold: Map<string, Set<string>>
  readonly keys: Keys
}

/**
 * Fold the store into memory: only what is open, however long the history.
 * @throws {InosError} ERR_DATA_DIR, ERR_STORE
 */
export async function openBooks ({ store, ...lent }: CreditsComponents, options: LedgerOptions): Promise<Books> {
  const verify = rememberGood(lent.verify)
  const platform = { ...lent, verify }
  const { signer } = platform
  await migrate(store)
  const journal = new Journal(store, signer)
  const ledger = new Ledger(signer.id, signer.publicKey, options)
  const hub = ledger.isIssuer ? new Hub(ledger) : null
  const replies = new Replies()
  for await (const [[peer], value] of keyed(journal, 'line')) ledger.restoreLine(peer!, value)
  for await (const [[peer, order], value] of keyed(journal, 'owed')) ledger.restoreOwed(peer!, readDebt(CID.parse(order!), value))
  for await (const [[peer, order], value] of keyed(journal, 'due')) ledger.restoreDue(peer!, readDebt(CID.parse(order!), value))
  for await (const [[peer], value] of keyed(journal, 'waived')) ledger.restoreWaived(peer!, value)
  for await (const [[id], value] of keyed(journal, 'order')) restoreOrder(ledger, id!, value)
  for await (const [[peer, id], value] of keyed(journal, 'fraud')) ledger.ban(peer!, id!, value)
  for await (const [, value] of keyed(journal, 'clearing')) restoreClearing(ledger, hub, value)
  if (hub !== null) for await (const [[id]] of keyed(journal, 'granted')) hub.restoreGrant(id!)
  const answers: [string, Uint8Array][] = []
  for await (const [[order], value] of keyed(journal, 'kept')) answers.push([order!, value])
  replies.restore(answers)
  const pool = await journal.read(KEYS.pool)
  if (pool !== undefined) ledger.restorePool(pool)
  const promises = await journal.read(KEYS.promises)
  if (promises !== undefined) ledger.restorePromises(promises)
  await restoreFloors(journal, ledger)
  const kept = await restoreReplicas(journal)
  const books: Omit<Books, 'keeper'> = { ...platform, net: options.charter?.net ?? null, ledger, hub, journal, replies, offers: new KnownOffers(verify), untold: await restoreUntold(journal), keys: await restoreKeys(journal) }
  return { ...books, keeper: new Keeper(books, kept) }
}

async function restoreUntold (journal: Journal): Promise<Map<string, Set<string>>> {
  const untold = new Map<string, Set<string>>()
  for await (const [[peer, order]] of keyed(journal, 'untold')) untold.set(peer!, (untold.get(peer!) ?? new Set<string>()).add(order!))
  return untold
}

async function restoreKeys (journal: Journal): Promise<Keys> {
  const rows: [string, Uint8Array][] = []
  // A key may hold what cuts the keys of other rows into parts.
  for await (const [key, value] of journal.rows('key')) rows.push([key.slice('key!'.length), value])
  const keys = new Keys()
  keys.restore(rows)
  return keys
}

/** Cheques of this node that exist although it has them not. */
async function restoreFloors (journal: Journal, ledger: Ledger): Promise<void> {
  for await (const [[peer], value] of keyed(journal, 'head')) ledger.recovery.raiseFloor(peer!, openEnvelope(value, 'head', checkHead).payload.n)
  for await (const [[peer], value] of keyed(journal, 'claim')) ledger.recovery.raiseFloor(peer!, openEnvelope(value, 'cheque', checkCheque).payload.n)
}

async function restoreReplicas (journal: Journal): Promise<Map<string, Map<string, number>>> {
  const kept = new Map<string, Map<string, number>>()
  for await (const [[author, peer], value] of keyed(journal, 'replica')) {
    kept.set(author!, (kept.get(author!) ?? new Map<string, number>()).set(peer!, openEnvelope(value, 'cheque', checkCheque).payload.n))
  }
  return kept
}

/** Rows with their key cut into parts, without the prefix. */
async function * keyed (journal: Journal, prefix: Prefix): AsyncIterable<[string[], Uint8Array]> {
  for await (const [key, value] of journal.rows(prefix)) yield [key.split('!').slice(1), value]
}

/** @throws {InosError} ERR_STORE: what was cleared is money, and must not be forgotten */
function restoreClearing (ledger: Ledger, hub: Hub | null, bytes: Uint8Array): void {
  try {
    const { payload } = openEnvelope(bytes, 'clearing', checkClearing)
    if (hub !== null) hub.restoreClearing(payload)
    else ledger.restoreClearing(payload, peerIdOfKey(equals(payload.from, ledger.key) ? payload.to : payload.from))
  } catch (cause) {
    throw new InosError('ERR_STORE', 'A stored clearing is damaged.', { cause })
  }
}

/** An order that cannot be read any more holds nothing; the audit names it. */
function restoreOrder (ledger: Ledger, id: string, bytes: Uint8Array): void {
  try {
    const order = openEnvelope(bytes, 'order', checkOrder)
    if (order.id.toString() === id) ledger.restoreOrder(order, peerIdOfKey(order.payload.executor))
  } catch (error) {
    if (!(error instanceof InosError)) throw error
  }
}

/** Offers whose signature was checked, so that each is checked once; the oldest are forgotten. */
export class KnownOffers {
  readonly #verify: Verify
  readonly #known = new Map<string, Sealed<Offer>>()

  constructor (verify: Verify) {
    this.#verify = verify
  }

  get (id: CID): Sealed<Offer> | undefined { return this.#known.get(id.toString()) }

  /** @throws {InosError} ERR_RECORD_INVALID when its executor did not sign it */
  check (offer: Sealed<Offer>): void {
    const known = this.get(offer.id)
    if (known !== undefined && equals(known.bytes, offer.bytes)) return
    verifySealed(offer, offer.payload.executor, this.#verify)
    this.#known.set(offer.id.toString(), offer)
    if (this.#known.size > LIMITS.credits.offersKnownMax) this.#known.delete(this.#known.keys().next().value!)
  }
}

/** @throws {InosError} ERR_RECORD_INVALID naming the field */
export function requireField (holds: boolean, type: string, field: string, why: string): void {
  if (!holds) throw new InosError('ERR_RECORD_INVALID', `The field "${field}" of the ${type} ${why}.`)
}

/**
 * Whether a cheque or an ack belongs to the lane between two parties in the mesh of these books.
 * @throws {InosError} ERR_WRONG_MESH, ERR_RECORD_INVALID
 */
export function checkLane (
  type: string, record: { net: Uint8Array | null, from: Uint8Array, to: Uint8Array, epoch: number }, net: Uint8Array | null, from: Uint8Array, to: Uint8Array
): void {
  requireNet(type, record.net, net)
  requireField(equals(record.from, from), type, 'from', 'is not the payer of this lane')
  requireField(equals(record.to, to), type, 'to', 'is not the payee of this lane')
  requireField(record.epoch === 0, type, 'epoch', 'is not that of this lane')
}

/**
 * Keep a proof of fraud and act on it: at once nothing more is given to or taken from the peer. Durable when this resolves.
 * The same proof again, or more of them than are kept, change nothing.
 */
export async function convict ({ ledger, journal }: Books, { peer, id, bytes }: Fraud): Promise<void> {
  const ops = ledger.ban(peer, id.toString(), bytes)
  if (ops.length > 0) await journal.commit(ops, true)
}

/** Whether a cheque is cleared where the books' mesh clears it. @throws {InosError} ERR_RECORD_INVALID */
export function checkVia ({ from, to, via }: Cheque, rules: Rules | null): void {
  requireField(sameNet(via, viaOf(rules, from, to)), 'cheque', 'via', 'is not the account that clears this lane')
}
