/**
 * For tests: what the profile says of fuel and of NaNs, put into a module in the plainest way there
 * is: one addition in front of every instruction, one comparison behind every float operation.
 * Slow, and sharing nothing with the meter but the table of instructions; so it can tell whether the
 * meter is right.
 */
import { Writer } from '../src/wasm/binary.ts'
import type { Module } from '../src/wasm/decode.ts'
import { decode, KIND, SECTION } from '../src/wasm/decode.ts'
import { FD, NAMES, OP, TYPE } from '../src/wasm/opcodes.ts'
import { unitsOf, unitsOfGrowth } from './fuel-prices.ts'
import { CAPS } from './metered.ts'
import { instructions, localsOf } from './wasm-walk.ts'

export const COUNT = 't:count'
export const MEMORY = 't:memory'
export const GLOBAL = 't:global:'

const ORDER = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11]
const MEMORY_BULK = new Set<number>([OP.memoryFill, OP.memoryCopy, OP.memoryInit])
const TABLE_BULK = new Set<number>([OP.tableFill, OP.tableCopy, OP.tableInit])
/** Instructions whose results are canonical if they are NaN. */
const ARITHMETIC = /^f(32|64)(x4|x2)?\.(add|sub|mul|div|min|max|sqrt|ceil|floor|trunc|nearest|demote_\w+|promote_\w+)$/

/** The sections of a module with some replaced or added. */
function rebuilt (module: Module, replaced: ReadonlyMap<number, Writer>): Uint8Array<ArrayBuffer> {
  const out = new Writer(module.bytes.length + 4096)
  out.ops(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  for (const id of ORDER) {
    const own = module.sections.get(id)
    const content = replaced.get(id)
    if (own === undefined && content === undefined) continue
    out.u8(id)
    out.u32(content === undefined ? own!.end - own!.start : content.length)
    if (content === undefined) out.copy(module.bytes, own!.start, own!.end)
    else out.copy(content.view())
  }
  return out.finish()
}

/** All exports of a module, and besides them its memory and globals, and what else is `added`. */
function exportsOf (module: Module, added: ReadonlyArray<readonly [string, number, number]>): Writer {
  const globals = module.imported.globals + module.globals
  const all = [
    ...module.exports.map(({ name, kind, index }) => [name, kind, index] as const),
    ...(module.memories.length > 0 ? [[MEMORY, KIND.memory, 0] as const] : []),
    ...Array.from({ length: globals }, (_, i) => [`${GLOBAL}${i}`, KIND.global, i] as const),
    ...added
  ]
  const out = new Writer()
  out.u32(all.length)
  for (const [name, kind, index] of all) {
    out.name(name)
    out.u8(kind)
    out.u32(index)
  }
  return out
}

/** The module with its memory and globals exported, so that they can be compared. */
export function expose (module: Module): Uint8Array<ArrayBuffer> {
  return rebuilt(module, new Map([[SECTION.export, exportsOf(module, [])]]))
}

export interface OracleOptions {
  /** Units per direct call of an imported function. */
  importFuel: number
  /** Whether NaNs are made canonical. */
  nan: boolean
}

/** @param exposed what `expose` gave */
export function oracle (exposed: Uint8Array<ArrayBuffer>, options: OracleOptions): Uint8Array<ArrayBuffer> {
  const module = decode(exposed, CAPS)
  const count = module.imported.globals + module.globals
  const globals = new Writer()
  const own = module.sections.get(SECTION.global)
  globals.u32(module.globals + 1)
  if (own !== undefined) {
    let from = own.start
    while (module.bytes[from++]! > 0x7f);
    globals.copy(module.bytes, from, own.end)
  }
  globals.ops(TYPE.i64, 1, OP.i64Const, 0, OP.end)
  const code = new Writer(exposed.length * 8)
  const bodies = module.bodies.length / 2
  code.u32(bodies)
  for (let i = 0; i < bodies; i++) {
    const body = new Body(module, i, count, options).write()
    code.u32(body.length)
    code.copy(body.view())
  }
  // Memory and globals are exported already.
  const exports = new Writer()
  exports.u32(module.exports.length + 1)
  for (const { name, kind, index } of [...module.exports, { name: COUNT, kind: KIND.global, index: count }]) {
    exports.name(name)
    exports.u8(kind)
    exports.u32(index)
  }
  return rebuilt(module, new Map([[SECTION.global, globals], [SECTION.export, exports], [SECTION.code, code]]))
}

/** Types of the locals added: lengths and results of growing, and one for a float of each kind. */
const LOCALS = [TYPE.i32, TYPE.i32, TYPE.f32, TYPE.f64, TYPE.v128] as const

class Body {
  private readonly module: Module
  private readonly index: number
  private readonly count: number
  private readonly options: OracleOptions
  private readonly out = new Writer()
  private first = 0

  constructor (module: Module, index: number, count: number, options: OracleOptions) {
    this.module = module
    this.index = index
    this.count = count
    this.options = options
  }

  write (): Writer {
    const { module, out, index } = this
    const { groups, declared, from, code, end } = localsOf(module, index)
    const type = module.types[module.functions[module.imported.functions + index]!]!
    this.first = type.params.length + declared
    out.u32(groups + LOCALS.length)
    out.copy(module.bytes, from, code)
    for (const local of LOCALS) out.ops(1, local)
    if (declared >= 8) this.add(Math.floor(declared / 8))
    for (const { op, start, end: next, index: callee } of instructions(module, code, end)) {
      const imported = (op === OP.call || op === OP.returnCall) && callee < module.imported.functions
      const units = unitsOf(NAMES[op]!, module.tags > 0)
      if (units > 0) this.add(units + (imported ? this.options.importFuel : 0))
      this.measure(op)
      out.copy(module.bytes, start, next)
      if (op === OP.memoryGrow || op === OP.tableGrow) this.grown(unitsOfGrowth(NAMES[op]!, 1))
      if (this.options.nan && ARITHMETIC.test(NAMES[op]!)) this.canonical(NAMES[op]!)
    }
    return out
  }

  private local (op: number, k: number): void {
    this.out.u8(op)
    this.out.u32(this.first + k)
  }

  private open (): void {
    this.out.u8(OP.globalGet)
    this.out.u32(this.count)
  }

  private close (): void {
    this.out.ops(OP.i64Add, OP.globalSet)
    this.out.u32(this.count)
  }

  private add (units: number): void {
    this.open()
    this.out.u8(OP.i64Const)
    this.out.positive(units)
    this.close()
  }

  /** Count by the length on top of the stack, and keep it for what grows. */
  private measure (op: number): void {
    const bulk = MEMORY_BULK.has(op) || TABLE_BULK.has(op)
    if (!bulk && op !== OP.memoryGrow && op !== OP.tableGrow) return
    this.local(OP.localTee, 0)
    if (!bulk) return
    this.open()
    this.local(OP.localGet, 0)
    this.out.ops(OP.i64ExtendI32U, OP.i64Const)
    if (MEMORY_BULK.has(op)) this.out.ops(3, OP.i64ShrU)
    else this.out.ops(8, OP.i64Mul)
    this.close()
  }

  private grown (units: number): void {
    this.local(OP.localTee, 1)
    this.local(OP.localGet, 1)
    this.out.ops(OP.i32Const, 0x7f, OP.i32Eq, OP.if, TYPE.void, OP.else)
    this.open()
    this.local(OP.localGet, 0)
    this.out.ops(OP.i64ExtendI32U, OP.i64Const)
    this.out.positive(units)
    this.out.u8(OP.i64Mul)
    this.close()
    this.out.u8(OP.end)
  }

  /** Replace a NaN on top of the stack by the canonical one. */
  private canonical (name: string): void {
    const vector = /^f(32x4|64x2)/.test(name) || /x[24]/.test(name)
    const wide = /^f64/.test(name)
    const k = vector ? 4 : wide ? 3 : 2
    const nan = wide ? [0, 0, 0, 0, 0, 0, 0xf8, 0x7f] : [0, 0, 0xc0, 0x7f]
    this.local(OP.localTee, k)
    if (vector) {
      this.out.ops(OP.fd, OP.v128Const - FD, ...(wide ? [...nan, ...nan] : [...nan, ...nan, ...nan, ...nan]))
    } else {
      this.out.ops(wide ? OP.f64Const : OP.f32Const, ...nan)
    }
    this.local(OP.localGet, k)
    this.local(OP.localGet, k)
    const codeOf = (wanted: string): number => NAMES.indexOf(wanted)
    if (vector) {
      this.out.u8(OP.fd)
      this.out.u32(codeOf(wide ? 'f64x2.eq' : 'f32x4.eq') - FD)
      this.out.u8(OP.fd)
      this.out.u32(codeOf('v128.bitselect') - FD)
    } else {
      this.out.ops(codeOf(wide ? 'f64.eq' : 'f32.eq'), codeOf('select'))
    }
  }
}

