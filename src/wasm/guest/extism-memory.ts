/**
 * The memory an Extism plug-in shares with its host: a flat space of bytes in blocks, addressed by i64.
 * It lies here and not in the guest, so every byte and every block counts against a quota, and
 * growing is paid before it is done.
 *
 * Address 0 is no address. The input comes first, shared with the run until the guest writes into it; blocks
 * follow. A block's room is rounded up to one of few sizes, so that a freed block is found again
 * without a search; blocks are neither split nor merged.
 */
import { LIMITS } from '../../packet/limits.ts'

const limits = LIMITS.guest

/** Where the input begins; blocks begin at the next multiple of it behind the input. */
const ALIGN = 16
/** Sizes of blocks: this many between two powers of two. */
const STEPS = 4

interface Block { readonly room: number, length: number, live: boolean }

/** Room for a block of `length` bytes: the next of the sizes that blocks have. */
function roomFor (length: number): number {
  if (length <= ALIGN * STEPS) return Math.ceil(length / ALIGN) * ALIGN
  const step = 2 ** Math.floor(Math.log2(length - 1)) / STEPS
  return Math.ceil(length / step) * step
}

export class ExtismMemory {
  /** Pay for bytes moved or cleared; false when the guest is out of fuel. */
  readonly #charge: (bytes: number) => boolean
  readonly inputAddress: number
  #input: Uint8Array
  #inputView: DataView
  #inputShared = true
  #inputLive: boolean
  readonly #base: number
  #heap = new Uint8Array(0)
  #view = new DataView(this.#heap.buffer)
  /** Bytes of the heap that were ever given out. */
  #size = 0
  readonly #blocks = new Map<number, Block>()
  readonly #free = new Map<number, number[]>()

  constructor (input: Uint8Array, charge: (bytes: number) => boolean) {
    this.#charge = charge
    this.#input = input
    this.#inputView = viewOf(input)
    this.#inputLive = input.length > 0
    this.inputAddress = this.#inputLive ? ALIGN : 0
    this.#base = ALIGN + Math.ceil(input.length / ALIGN) * ALIGN
  }

  /** Length of the input as long as its block was not freed. */
  get inputLength (): number { return this.#inputLive ? this.#input.length : 0 }

  /** A block of `length` bytes; 0 when there is no room within the quotas, or no fuel. Not cleared when used before. */
  alloc (length: number): number {
    if (length <= 0 || length > limits.hostBytesMax) return 0
    const room = roomFor(length)
    const reused = this.#free.get(room)?.pop()
    if (reused !== undefined) {
      const block = this.#blocks.get(reused)!
      block.live = true
      block.length = length
      return reused
    }
    if (this.#size + room > limits.hostBytesMax || this.#blocks.size >= limits.hostBlocksMax) return 0
    if (!this.#grow(this.#size + room)) return 0
    const address = this.#base + this.#size
    this.#size += room
    this.#blocks.set(address, { room, length, live: true })
    return address
  }

  free (address: number): void {
    if (address === this.inputAddress) this.#inputLive = false
    const block = this.#blocks.get(address)
    if (block === undefined || !block.live) return
    block.live = false
    const list = this.#free.get(block.room)
    if (list === undefined) this.#free.set(block.room, [address])
    else list.push(address)
  }

  /** Length of the block that begins at `address`, 0 if none does. */
  length (address: number): number {
    if (address !== 0 && address === this.inputAddress) return this.inputLength
    const block = this.#blocks.get(address)
    return block?.live === true ? block.length : 0
  }

  /** What lies in [address, address + length), not a copy; null unless all of it is input, or all of it was given out. */
  bytes (address: number, length: number): Uint8Array | null {
    const at = address - this.#base
    if (at >= 0 && length >= 0 && at + length <= this.#size) return this.#heap.subarray(at, at + length)
    const from = address - this.inputAddress
    if (this.inputAddress === 0 || from < 0 || length < 0 || from + length > this.#input.length) return null
    return this.#input.subarray(from, from + length)
  }

  load8 (address: number): number {
    return this.bytes(address, 1)?.[0] ?? 0
  }

  load64 (address: number): bigint {
    const at = address - this.#base
    if (at >= 0 && at + 8 <= this.#size) return this.#view.getBigUint64(at, true)
    const from = address - this.inputAddress
    return this.inputAddress === 0 || from < 0 || from + 8 > this.#input.length ? 0n : this.#inputView.getBigUint64(from, true)
  }

  /** A word of the input, wherever it lies. */
  input64 (offset: number): bigint {
    return offset + 8 > this.inputLength ? 0n : this.#inputView.getBigUint64(offset, true)
  }

  input8 (offset: number): number {
    return offset >= this.inputLength ? 0 : this.#input[offset]!
  }

  store8 (address: number, value: number): void {
    const target = this.#writable(address, 1)
    if (target !== null) target[0] = value
  }

  store64 (address: number, value: bigint): void {
    const at = address - this.#base
    if (at >= 0 && at + 8 <= this.#size) {
      this.#view.setBigUint64(at, value, true)
      return
    }
    const target = this.#writable(address, 8)
    if (target !== null) viewOf(target).setBigUint64(0, value, true)
  }

  /** A new block with these bytes; 0 when it cannot be had. */
  put (content: Uint8Array): number {
    const address = this.alloc(content.length)
    if (address !== 0) this.bytes(address, content.length)!.set(content)
    return address
  }

  #writable (address: number, length: number): Uint8Array | null {
    if (address < this.#base && this.#inputShared && this.bytes(address, length) !== null) {
      if (!this.#charge(this.#input.length)) return null
      this.#input = this.#input.slice()
      this.#inputView = viewOf(this.#input)
      this.#inputShared = false
    }
    return this.bytes(address, length)
  }

  /** Room ahead is half of what is there, so that growing bit by bit moves each byte a few times only. */
  #grow (size: number): boolean {
    if (size <= this.#heap.length) return true
    const room = Math.min(Math.max(size, this.#heap.length * 1.5), limits.hostBytesMax)
    // All of it is cleared, and what was there is moved.
    if (!this.#charge(room + this.#size)) return false
    const heap = new Uint8Array(room)
    heap.set(this.#heap.subarray(0, this.#size))
    this.#heap = heap
    this.#view = new DataView(heap.buffer)
    return true
  }
}

function viewOf ({ buffer, byteOffset, length }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, length)
}
