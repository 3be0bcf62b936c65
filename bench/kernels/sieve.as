// Integers and bytes: the primes below four million, several times.
const N: i32 = 4000000
export function run (): i32 {
  if (memory.size() < 64) memory.grow(64)
  let count = 0
  for (let round = 0; round < 6; round++) {
    memory.fill(65536, 1, N)
    count = 0
    for (let i = 2; i < N; i++) {
      if (load<u8>(65536 + i) == 0) continue
      count++
      for (let j = i * 2; j < N; j += i) store<u8>(65536 + j, 0)
    }
  }
  return count
}
