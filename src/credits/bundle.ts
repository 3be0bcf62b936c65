/**
 * The receipt file: receipt, order and offer in one, so that whoever holds it can check offline who
 * ran what for whom, and bill the run again. `openBundle` is that check.
 *
 * Canonical dag-cbor { receipt, order, offer | null }, each the bytes of its envelope. Whether
 * something was paid is not said here, and an order that has expired since stays what it was.
 */
import { equals } from 'multiformats/bytes'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import type { CID } from '../packet/cid.ts'
import { isBytes, isMap, openEnvelope, sameRecord, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import type { Verify } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { sameNet } from '../packet/mesh.ts'
import { checkOffer, checkOrder, checkReceipt, type Offer, type Order, type Receipt } from '../packet/records.ts'
import { charge } from './pricing.ts'

/** The three records of a job. */
export interface BundleRecords {
  readonly receipt: Sealed<Receipt>
  readonly order: Sealed<Order>
  /** Null for a job of one's own. */
  readonly offer: Sealed<Offer> | null
}

/** A bundle whose every claim was checked. */
export interface Bundle extends BundleRecords {
  /** The receipt file. */
  readonly bytes: Uint8Array
  /** Payer and executor are one: nothing was charged, nobody else vouches for it. */
  readonly selfExecuted: boolean
}

/** Records verified before; where the bytes are the same, they are not verified again. */
export interface KnownRecords {
  order (id: CID): Sealed<Order> | undefined
  offer (id: CID): Sealed<Offer> | undefined
}

const NOTHING_KNOWN: KnownRecords = { order: () => undefined, offer: () => undefined }

/**
 * Put records whose signatures are known into one file.
 * @throws {InosError} ERR_RECEIPT_INVALID when they do not belong together
 */
export function encodeBundle ({ receipt, order, offer }: BundleRecords): Bundle {
  checkLinks({ receipt, order, offer })
  const bytes = encodeCanonical({ receipt: receipt.bytes, order: order.bytes, offer: offer?.bytes ?? null })
  return { receipt, order, offer, bytes, selfExecuted: offer === null }
}

/**
 * Read a receipt file and check everything it says: form, signatures, links between the records,
 * and the bill.
 * @throws {InosError} ERR_RECEIPT_INVALID naming the field that is wrong
 */
export function openBundle (bytes: Uint8Array, verify: Verify): Bundle {
  return checkBundle(readBundle(bytes), verify)
}

/**
 * Check all that opened records say of each other, and their signatures.
 * @throws {InosError} ERR_RECEIPT_INVALID naming the field that is wrong
 */
export function checkBundle (records: BundleRecords, verify: Verify, known: KnownRecords = NOTHING_KNOWN): Bundle {
  const { receipt, order, offer } = records
  if (!isKnown(order, known.order(order.id))) part('order', () => { verifySealed(order, order.payload.payer, verify) })
  if (offer !== null && !isKnown(offer, known.offer(offer.id))) part('offer', () => { verifySealed(offer, offer.payload.executor, verify) })
  const bundle = encodeBundle(records)
  part('receipt', () => { verifySealed(receipt, order.payload.executor, verify) })
  return bundle
}

function isKnown (record: Sealed, known: Sealed | undefined): boolean {
  return known !== undefined && sameRecord(known, record)
}

/**
 * Read a receipt file without checking its signatures and links: one of one's own store was checked before it came there.
 * @throws {InosError} ERR_RECEIPT_INVALID when it is damaged
 */
export function readBundle (bytes: Uint8Array): BundleRecords {
  const parts = readParts(bytes)
  return {
    receipt: part('receipt', () => openEnvelope(parts.receipt, 'receipt', checkReceipt)),
    order: part('order', () => openEnvelope(parts.order, 'order', checkOrder)),
    offer: parts.offer === null ? null : part('offer', () => openEnvelope(parts.offer!, 'offer', checkOffer))
  }
}

function readParts (bytes: Uint8Array): { receipt: Uint8Array, order: Uint8Array, offer: Uint8Array | null } {
  if (bytes.length > LIMITS.credits.bundleBytesMax) {
    throw invalid('bytes', `the file has ${bytes.length} bytes, ${LIMITS.credits.bundleBytesMax} are allowed`)
  }
  const value = part('bytes', () => decodeCanonical(bytes))
  if (!isMap(value) || Object.keys(value).length !== 3) throw invalid('bytes', 'the file is not a map of receipt, order and offer')
  const { receipt, order, offer } = value
  if (!isBytes(receipt)) throw invalid('receipt', 'it is missing')
  if (!isBytes(order)) throw invalid('order', 'it is missing')
  if (offer !== null && !isBytes(offer)) throw invalid('offer', 'it is missing')
  return { receipt, order, offer }
}

/** Whether the three speak of one job, and the bill is right. Signatures are another question. */
function checkLinks ({ receipt: { payload: receipt }, order: { id, payload: order }, offer }: BundleRecords): void {
  mustHold(receipt.order.equals(id), 'order', 'the receipt is for another order')
  mustHold(receipt.spec.equals(order.spec), 'spec', 'the receipt is for another spec than the order')
  mustHold(equals(receipt.executor, order.executor), 'executor', 'the receipt is by another executor than the order names')
  mustHold(equals(receipt.payer, order.payer), 'payer', 'the receipt names another payer than the order')
  mustHold(sameNet(receipt.net, order.net), 'net', 'receipt and order belong to different meshes')
  const own = equals(order.payer, order.executor)
  mustHold(own === (offer === null) && own === (order.offer === null), 'offer', own ? 'a job of one’s own has none' : 'only a job of one’s own has none')
  if (offer === null) {
    mustHold(receipt.charge === 0n, 'charge', 'a job of one’s own costs nothing')
    return
  }
  mustHold(order.offer!.equals(offer.id), 'offer', 'the order accepts another offer')
  mustHold(equals(offer.payload.executor, order.executor), 'executor', 'the offer is by another executor')
  mustHold(sameNet(offer.payload.net, order.net), 'net', 'offer and order belong to different meshes')
  mustHold(offer.payload.profile === receipt.profile, 'profile', 'it was not offered')
  mustHold(offer.payload.classes.includes(receipt.class), 'class', 'it was not offered')
  const bill = charge(offer.payload, receipt)
  mustHold(receipt.charge === bill, 'charge', `the receipt says ${receipt.charge} µcr, the bill comes to ${bill}`)
  mustHold(bill <= order.costMax, 'charge', `${bill} µcr is more than the ${order.costMax} that the order allows`)
}

function mustHold (holds: boolean, field: string, why: string): void {
  if (!holds) throw invalid(field, why)
}

/** Whatever is wrong inside a part is a wrong receipt file; the part's own sentence says where. */
function part<T> (field: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw invalid(field, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function invalid (field: string, why: string, cause?: unknown): InosError {
  return new InosError('ERR_RECEIPT_INVALID', `The receipt fails at "${field}": ${why}`.replace(/\.?$/, '.'), cause === undefined ? {} : { cause })
}
