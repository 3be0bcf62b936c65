/**
 * Header fields as HTTP/3 writes them (QPACK, RFC 9204) to one who keeps no dynamic table: names and values from the
 * static table, or written out. Only the fields that say what is asked for are kept.
 */
import { decodeHuffman } from './huffman.ts'

/** The entries of appendix A that are about what is asked for; the other names mean nothing here. */
const STATIC: Readonly<Record<number, readonly [string, string]>> = {
  0: [':authority', ''], 1: [':path', '/'],
  15: [':method', 'CONNECT'], 16: [':method', 'DELETE'], 17: [':method', 'GET'], 18: [':method', 'HEAD'], 19: [':method', 'OPTIONS'], 20: [':method', 'POST'], 21: [':method', 'PUT'],
  22: [':scheme', 'http'], 23: [':scheme', 'https']
}
const STATIC_ENTRIES = 99
const ASKED = [':method', ':scheme', ':authority', ':path', ':protocol']
/** Of ":status" in appendix A, for an indexed field. */
export const STATUS = { ok: 25, notFound: 27 } as const

/** The block cannot be read, or breaks a rule for what is asked for. */
export class BadFields extends Error {}

/** @returns what is asked for, by the names of its fields @throws {BadFields} */
export function decodeFields (block: Uint8Array): Map<string, string> {
  const reader = new Reader(block)
  if (reader.integer(8) !== 0) throw new BadFields('there is no dynamic table')
  reader.integer(7)
  const fields = new Map<string, string>()
  while (!reader.isOver) {
    const [name, value] = readField(reader)
    if (!name.startsWith(':')) continue
    if (!ASKED.includes(name) || fields.has(name)) throw new BadFields('a field that is unknown, or there twice')
    fields.set(name, value)
  }
  return fields
}

function readField (reader: Reader): readonly [string, string] {
  const first = reader.peek()
  if ((first & 0xc0) === 0xc0) return entryOf(reader.integer(6))
  if ((first & 0xf0) === 0x50 || (first & 0xf0) === 0x70) return [entryOf(reader.integer(4))[0], reader.text(7)]
  if ((first & 0xe0) === 0x20) return [reader.text(3), reader.text(7)]
  throw new BadFields('there is no dynamic table')
}

function entryOf (index: number): readonly [string, string] {
  if (index >= STATIC_ENTRIES) throw new BadFields('no entry of the static table')
  return STATIC[index] ?? ['', '']
}

/** An answer: its status, and the name of the draft that browsers look for. */
export function encodeStatus (status: number): Uint8Array {
  const name = Buffer.from('sec-webtransport-http3-draft')
  const value = Buffer.from('draft02')
  return Buffer.concat([Uint8Array.of(0, 0, 0xc0 | status, 0x27, name.length - 7), name, Uint8Array.of(value.length), value])
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor (bytes: Uint8Array) { this.#bytes = bytes }

  get isOver (): boolean { return this.#at === this.#bytes.length }

  peek (): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw new BadFields('a field ends too soon')
    return byte
  }

  /** RFC 7541, section 5.1: in the last `bits` of a byte, and where these are all ones in bytes that follow. */
  integer (bits: number): number {
    const mask = 2 ** bits - 1
    let value = this.peek() & mask
    this.#at++
    if (value < mask) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.peek()
      this.#at++
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new BadFields('a number too large')
  }

  /** A length in the last `bits` of a byte, and before them whether the Huffman code is used. */
  text (bits: number): string {
    const isCoded = (this.peek() >> bits & 1) === 1
    const end = this.integer(bits) + this.#at
    if (end > this.#bytes.length) throw new BadFields('a field ends too soon')
    const raw = this.#bytes.subarray(this.#at, end)
    this.#at = end
    const bytes = isCoded ? decodeHuffman(raw) : raw
    if (bytes === null) throw new BadFields('no Huffman code')
    return Buffer.from(bytes).toString('latin1')
  }
}
