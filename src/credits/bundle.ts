/**
 * The receipt file: receipt, order and offer in one, so that whoever holds it can check offline who
 * ran what for whom, and bill the run again. `openBundle` is that check.
 *
 * Canonical dag-cbor { receipt, order, offer | null }, each the bytes of its envelope; where the receipt repeats a run
 * (`cached`), also `original`: the file of that run's receipt, which must claim the same. Whether something was paid is
 * not said here, and an order that has expired since stays what it was.
 */
import { equals } from 'multiformats/bytes'
import { formatCredits } from '../packet/amounts.ts'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import type { CID } from '../packet/cid.ts'
import { isBytes, isMap, openEnvelope, sameRecord, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import type { Verify } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { sameNet } from '../packet/mesh.ts'
import { checkOffer, checkOrder, checkReceipt, type Offer, type Order, type Receipt, sameRun } from '../packet/records.ts'
import { charge } from './pricing.ts'

/** The records of a job. */
export interface BundleRecords {
  readonly receipt: Sealed<Receipt>
  readonly order: Sealed<Order>
  /** Null for a job of one's own. */
  readonly offer: Sealed<Offer> | null
  /** Of the run that the receipt repeats; absent where this job was run. */
  readonly original?: BundleRecords | undefined
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
export function encodeBundle ({ receipt, order, offer, original }: BundleRecords): Bundle {
  checkLinks({ receipt, order, offer, original })
  const parts = { receipt: receipt.bytes, order: order.bytes, offer: offer?.bytes ?? null }
  const bytes = encodeCanonical(original === undefined ? parts : { ...parts, original: part('original', () => encodeBundle(original)).bytes })
  return { receipt, order, offer, original, bytes, selfExecuted: offer === null }
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
  const { receipt, order, offer, original } = records
  if (!isKnown(order, known.order(order.id))) part('order', () => { verifySealed(order, order.payload.payer, verify) })
  if (offer !== null && !isKnown(offer, known.offer(offer.id))) part('offer', () => { verifySealed(offer, offer.payload.executor, verify) })
  const bundle = encodeBundle(records)
  part('receipt', () => { verifySealed(receipt, order.payload.executor, verify) })
  if (original !== undefined) part('original', () => checkBundle(original, verify, known))
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
  const { original, ...parts } = readParts(bytes)
  return original === undefined ? openParts(parts) : { ...openParts(parts), original: part('original', () => readOriginal(original)) }
}

/** One receipt repeats a run, never another repetition. */
function readOriginal (bytes: Uint8Array): BundleRecords {
  const { original, ...parts } = readParts(bytes)
  mustHold(original === undefined, 'original', 'it has an original itself')
  return openParts(parts)
}

function openParts (parts: Parts): BundleRecords {
  return {
    receipt: part('receipt', () => openEnvelope(parts.receipt, 'receipt', checkReceipt)),
    order: part('order', () => openEnvelope(parts.order, 'order', checkOrder)),
    offer: parts.offer === null ? null : part('offer', () => openEnvelope(parts.offer!, 'offer', checkOffer))
  }
}

interface Parts { receipt: Uint8Array, order: Uint8Array, offer: Uint8Array | null, original?: Uint8Array }

function readParts (bytes: Uint8Array): Parts {
  if (bytes.length > LIMITS.credits.bundleBytesMax) {
    throw invalid('bytes', `the file has ${bytes.length} bytes, ${LIMITS.credits.bundleBytesMax} are allowed`)
  }
  const value = part('bytes', () => decodeCanonical(bytes))
  if (!isMap(value) || Object.keys(value).length !== ('original' in value ? 4 : 3)) throw invalid('bytes', 'the file is not a map of receipt, order and offer')
  const { receipt, order, offer, original } = value
  if (!isBytes(receipt)) throw invalid('receipt', 'it is missing')
  if (!isBytes(order)) throw invalid('order', 'it is missing')
  if (offer !== null && !isBytes(offer)) throw invalid('offer', 'it is missing')
  if (original === undefined) return { receipt, order, offer }
  if (!isBytes(original)) throw invalid('original', 'it is missing')
  return { receipt, order, offer, original }
}

/** Whether the records speak of one job, and the bill is right. Signatures are another question. */
function checkLinks ({ receipt: { payload: receipt }, order: { id, payload: order }, offer, original }: BundleRecords): void {
  mustHold(receipt.order.equals(id), 'order', 'the receipt is for another order')
  mustHold(receipt.spec.equals(order.spec), 'spec', 'the receipt is for another spec than the order')
  mustHold(equals(receipt.executor, order.executor), 'executor', 'the receipt is by another executor than the order names')
  mustHold(equals(receipt.payer, order.payer), 'payer', 'the receipt names another payer than the order')
  mustHold(sameNet(receipt.net, order.net), 'net', 'receipt and order belong to different meshes')
  checkOriginal(receipt, original)
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
  const bill = charge(offer.payload, receipt, receipt.cached !== null)
  mustHold(receipt.charge === bill, 'charge', `the receipt says ${formatCredits(receipt.charge)}, the bill comes to ${formatCredits(bill)}`)
  mustHold(bill <= order.costMax, 'charge', `${formatCredits(bill)} is more than the ${formatCredits(order.costMax)} that the order allows`)
}

/** A receipt that repeats a run must claim what that run's receipt does, and comes with it. */
function checkOriginal (receipt: Receipt, original: BundleRecords | undefined): void {
  const { cached } = receipt
  mustHold((cached === null) === (original === undefined), 'original', cached === null ? 'the receipt is of a run of its own' : 'the receipt of the run it repeats is missing')
  if (cached === null || original === undefined) return
  mustHold(original.receipt.id.equals(cached), 'original', 'the receipt names another one')
  mustHold(original.receipt.payload.cached === null, 'original', 'it was no run either')
  mustHold(sameRun(receipt, original.receipt.payload), 'original', 'it claims another run')
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
