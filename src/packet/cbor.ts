/**
 * Canonical dag-cbor: what is signed and hashed. Decoding accepts only the one encoding that
 * encoding would give, so no two byte strings mean the same record. The codec is the library's;
 * ours is the walk over the headers that says whether bytes are canonical, before it reads them.
 */
import { decode, encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
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
  try {
    new Walk(bytes).all()
    return decode(bytes)
  } catch (cause) {
    throw new InosError('ERR_RECORD_INVALID', 'These bytes are not canonical dag-cbor.', { cause })
  }
}

/** RFC 8949, section 3. */
const MAJOR = { uint: 0, negative: 1, bytes: 2, text: 3, list: 4, map: 5, tag: 6 } as const
const FALSE = 0xf4
const NULL = 0xf6
const FLOAT64 = 0xfb
/** Tag 42, the only one of dag-cbor. */
const CID_TAG = [0xd8, 0x2a] as const
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** One pass over the bytes (dag-cbor specification, "Strictness"): nothing is built, and nesting ends before a stack does. */
class Walk {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor (bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  all (): void {
    this.#item(0)
    if (this.#at !== this.#bytes.length) throw new Error('bytes are left over')
  }

  #item (depth: number): void {
    const first = this.#bytes[this.#at]
    if (first === undefined) throw new Error('it ends too early')
    if (depth > DEPTH_MAX) throw new Error('nested too deep')
    switch (first >> 5) {
      case MAJOR.uint: case MAJOR.negative: this.#argument(); return
      case MAJOR.bytes: this.#skip(); return
      case MAJOR.text: this.#text(); return
      case MAJOR.list: {
        for (let left = this.#argument(); left > 0; left--) this.#item(depth + 1)
        return
      }
      case MAJOR.map: this.#map(depth); return
      case MAJOR.tag: this.#cid(); return
      default: this.#simple(first)
    }
  }

  #simple (first: number): void {
    this.#at++
    if (first >= FALSE && first <= NULL) return
    // Records have no floats; messages of the control socket do. What is whole is written as an integer.
    const value = first === FLOAT64 ? this.#view.getFloat64(this.#at) : Number.NaN
    if (!Number.isFinite(value) || Number.isSafeInteger(value)) throw new Error('it has what dag-cbor leaves out')
    this.#at += 8
  }

  /** What a header says behind its major type: in the fewest bytes. Above 2⁵³ only its size matters here. */
  #argument (): number {
    const info = this.#bytes[this.#at++]! & 31
    if (info < 24) return info
    if (info > 27) throw new Error('a length is reserved or not given')
    const width = 1 << (info - 24)
    const value = width === 1 ? this.#view.getUint8(this.#at) : width === 2 ? this.#view.getUint16(this.#at) : width === 4 ? this.#view.getUint32(this.#at) : Number(this.#view.getBigUint64(this.#at))
    if (value < (width === 1 ? 24 : 2 ** (4 * width))) throw new Error('an integer is longer than it needs to be')
    this.#at += width
    return value
  }

  /** @returns the bytes of a text or of bytes */
  #skip (): Uint8Array {
    const length = this.#argument()
    if (length > this.#bytes.length - this.#at) throw new Error('it is shorter than it says')
    return this.#bytes.subarray(this.#at, this.#at += length)
  }

  #text (): Uint8Array {
    const bytes = this.#skip()
    // A byte order mark is lost in decoding, and what is no text is replaced.
    if (bytes.some(byte => byte >= 0x80) && !equals(new TextEncoder().encode(utf8.decode(bytes)), bytes)) throw new Error('a text is not what it decodes to')
    return bytes
  }

  #map (depth: number): void {
    let before: Uint8Array | null = null
    for (let left = this.#argument(); left > 0; left--) {
      if (this.#bytes[this.#at]! >> 5 !== MAJOR.text) throw new Error('a key is no text')
      const key = this.#text()
      if (before !== null && !isAscending(before, key)) throw new Error('keys are not in order')
      // Set on a plain object it would be no key, but its prototype.
      if (key.length === PROTO.length && equals(key, PROTO)) throw new Error('a key is __proto__')
      before = key
      this.#item(depth + 1)
    }
  }

  #cid (): void {
    if (this.#bytes[this.#at] !== CID_TAG[0] || this.#bytes[this.#at + 1] !== CID_TAG[1]) throw new Error('a tag is not that of a CID')
    this.#at += CID_TAG.length
    if (this.#bytes[this.#at]! >> 5 !== MAJOR.bytes) throw new Error('a CID is not bytes')
    const bytes = this.#skip().subarray(1)
    // Of version 1 and numbers below 128, as ours are, there is one way to write them. Version 0 has two, one of them with its zero.
    if (bytes.length > 4 && bytes[0] === 1 && bytes.subarray(1, 4).every(byte => byte < 0x80)) return
    if (!equals(CID.decode(bytes).bytes, bytes)) throw new Error('a CID is longer than it needs to be')
  }
}

const PROTO = new TextEncoder().encode('__proto__')

/** The order of canonical keys: the shorter first, then by their bytes (RFC 8949, section 4.2.3). */
function isAscending (before: Uint8Array, next: Uint8Array): boolean {
  if (before.length !== next.length) return before.length < next.length
  for (let i = 0; i < next.length; i++) if (before[i] !== next[i]) return before[i]! < next[i]!
  return false
}
