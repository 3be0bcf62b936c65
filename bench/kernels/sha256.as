// Bit arithmetic: SHA-256 over a block of 64 bytes, again and again.
const K: usize = 4096
const W: usize = 8192
const H: usize = 12288
function rotr (x: u32, n: u32): u32 { return (x >>> n) | (x << (32 - n)) }
function block (): void {
  for (let i = 16; i < 64; i++) {
    const w15 = load<u32>(W + ((i - 15) << 2))
    const w2 = load<u32>(W + ((i - 2) << 2))
    const s0 = rotr(w15, 7) ^ rotr(w15, 18) ^ (w15 >>> 3)
    const s1 = rotr(w2, 17) ^ rotr(w2, 19) ^ (w2 >>> 10)
    store<u32>(W + (i << 2), load<u32>(W + ((i - 16) << 2)) + s0 + load<u32>(W + ((i - 7) << 2)) + s1)
  }
  let a = load<u32>(H), b = load<u32>(H + 4), c = load<u32>(H + 8), d = load<u32>(H + 12)
  let e = load<u32>(H + 16), f = load<u32>(H + 20), g = load<u32>(H + 24), h = load<u32>(H + 28)
  for (let i = 0; i < 64; i++) {
    const t1 = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + load<u32>(K + (i << 2)) + load<u32>(W + (i << 2))
    const t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
    h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2
  }
  store<u32>(H, load<u32>(H) + a); store<u32>(H + 4, load<u32>(H + 4) + b)
  store<u32>(H + 8, load<u32>(H + 8) + c); store<u32>(H + 12, load<u32>(H + 12) + d)
  store<u32>(H + 16, load<u32>(H + 16) + e); store<u32>(H + 20, load<u32>(H + 20) + f)
  store<u32>(H + 24, load<u32>(H + 24) + g); store<u32>(H + 28, load<u32>(H + 28) + h)
}
export function run (): i32 {
  for (let i = 0; i < 64; i++) store<u32>(K + (i << 2), <u32>(i * 0x9e3779b1 + 0x428a2f98))
  for (let i = 0; i < 8; i++) store<u32>(H + (i << 2), <u32>(i * 0x85ebca6b + 0x6a09e667))
  for (let n = 0; n < 300000; n++) {
    for (let i = 0; i < 16; i++) store<u32>(W + (i << 2), <u32>(n * 31 + i))
    block()
  }
  return <i32>(load<u32>(H) & 0xffff)
}
