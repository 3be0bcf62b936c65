/**
 * Canonical dag-cbor: what is signed and hashed. Decoding accepts only the one encoding that
 * encoding would give, so no two byte strings mean the same record.
 */
import { decode, encode } from '@ipld/dag-cbor'
import { equals } from 'multiformats/bytes'
import { InosError } from './errors.ts'

export { encode as encodeCanonical }

/** How deep arrays and maps may nest; our records need four. */
const DEPTH_MAX = 32

/**
 * @throws {InosError} ERR_RECORD_INVALID when the bytes are not dag-cbor, nest too deep, or are
 * not the canonical encoding of what they say
 */
export function decodeCanonical (bytes: Uint8Array): unknown {
  let value: unknown
  try {
    checkDepth(bytes)
    value = decode(bytes)
  } catch (cause) {
    throw new InosError('ERR_RECORD_INVALID', 'These bytes are not dag-cbor.', { cause })
  }
  if (!equals(encode(value), bytes)) {
    throw new InosError('ERR_RECORD_INVALID', 'These bytes are dag-cbor, but not canonical.')
  }
  return value
}

/**
 * Walk the headers (RFC 8949, section 3) and refuse deep nesting before the decoder recurses:
 * a few kilobytes of `0x81` would exhaust its stack otherwise.
 */
function checkDepth (bytes: Uint8Array): void {
  const open: number[] = []
  let at = 0
  while (at < bytes.length) {
    const major = bytes[at]! >> 5
    const info = bytes[at]! & 31
    at++
    let count = info
    if (info >= 24) {
      const width = info <= 27 ? 1 << (info - 24) : 0
      count = 0
      for (let i = 0; i < width; i++) count = count * 256 + (bytes[at + i] ?? 0)
      at += width
    }
    if (major === 2 || major === 3) at += count
    const children = major === 4 ? count : major === 5 ? count * 2 : major === 6 ? 1 : 0
    if (children > 0) open.push(children)
    // What has no children ends itself, and every parent whose last child it was.
    else while (open.length > 0 && --open[open.length - 1]! === 0) open.pop()
    if (open.length > DEPTH_MAX) throw new Error('nested too deep')
  }
}
