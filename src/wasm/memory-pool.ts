/**
 * Memories that runs have left, for runs to come: making one costs more than clearing a few pages,
 * and browsers allow only some hundreds. Small ones that never grew are kept, cleared at once.
 */
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'

const { pooledMemoriesMax, pooledPagesMax } = LIMITS.executor

interface Free { readonly min: number, readonly max: number, readonly memory: WebAssembly.Memory }

export class MemoryPool {
  /** The longest unused first, which is the first to go. */
  private readonly free: Free[] = []

  /** A memory of `min` pages, all zero, that may grow to `max`. @throws {RangeError} when this machine has none */
  take (min: number, max: number): WebAssembly.Memory {
    const at = this.free.findLastIndex(each => each.min === min && each.max === max)
    return at < 0 ? new WebAssembly.Memory({ initial: min, maximum: max }) : this.free.splice(at, 1)[0]!.memory
  }

  /** Take back what no guest can reach any more. */
  give (memory: WebAssembly.Memory, min: number, max: number): void {
    const { buffer } = memory
    if (min > pooledPagesMax || buffer.byteLength !== min * PAGE_BYTES) return
    new Uint8Array(buffer).fill(0)
    this.free.push({ min, max, memory })
    if (this.free.length > pooledMemoriesMax) this.free.shift()
  }

  clear (): void { this.free.length = 0 }
}
