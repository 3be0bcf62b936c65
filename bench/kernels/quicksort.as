// Recursion and comparisons: half a million integers.
const AT: usize = 65536
function get (i: i32): i32 { return load<i32>(AT + (i << 2)) }
function set (i: i32, value: i32): void { store<i32>(AT + (i << 2), value) }
function sort (low: i32, high: i32): void {
  let i = low, j = high
  const pivot = get((low + high) >> 1)
  while (i <= j) {
    while (get(i) < pivot) i++
    while (get(j) > pivot) j--
    if (i <= j) {
      const t = get(i)
      set(i, get(j))
      set(j, t)
      i++
      j--
    }
  }
  if (low < j) sort(low, j)
  if (i < high) sort(i, high)
}
export function run (): i32 {
  if (memory.size() < 40) memory.grow(40)
  let x: u32 = 12345
  for (let i = 0; i < 500000; i++) {
    x = x * 1664525 + 1013904223
    set(i, <i32>(x >>> 1))
  }
  sort(0, 499999)
  return get(250000) & 0xffff
}
