/**
 * Inputs and files that are too large for memory: a guest that reads holds its whole process still, so the
 * executor asks for a chunk over a pipe of its own and waits for it there. One question at a time:
 *
 *     executor → main   u32 job | u32 part (0: the input, 1 …: the files in their order) | u32 chunk
 *     main → executor   u32 length | bytes
 *
 * All numbers are little-endian. The main process holds one chunk for each executor that waits.
 */
import { Buffer } from 'node:buffer'
import { readSync, writeSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { LIMITS } from '../packet/limits.ts'
import type { Ranges } from '../wasm/ranges.ts'
import { FrameError } from './executor-frames.ts'

/** File descriptor of the pipe in the executor. */
export const SUPPLY = 5

const WISH_BYTES = 12
const LENGTH_BYTES = 4
const { chunkBytes } = LIMITS.blobs

/** The executor's side of one input or file. */
export class FarContent implements Ranges {
  readonly length: number
  readonly #job: number
  readonly #part: number
  /** The chunk that was read last: guests read from the beginning to the end. */
  #chunk: Uint8Array = new Uint8Array(0)
  #at = -1

  constructor (job: number, part: number, length: number) {
    this.#job = job
    this.#part = part
    this.length = length
  }

  read (at: number, target: Uint8Array): number {
    const count = Math.min(target.length, Math.max(this.length - at, 0))
    for (let done = 0; done < count;) {
      const from = (at + done) % chunkBytes
      const piece = this.#chunkAt(Math.floor((at + done) / chunkBytes)).subarray(from, from + count - done)
      target.set(piece, done)
      done += piece.length
    }
    return count
  }

  #chunkAt (chunk: number): Uint8Array {
    if (chunk !== this.#at) {
      this.#chunk = ask(this.#job, this.#part, chunk)
      this.#at = chunk
    }
    return this.#chunk
  }
}

function ask (job: number, part: number, chunk: number): Uint8Array {
  const wish = Buffer.alloc(WISH_BYTES)
  for (const [at, number] of [job, part, chunk].entries()) wish.writeUInt32LE(number, 4 * at)
  writeSync(SUPPLY, wish)
  const bytes = new Uint8Array(readFully(LENGTH_BYTES).readUInt32LE())
  fill(bytes)
  return bytes
}

function readFully (length: number): Buffer {
  const bytes = Buffer.alloc(length)
  fill(bytes)
  return bytes
}

/** Without the main process there is nobody to work for. */
function fill (bytes: Uint8Array): void {
  for (let have = 0; have < bytes.length;) {
    const read = readSync(SUPPLY, bytes, have, bytes.length - have, null)
    if (read === 0) process.exit()
    have += read
  }
}

/**
 * The main process's side, for the life of an executor.
 * @param chunkOf what a wish is answered with; what it throws, and a second wish before the answer, is told to `fail`
 */
export function supply (pipe: Duplex, chunkOf: (job: number, part: number, chunk: number) => Promise<Uint8Array>, fail: (error: unknown) => void): void {
  let wish = Buffer.alloc(0)
  let isAnswering = false
  const answer = async (job: number, part: number, chunk: number): Promise<void> => {
    const bytes = await chunkOf(job, part, chunk)
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeUInt32LE(bytes.length)
    pipe.cork()
    pipe.write(length)
    pipe.write(bytes)
    pipe.uncork()
  }
  pipe.on('error', () => {})
  pipe.on('data', (data: Buffer) => {
    wish = Buffer.concat([wish, data])
    if (isAnswering || wish.length > WISH_BYTES) {
      fail(new FrameError('it asks for chunks too fast'))
      return
    }
    if (wish.length < WISH_BYTES) return
    const [job, part, chunk] = [wish.readUInt32LE(0), wish.readUInt32LE(4), wish.readUInt32LE(8)]
    wish = Buffer.alloc(0)
    isAnswering = true
    answer(job, part, chunk).then(() => { isAnswering = false }, fail)
  })
}
