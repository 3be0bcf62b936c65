/**
 * The record of a state: what a module is between two calls, by hashes. Canonical dag-cbor, named by the raw CID of its
 * bytes, which stands in the spec of the call after it and in the receipt of the call before it. Its pages travel and are
 * kept beside it; which parts a module has is the engine's to say.
 */
import { decodeCanonical, encodeCanonical } from './cbor.ts'
import { type CID, rawCid } from './cid.ts'
import { isBytes, isLink, isMap } from './envelope.ts'
import { InosError } from './errors.ts'
import { isUint } from './fields.ts'
import { toHex } from './identity.ts'
import { LIMITS } from './limits.ts'
import type { StateRecord } from './state-views.ts'

export interface EncodedState { readonly record: StateRecord, readonly bytes: Uint8Array, readonly id: CID }

/** A page that is all zero has one form, null. */
const ZERO_PAGE_HEX = 'de2f256064a0af797747c2b97505dc0b9f3df0de4f489eac731c23ae9ca9cc31'
const WORD_BYTES = 8

/** @throws {InosError} ERR_RECORD_INVALID */
export function encodeState (record: StateRecord): EncodedState {
  const checked = checkRecord(record)
  const bytes = encodeCanonical(checked)
  if (bytes.length > LIMITS.state.recordBytesMax) refuse(`has ${bytes.length} bytes, ${LIMITS.state.recordBytesMax} are allowed`)
  return { record: checked, bytes, id: rawCid(bytes) }
}

/** @throws {InosError} ERR_RECORD_INVALID */
export function decodeState (bytes: Uint8Array): EncodedState {
  if (bytes.length > LIMITS.state.recordBytesMax) refuse(`has ${bytes.length} bytes, ${LIMITS.state.recordBytesMax} are allowed`)
  return { record: checkRecord(decodeCanonical(bytes)), bytes, id: rawCid(bytes) }
}

function checkRecord (value: unknown): StateRecord {
  if (!isMap(value) || Object.keys(value).length !== 6) refuse('is not a map of six fields')
  const { module, profile, pages, globals, tables, dropped } = value
  const { pagesMax, slotsMax, tableEntriesMax } = LIMITS.state
  if (!isLink(module)) refuse('does not name its module by CID')
  if (typeof profile !== 'string' || profile.length > LIMITS.wire.nameBytesMax) refuse('names no profile')
  if (!Array.isArray(pages) || pages.length > LIMITS.spec.memoryPagesMax || !pages.every(isPage)) refuse('has pages that are not hashes')
  if (pages.filter(page => page !== null).length > pagesMax) refuse(`has more than ${pagesMax} pages that are not all zero`)
  if (!isBytes(globals) || globals.length > slotsMax * WORD_BYTES || globals.length % WORD_BYTES !== 0) refuse('has globals that are not words')
  if (!Array.isArray(tables) || tables.length > LIMITS.module.tablesMax || !tables.every(isTable)) refuse('has tables that are not lists of functions')
  if (tables.reduce((sum, table) => sum + table.length, 0) > tableEntriesMax) refuse(`has tables of more than ${tableEntriesMax} entries`)
  if (!Array.isArray(dropped) || dropped.length > slotsMax || !dropped.every(isUint)) refuse('has dropped segments that are not numbers')
  return { module, profile, pages, globals, tables, dropped }
}

const isPage = (page: unknown): page is Uint8Array | null => page === null || (isBytes(page, 32) && toHex(page) !== ZERO_PAGE_HEX)
const isTable = (table: unknown): table is Array<number | null> => Array.isArray(table) && table.every(entry => entry === null || isUint(entry))

function refuse (why: string): never {
  throw new InosError('ERR_RECORD_INVALID', `The record of a state ${why}.`)
}
