/** Frames of HTTP/3, and the capsules in them: type, length, content (RFC 9114, section 7.1; RFC 9297, section 3.2). */
import { readVarint } from './varint.ts'

export class Frames {
  #rest: Uint8Array = new Uint8Array(0)

  /** @returns the frames that are whole now; the caller has counted the bytes */
  feed (bytes: Uint8Array): Array<{ type: number, content: Uint8Array }> {
    this.#rest = Buffer.concat([this.#rest, bytes])
    const frames = []
    for (;;) {
      const type = readVarint(this.#rest, 0)
      const length = type === null ? null : readVarint(this.#rest, type.end)
      if (type === null || length === null || length.end + length.value > this.#rest.length) return frames
      frames.push({ type: type.value, content: this.#rest.subarray(length.end, length.end + length.value) })
      this.#rest = this.#rest.subarray(length.end + length.value)
    }
  }
}
