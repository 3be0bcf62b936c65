// Calls through a table: eight small functions, no pattern in which.
type Step = (x: i32) => i32
const steps: StaticArray<Step> = [
  (x: i32): i32 => x + 1, (x: i32): i32 => x ^ 0x55, (x: i32): i32 => x * 3, (x: i32): i32 => x - 7,
  (x: i32): i32 => x << 1, (x: i32): i32 => x >> 1, (x: i32): i32 => x | 1, (x: i32): i32 => x & 0xffffff
]
export function run (): i32 {
  let x: i32 = 1
  for (let i = 0; i < 5000000; i++) x = unchecked(steps[(x ^ (i * 0x9e3779b1)) >>> 29])(x)
  return x
}
