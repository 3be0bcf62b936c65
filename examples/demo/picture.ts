/** The picture: tiles in, PNG out. The same pixels give the same file. */
import { crc32, deflateSync } from 'node:zlib'
import { InosError } from '../../src/packet/errors.ts'
import type { Area } from './plan.ts'

const CHANNELS = 3
const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
/** Eight bits a channel, RGB, no interlace (PNG specification, 11.2.2). */
const FORMAT = [8, 2, 0, 0, 0] as const
const PAETH = 4

export class Picture {
  readonly #width: number
  readonly #height: number
  readonly #pixels: Uint8Array

  constructor (width: number, height: number) {
    this.#width = width
    this.#height = height
    this.#pixels = new Uint8Array(width * height * CHANNELS)
  }

  /** Put RGB bytes, row by row, in their place. @throws {InosError} ERR_VERIFICATION when there are too few or many */
  put ({ x, y, width, height }: Area, bytes: Uint8Array): void {
    const rowBytes = width * CHANNELS
    if (bytes.length !== rowBytes * height) {
      throw new InosError('ERR_VERIFICATION', `A tile came back with ${bytes.length} bytes; it has ${rowBytes * height}.`)
    }
    for (let row = 0; row < height; row++) {
      this.#pixels.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), ((y + row) * this.#width + x) * CHANNELS)
    }
  }

  encode (): Uint8Array {
    const header = new Uint8Array(13)
    const view = new DataView(header.buffer)
    view.setUint32(0, this.#width)
    view.setUint32(4, this.#height)
    header.set(FORMAT, 8)
    const parts = [SIGNATURE, chunk('IHDR', header), chunk('IDAT', deflateSync(this.#filter(), { level: 9 })), chunk('IEND', new Uint8Array(0))]
    return Buffer.concat(parts)
  }

  /** Each row as differences from what its neighbours promise: what zlib then finds small. */
  #filter (): Uint8Array {
    const rowBytes = this.#width * CHANNELS
    const out = new Uint8Array(this.#height * (rowBytes + 1))
    const at = (row: number, byte: number): number => row < 0 || byte < 0 ? 0 : this.#pixels[row * rowBytes + byte]!
    let place = 0
    for (let row = 0; row < this.#height; row++) {
      out[place++] = PAETH
      for (let byte = 0; byte < rowBytes; byte++) {
        out[place++] = at(row, byte) - predict(at(row, byte - CHANNELS), at(row - 1, byte), at(row - 1, byte - CHANNELS))
      }
    }
    return out
  }
}

/** Paeth's predictor: whichever of left, above and corner is nearest to left + above − corner. */
function predict (left: number, above: number, corner: number): number {
  const byLeft = Math.abs(above - corner)
  const byAbove = Math.abs(left - corner)
  const byCorner = Math.abs(left + above - 2 * corner)
  if (byLeft <= byAbove && byLeft <= byCorner) return left
  return byAbove <= byCorner ? above : corner
}

/** Length, name, content, checksum of name and content. */
function chunk (name: string, content: Uint8Array): Uint8Array {
  const out = new Uint8Array(content.length + 12)
  const view = new DataView(out.buffer)
  view.setUint32(0, content.length)
  out.set(new TextEncoder().encode(name), 4)
  out.set(content, 8)
  view.setUint32(content.length + 8, crc32(out.subarray(4, content.length + 8)))
  return out
}
