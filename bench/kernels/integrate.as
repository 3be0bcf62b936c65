// Calls with floats: Simpson's rule, adaptively and so recursively, over a function behind a table.
type F = (x: f64) => f64
const functions: F[] = [(x: f64): f64 => x * x * x - x, (x: f64): f64 => 1.0 / (x * x + 0.01), (x: f64): f64 => Math.sqrt(Math.abs(x))]
function simpson (f: F, a: f64, b: f64): f64 { return (b - a) / 6.0 * (f(a) + 4.0 * f((a + b) * 0.5) + f(b)) }
function adapt (f: F, a: f64, b: f64, whole: f64, depth: i32): f64 {
  const middle = (a + b) * 0.5
  const left = simpson(f, a, middle)
  const right = simpson(f, middle, b)
  if (depth == 0 || Math.abs(left + right - whole) < 1e-13) return left + right
  return adapt(f, a, middle, left, depth - 1) + adapt(f, middle, b, right, depth - 1)
}
export function run (): i32 {
  let sum = 0.0
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < functions.length; i++) sum += adapt(functions[i], -1.0 - <f64>round * 0.01, 1.0, 0.0, 14)
  }
  return <i32>(sum * 1e6)
}
