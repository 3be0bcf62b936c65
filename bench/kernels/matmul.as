// Floats over larger memory: two matrices of 256 × 256.
const N: i32 = 256
const A: usize = 65536
const B: usize = A + 524288
const C: usize = B + 524288
export function run (): i32 {
  if (memory.size() < 26) memory.grow(26)
  for (let i = 0; i < N * N; i++) {
    store<f64>(A + (i << 3), <f64>(i % 17))
    store<f64>(B + (i << 3), <f64>(i % 13))
  }
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) {
        let sum: f64 = 0
        for (let k = 0; k < N; k++) sum += load<f64>(A + ((i * N + k) << 3)) * load<f64>(B + ((k * N + j) << 3))
        store<f64>(C + ((i * N + j) << 3), sum)
      }
    }
  }
  return <i32>load<f64>(C + 8 * 777)
}
