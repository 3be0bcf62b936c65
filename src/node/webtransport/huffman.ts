/**
 * The Huffman code of HTTP header fields (RFC 7541, appendix B), read only. It is canonical, so the lengths of its
 * codes say all: shorter ones first, those of one length in the order of their symbols.
 */

/** Bits of each byte's code, and of the end of the string (256). */
const LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30
]
const END = 256
const BITS_MAX = 30

/** For each length of code: its first code, and the symbols that have one. */
const CODES = tableOf(LENGTHS)

function tableOf (lengths: readonly number[]): Array<{ first: number, symbols: number[] }> {
  const table = [{ first: 0, symbols: [] as number[] }]
  for (let bits = 1; bits <= BITS_MAX; bits++) {
    const shorter = table[bits - 1]!
    table.push({ first: (shorter.first + shorter.symbols.length) * 2, symbols: lengths.flatMap((length, symbol) => length === bits ? [symbol] : []) })
  }
  return table
}

/** @returns the bytes, or null for what is no string in this code */
export function decodeHuffman (coded: Uint8Array): Uint8Array | null {
  const bytes: number[] = []
  let code = 0
  let bits = 0
  for (let at = 0; at < coded.length * 8; at++) {
    code = code * 2 + (coded[at >> 3]! >> (7 - at % 8) & 1)
    const { first, symbols } = CODES[++bits]!
    const symbol = symbols[code - first]
    if (symbol === END) return null
    if (symbol === undefined) continue
    bytes.push(symbol)
    code = 0
    bits = 0
  }
  // What is left is the beginning of the end: up to seven ones.
  return bits < 8 && code === 2 ** bits - 1 ? Uint8Array.from(bytes) : null
}
