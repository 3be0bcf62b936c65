/**
 * Frauds: two records that no honest party signs both, or not in that order:
 *
 *     cheque    two cheques with one number on one lane            against their payer
 *     receipt   two receipts for one item of an order, of a deterministic class, that claim different runs,
 *               or charge the same one differently                                  against their executor
 *     head      two heads for one lane with different numbers: the later one, given while their author
 *               lacked cheques, names fewer of them                against who signed the heads
 *     hidden    a head, and a cheque beyond it that was there when it was signed     against who signed the head
 *
 * The first two convince anybody, offline, and name nobody who did not sign both halves. Heads bear no
 * time: of the last two anybody can check the signatures, but only the author of the cheques (`witness`),
 * who asked, knows what came first.
 *
 * Canonical dag-cbor { kind, first, second }: both envelopes; of one type the smaller record id first, so
 * that two records make one proof. What follows from a proof is decided in `convicts.ts`.
 */
import { equals } from 'multiformats/bytes'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { type CID, recordCid } from '../packet/cid.ts'
import { isBytes, isMap, openEnvelope, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey, type Verify } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { checkCheque, checkHead, checkReceipt, type Cheque, type Head, type Receipt, sameRun } from '../packet/records.ts'
import { sameNet } from '../packet/mesh.ts'

export type FraudKind = 'cheque' | 'receipt' | 'head' | 'hidden'

/** A proof whose every claim was checked. */
export interface Fraud {
  /** CID of the two records' ids, whatever their signatures look like. */
  readonly id: CID
  readonly kind: FraudKind
  /** PeerId of who cheated. */
  readonly peer: string
  /** PeerId of the only one whom it convinces; null: anybody. */
  readonly witness: string | null
  readonly first: Sealed
  readonly second: Sealed
  /** The file. */
  readonly bytes: Uint8Array
}

type Party = 'cheat' | 'witness'

const openCheque = (bytes: Uint8Array): Sealed<Cheque> => openEnvelope(bytes, 'cheque', checkCheque)
const openReceipt = (bytes: Uint8Array): Sealed<Receipt> => openEnvelope(bytes, 'receipt', checkReceipt)
const openHead = (bytes: Uint8Array): Sealed<Head> => openEnvelope(bytes, 'head', checkHead)

/** What a kind is made of: both records, who signed each, and what must hold between them. */
interface Rule {
  readonly open: readonly [(bytes: Uint8Array) => Sealed, (bytes: Uint8Array) => Sealed]
  readonly signedBy: readonly [Party, Party]
  check (first: Sealed, second: Sealed): void
  cheat (first: Sealed): Uint8Array
  witness (first: Sealed): Uint8Array | null
}

const RULES: Readonly<Record<FraudKind, Rule>> = {
  cheque: {
    open: [openCheque, openCheque], signedBy: ['cheat', 'cheat'],
    check: (a, b) => checkCheques(a.payload as Cheque, b.payload as Cheque),
    cheat: ({ payload }) => (payload as Cheque).from,
    witness: () => null
  },
  receipt: {
    open: [openReceipt, openReceipt], signedBy: ['cheat', 'cheat'],
    check: (a, b) => checkReceipts(a.payload as Receipt, b.payload as Receipt),
    cheat: ({ payload }) => (payload as Receipt).executor,
    witness: () => null
  },
  head: {
    open: [openHead, openHead], signedBy: ['cheat', 'cheat'],
    check: (a, b) => checkHeads(a.payload as Head, b.payload as Head),
    cheat: ({ payload }) => (payload as Head).to,
    witness: ({ payload }) => (payload as Head).from
  },
  hidden: {
    open: [openHead, openCheque], signedBy: ['cheat', 'witness'],
    check: (a, b) => checkHidden(a.payload as Head, b.payload as Cheque),
    cheat: ({ payload }) => (payload as Head).to,
    witness: ({ payload }) => (payload as Head).from
  }
}

/**
 * Put two records whose signatures are known into one proof. For `hidden` the head comes first; for the others the order is free.
 * @throws {InosError} ERR_RECORD_INVALID when they do not contradict each other
 */
export function encodeFraud (kind: FraudKind, a: Sealed, b: Sealed): Fraud {
  const [first, second] = kind === 'hidden' || isBefore(a.id, b.id) ? [a, b] as const : [b, a] as const
  return fraudOf(kind, first, second, encodeCanonical({ kind, first: first.bytes, second: second.bytes }))
}

/**
 * Read a proof and check everything it says.
 * @throws {InosError} ERR_RECORD_INVALID naming what is wrong
 */
export function openFraud (bytes: Uint8Array, verify: Verify): Fraud {
  mustHold(bytes.length <= LIMITS.credits.fraudBytesMax, 'bytes', `are ${bytes.length}, ${LIMITS.credits.fraudBytesMax} are allowed`)
  const value = decodeCanonical(bytes)
  const { kind, first, second } = isMap(value) && Object.keys(value).length === 3 ? value : {}
  if (!isKind(kind)) throw invalid('kind', 'is none of those known')
  const { open, signedBy, cheat, witness } = RULES[kind]
  const records = ([['first', first], ['second', second]] as const).map(([field, envelope], at) => {
    mustHold(isBytes(envelope), field, 'is missing')
    return open[at]!(envelope as Uint8Array)
  }) as [Sealed, Sealed]
  const fraud = fraudOf(kind, ...records, bytes)
  mustHold(kind === 'hidden' || isBefore(fraud.first.id, fraud.second.id), 'second', 'belongs before the first')
  const keys = { cheat: cheat(fraud.first), witness: witness(fraud.first) }
  for (const [at, record] of records.entries()) verifySealed(record, keys[signedBy[at]!]!, verify)
  return fraud
}

function isKind (value: unknown): value is FraudKind { return typeof value === 'string' && Object.hasOwn(RULES, value) }

function fraudOf (kind: FraudKind, first: Sealed, second: Sealed, bytes: Uint8Array): Fraud {
  const { check, cheat, witness } = RULES[kind]
  mustHold(!first.id.equals(second.id), 'second', 'says the same as the first')
  check(first, second)
  const only = witness(first)
  return {
    id: recordCid(encodeCanonical([kind, first.id, second.id])), kind, peer: peerIdOfKey(cheat(first)), witness: only === null ? null : peerIdOfKey(only), first, second, bytes
  }
}

function checkCheques (a: Cheque, b: Cheque): void {
  mustHold(sameLane(a, b) && sameNet(a.via, b.via), 'second', 'is a cheque of another lane')
  mustHold(a.n === b.n, 'second', 'is a cheque with another number')
}

function checkReceipts (a: Receipt, b: Receipt): void {
  mustHold(sameNet(a.net, b.net) && equals(a.executor, b.executor), 'second', 'is a receipt by another executor, or of another mesh')
  mustHold(a.order.equals(b.order) && a.item === b.item, 'second', 'is a receipt for another job')
  mustHold(!isRepeated(a, b), 'second', 'claims the same run')
  mustHold(a.class === 'deterministic' && b.class === 'deterministic', 'second', 'is a receipt of a class that may differ')
}

/**
 * Whether a second receipt for a job claims what the first does. An executor that has lost the first, or remembers the
 * run no more, runs the order again: it then differs in `cached`, and by that in its charge; and its children may be computed by
 * others, for other charges.
 */
export function isRepeated (a: Receipt, b: Receipt): boolean {
  const sameSource = a.cached === null ? b.cached === null : b.cached !== null && a.cached.equals(b.cached)
  const hasChildren = a.children.length + b.children.length > 0
  return sameRun(a, b) && equals(a.payer, b.payer) && (!sameSource || hasChildren || a.charge === b.charge)
}

function checkHeads (a: Head, b: Head): void {
  mustHold(sameLane(a, b), 'second', 'is a head of another lane')
  mustHold(a.n !== b.n, 'second', 'is a head with the same number')
}

function checkHidden (head: Head, cheque: Cheque): void {
  mustHold(sameLane(head, cheque), 'second', 'is a cheque of another lane')
  mustHold(cheque.n > head.n, 'second', 'is a cheque that the head does not deny')
}

type OfLane = Pick<Head, 'net' | 'from' | 'to' | 'epoch'>

function sameLane (a: OfLane, b: OfLane): boolean {
  return sameNet(a.net, b.net) && equals(a.from, b.from) && equals(a.to, b.to) && a.epoch === b.epoch
}

function isBefore (a: CID, b: CID): boolean {
  const [x, y] = [a.multihash.digest, b.multihash.digest]
  const at = x.findIndex((byte, i) => byte !== y[i])
  return at === -1 || x[at]! < y[at]!
}

function mustHold (holds: boolean, field: string, why: string): void {
  if (!holds) throw invalid(field, why)
}

function invalid (field: string, why: string): InosError {
  return new InosError('ERR_RECORD_INVALID', `The proof of a fraud fails at "${field}": it ${why}.`)
}
