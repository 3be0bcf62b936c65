// SIMD: two points of the set at a time.
export function run (): i32 {
  let inside = 0
  for (let y = 0; y < 400; y++) {
    for (let x = 0; x < 400; x += 2) {
      const cx = f64x2.replace_lane(f64x2.splat(<f64>x / 200.0 - 1.5), 1, <f64>(x + 1) / 200.0 - 1.5)
      const cy = f64x2.splat(<f64>y / 200.0 - 1.0)
      let zx = f64x2.splat(0), zy = f64x2.splat(0)
      let n = 0
      for (; n < 200; n++) {
        const xx = f64x2.mul(zx, zx), yy = f64x2.mul(zy, zy)
        if (!v128.any_true(f64x2.lt(f64x2.add(xx, yy), f64x2.splat(4)))) break
        const xy = f64x2.mul(zx, zy)
        zx = f64x2.add(f64x2.sub(xx, yy), cx)
        zy = f64x2.add(f64x2.add(xy, xy), cy)
      }
      inside += n
    }
  }
  return inside
}
