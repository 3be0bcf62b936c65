/**
 * Packets as bytes: each is protobuf behind its length as an unsigned varint. This file knows no
 * stream and no time; `frames.ts` reads and writes with it under deadlines.
 *
 * Every length is checked before anything is allocated for it, and a frame that arrives in many
 * pieces is copied a bounded number of times, whatever the pieces.
 */
import { reader, writer } from 'protons-runtime'
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { Packet } from '../packet/packet.pb.js'

/** The wire's limits; a caller may hand in smaller or larger ones. */
export type WireLimits = { readonly [K in keyof typeof LIMITS.wire]: number }

/** Lengths are at most four varint bytes: 2²⁸ − 1. */
const PREFIX_BYTES_MAX = 4
/** Room for a frame in pieces grows from here by doubling, so that memory follows what has really arrived. */
const PART_BYTES_MIN = 1024
/** All bits of `byReference`. */
const REFERENCES_ALL = 63
const EMPTY = new Uint8Array(0)
const SIZE_MAX = BigInt(Number.MAX_SAFE_INTEGER)

/** What `Packet` calls its fields of names: short by nature. */
const NAMES = ['kind', 'id', 'code'] as const

/** The error for bytes of a peer that break the rules; `message` says which rule. */
export function badPacket (message: string, cause?: unknown): InosError {
  return new InosError('ERR_BAD_PACKET', message, cause === undefined ? {} : { cause })
}

/**
 * Length and protobuf of one packet, ready to be written.
 * @throws {InosError} ERR_INPUT_TOO_LARGE above `frameBytesMax`
 */
export function encodePacket (packet: Partial<Packet>, limits: WireLimits = LIMITS.wire): Uint8Array {
  const bytes = writer()
  Packet.codec().encode(packet, bytes)
  const frame = bytes.finish()
  if (frame.length > limits.frameBytesMax) {
    throw new InosError('ERR_INPUT_TOO_LARGE', `A packet of ${frame.length} bytes is above the limit of ${limits.frameBytesMax}.`, {
      hint: 'Name what is large by its CID instead of sending it inline.'
    })
  }
  return frame
}

/**
 * A packet in two parts that are to be sent one behind the other: a result as large as a chunk is not copied.
 * @throws {InosError} ERR_INPUT_TOO_LARGE above `frameBytesMax`
 */
export function encodeWithResult (packet: Partial<Packet>, result: Uint8Array, limits: WireLimits = LIMITS.wire): readonly Uint8Array[] {
  if (result.length === 0) return [encodePacket(packet, limits)]
  const rest = Packet.encode(packet)
  const head = [...varint(rest.length + 1 + varint(result.length).length + result.length), ...rest, RESULT_TAG, ...varint(result.length)]
  if (head.length + result.length > limits.frameBytesMax) throw new InosError('ERR_INPUT_TOO_LARGE', `A packet of ${head.length + result.length} bytes is above the limit of ${limits.frameBytesMax}.`)
  return [Uint8Array.from(head), result]
}

/** Field 3 of `Packet`, of the wire type that has a length. */
const RESULT_TAG = 3 << 3 | 2

function varint (value: number): number[] {
  return value < 128 ? [value] : [value % 128 + 128, ...varint(Math.floor(value / 128))]
}

/**
 * Read one packet. Its fields are views of `bytes`: copy what outlives the call.
 * @throws {InosError} ERR_BAD_PACKET saying what is wrong
 */
export function decodePacket (bytes: Uint8Array, limits: WireLimits = LIMITS.wire): Packet {
  let packet: Packet
  const source = reader(bytes)
  try {
    packet = Packet.codec().decode(source, undefined, { limits: { records: limits.recordsPerPacketMax } })
  } catch (cause) {
    const why = (cause as Error).name === 'MaxLengthError' ? `it has more than ${limits.recordsPerPacketMax} records` : 'it is not protobuf'
    throw badPacket(`A packet cannot be read: ${why}.`, cause)
  }
  // The reader steps over the end when the last number is cut short.
  if (source.pos !== bytes.length) throw badPacket('A packet cannot be read: it ends inside a field.')
  checkFields(packet, limits)
  return packet
}

function checkFields (packet: Packet, limits: WireLimits): void {
  for (const name of NAMES) {
    if (packet[name].length > limits.nameBytesMax) throw badPacket(`A packet’s ${name} is longer than ${limits.nameBytesMax}.`)
  }
  if (packet.text.length > limits.textBytesMax) throw badPacket(`A packet’s text is longer than ${limits.textBytesMax}.`)
  if (packet.cost < 0n) throw badPacket('A packet’s cost is below zero.')
  if (packet.size > SIZE_MAX) throw badPacket('A packet’s size is above 2^53.')
  if (packet.byReference > REFERENCES_ALL) throw badPacket('A packet’s by_reference has unknown bits.')
}

/** Finds the frames in a stream of chunks. */
export class FrameDecoder {
  readonly #limits: WireLimits
  #prefix = 0
  #prefixBytes = 0
  /** Length of the frame under way; −1 while its prefix is not complete. */
  #size = -1
  #part = EMPTY
  #have = 0
  #lent: Uint8Array<ArrayBuffer> | null = null
  /** Frames completed so far. */
  frames = 0

  constructor (limits: WireLimits = LIMITS.wire) { this.#limits = limits }

  /** Whether a frame has begun and not ended. */
  get begun (): boolean { return this.#prefixBytes > 0 }

  /** Bytes the frame under way will have; 0 while unknown. */
  get size (): number { return Math.max(this.#size, 0) }

  /** Room for the next frame that arrives in pieces, if it is large enough; whoever lends it says when it may be written to. */
  lend (room: Uint8Array<ArrayBuffer> | null): void { this.#lent = room }

  /**
   * Take a chunk and hand over each frame that ends in it, with its bytes on the wire (prefix included).
   * @throws {InosError} ERR_BAD_PACKET for a length above the limit, and whatever `take` throws
   */
  feed (chunk: Uint8Array, take: (frame: Uint8Array, wireBytes: number) => void): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#size < 0) {
        this.#readPrefix(chunk[at++]!)
        if (this.#size < 0) continue
      }
      const end = Math.min(chunk.length, at + this.#size - this.#have)
      const piece = chunk.subarray(at, end)
      at = end
      // A frame within one chunk, the usual case, is not copied.
      const frame = piece.length === this.#size ? piece : this.#keep(piece)
      if (frame === null) continue
      const wireBytes = this.#prefixBytes + frame.length
      this.#reset()
      take(frame, wireBytes)
    }
  }

  #readPrefix (byte: number): void {
    this.#prefix += (byte & 127) << (7 * this.#prefixBytes++)
    const size = this.#prefix
    if (size + this.#prefixBytes > this.#limits.frameBytesMax) {
      throw badPacket(`A packet says it has at least ${size} bytes; the limit is ${this.#limits.frameBytesMax}.`)
    }
    if (byte < 128) this.#size = size
    else if (this.#prefixBytes === PREFIX_BYTES_MAX) throw badPacket('A packet’s length has more than four bytes.')
  }

  /** Append a piece; the whole frame once it is complete, else null. */
  #keep (piece: Uint8Array): Uint8Array | null {
    const have = this.#have + piece.length
    if (this.#have === 0 && this.#lent !== null && this.#size <= this.#lent.length) {
      this.#part = this.#lent
      this.#lent = null
    }
    if (have > this.#part.length) {
      const grown = new Uint8Array(Math.min(this.#size, Math.max(have, 2 * this.#part.length, PART_BYTES_MIN)))
      grown.set(this.#part.subarray(0, this.#have))
      this.#part = grown
    }
    this.#part.set(piece, this.#have)
    this.#have = have
    return have === this.#size ? this.#part.subarray(0, have) : null
  }

  #reset (): void {
    this.#prefix = 0
    this.#prefixBytes = 0
    this.#size = -1
    this.#part = EMPTY
    this.#have = 0
    this.frames++
  }
}

/** Codes that speak of this machine; a peer is told no more than that something failed. */
const PRIVATE_CODES: readonly string[] = ['ERR_INTERNAL', 'ERR_DATA_DIR', 'ERR_STORE', 'ERR_LISTEN']

/** What of an error may travel: our own codes and sentences, nothing of the inside. */
export function refusalOf (error: unknown, limits: WireLimits = LIMITS.wire): Pick<Packet, 'code' | 'text'> {
  const { code, message } = toInosError(error)
  if (PRIVATE_CODES.includes(code)) return { code: 'ERR_INTERNAL', text: 'internal error' }
  // A character is at most three bytes for each UTF-16 unit.
  return { code, text: message.slice(0, Math.floor(limits.textBytesMax / 3)) }
}
