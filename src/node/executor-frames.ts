/**
 * Frames on the pipe between the main process and an executor: a JSON header and raw bytes.
 * What the headers mean is left to `executor-messages.ts`.
 *
 * Node's own IPC channel is not used, because a child that speaks it badly (an unexpected internal
 * message, bytes that do not deserialise) throws inside the parent's event loop, where nothing can
 * catch it. Here every byte is counted and checked before anything is built from it.
 *
 *     u32 header bytes | u32 body bytes | header, JSON as UTF-8 | body: the parts, back to back
 *
 * Both numbers are little-endian; the header's `parts` lists the length of each part.
 */
import { Buffer } from 'node:buffer'
import type { Writable } from 'node:stream'
import { LIMITS } from '../packet/limits.ts'

const PREFIX_BYTES = 8
/** Below this the parts are copied into one write; above it they are handed over as they are. */
const JOIN_BYTES_MAX = 16 * 1024

export interface Frame {
  readonly header: Readonly<Record<string, unknown>>
  readonly parts: readonly Uint8Array[]
}

export interface FrameLimits {
  readonly headerBytesMax: number
  readonly bodyBytesMax: number
}

/** A frame that breaks the format or a limit; whoever reads gives up on the sender. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** Write one frame. The parts must not change until they are `flushed`. */
export function writeFrame (stream: Writable, frame: Frame, flushed: () => void = () => {}): void {
  const lengths = frame.parts.map(part => part.length)
  const header = Buffer.from(JSON.stringify({ ...frame.header, parts: lengths }))
  const bodyBytes = lengths.reduce((sum, length) => sum + length, 0)
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES)
  prefix.writeUInt32LE(header.length, 0)
  prefix.writeUInt32LE(bodyBytes, 4)
  if (bodyBytes <= JOIN_BYTES_MAX) {
    stream.write(Buffer.concat([prefix, header, ...frame.parts]), flushed)
    return
  }
  stream.cork()
  stream.write(Buffer.concat([prefix, header]))
  for (const [at, part] of frame.parts.entries()) stream.write(part, at === frame.parts.length - 1 ? flushed : undefined)
  stream.uncork()
}

/** Bytes of a frame's header as they would travel, for senders that must stay below a limit. */
export function measureHeader (header: Frame['header']): number {
  return Buffer.byteLength(JSON.stringify(header))
}

/**
 * Cuts a stream of bytes into frames. Holds at most one frame; `limits` is asked anew for each.
 */
export class FrameReader {
  readonly #limits: () => FrameLimits
  readonly #onFrame: (frame: Frame) => void
  readonly #prefix = new DataView(new ArrayBuffer(PREFIX_BYTES))
  #prefixBytes = 0
  #headerBytes = 0
  #content: Uint8Array | undefined
  #contentBytes = 0

  constructor (limits: () => FrameLimits, onFrame: (frame: Frame) => void) {
    this.#limits = limits
    this.#onFrame = onFrame
  }

  /** @throws {FrameError} once; the stream is not usable afterwards */
  push (chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      at += this.#content === undefined ? this.#takePrefix(chunk, at) : this.#takeContent(this.#content, chunk, at)
    }
  }

  #takePrefix (chunk: Uint8Array, at: number): number {
    const taken = Math.min(PREFIX_BYTES - this.#prefixBytes, chunk.length - at)
    for (let i = 0; i < taken; i++) this.#prefix.setUint8(this.#prefixBytes + i, chunk[at + i]!)
    this.#prefixBytes += taken
    if (this.#prefixBytes === PREFIX_BYTES) this.#begin()
    return taken
  }

  #begin (): void {
    const headerBytes = this.#prefix.getUint32(0, true)
    const bodyBytes = this.#prefix.getUint32(4, true)
    const { headerBytesMax, bodyBytesMax } = this.#limits()
    if (headerBytes === 0) throw new FrameError('a frame has no header')
    if (headerBytes > headerBytesMax) throw new FrameError(`a header of ${headerBytes} bytes is above ${headerBytesMax}`)
    if (bodyBytes > bodyBytesMax) throw new FrameError(`a body of ${bodyBytes} bytes is above ${bodyBytesMax}`)
    this.#headerBytes = headerBytes
    this.#content = new Uint8Array(headerBytes + bodyBytes)
    this.#contentBytes = 0
  }

  #takeContent (content: Uint8Array, chunk: Uint8Array, at: number): number {
    const taken = Math.min(content.length - this.#contentBytes, chunk.length - at)
    content.set(chunk.subarray(at, at + taken), this.#contentBytes)
    this.#contentBytes += taken
    if (this.#contentBytes === content.length) {
      this.#content = undefined
      this.#prefixBytes = 0
      this.#onFrame(parseContent(content, this.#headerBytes))
    }
    return taken
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseContent (content: Uint8Array, headerBytes: number): Frame {
  let header: unknown
  try {
    header = JSON.parse(utf8.decode(content.subarray(0, headerBytes)))
  } catch {
    throw new FrameError('a header is not JSON')
  }
  if (!isRecord(header)) throw new FrameError('a header is not an object')
  return { header, parts: cutParts(content.subarray(headerBytes), header.parts) }
}

function cutParts (body: Uint8Array, lengths: unknown): Uint8Array[] {
  if (!Array.isArray(lengths) || lengths.length > LIMITS.executor.partsMax) throw new FrameError('the parts are not a short list')
  const parts: Uint8Array[] = []
  let at = 0
  for (const length of lengths as unknown[]) {
    if (!Number.isSafeInteger(length) || (length as number) < 0 || (length as number) > body.length - at) {
      throw new FrameError('the parts do not fit the body')
    }
    parts.push(body.subarray(at, at += length as number))
  }
  if (at !== body.length) throw new FrameError('the parts do not fill the body')
  return parts
}

/** Whether a value parsed from JSON is an object with keys. */
export function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
