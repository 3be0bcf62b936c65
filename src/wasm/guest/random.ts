/**
 * The guest's only randomness: a stream drawn from the seed of its spec,
 * sha256("inos/random/1" ‖ seed ‖ counter), counter a big-endian u64 from 0, blocks in order.
 */
import { sha256 } from '@noble/hashes/sha2.js'

const LABEL = new TextEncoder().encode('inos/random/1')

export class RandomStream {
  /** Label, seed and counter as they are hashed. */
  readonly #message: Uint8Array
  readonly #counter: DataView
  #count = 0n
  #block: Uint8Array = new Uint8Array(0)

  constructor (seed: Uint8Array) {
    this.#message = new Uint8Array(LABEL.length + seed.length + 8)
    this.#message.set(LABEL)
    this.#message.set(seed, LABEL.length)
    this.#counter = new DataView(this.#message.buffer, LABEL.length + seed.length)
  }

  /** Fill `target` with the next bytes of the stream. */
  fill (target: Uint8Array): void {
    let at = 0
    while (at < target.length) {
      if (this.#block.length === 0) this.#draw()
      const part = this.#block.subarray(0, target.length - at)
      target.set(part, at)
      this.#block = this.#block.subarray(part.length)
      at += part.length
    }
  }

  #draw (): void {
    this.#counter.setBigUint64(0, this.#count++)
    this.#block = sha256(this.#message)
  }
}
