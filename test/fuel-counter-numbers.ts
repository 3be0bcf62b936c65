/**
 * For tests: numeric instructions of the slow interpreter. Values are unsigned bit patterns; floats are
 * computed with JavaScript's numbers and made canonical as docs/fuel.md asks.
 */
import type { Instruction } from './fuel-counter-code.ts'
import { trap } from './fuel-counter.ts'

const view = new DataView(new ArrayBuffer(8))

function floatOf (bits: bigint, size: number): number {
  view.setBigUint64(0, size === 32 ? bits << 32n : bits)
  return size === 32 ? view.getFloat32(0) : view.getFloat64(0)
}

function bitsOf (value: number, size: number): bigint {
  if (Number.isNaN(value)) return size === 32 ? 0x7fc0_0000n : 0x7ff8n << 48n
  if (size === 32) view.setFloat32(0, value)
  else view.setFloat64(0, value)
  return size === 32 ? BigInt(view.getUint32(0)) : view.getBigUint64(0)
}

function nearest (x: number): number {
  const low = Math.floor(x)
  const half = x - low
  const rounded = half < 0.5 || (half === 0.5 && low % 2 === 0) ? low : low + 1
  return rounded === 0 ? (x < 0 || Object.is(x, -0) ? -0 : 0) : rounded
}

const COMPARE: Readonly<Record<string, (a: bigint | number, b: bigint | number) => boolean>> = {
  eq: (a, b) => a === b, ne: (a, b) => a !== b, lt: (a, b) => a < b, gt: (a, b) => a > b, le: (a, b) => a <= b, ge: (a, b) => a >= b
}
const FLOAT_UNARY: Readonly<Record<string, (a: number) => number>> = {
  ceil: Math.ceil, floor: Math.floor, trunc: Math.trunc, sqrt: Math.sqrt, nearest: a => Number.isFinite(a) ? nearest(a) : a
}
const FLOAT_BINARY: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b, sub: (a, b) => a - b, mul: (a, b) => a * b, div: (a, b) => a / b, min: Math.min, max: Math.max
}

export function calculate (instruction: Instruction, pop: () => bigint): bigint {
  const [type, action] = instruction.name.split('.') as [string, string]
  const size = Number(type.slice(1))
  if (action === 'const') return BigInt.asUintN(size, instruction.value)
  if (action.startsWith('reinterpret')) return pop()
  return type.startsWith('i') ? integer(action, size, pop) : float(action, size, pop)
}

function float (action: string, size: number, pop: () => bigint): bigint {
  const sign = 1n << BigInt(size - 1)
  const right = pop()
  const unary = FLOAT_UNARY[action]
  if (unary !== undefined) return bitsOf(unary(floatOf(right, size)), size)
  if (action === 'neg') return right ^ sign
  if (action === 'abs') return right & ~sign
  if (action === 'demote_f64') return bitsOf(floatOf(right, 64), 32)
  if (action === 'promote_f32') return bitsOf(floatOf(right, 32), 64)
  const converted = /^convert_i(\d+)_(s|u)$/.exec(action)
  if (converted !== null) {
    const value = converted[2] === 's' ? BigInt.asIntN(Number(converted[1]), right) : right
    return size === 64 ? bitsOf(Number(value), 64) : bitsOf(toFloat32(value), 32)
  }
  const left = pop()
  if (action === 'copysign') return (left & ~sign) | (right & sign)
  const compare = COMPARE[action]
  const [a, b] = [floatOf(left, size), floatOf(right, size)]
  if (compare !== undefined) return compare(a, b) ? 1n : 0n
  return bitsOf(FLOAT_BINARY[action]!(a, b), size)
}

/** An integer rounded once: by way of a double it might be rounded twice. */
function toFloat32 (value: bigint): number {
  const magnitude = value < 0n ? -value : value
  const extra = magnitude.toString(2).length - 53
  if (extra <= 0) return Math.fround(Number(value))
  // What is cut off leaves a mark in the lowest bit that stays.
  const kept = magnitude >> BigInt(extra) << BigInt(extra)
  const marked = kept === magnitude ? kept : kept | 1n << BigInt(extra)
  return Math.fround(Number(value < 0n ? -marked : marked))
}

function integer (action: string, size: number, pop: () => bigint): bigint {
  const bits = BigInt(size)
  const wrap = (value: bigint): bigint => BigInt.asUintN(size, value)
  const right = pop()
  const text = right.toString(2).padStart(size, '0')
  switch (action) {
    case 'eqz': return right === 0n ? 1n : 0n
    case 'clz': return BigInt(right === 0n ? size : text.indexOf('1'))
    case 'ctz': return BigInt(right === 0n ? size : size - 1 - text.lastIndexOf('1'))
    case 'popcnt': return BigInt(text.split('1').length - 1)
    case 'wrap_i64': return wrap(right)
    case 'extend_i32_s': return wrap(BigInt.asIntN(32, right))
    case 'extend_i32_u': return right
    case 'extend8_s': return wrap(BigInt.asIntN(8, right))
    case 'extend16_s': return wrap(BigInt.asIntN(16, right))
    case 'extend32_s': return wrap(BigInt.asIntN(32, right))
  }
  const cut = /^trunc_(sat_)?f(\d+)_(s|u)$/.exec(action)
  if (cut !== null) return truncate(floatOf(right, Number(cut[2])), size, cut[3] === 's', cut[1] !== undefined)
  const left = pop()
  const [word, sign] = action.split('_') as [string, string?]
  const [a, b] = sign === 's' ? [BigInt.asIntN(size, left), BigInt.asIntN(size, right)] : [left, right]
  const compare = COMPARE[word]
  if (compare !== undefined) return compare(a, b) ? 1n : 0n
  const by = right % bits
  switch (word) {
    case 'add': return wrap(a + b)
    case 'sub': return wrap(a - b)
    case 'mul': return wrap(a * b)
    case 'and': return a & b
    case 'or': return a | b
    case 'xor': return a ^ b
    case 'shl': return wrap(a << by)
    case 'shr': return wrap(a >> by)
    case 'rotl': return wrap(a << by | a >> (bits - by))
    case 'rotr': return wrap(a >> by | a << (bits - by))
    case 'div': case 'rem':
      if (b === 0n) trap('divide by zero')
      if (word === 'rem') return wrap(a % b)
      if (sign === 's' && b === -1n && a === -(1n << (bits - 1n))) trap('divide result unrepresentable')
      return wrap(a / b)
  }
  throw new Error(`the counter does not know ${action}`)
}

function truncate (value: number, size: number, signed: boolean, saturate: boolean): bigint {
  const low = signed ? -(1n << BigInt(size - 1)) : 0n
  const high = (1n << BigInt(signed ? size - 1 : size)) - 1n
  if (Number.isNaN(value)) return saturate ? 0n : trap('float unrepresentable')
  const whole = Number.isFinite(value) ? BigInt(Math.trunc(value)) : value > 0 ? high + 1n : low - 1n
  if (whole >= low && whole <= high) return BigInt.asUintN(size, whole)
  return saturate ? BigInt.asUintN(size, whole < low ? low : high) : trap('float unrepresentable')
}
