// Floats in memory: five bodies attract each other.
const N: i32 = 5
const AT: usize = 4096
function at (body: i32, field: i32): usize { return AT + ((body * 7 + field) << 3) }
export function run (): i32 {
  for (let i = 0; i < N; i++) {
    for (let k = 0; k < 6; k++) store<f64>(at(i, k), <f64>((i * 37 + k * 11) % 23) * 0.25 + 0.5)
    store<f64>(at(i, 6), 1.0 / <f64>(i + 1))
  }
  for (let step = 0; step < 500000; step++) {
    for (let i = 0; i < N; i++) {
      for (let j = i + 1; j < N; j++) {
        const dx = load<f64>(at(i, 0)) - load<f64>(at(j, 0))
        const dy = load<f64>(at(i, 1)) - load<f64>(at(j, 1))
        const dz = load<f64>(at(i, 2)) - load<f64>(at(j, 2))
        const d2 = dx * dx + dy * dy + dz * dz + 0.01
        const mag = 0.001 / (d2 * Math.sqrt(d2))
        const mi = load<f64>(at(i, 6)) * mag
        const mj = load<f64>(at(j, 6)) * mag
        store<f64>(at(i, 3), load<f64>(at(i, 3)) - dx * mj)
        store<f64>(at(i, 4), load<f64>(at(i, 4)) - dy * mj)
        store<f64>(at(i, 5), load<f64>(at(i, 5)) - dz * mj)
        store<f64>(at(j, 3), load<f64>(at(j, 3)) + dx * mi)
        store<f64>(at(j, 4), load<f64>(at(j, 4)) + dy * mi)
        store<f64>(at(j, 5), load<f64>(at(j, 5)) + dz * mi)
      }
    }
    for (let i = 0; i < N; i++) {
      for (let k = 0; k < 3; k++) store<f64>(at(i, k), load<f64>(at(i, k)) + 0.001 * load<f64>(at(i, k + 3)))
    }
  }
  return <i32>(load<f64>(at(0, 0)) * 1e6)
}
