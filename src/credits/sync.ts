/**
 * The bodies with which two peers make their line agree again: after a reconnect, after a restart,
 * and when a cheque could not be taken. Canonical dag-cbor; who sends them when is the processor's.
 *
 *     question   { orders, lacking, nonce, from, keep }     which of my cheques do you hold; I know them up to `from`
 *     answer     { n, last, head, cheques, receipts, kept, lacking, done, running, unknown }
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import type { CID } from '../packet/cid.ts'
import { isBytes, isLink, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

export interface SyncQuestion {
  /** My orders at you whose outcome I don't know. */
  readonly orders: readonly CID[]
  /** Orders on my cheques to you whose receipts I have lost. */
  readonly lacking: readonly CID[]
  /** 16 bytes; the head in the answer is signed over them. */
  readonly nonce: Uint8Array
  /** My highest cheque to you. */
  readonly from: number
  /** My latest cheques to others, to be kept for me. */
  readonly keep: readonly Uint8Array[]
}

export interface SyncAnswer {
  /** The highest cheque of yours that I hold; 0 and null for none. */
  readonly n: number
  readonly last: CID | null
  /** The same, signed; null where a cheque is answered and nobody asked. */
  readonly head: Uint8Array | null
  /** Your cheques after your `from`, as I hold them. */
  readonly cheques: readonly Uint8Array[]
  /** The receipt files you lack, as many as fit. */
  readonly receipts: readonly Uint8Array[]
  /** Cheques to others that I keep for you. */
  readonly kept: readonly Uint8Array[]
  /** Orders whose receipts I have lost, though a cheque pays for them: send them, then the cheque again. */
  readonly lacking: readonly CID[]
  /** What became of the orders you asked about. */
  readonly done: readonly CID[]
  readonly running: readonly CID[]
  readonly unknown: readonly CID[]
}

const LISTS = ['lacking', 'done', 'running', 'unknown'] as const
const RECORDS = ['cheques', 'receipts', 'kept'] as const
/** A list holds the orders of one question, or of one cheque. */
const LIST_MAX = Math.max(LIMITS.credits.ordersPerSyncMax, LIMITS.credits.itemsPerChequeMax)

export function encodeQuestion (question: SyncQuestion): Uint8Array { return encodeCanonical(question) }

/** @throws {InosError} ERR_BAD_PACKET */
export function decodeQuestion (bytes: Uint8Array): SyncQuestion {
  const value = read(bytes)
  if (!isMap(value) || Object.keys(value).length !== 5 || !isLinks(value['orders'])) refuse('orders')
  if (!isLinks(value['lacking'])) refuse('lacking')
  if (!isBytes(value['nonce'], 16)) refuse('nonce')
  if (!isCount(value['from'])) refuse('from')
  if (!isRecords(value['keep'])) refuse('keep')
  return value as unknown as SyncQuestion
}

export function encodeAnswer (answer: SyncAnswer): Uint8Array { return encodeCanonical(answer) }

/** @throws {InosError} ERR_BAD_PACKET */
export function decodeAnswer (bytes: Uint8Array): SyncAnswer {
  const value = read(bytes)
  if (!isMap(value) || Object.keys(value).length !== 3 + RECORDS.length + LISTS.length) refuse('answer')
  for (const name of LISTS) if (!isLinks(value[name])) refuse(name)
  for (const name of RECORDS) if (!isRecords(value[name])) refuse(name)
  const { n, last, head } = value
  if (!isCount(n)) refuse('n')
  if ((n === 0) !== (last === null) || (last !== null && !isLink(last))) refuse('last')
  if (head !== null && !isBytes(head)) refuse('head')
  return value as unknown as SyncAnswer
}

function isCount (value: unknown): value is number { return Number.isSafeInteger(value) && (value as number) >= 0 }

function isLinks (value: unknown): value is CID[] {
  return Array.isArray(value) && value.length <= LIST_MAX && value.every(isLink)
}

function isRecords (value: unknown): value is Uint8Array[] {
  return Array.isArray(value) && value.length <= LIMITS.credits.recordsPerSyncMax && value.every(record => isBytes(record))
}

function read (bytes: Uint8Array): unknown {
  try {
    return decodeCanonical(bytes)
  } catch (cause) {
    throw new InosError('ERR_BAD_PACKET', 'The body of a sync is not canonical dag-cbor.', { cause })
  }
}

function refuse (field: string): never {
  throw new InosError('ERR_BAD_PACKET', `The field "${field}" of a sync is missing or out of range.`)
}
