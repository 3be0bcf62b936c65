/** Chance that a seed repeats: every user of it has a stream of its own, by name, so that one more draw here moves nothing there. */
import { hash } from 'node:crypto'
import { RandomStream } from '../wasm/guest/random.ts'

export interface Chance {
  bytes (length: number): Uint8Array
  /** 0 ≤ x < 1, in steps of 2⁻³². */
  number (): number
  /** A whole number, 0 ≤ n < `end`. */
  below (end: number): number
}

export function createChance (seed: number, name: string): Chance {
  const stream = new RandomStream(hash('sha256', `${seed}/${name}`, 'buffer'))
  const word = new DataView(new ArrayBuffer(4))
  const bytes = (length: number): Uint8Array => {
    const drawn = new Uint8Array(length)
    stream.fill(drawn)
    return drawn
  }
  const number = (): number => {
    stream.fill(new Uint8Array(word.buffer))
    return word.getUint32(0) / 2 ** 32
  }
  return { bytes, number, below: end => Math.floor(number() * end) }
}
