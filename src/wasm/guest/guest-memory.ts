/**
 * Checked access to a guest's linear memory, little-endian. Addresses and lengths are unsigned numbers
 * that came from the guest; whatever does not lie whole inside the memory is refused with `fault`.
 */
import { refuse } from './refusal.ts'
import { ERRNO } from './wasi-abi.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class GuestMemory {
  #bytes: Uint8Array = new Uint8Array(0)
  #view: DataView = new DataView(this.#bytes.buffer)

  /** Look at the memory as it is now; once per host call, since growth detaches buffers. */
  attach (bytes: Uint8Array): void {
    if (bytes.buffer === this.#bytes.buffer && bytes.length === this.#bytes.length) return
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Refuse unless `length` bytes at `at` exist. */
  check (at: number, length: number): void {
    if (at + length > this.#bytes.length) refuse(ERRNO.fault)
  }

  /** The bytes themselves, not a copy. */
  bytes (at: number, length: number): Uint8Array {
    this.check(at, length)
    return this.#bytes.subarray(at, at + length)
  }

  /** UTF-8 text; refused with `ilseq` if it is not, `nametoolong` above `bytesMax`. */
  text (at: number, length: number, bytesMax: number): string {
    const bytes = this.bytes(at, length)
    if (length > bytesMax) refuse(ERRNO.nametoolong)
    try {
      return decoder.decode(bytes)
    } catch {
      return refuse(ERRNO.ilseq)
    }
  }

  u8 (at: number): number {
    this.check(at, 1)
    return this.#view.getUint8(at)
  }

  u16 (at: number): number {
    this.check(at, 2)
    return this.#view.getUint16(at, true)
  }

  u32 (at: number): number {
    this.check(at, 4)
    return this.#view.getUint32(at, true)
  }

  u64 (at: number): bigint {
    this.check(at, 8)
    return this.#view.getBigUint64(at, true)
  }

  setU8 (at: number, value: number): void {
    this.check(at, 1)
    this.#view.setUint8(at, value)
  }

  setU16 (at: number, value: number): void {
    this.check(at, 2)
    this.#view.setUint16(at, value, true)
  }

  setU32 (at: number, value: number): void {
    this.check(at, 4)
    this.#view.setUint32(at, value, true)
  }

  setU64 (at: number, value: bigint): void {
    this.check(at, 8)
    this.#view.setBigUint64(at, value, true)
  }
}
