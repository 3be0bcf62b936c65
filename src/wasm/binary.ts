/**
 * Reading and writing the WebAssembly binary format: bytes, LEB128 integers and names.
 *
 * Knows nothing of sections or instructions; `decode.ts` and the meter do.
 */
import { InosError } from '../packet/errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const toUtf8 = new TextEncoder()

/** How an offset is written in messages: "0x1f". */
export function hex (offset: number): string {
  return `0x${offset.toString(16)}`
}

/** The refusal of every malformed or unsupported module, naming the byte. */
export function invalidModule (what: string, offset: number): InosError {
  return new InosError('ERR_INVALID_MODULE', `The module was refused: ${what}, at offset ${hex(offset)}.`)
}

/** A cursor over bytes nobody has checked. Every method throws ERR_INVALID_MODULE at the end of the range. */
export class Reader {
  readonly bytes: Uint8Array
  at: number
  end: number

  constructor (bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get done (): boolean { return this.at >= this.end }

  u8 (): number {
    if (this.at >= this.end) throw invalidModule('it ends too early', this.at)
    return this.bytes[this.at++]!
  }

  /** An unsigned LEB128 of at most 32 bits. */
  u32 (): number {
    const start = this.at
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8()
      if (shift === 28 && byte > 0x0f) break
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw invalidModule('an integer has more than 32 bits', start)
  }

  /** Step over a signed or unsigned LEB128 of at most `bits` bits; V8 checks its last byte. */
  skipLeb (bits: 32 | 64): void {
    const start = this.at
    for (let left = Math.ceil(bits / 7); left > 0; left--) {
      if (this.u8() < 0x80) return
    }
    throw invalidModule(`an integer has more than ${bits} bits`, start)
  }

  skip (count: number): void {
    if (count > this.end - this.at) throw invalidModule('it ends too early', this.end)
    this.at += count
  }

  /**
   * The length of a vector, checked before anybody allocates for it.
   * @param countMax the cap, named `what` in the refusal
   */
  count (countMax: number, what: string): number {
    const start = this.at
    const count = this.u32()
    if (count > countMax) throw invalidModule(`it has ${count} ${what}, and ${countMax} are allowed`, start)
    if (count > this.end - this.at) throw invalidModule(`it ends before its ${count} ${what}`, start)
    return count
  }

  name (): string {
    const length = this.u32()
    const start = this.at
    this.skip(length)
    try {
      return utf8.decode(this.bytes.subarray(start, this.at))
    } catch {
      throw invalidModule('a name is not UTF-8', start)
    }
  }
}

/** A buffer that grows. Room is made once per call, so writing a byte is a store and a compare. */
export class Writer {
  private bytes: Uint8Array<ArrayBuffer>
  length = 0

  constructor (capacity = 1024) {
    this.bytes = new Uint8Array(capacity)
  }

  reserve (count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
  }

  u8 (byte: number): void {
    if (this.length === this.bytes.length) this.reserve(1)
    this.bytes[this.length++] = byte
  }

  /** Several bytes, for instructions without large immediates. */
  ops (...bytes: readonly number[]): void {
    for (const byte of bytes) this.u8(byte)
  }

  u32 (value: number): void {
    let rest = value >>> 0
    while (rest > 0x7f) {
      this.u8((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    this.u8(rest)
  }

  /** A signed LEB128 of a non-negative integer below 2⁵³: an i32.const or i64.const of ours. */
  positive (value: number): void {
    let rest = value
    while (rest > 0x3f) {
      this.u8((rest % 128) | 0x80)
      rest = Math.floor(rest / 128)
    }
    this.u8(rest)
  }

  copy (source: Uint8Array, from = 0, to = source.length): void {
    const count = to - from
    this.reserve(count)
    // A view costs more to make than a few bytes cost to copy.
    if (count > 32) this.bytes.set(source.subarray(from, to), this.length)
    else for (let i = 0; i < count; i++) this.bytes[this.length + i] = source[from + i]!
    this.length += count
  }

  name (text: string): void {
    const encoded = toUtf8.encode(text)
    this.u32(encoded.length)
    this.copy(encoded)
  }

  /** What was written so far, as a view that the next write may leave behind. */
  view (): Uint8Array<ArrayBuffer> { return this.bytes.subarray(0, this.length) }

  finish (): Uint8Array<ArrayBuffer> { return new Uint8Array(this.view()) }
}
