/**
 * Frauds: two records that one party signed and no honest one signs both. The proof is one file that
 * whoever holds it can check offline, and that names nobody who did not sign both halves:
 *
 *     two cheques with one number on one lane          against their payer
 *     two receipts for one item of an order, of a deterministic class     against their executor
 *
 * Canonical dag-cbor { kind, first, second }: the records' type and both envelopes, the smaller record
 * id first, so that two records make one proof. What follows from a proof is decided elsewhere.
 */
import { equals } from 'multiformats/bytes'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { type CID, recordCid } from '../packet/cid.ts'
import { isBytes, isMap, openEnvelope, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey, type Verify } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { checkCheque, checkReceipt, type Cheque, type Receipt } from '../packet/records.ts'
import { sameNet } from '../packet/mesh.ts'

export type FraudKind = 'cheque' | 'receipt'

/** A proof whose every claim was checked. */
export interface Fraud {
  /** CID of the two records' ids, whatever their signatures look like. */
  readonly id: CID
  readonly kind: FraudKind
  /** PeerId of who signed both. */
  readonly peer: string
  readonly first: Sealed
  readonly second: Sealed
  /** The file. */
  readonly bytes: Uint8Array
}

/**
 * Put two records whose signatures are known into one proof.
 * @throws {InosError} ERR_RECORD_INVALID when they do not contradict each other
 */
export function encodeFraud (kind: FraudKind, a: Sealed, b: Sealed): Fraud {
  const [first, second] = isBefore(a.id, b.id) ? [a, b] as const : [b, a] as const
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
  if (kind !== 'cheque' && kind !== 'receipt') throw invalid('kind', 'is neither cheque nor receipt')
  mustHold(isBytes(first), 'first', 'is missing')
  mustHold(isBytes(second), 'second', 'is missing')
  const open = (envelope: unknown): Sealed => openEnvelope<object>(envelope as Uint8Array, kind, kind === 'cheque' ? checkCheque : checkReceipt)
  const fraud = fraudOf(kind, open(first), open(second), bytes)
  mustHold(isBefore(fraud.first.id, fraud.second.id), 'second', 'belongs before the first')
  for (const record of [fraud.first, fraud.second]) verifySealed(record, authorOf(kind, record), verify)
  return fraud
}

function fraudOf (kind: FraudKind, first: Sealed, second: Sealed, bytes: Uint8Array): Fraud {
  mustHold(!first.id.equals(second.id), 'second', 'says the same as the first')
  if (kind === 'cheque') checkCheques(first.payload as Cheque, second.payload as Cheque)
  else checkReceipts(first.payload as Receipt, second.payload as Receipt)
  return { id: recordCid(encodeCanonical([kind, first.id, second.id])), kind, peer: peerIdOfKey(authorOf(kind, first)), first, second, bytes }
}

function checkCheques (a: Cheque, b: Cheque): void {
  const sameLane = sameNet(a.net, b.net) && equals(a.from, b.from) && equals(a.to, b.to) && sameNet(a.via, b.via) && a.epoch === b.epoch
  mustHold(sameLane, 'second', 'is a cheque of another lane')
  mustHold(a.n === b.n, 'second', 'is a cheque with another number')
}

function checkReceipts (a: Receipt, b: Receipt): void {
  mustHold(sameNet(a.net, b.net) && equals(a.executor, b.executor), 'second', 'is a receipt by another executor, or of another mesh')
  mustHold(a.order.equals(b.order) && a.item === b.item, 'second', 'is a receipt for another job')
  mustHold(a.class === 'deterministic' && b.class === 'deterministic', 'second', 'is a receipt of a class that may differ')
}

function authorOf (kind: FraudKind, { payload }: Sealed): Uint8Array {
  return kind === 'cheque' ? (payload as Cheque).from : (payload as Receipt).executor
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
