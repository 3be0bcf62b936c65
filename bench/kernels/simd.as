// SIMD: a dot product and a blend of vectors of four floats.
const AT: usize = 4096
const COUNT: i32 = 2048
export function run (): i32 {
  for (let i = 0; i < COUNT * 4; i++) store<f32>(AT + (i << 2), <f32>((i * 37) % 101) * 0.125)
  let sum = f32x4.splat(0)
  const half = f32x4.splat(0.5)
  for (let round = 0; round < 8000; round++) {
    for (let i = 0; i < COUNT - 1; i++) {
      const at = AT + (<usize>i << 4)
      const a = v128.load(at)
      const b = v128.load(at, 16)
      sum = f32x4.add(sum, f32x4.mul(a, b))
      if ((i & 63) == 0) v128.store(at, f32x4.mul(f32x4.add(a, b), half))
    }
    sum = f32x4.mul(sum, half)
  }
  return <i32>(f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 3))
}
