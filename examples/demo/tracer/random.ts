/**
 * Seeded numbers. A generator is one 32-bit state; each pixel starts its own from its place, so
 * that no tile depends on another.
 */

let state: u32 = 0

/** A point of the unit square that moves so that any few of its places in a row cover the square evenly. */
export let spreadU: f64 = 0.0
export let spreadV: f64 = 0.0

/** A permutation of 32-bit words in which neighbours land far apart (two rounds of multiply and xor-shift). */
function scatter (value: u32): u32 {
  value = (value ^ (value >> 16)) * 0x7feb352d
  value = (value ^ (value >> 15)) * 0x846ca68b
  return value ^ (value >> 16)
}

/** Begin the stream of numbers that belongs to (seed, a, b). */
export function begin (seed: u32, a: u32, b: u32): void {
  state = scatter(scatter(scatter(seed + 0x9e3779b9) + a) + b)
  spreadU = next()
  spreadV = next()
}

/** Move the even point on: steps 1/p and 1/p² with p³ = p + 1 (Roberts' R2 sequence). */
export function spread (): void {
  spreadU += 0.7548776662466927
  spreadV += 0.5698402909980532
  spreadU -= Math.floor(spreadU)
  spreadV -= Math.floor(spreadV)
}

/** Next number, 0 ≤ x < 1. */
export function next (): f64 {
  state = state * 747796405 + 2891336453
  return f64(scatter(state)) / 4294967296.0
}

/** Next number within a range. */
export function between (low: f64, high: f64): f64 {
  return low + (high - low) * next()
}
