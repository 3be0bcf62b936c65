/**
 * What each instruction does with a NaN whose bits differ between machines, for `nan-scan.ts`.
 *
 * The rule: a NaN that float arithmetic produces is the canonical one, sign 0 and only the highest bit
 * of the fraction set. Arithmetic is add, sub, mul, div, sqrt, min, max, ceil, floor, trunc, nearest,
 * demote and promote, and the same of f32x4 and f64x2, lane by lane. Everything else passes bits as
 * WebAssembly says: neg, abs and copysign touch the sign alone, pmin and pmax choose one of two.
 */
import { NAMES } from './opcodes.ts'

/** Types of values as far as NaNs go. A v128 has the shape of the instruction that made it. */
export const SHAPE = { none: 0, f32: 1, f64: 2, f32x4: 3, f64x2: 4 } as const

export const NAN_OP = {
  /** Shows all its operands to somebody, and gives what is exact. */
  other: 0,
  /** Takes operands of a shape whatever NaN they are, and makes a NaN whose bits are anybody's guess. */
  arithmetic: 1,
  /** Takes operands of a shape whatever NaN they are, and gives no float. */
  ask: 2,
  /** Gives a float that is never a NaN. */
  convert: 3,
  negate: 4,
  absolute: 5,
  /** Gives one of its two operands. */
  choose: 6,
  splat: 7,
  extract: 8
} as const

const SIZE = 768
export const NAN_OPS = new Uint8Array(SIZE)
/** Shapes an instruction takes and gives. */
export const TAKES = new Uint8Array(SIZE)
export const GIVES = new Uint8Array(SIZE)

function shapeOf (name: string | undefined): number {
  return name === 'f32' || name === 'f64' || name === 'f32x4' || name === 'f64x2' ? SHAPE[name] : SHAPE.none
}

const SAME: ReadonlyArray<readonly [pattern: RegExp, op: number]> = [
  [/^(add|sub|mul|div|sqrt|min|max|ceil|floor|trunc|nearest)$/, NAN_OP.arithmetic],
  [/^(eq|ne|lt|gt|le|ge)$/, NAN_OP.ask],
  [/^convert_/, NAN_OP.convert],
  [/^p(min|max)$/, NAN_OP.choose]
]

NAMES.forEach((name, code) => {
  const [type, action = ''] = name.split('.')
  const set = (op: number, takes: number, gives = takes): void => {
    NAN_OPS[code] = op
    TAKES[code] = takes
    GIVES[code] = gives
  }
  const shape = shapeOf(type)
  const from = shapeOf(/_(f32x4|f64x2|f32|f64)(_|$)/.exec(action)?.[1])
  if (shape === SHAPE.none) {
    if (action.startsWith('trunc_') && from !== SHAPE.none) set(NAN_OP.ask, from)
    return
  }
  if (/^(demote|promote)_/.test(action)) set(NAN_OP.arithmetic, from, shape)
  for (const [pattern, op] of SAME) if (pattern.test(action)) set(op, shape)
  // Of vectors these are left to `other`: nothing hot has them.
  if (shape <= SHAPE.f64) {
    if (action === 'neg') set(NAN_OP.negate, shape)
    if (action === 'abs') set(NAN_OP.absolute, shape)
    return
  }
  const lane = shape === SHAPE.f32x4 ? SHAPE.f32 : SHAPE.f64
  if (action === 'splat') set(NAN_OP.splat, lane, shape)
  if (action === 'extract_lane') set(NAN_OP.extract, shape, lane)
})
