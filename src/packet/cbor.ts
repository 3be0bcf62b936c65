/**
 * Canonical dag-cbor: what is signed and hashed. Decoding accepts only the one encoding that
 * encoding would give, so no two byte strings mean the same record.
 *
 * Written for what every job does some dozen times: one pass each way, and what is canonical is checked
 * while it is read (dag-cbor specification, "Strictness"; RFC 8949, section 4.2.3, for the order of keys).
 */
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { InosError } from './errors.ts'

/** How deep arrays and maps may nest; our records need four. */
const DEPTH_MAX = 32

const MAJOR = { uint: 0, negative: 1, bytes: 2, text: 3, list: 4, map: 5, tag: 6, simple: 7 } as const
const SIMPLE: ReadonlyMap<number, unknown> = new Map<number, unknown>([[0xf4, false], [0xf5, true], [0xf6, null]])
/** Of 8 bytes, the only one of dag-cbor. */
const FLOAT = 0xfb
/** Tag 42, the only one of dag-cbor. */
const CID_TAG = [0xd8, 0x2a] as const
/** CIDv1, any codec below 128, sha2-256 of 32 bytes: its bytes after the codec. */
const SHA2_256_BYTES = 36

/**
 * @throws {InosError} ERR_RECORD_INVALID when the bytes are not dag-cbor, nest too deep, or are
 * not the canonical encoding of what they say
 */
export function decodeCanonical (bytes: Uint8Array): unknown {
  try {
    return new Reader(bytes).all()
  } catch (cause) {
    throw new InosError('ERR_RECORD_INVALID', 'These bytes are not canonical dag-cbor.', { cause })
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  #depth = 0

  constructor (bytes: Uint8Array) {
    // A plain one, whose `slice` copies.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  all (): unknown {
    const value = this.#value()
    if (this.#at !== this.#bytes.length) throw new Error('bytes are left over')
    return value
  }

  #value (): unknown {
    const first = this.#bytes[this.#at]
    if (first === undefined) throw new Error('it ends too early')
    switch (first >> 5) {
      case MAJOR.uint: return this.#argument()
      case MAJOR.negative: return this.#negative()
      case MAJOR.bytes: return this.#take(this.#length(1)).slice()
      case MAJOR.text: return this.#text()
      case MAJOR.list: return this.#list()
      case MAJOR.map: return this.#map()
      case MAJOR.tag: return this.#cid()
      default: return this.#simple(first)
    }
  }

  /** What a header says behind its major type: in the fewest bytes, or it is not canonical. */
  #argument (): number | bigint {
    const info = this.#bytes[this.#at++]! & 31
    if (info < 24) return info
    const at = this.#at
    if (info === 24) return this.#atLeast(24, this.#view.getUint8(at), 1)
    if (info === 25) return this.#atLeast(0x100, this.#view.getUint16(at), 2)
    if (info === 26) return this.#atLeast(0x1_0000, this.#view.getUint32(at), 4)
    if (info !== 27) throw new Error('a length is reserved or not given')
    const high = this.#view.getUint32(at)
    if (high >= 0x20_0000) return this.#atLeast(0n, this.#view.getBigUint64(at), 8)
    return this.#atLeast(0x1_0000_0000, high * 0x1_0000_0000 + this.#view.getUint32(at + 4), 8)
  }

  #atLeast<T extends number | bigint> (min: T, value: T, width: number): T {
    if (value < min) throw new Error('an integer is longer than it needs to be')
    this.#at += width
    return value
  }

  #negative (): number | bigint {
    const value = this.#argument()
    return typeof value === 'number' && value < Number.MAX_SAFE_INTEGER ? -1 - value : -1n - BigInt(value)
  }

  /** How many items follow, each of so many bytes at least: no more than are there. */
  #length (bytesMin: number): number {
    const count = this.#argument()
    if (typeof count === 'bigint' || count * bytesMin > this.#bytes.length - this.#at) throw new Error('it is shorter than it says')
    return count
  }

  #take (length: number): Uint8Array {
    return this.#bytes.subarray(this.#at, this.#at += length)
  }

  #text (): string {
    const length = this.#length(1)
    const bytes = this.#bytes
    let at = this.#at
    this.#at += length
    // Nearly all are short and plain; the general way costs much more to begin with.
    let text = ''
    if (length <= 32) while (at < this.#at && bytes[at]! < 0x80) text += String.fromCharCode(bytes[at++]!)
    return at === this.#at ? text : utf8.decode(bytes.subarray(this.#at - length, this.#at))
  }

  #list (): unknown[] {
    const count = this.#length(1)
    this.#enter()
    const list: unknown[] = []
    for (let i = 0; i < count; i++) list.push(this.#value())
    this.#depth--
    return list
  }

  #map (): Record<string, unknown> {
    const count = this.#length(2)
    this.#enter()
    const map: Record<string, unknown> = {}
    for (let i = 0, before = -1; i < count; i++) {
      const start = this.#at
      if (this.#bytes[start]! >> 5 !== MAJOR.text) throw new Error('a key is no text')
      const key = this.#text()
      if (before >= 0 && !this.#isAscending(before, start)) throw new Error('keys are not in order')
      before = start
      set(map, key, this.#value())
    }
    this.#depth--
    return map
  }

  /** Whether the key at `next` comes behind the one at `before`: with their headers they stand in the order of their bytes. */
  #isAscending (before: number, next: number): boolean {
    const bytes = this.#bytes
    // Of two texts neither begins the other, headers included, so that equal ones differ nowhere before they end.
    for (let i = 0; next + i < this.#at; i++) if (bytes[before + i] !== bytes[next + i]) return bytes[before + i]! < bytes[next + i]!
    return false
  }

  #cid (): CID {
    if (this.#bytes[this.#at] !== CID_TAG[0] || this.#bytes[this.#at + 1] !== CID_TAG[1]) throw new Error('a tag is not that of a CID')
    this.#at += 2
    if (this.#bytes[this.#at]! >> 5 !== MAJOR.bytes) throw new Error('a CID is not bytes')
    const written = this.#take(this.#length(1))
    if (written[0] !== 0) throw new Error('a CID lacks its zero byte')
    const bytes = written.slice(1)
    if (bytes.length === SHA2_256_BYTES && bytes[0] === 1 && bytes[1]! < 0x80 && bytes[2] === 0x12 && bytes[3] === 32) {
      return new CID(1, bytes[1]!, new Digest.Digest(0x12, 32, bytes.subarray(4), bytes.subarray(2)), bytes)
    }
    const cid = CID.decode(bytes)
    if (compare(cid.bytes, bytes) !== 0) throw new Error('a CID is longer than it needs to be')
    return cid
  }

  #simple (first: number): unknown {
    this.#at++
    if (first === FLOAT) return this.#float()
    const value = SIMPLE.get(first)
    if (value === undefined) throw new Error('it has what dag-cbor leaves out')
    return value
  }

  #float (): number {
    const value = this.#view.getFloat64(this.#at)
    if (!Number.isFinite(value) || Number.isSafeInteger(value)) throw new Error('a float is none, or an integer')
    this.#at += 8
    return value
  }

  /** Before it is followed: a few kilobytes of `0x81` would exhaust the stack otherwise. */
  #enter (): void {
    if (++this.#depth > DEPTH_MAX) throw new Error('nested too deep')
  }
}

/** A field, also one that is called `__proto__`. */
function set (map: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') map[key] = value
  else Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true })
}

function compare (a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/**
 * Plain objects, arrays, texts, bytes, CIDs, finite numbers, bigints of 64 bits, booleans and null.
 * @throws {TypeError} for anything else
 */
export function encodeCanonical (value: unknown): Uint8Array<ArrayBuffer> {
  const writer = new Writer()
  writer.value(value)
  return writer.done()
}

const encoder = new TextEncoder()
/** Most records fit; it is used again when one is done. */
const ROOM_BYTES = 4 * 1024
let room = new Uint8Array(ROOM_BYTES)

class Writer {
  #bytes = room
  #view = new DataView(room.buffer)
  #at = 0

  done (): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length === ROOM_BYTES) room = this.#bytes
    return this.#bytes.slice(0, this.#at)
  }

  value (value: unknown): void {
    if (value === null) this.#byte(0xf6)
    else if (typeof value === 'string') this.#text(value)
    else if (typeof value === 'number') this.#number(value)
    else if (typeof value === 'bigint') this.#big(value)
    else if (typeof value === 'boolean') this.#byte(value ? 0xf5 : 0xf4)
    else if (value instanceof Uint8Array) this.#blob(value)
    else if (Array.isArray(value)) this.#list(value)
    else if (typeof value === 'object') this.#object(value)
    else throw new TypeError(`${typeof value} has no place in a record`)
  }

  #reserve (length: number): void {
    if (this.#at + length <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#at + length))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }

  #byte (byte: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = byte
  }

  #header (major: number, argument: number): void {
    this.#reserve(9)
    const first = major << 5
    const bytes = this.#bytes
    const view = this.#view
    if (argument < 24) {
      bytes[this.#at++] = first | argument
    } else if (argument < 0x100) {
      bytes[this.#at++] = first | 24
      bytes[this.#at++] = argument
    } else if (argument < 0x1_0000) {
      bytes[this.#at] = first | 25
      view.setUint16(this.#at + 1, argument)
      this.#at += 3
    } else if (argument < 0x1_0000_0000) {
      bytes[this.#at] = first | 26
      view.setUint32(this.#at + 1, argument)
      this.#at += 5
    } else {
      bytes[this.#at] = first | 27
      view.setBigUint64(this.#at + 1, BigInt(argument))
      this.#at += 9
    }
  }

  #number (value: number): void {
    if (!Number.isSafeInteger(value)) this.#float(value)
    else if (value < 0) this.#header(MAJOR.negative, -1 - value)
    else this.#header(MAJOR.uint, value)
  }

  #float (value: number): void {
    if (!Number.isFinite(value)) throw new TypeError(`${value} is no number of a record`)
    this.#reserve(9)
    this.#bytes[this.#at] = FLOAT
    this.#view.setFloat64(this.#at + 1, value)
    this.#at += 9
  }

  #big (value: bigint): void {
    if (value >= -(2n ** 53n) && value < 2n ** 53n) {
      if (value < 0n) this.#header(MAJOR.negative, Number(-1n - value))
      else this.#header(MAJOR.uint, Number(value))
      return
    }
    const argument = value < 0n ? -1n - value : value
    if (argument >= 2n ** 64n) throw new TypeError('an integer has more than 64 bits')
    this.#reserve(9)
    this.#bytes[this.#at] = (value < 0n ? MAJOR.negative : MAJOR.uint) << 5 | 27
    this.#view.setBigUint64(this.#at + 1, argument)
    this.#at += 9
  }

  #blob (bytes: Uint8Array): void {
    this.#header(MAJOR.bytes, bytes.length)
    this.#append(bytes)
  }

  #append (bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #text (text: string): void {
    if (isPlain(text)) {
      this.#header(MAJOR.text, text.length)
      this.#reserve(text.length)
      for (let i = 0; i < text.length; i++) this.#bytes[this.#at++] = text.charCodeAt(i)
      return
    }
    const bytes = encoder.encode(text)
    this.#header(MAJOR.text, bytes.length)
    this.#append(bytes)
  }

  #list (list: readonly unknown[]): void {
    this.#header(MAJOR.list, list.length)
    for (const item of list) this.value(item)
  }

  #object (value: object): void {
    const cid = CID.asCID(value)
    if (cid !== null) {
      this.#append(Uint8Array.from(CID_TAG))
      this.#header(MAJOR.bytes, cid.bytes.length + 1)
      this.#byte(0)
      this.#append(cid.bytes)
      return
    }
    const keys = Object.keys(value)
    keys.sort(keys.every(isPlain) ? byCharacters : byBytes)
    this.#header(MAJOR.map, keys.length)
    for (const key of keys) {
      this.#text(key)
      this.value((value as Record<string, unknown>)[key])
    }
  }
}

/** Short and ASCII, as nearly all are: then its bytes are its characters. */
function isPlain (text: string): boolean {
  if (text.length > 64) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** The order of keys: by length, then by bytes. */
function byBytes (a: string, b: string): number {
  const [left, right] = [encoder.encode(a), encoder.encode(b)]
  return left.length - right.length || compare(left, right)
}

/** The same for plain ones. */
function byCharacters (a: string, b: string): number { return a.length - b.length || (a < b ? -1 : 1) }
