/**
 * Bytes that grow: the content of a file, or of stdout. Limits are the owner's business; this file only
 * keeps the memory small: content taken from a run is shared until it is first changed, and room ahead
 * is half of what is there, so the memory held is at most 1.5 times the largest size.
 */

import { type Ranges, wholeOf } from '../ranges.ts'

const EMPTY = new Uint8Array(0)

export class ByteStore {
  #bytes: Uint8Array
  /** Still somebody else's memory: copy before changing. */
  #shared: boolean
  #size: number
  /** Content that is not in memory: it never changes. */
  readonly #far: Ranges | null

  constructor (content: Uint8Array | Ranges = EMPTY) {
    this.#far = content instanceof Uint8Array ? null : content
    this.#bytes = content instanceof Uint8Array ? content : EMPTY
    this.#shared = content.length > 0
    this.#size = content.length
  }

  /** Whether it may not be changed. */
  get isFixed (): boolean { return this.#far !== null }

  get size (): number { return this.#size }

  /** Bytes that must be moved or cleared before the store can have this size: charge them first. */
  moves (size: number): number {
    if (size < this.#size) return this.#size - size
    const fits = !this.#shared && size <= this.#bytes.length
    return fits ? 0 : Math.max(this.#size, size - this.#size)
  }

  /** Set the size; new bytes are zero. */
  resize (size: number): void {
    if (size < this.#size) this.#shrink(size)
    if (size > this.#size) this.#reserve(size)
    this.#size = size
  }

  /** Put `source` at `at`, growing as needed; bytes between the old end and `at` are zero. */
  write (at: number, source: Uint8Array): void {
    const end = Math.max(this.#size, at + source.length)
    this.#reserve(end)
    this.#bytes.set(source, at)
    this.#size = end
  }

  /** Copy from `at` into `target`; how many bytes there were. */
  read (at: number, target: Uint8Array): number {
    if (this.#far !== null) return this.#far.read(at, target)
    const part = this.#bytes.subarray(Math.min(at, this.#size), Math.min(at + target.length, this.#size))
    target.set(part)
    return part.length
  }

  /** The content itself, until it is changed. */
  view (): Uint8Array {
    return this.#far === null ? this.#bytes.subarray(0, this.#size) : wholeOf(this.#far)
  }

  /** A copy of the content, of exactly its size. */
  copy (): Uint8Array {
    return this.#bytes.slice(0, this.#size)
  }

  #shrink (size: number): void {
    if (this.#shared) {
      this.#bytes = this.#bytes.subarray(0, size)
    } else if (size < this.#bytes.length >>> 1) {
      this.#bytes = this.#bytes.slice(0, size)
    } else {
      // What lies behind the end is always zero, so growing again shows nothing old.
      this.#bytes.fill(0, size, this.#size)
    }
  }

  #reserve (size: number): void {
    if (!this.#shared && size <= this.#bytes.length) return
    const room = this.#shared ? size : Math.max(size, this.#bytes.length + (this.#bytes.length >>> 1))
    const bytes = new Uint8Array(room)
    bytes.set(this.#bytes.subarray(0, this.#size))
    this.#bytes = bytes
    this.#shared = false
  }
}
