/** The instructions that make a NaN canonical; where they go is `nan-scan.ts`'s. */
import type { Writer } from './binary.ts'
import { SHAPE } from './nan-ops.ts'
import { FD, OP } from './opcodes.ts'

/** Little-endian canonical NaNs. */
const NAN_F32 = [0, 0, 0xc0, 0x7f]
const NAN_F64 = [0, 0, 0, 0, 0, 0, 0xf8, 0x7f]

/**
 * Replace the value on top of the stack by itself, and by the canonical NaN if it is not its own equal.
 * @param negated whether minus the value is the one to be made canonical
 * @param scratch a local of the value's type
 */
export function writeCanonical (out: Writer, shape: number, negated: boolean, scratch: number): void {
  const negate = shape === SHAPE.f32 ? OP.f32Neg : OP.f64Neg
  if (negated) out.u8(negate)
  out.u8(OP.localTee)
  out.u32(scratch)
  switch (shape) {
    case SHAPE.f32: out.ops(OP.f32Const, ...NAN_F32); break
    case SHAPE.f64: out.ops(OP.f64Const, ...NAN_F64); break
    case SHAPE.f32x4: out.ops(OP.fd, OP.v128Const - FD, ...NAN_F32, ...NAN_F32, ...NAN_F32, ...NAN_F32); break
    case SHAPE.f64x2: out.ops(OP.fd, OP.v128Const - FD, ...NAN_F64, ...NAN_F64); break
  }
  for (let operand = 0; operand < 2; operand++) {
    out.u8(OP.localGet)
    out.u32(scratch)
  }
  switch (shape) {
    case SHAPE.f32: out.ops(OP.f32Eq, OP.select); break
    case SHAPE.f64: out.ops(OP.f64Eq, OP.select); break
    case SHAPE.f32x4: out.ops(OP.fd, OP.f32x4Eq - FD, OP.fd, OP.bitselect - FD); break
    case SHAPE.f64x2: out.ops(OP.fd, OP.f64x2Eq - FD, OP.fd, OP.bitselect - FD); break
  }
  if (negated) out.u8(negate)
}
