/**
 * For tests: modules from a few lines of flat assembly, written byte for byte as told, so that fuel
 * can be counted by hand and invalid modules can be made as easily as valid ones.
 *
 * Code is words: an instruction, then its immediates as numbers. What needs more stands in the word:
 *   block  block(i32:i64,i64)  loop(:i32)  if  try_table(:i32)[catch:0:1,catch_all:2]
 *   br_table[0,1,2]  call_indirect(i32:i32) or call_indirect(i32:i32)@1 for table 1
 *   i32.load@8 for an offset  select_t(:i32)  ref.null:funcref  v128.const 7 for two i64 lanes
 */
import { Writer } from '../src/wasm/binary.ts'
import { FC, FD, IMMEDIATE, IMMEDIATES, NAMES, OP, TYPE } from '../src/wasm/opcodes.ts'

const VALUE_TYPES: Readonly<Record<string, number>> = {
  i32: TYPE.i32, i64: TYPE.i64, f32: TYPE.f32, f64: TYPE.f64, v128: TYPE.v128,
  funcref: TYPE.funcref, externref: TYPE.externref, exnref: TYPE.exnref
}
const CODES = new Map(Array.from(NAMES, (name, code) => [name, code]))
const CATCHES = ['catch', 'catch_ref', 'catch_all', 'catch_all_ref']
const KINDS = ['func', 'table', 'memory', 'global', 'tag']

export interface Func { type?: string, locals?: string, code: string, export?: string }
export interface Sizes { min: number, max?: number }

export interface Parts {
  imports?: Array<{ module: string, name: string, type: string }>
  tables?: Array<Sizes & { type?: string }>
  memory?: Sizes
  tags?: string[]
  /** "mut i32 5", "i64 1", "funcref ref.func 3". */
  globals?: string[]
  functions?: Func[]
  /** name → "func 3", "memory 0" … besides those of functions. */
  exports?: Record<string, string>
  start?: number
  /** Active ones have an offset; function indexes. */
  elements?: Array<{ offset?: number, table?: number, functions: number[] }>
  data?: Array<{ offset?: number, bytes: Uint8Array }>
}

/** A signed LEB128 of up to 64 bits. */
function signed (value: bigint): number[] {
  const bytes: number[] = []
  for (let rest = value; ;) {
    const byte = Number(rest & 0x7fn)
    rest >>= 7n
    if (rest === (byte & 0x40 ? -1n : 0n)) return [...bytes, byte]
    bytes.push(byte | 0x80)
  }
}

function typesOf (text: string): number[] {
  return text.split(/[\s,]+/).filter(Boolean).map(name => VALUE_TYPES[name]!)
}

class Builder {
  readonly types: string[] = []

  /** Index of a function type written "i32,i32:i64". */
  type (text: string): number {
    const at = this.types.indexOf(text)
    return at >= 0 ? at : this.types.push(text) - 1
  }

  blockType (out: Writer, text: string | undefined): void {
    const [params, results] = (text ?? ':').split(':').map(typesOf)
    if (params!.length > 0 || results!.length > 1) out.ops(...signed(BigInt(this.type(text!))))
    else out.u8(results![0] ?? TYPE.void)
  }

  code (out: Writer, text: string): void {
    const words = text.split(/\s+/).filter(Boolean)
    while (words.length > 0) this.instruction(out, words)
  }

  private instruction (out: Writer, words: string[]): void {
    const match = /^([\w.]+)(?:\(([^)]*)\))?(?:\[([^\]]*)\])?(?:[@:](\w+))?$/.exec(words.shift()!)
    const [word, name, type, list, suffix] = match ?? []
    const code = CODES.get(name ?? '')
    if (code === undefined) throw new Error(`no instruction ${word}`)
    const number = (): number => Number(words.shift())
    if (code >= FC) {
      out.u8(code >= FD ? OP.fd : OP.fc)
      out.u32(code % 256)
    } else out.u8(code)
    const items = list === undefined || list === '' ? [] : list.split(',')
    switch (code) {
      case OP.block: case OP.loop: case OP.if: this.blockType(out, type); break
      case OP.br: case OP.brIf: case OP.throw: case OP.call: case OP.returnCall: out.u32(number()); break
      case OP.brTable:
        out.u32(items.length - 1)
        for (const item of items) out.u32(Number(item))
        break
      case OP.callIndirect: case OP.returnCallIndirect:
        out.u32(this.type(type!))
        out.u32(Number(suffix ?? 0))
        break
      case OP.tryTable:
        this.blockType(out, type)
        out.u32(items.length)
        for (const item of items) {
          const [kind, ...numbers] = item.split(':')
          out.u8(CATCHES.indexOf(kind!))
          for (const each of numbers) out.u32(Number(each))
        }
        break
      case OP.i32Const: case OP.i64Const: out.ops(...signed(BigInt(words.shift()!))); break
      case OP.refNull: out.u8(VALUE_TYPES[suffix!]!); break
      default: this.immediates(out, code, suffix, type, number)
    }
  }

  private immediates (out: Writer, code: number, suffix: string | undefined, type: string | undefined, number: () => number): void {
    switch (IMMEDIATES[code]) {
      case IMMEDIATE.leb: out.u32(number()); break
      case IMMEDIATE.pair: out.u32(number()); out.u32(number()); break
      case IMMEDIATE.memarg: case IMMEDIATE.memargLane:
        out.u32(0)
        out.u32(Number(suffix ?? 0))
        if (IMMEDIATES[code] === IMMEDIATE.memargLane) out.u8(number())
        break
      case IMMEDIATE.bytes1: out.u8(number()); break
      case IMMEDIATE.bytes4: out.copy(new Uint8Array(Float32Array.of(number()).buffer)); break
      case IMMEDIATE.bytes8: out.copy(new Uint8Array(Float64Array.of(number()).buffer)); break
      case IMMEDIATE.bytes16: {
        const lane = BigInt(number())
        out.copy(new Uint8Array(BigInt64Array.of(code === OP.v128Const ? lane : 0n, lane).buffer))
        break
      }
      case IMMEDIATE.types: out.u32(1); out.ops(...typesOf(type!.replace(':', ''))); break
    }
  }
}

/** A vector section; nothing if there are no items. */
function section<T> (out: Writer, id: number, items: readonly T[], write: (content: Writer, item: T, index: number) => void): void {
  if (items.length === 0) return
  const content = new Writer()
  content.u32(items.length)
  items.forEach((item, index) => { write(content, item, index) })
  out.u8(id)
  out.u32(content.length)
  out.copy(content.view())
}

function sizes (out: Writer, { min, max }: Sizes): void {
  out.u8(max === undefined ? 0 : 1)
  out.u32(min)
  if (max !== undefined) out.u32(max)
}

export function wasm (parts: Parts): Uint8Array<ArrayBuffer> {
  const builder = new Builder()
  const { imports = [], tables = [], tags = [], globals = [], functions = [], elements = [], data = [] } = parts
  for (const { type } of [...imports, ...functions]) builder.type(type ?? ':')
  for (const tag of tags) builder.type(tag)
  const bodies = new Writer()
  section(bodies, 10, functions, (out, func) => {
    const body = new Writer()
    const locals = typesOf(func.locals ?? '')
    body.u32(locals.length)
    for (const type of locals) body.ops(1, type)
    builder.code(body, func.code)
    body.u8(OP.end)
    out.u32(body.length)
    out.copy(body.view())
  })
  const out = new Writer()
  out.ops(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  section(out, 1, builder.types, (content, text) => {
    const [params, results] = text.split(':').map(typesOf)
    content.ops(TYPE.function, params!.length, ...params!, results!.length, ...results!)
  })
  section(out, 2, imports, (content, { module, name, type }) => {
    content.name(module)
    content.name(name)
    content.u8(0)
    content.u32(builder.type(type))
  })
  section(out, 3, functions, (content, { type }) => { content.u32(builder.type(type ?? ':')) })
  section(out, 4, tables, (content, table) => {
    content.u8(VALUE_TYPES[table.type ?? 'funcref']!)
    sizes(content, table)
  })
  section(out, 5, parts.memory === undefined ? [] : [parts.memory], sizes)
  section(out, 13, tags, (content, type) => {
    content.u8(0)
    content.u32(builder.type(type))
  })
  section(out, 6, globals, (content, text) => {
    const [, mutable, type, value] = /^(mut )?(\w+) (.*)$/.exec(text)!
    content.ops(VALUE_TYPES[type!]!, mutable === undefined ? 0 : 1)
    builder.code(content, /^-?[\d.]+$/.test(value!) ? `${type}.const ${value}` : value!)
    content.u8(OP.end)
  })
  const exports = functions.flatMap(({ export: name }, i) => name === undefined ? [] : [[name, `func ${imports.length + i}`] as const])
  section(out, 7, [...exports, ...Object.entries(parts.exports ?? {})], (content, [name, target]) => {
    const [kind, index] = target.split(' ')
    content.name(name)
    content.u8(KINDS.indexOf(kind!))
    content.u32(Number(index))
  })
  if (parts.start !== undefined) {
    const content = new Writer()
    content.u32(parts.start)
    out.ops(8, content.length)
    out.copy(content.view())
  }
  section(out, 9, elements, (content, { offset, table, functions: indexes }) => {
    content.u8(offset === undefined ? 1 : table === undefined ? 0 : 2)
    if (offset !== undefined && table !== undefined) content.u32(table)
    if (offset !== undefined) content.ops(OP.i32Const, ...signed(BigInt(offset)), OP.end)
    if (offset === undefined || table !== undefined) content.u8(0)
    content.u32(indexes.length)
    for (const index of indexes) content.u32(index)
  })
  if (data.length > 0) out.ops(12, 1, data.length)
  out.copy(bodies.view())
  section(out, 11, data, (content, { offset, bytes }) => {
    content.u8(offset === undefined ? 1 : 0)
    if (offset !== undefined) content.ops(OP.i32Const, ...signed(BigInt(offset)), OP.end)
    content.u32(bytes.length)
    content.copy(bytes)
  })
  return out.finish()
}
