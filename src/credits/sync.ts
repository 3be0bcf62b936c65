/**
 * The bodies with which two peers make their line agree again: after a reconnect, after a restart,
 * and when a cheque could not be taken. Canonical dag-cbor; who sends them when is the processor's.
 *
 *     question   { orders: [CID …] }                                 open orders of mine at you, outcome unknown
 *     answer     { n, last, lacking, done, running, unknown }        your lane as I hold it, receipts I lack, your orders
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import type { CID } from '../packet/cid.ts'
import { isLink, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

export interface SyncAnswer {
  /** The highest cheque of yours that I hold; 0 and null for none. */
  readonly n: number
  readonly last: CID | null
  /** Orders your cheque pays for whose receipts I have lost: send them, then the cheque again. */
  readonly lacking: readonly CID[]
  /** What became of the orders you asked about. */
  readonly done: readonly CID[]
  readonly running: readonly CID[]
  readonly unknown: readonly CID[]
}

const LISTS = ['lacking', 'done', 'running', 'unknown'] as const
/** A list holds the orders of one question, or of one cheque. */
const LIST_MAX = Math.max(LIMITS.credits.ordersPerSyncMax, LIMITS.credits.itemsPerChequeMax)

export function encodeQuestion (orders: readonly CID[]): Uint8Array { return encodeCanonical({ orders }) }

/** @returns order ids @throws {InosError} ERR_BAD_PACKET */
export function decodeQuestion (bytes: Uint8Array): CID[] {
  const value = read(bytes)
  if (!isMap(value) || Object.keys(value).length !== 1 || !isLinks(value['orders'])) refuse('orders')
  return value['orders']
}

export function encodeAnswer (answer: SyncAnswer): Uint8Array { return encodeCanonical(answer) }

/** @throws {InosError} ERR_BAD_PACKET */
export function decodeAnswer (bytes: Uint8Array): SyncAnswer {
  const value = read(bytes)
  if (!isMap(value) || Object.keys(value).length !== 2 + LISTS.length) refuse('answer')
  for (const name of LISTS) if (!isLinks(value[name])) refuse(name)
  const { n, last } = value
  if (!Number.isSafeInteger(n) || (n as number) < 0) refuse('n')
  if ((n === 0) !== (last === null) || (last !== null && !isLink(last))) refuse('last')
  return value as unknown as SyncAnswer
}

function isLinks (value: unknown): value is CID[] {
  return Array.isArray(value) && value.length <= LIST_MAX && value.every(isLink)
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
