/** Integers of one to eight bytes, as QUIC and HTTP/3 write them (RFC 9000, section 16). */

/** @returns the integer at `at` and where it ends; null while it is not whole. Above 2⁵³ it is only nearly right: no such number means anything here. */
export function readVarint (bytes: Uint8Array, at: number): { value: number, end: number } | null {
  const first = bytes[at]
  if (first === undefined) return null
  const end = at + (1 << (first >> 6))
  if (end > bytes.length) return null
  let value = first & 0x3f
  for (const byte of bytes.subarray(at + 1, end)) value = value * 256 + byte
  return { value, end }
}

/** @param value whole, below 2³⁰ or, in eight bytes, below 2⁵³ */
export function varint (value: number): Uint8Array {
  const bytes = value < 2 ** 6 ? 1 : value < 2 ** 14 ? 2 : value < 2 ** 30 ? 4 : 8
  const written = new Uint8Array(bytes)
  let rest = value
  for (let i = bytes - 1; i >= 0; i--) {
    written[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  written[0]! |= Math.log2(bytes) << 6
  return written
}
