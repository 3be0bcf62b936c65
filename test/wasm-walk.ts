/** For tests: the instructions of a function body one by one, where each begins and ends. */
import { Reader } from '../src/wasm/binary.ts'
import type { Module } from '../src/wasm/decode.ts'
import { FC, FD, IMMEDIATE, IMMEDIATES, NAMES, OP } from '../src/wasm/opcodes.ts'

export interface Instruction {
  /** Its code as in `opcodes.ts`. */
  readonly op: number
  readonly start: number
  readonly end: number
  /** First immediate, if it is an index. */
  readonly index: number
}

/** Declared locals of own function `i`, and where its code begins. */
export function localsOf ({ bytes, bodies }: Module, i: number): { groups: number, declared: number, from: number, code: number, end: number } {
  const reader = new Reader(bytes, bodies[2 * i]!, bodies[2 * i + 1]!)
  const groups = reader.u32()
  const from = reader.at
  let declared = 0
  for (let k = 0; k < groups; k++) {
    declared += reader.u32()
    reader.u8()
  }
  return { groups, declared, from, code: reader.at, end: reader.end }
}

export function * instructions ({ bytes }: Module, code: number, end: number): Generator<Instruction> {
  const reader = new Reader(bytes, code, end)
  while (!reader.done) {
    const start = reader.at
    let op = reader.u8()
    if (op >= OP.fc) op = (op === OP.fc ? FC : FD) + reader.u32()
    const index = step(reader, op)
    yield { op, start, end: reader.at, index }
  }
}

/** Step over the immediates. */
function step (reader: Reader, op: number): number {
  const lebs = (count: number): number => {
    const first = count > 0 ? reader.u32() : -1
    for (let k = 1; k < count; k++) reader.u32()
    return first
  }
  switch (IMMEDIATES[op]) {
    case IMMEDIATE.none: return -1
    case IMMEDIATE.leb: {
      if (op !== OP.i32Const && op !== OP.refNull) return lebs(1)
      reader.skipLeb(32)
      return -1
    }
    case IMMEDIATE.leb64: reader.skipLeb(64); return -1
    case IMMEDIATE.pair: return lebs(2)
    case IMMEDIATE.memarg: reader.u32(); reader.skipLeb(64); return -1
    case IMMEDIATE.memargLane: reader.u32(); reader.skipLeb(64); reader.u8(); return -1
    case IMMEDIATE.bytes1: reader.skip(1); return -1
    case IMMEDIATE.bytes4: reader.skip(4); return -1
    case IMMEDIATE.bytes8: reader.skip(8); return -1
    case IMMEDIATE.bytes16: reader.skip(16); return -1
    case IMMEDIATE.types: reader.skip(reader.u32()); return -1
  }
  switch (op) {
    case OP.block: case OP.loop: case OP.if: reader.skipLeb(64); return -1
    case OP.br: case OP.brIf: case OP.call: case OP.returnCall: case OP.throw: return lebs(1)
    case OP.callIndirect: case OP.returnCallIndirect: return lebs(2)
    case OP.brTable: lebs(reader.u32() + 1); return -1
    case OP.tryTable:
      reader.skipLeb(64)
      for (let left = reader.u32(); left > 0; left--) if (reader.u8() < 2) lebs(2); else lebs(1)
      return -1
  }
  return -1
}

/** Names of all instructions a module has. */
export function operatorsOf (module: Module): Set<string> {
  const found = new Set<string>()
  for (let i = 0; i < module.bodies.length / 2; i++) {
    const { code, end } = localsOf(module, i)
    for (const { op } of instructions(module, code, end)) found.add(NAMES[op]!)
  }
  return found
}
