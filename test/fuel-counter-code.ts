/**
 * For tests: the code of a module as lists of instructions, each knowing which run begins behind it,
 * by the rules of docs/fuel.md and in the plainest way: objects everywhere, nothing fast.
 */
import { Reader } from '../src/wasm/binary.ts'
import type { FuncType, Module } from '../src/wasm/decode.ts'
import { FC, FD, IMMEDIATE, IMMEDIATES, NAMES, OP, POPS, PUSHES, TYPE } from '../src/wasm/opcodes.ts'
import { unitsOf } from './fuel-prices.ts'

export interface Run { cost: number }

export interface Construct {
  readonly start: number
  end: number
  readonly loop: boolean
  readonly params: number
  readonly results: number
  /** Operands below it. */
  readonly base: number
  readonly parent: Construct | undefined
  readonly run: Run
  readonly alive: boolean
  /** The try_table whose catches see what is thrown in it. */
  readonly handler: Instruction | undefined
  closed: boolean
}

export interface Catch { readonly kind: number, readonly tag: number, readonly target: Construct }

export interface Instruction {
  readonly op: number
  readonly name: string
  /** Immediates: indexes, or an offset in y. */
  x: number
  y: number
  value: bigint
  targets: Construct[]
  catches: Catch[]
  handler: Instruction | undefined
  /** Of `if`: the index of its else, or its end. Of `else`: its end. */
  other: number
  /** The run that begins when control passes this instruction. */
  run: Run | undefined
}

export interface Code {
  readonly type: FuncType
  readonly locals: number[]
  readonly instructions: Instruction[]
  readonly entry: Run
  readonly slots: number
  readonly callees: number[]
  readonly indirect: number[]
}

const FINAL = /^(br|br_table|return|unreachable|throw|throw_ref|return_call|return_call_indirect)$/

function signed (reader: Reader): bigint {
  let value = 0n
  for (let shift = 0n; ; shift += 7n) {
    const byte = reader.u8()
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return BigInt.asIntN(Number(shift) + 7, value)
  }
}

export function readCode (module: Module, i: number): Code {
  const imported = module.imported.functions
  const type = module.types[module.functions[imported + i]!]!
  const reader = new Reader(module.bytes, module.bodies[2 * i]!, module.bodies[2 * i + 1]!)
  const locals = [...type.params]
  for (let groups = reader.u32(); groups > 0; groups--) {
    const count = reader.u32()
    const local = reader.u8()
    for (let k = 0; k < count; k++) locals.push(local)
  }
  const declared = locals.length - type.params.length
  const entry: Run = { cost: Math.floor(declared / 8) }
  const instructions: Instruction[] = []
  const callees: number[] = []
  const indirect: number[] = []
  let run = entry
  let alive = true
  let height = 0
  let highest = 0
  let inner: Construct | undefined

  const pop = (count: number): void => { height = Math.max(height - count, inner?.base ?? 0) }
  const push = (count: number): void => { height += count; highest = Math.max(highest, height) }
  const open = (loop: boolean, params: number, results: number, handler = inner?.handler): void => {
    pop(params)
    inner = { start: instructions.length, end: -1, loop, params, results, base: height, parent: inner, run, alive, handler, closed: true }
    push(params)
  }
  const label = (depth: number): Construct => {
    let target = inner!
    for (let k = 0; k < depth; k++) target = target.parent!
    return target
  }
  /** Control may go from here to `target`, past all constructs inside of it. */
  const leave = (target: Construct | undefined): void => {
    if (!alive) return
    for (let each = inner; each !== undefined && each !== target; each = each.parent) each.closed = false
  }
  const begin = (instruction: Instruction): void => { instruction.run = run = { cost: 0 } }
  const blockType = (): FuncType => {
    const code = Number(signed(reader))
    if (code >= 0) return module.types[code]!
    return { params: new Uint8Array(0), results: code + 0x80 === TYPE.void ? new Uint8Array(0) : Uint8Array.of(code + 0x80) }
  }

  open(false, 0, type.results.length)
  const body = inner!
  while (inner !== undefined) {
    let op = reader.u8()
    if (op === OP.fc) op = FC + reader.u32()
    else if (op === OP.fd) op = FD + reader.u32()
    const at = instructions.length
    const instruction: Instruction = {
      op, name: NAMES[op]!, x: 0, y: 0, value: 0n, targets: [], catches: [], handler: inner.handler, other: -1, run: undefined
    }
    const { name } = instruction
    if (alive) run.cost += unitsOf(name, module.tags > 0)
    switch (name) {
      case 'block': case 'loop': case 'if': case 'try_table': {
        const block = blockType()
        if (name === 'if') pop(1)
        if (name === 'try_table') {
          for (let k = reader.u32(); k > 0; k--) {
            const kind = reader.u8()
            const tag = kind < 2 ? reader.u32() : -1
            instruction.catches.push({ kind, tag, target: label(reader.u32()) })
          }
        }
        open(name === 'loop', block.params.length, block.results.length, name === 'try_table' ? instruction : inner.handler)
        if (alive && (name === 'loop' || name === 'if')) begin(instruction)
        break
      }
      case 'else':
        instructions[inner.start]!.other = at
        height = inner.base
        push(inner.params)
        alive = inner.alive
        if (alive) begin(instruction)
        break
      case 'end': {
        const ended: Construct = inner
        ended.end = at
        const opener = instructions[ended.start]
        if (ended !== body && opener?.name === 'if') {
          if (opener.other >= 0) instructions[opener.other]!.other = at
          else opener.other = at
        }
        height = ended.base
        inner = ended.parent
        if (inner === undefined) break
        push(ended.results)
        alive = ended.alive
        run = ended.run
        if (alive && !ended.closed) begin(instruction)
        break
      }
      case 'br': case 'br_if': case 'br_table':
        if (name !== 'br') pop(1)
        for (let k = name === 'br_table' ? reader.u32() + 1 : 1; k > 0; k--) {
          const target = label(reader.u32())
          instruction.targets.push(target)
          leave(target === body ? undefined : target)
        }
        if (name === 'br_if' && alive) begin(instruction)
        break
      case 'call': case 'return_call': case 'call_indirect': case 'return_call_indirect': {
        const direct = name === 'call' || name === 'return_call'
        instruction.x = reader.u32()
        if (direct) callees.push(instruction.x)
        else {
          instruction.y = reader.u32()
          pop(1)
          indirect.push(instruction.x)
        }
        const callee = module.types[direct ? module.functions[instruction.x]! : instruction.x]!
        pop(callee.params.length)
        push(callee.results.length)
        const own = name === 'call' && instruction.x >= imported && module.tags === 0
        if (!own) leave(undefined)
        if (alive && !own) begin(instruction)
        break
      }
      case 'return': case 'throw': case 'throw_ref':
        if (name === 'throw') instruction.x = reader.u32()
        leave(undefined)
        break
      case 'unreachable': break
      default: {
        immediates(reader, instruction)
        pop(POPS[op]!)
        push(PUSHES[op]!)
      }
    }
    if (FINAL.test(name)) {
      alive = false
      height = inner?.base ?? 0
    }
    instructions.push(instruction)
  }
  return { type, locals, instructions, entry, slots: locals.length + highest, callees, indirect }
}

function immediates (reader: Reader, instruction: Instruction): void {
  const { bytes } = reader
  switch (instruction.op) {
    case OP.i32Const: case OP.i64Const: instruction.value = signed(reader); return
    case OP.refNull: reader.u8(); return
  }
  const little = (size: number): bigint => {
    let value = 0n
    for (let k = size - 1; k >= 0; k--) value = value << 8n | BigInt(bytes[reader.at + k]!)
    reader.skip(size)
    return value
  }
  switch (IMMEDIATES[instruction.op]) {
    case IMMEDIATE.none: break
    case IMMEDIATE.leb: instruction.x = reader.u32(); break
    case IMMEDIATE.pair: case IMMEDIATE.memarg: instruction.x = reader.u32(); instruction.y = reader.u32(); break
    case IMMEDIATE.bytes4: instruction.value = little(4); break
    case IMMEDIATE.bytes8: instruction.value = little(8); break
    case IMMEDIATE.types: reader.skip(reader.u32()); break
    default: throw new Error(`the counter does not know ${instruction.name}`)
  }
}
