/**
 * States with all their bytes, and the few by which one state is told to who has the one before it. What is in a state is
 * the engine's to say; who keeps states is left to others.
 */
import { equals } from 'multiformats/bytes'
import { decodeCanonical, encodeCanonical } from './cbor.ts'
import { CID, rawCidOfDigest } from './cid.ts'
import { isBytes, isMap } from './envelope.ts'
import { InosError } from './errors.ts'
import { toHex } from './identity.ts'
import { LIMITS, PAGE_BYTES } from './limits.ts'
import { decodeState, type EncodedState } from './state.ts'
import type { KeptState } from './state-views.ts'

/** The platform's sha2-256. */
type Digest = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>

/** The most bytes a state can have. */
export const STATE_BYTES_MAX = LIMITS.state.pagesMax * PAGE_BYTES + LIMITS.state.recordBytesMax

/** What a call needs in memory for a state, in bytes. */
export function sizeOf ({ bytes, pages }: Pick<KeptState, 'bytes' | 'pages'>): number { return bytes.length + pages.size * PAGE_BYTES }

/** Record and pages under their names. */
export function blobsOf ({ id, bytes, record, pages }: KeptState): Array<{ cid: CID, bytes: Uint8Array }> {
  return [{ cid: CID.parse(id), bytes }, ...record.pages.filter(hash => hash !== null).map(hash => ({ cid: rawCidOfDigest(hash), bytes: pages.get(toHex(hash))! }))]
}

/** @throws {InosError} ERR_RECORD_INVALID when a page lacks */
export function keptOf ({ id, bytes, record }: EncodedState, find: (hex: string) => Uint8Array | undefined): KeptState {
  const pages = new Map<string, Uint8Array>()
  for (const hash of record.pages) {
    if (hash === null) continue
    const hex = toHex(hash)
    const page = find(hex)
    if (page === undefined) throw invalid(`its page ${hex} lacks`)
    pages.set(hex, page)
  }
  return { id: id.toString(), bytes, record, pages }
}

/** What is behind a page of a state; a page that is not there, or all zero, is nothing but zeros. */
const ZEROS = new Uint8Array(PAGE_BYTES)
const pageAt = (state: KeptState | null, at: number): Uint8Array => {
  const hash = state?.record.pages[at] ?? null
  return hash === null ? ZEROS : state!.pages.get(toHex(hash))!
}

const isSameHash = (one: Uint8Array | null | undefined, other: Uint8Array): boolean => one != null && equals(one, other)

/**
 * A state as told to who has the one before it: canonical dag-cbor { state, pages }, the record and, per page that
 * differs, its number and what to write over the page before it: offsets and bytes in turn.
 */
export function encodeDelta (before: KeptState | null, after: KeptState): Uint8Array {
  const pages: unknown[] = []
  for (const [at, hash] of after.record.pages.entries()) {
    if (hash === null || isSameHash(before?.record.pages[at], hash)) continue
    pages.push([at, runsBetween(pageAt(before, at), after.pages.get(toHex(hash))!)])
  }
  return encodeCanonical({ state: after.bytes, pages })
}

/**
 * The state that a delta tells of; every page of it is held against its record.
 * @throws {InosError} ERR_RECORD_INVALID
 */
export async function applyDelta (before: KeptState | null, delta: Uint8Array, digest: Digest): Promise<KeptState> {
  const value = decodeCanonical(delta)
  if (!isMap(value) || !isBytes(value['state']) || !Array.isArray(value['pages'])) throw invalid('it is not told as a record and its pages')
  const state = decodeState(value['state'])
  const fresh = new Map<string, Uint8Array>()
  let last = -1
  for (const entry of value['pages'] as unknown[]) {
    const [at, runs] = Array.isArray(entry) ? entry as unknown[] : []
    const hash = state.record.pages[at as number]
    if (!Number.isSafeInteger(at) || (at as number) <= last || hash == null || !Array.isArray(runs)) throw invalid('it is told of pages that it does not have, or not in their order')
    last = at as number
    const page = patch(pageAt(before, last), runs)
    if (!equals(await digest(page), hash)) throw invalid(`its page ${last} is not the one its record names`)
    fresh.set(toHex(hash), page)
  }
  return keptOf(state, hex => fresh.get(hex) ?? before?.pages.get(hex))
}

const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT
const WORDS = PAGE_BYTES / WORD_BYTES
/** Equal words that a new run would cost more than. */
const GAP_WORDS = 4

/** Offsets and bytes, in turn, that make `next` of `page`. Compared by words, a quarter of the time. */
function runsBetween (page: Uint8Array, next: Uint8Array): Array<number | Uint8Array> {
  const [old, now] = [wordsOf(page), wordsOf(next)]
  const runs: Array<number | Uint8Array> = []
  for (let at = differsFrom(old, now, 0); at < WORDS;) {
    let end = at + 1
    for (let same = 0; end < WORDS && same < GAP_WORDS; end++) same = old[end] === now[end] ? same + 1 : 0
    runs.push(at * WORD_BYTES, next.slice(at * WORD_BYTES, end * WORD_BYTES))
    at = differsFrom(old, now, end)
  }
  return runs
}

/** The first word from `at` on that differs. A loop of its own, because nearly all of the time is spent in it. */
function differsFrom (old: Int32Array, now: Int32Array, at: number): number {
  while (at < WORDS && old[at] === now[at]) at++
  return at
}

/** Words of a page, which comes from anywhere in a larger buffer. */
function wordsOf (page: Uint8Array): Int32Array {
  const { buffer, byteOffset } = page.byteOffset % WORD_BYTES === 0 ? page : page.slice()
  return new Int32Array(buffer, byteOffset, WORDS)
}

function patch (page: Uint8Array, runs: readonly unknown[]): Uint8Array {
  const next = page.slice()
  for (let i = 0; i < runs.length; i += 2) {
    const [offset, bytes] = [runs[i], runs[i + 1]]
    if (!Number.isSafeInteger(offset) || !isBytes(bytes) || (offset as number) < 0 || (offset as number) + bytes.length > PAGE_BYTES) throw invalid('what is written over a page does not fit it')
    next.set(bytes, offset as number)
  }
  return next
}

function invalid (why: string): InosError {
  return new InosError('ERR_RECORD_INVALID', `A state is damaged: ${why}.`)
}
