// Bytes and short loops: count words of a text in a hash table.
const TEXT: usize = 65536
const SIZE: i32 = 500000
const SLOTS: usize = 2097152
export function run (): i32 {
  if (memory.size() < 64) memory.grow(64)
  let x: u32 = 99
  for (let i = 0; i < SIZE; i++) {
    x = x * 1103515245 + 12345
    const r = (x >>> 16) & 31
    store<u8>(TEXT + i, r < 12 ? 32 : 97 + (r & 3))
  }
  memory.fill(SLOTS, 0, 65536 * 8)
  let words = 0
  for (let round = 0; round < 8; round++) {
    let hash: u32 = 2166136261
    let length = 0
    for (let i = 0; i < SIZE; i++) {
      const c = load<u8>(TEXT + i)
      if (c != 32) {
        hash = (hash ^ c) * 16777619
        length++
        continue
      }
      if (length > 0) {
        let slot = hash & 65535
        while (load<u32>(SLOTS + (slot << 3)) != 0 && load<u32>(SLOTS + (slot << 3)) != hash) slot = (slot + 1) & 65535
        store<u32>(SLOTS + (slot << 3), hash)
        store<u32>(SLOTS + (slot << 3) + 4, load<u32>(SLOTS + (slot << 3) + 4) + 1)
        if (load<u32>(SLOTS + (slot << 3) + 4) == 1) words++
      }
      hash = 2166136261
      length = 0
    }
  }
  return words
}
