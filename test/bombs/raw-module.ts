/** For bombs: modules of any size from parts in bytes. `wasm-builder.ts` is for those small enough to be read. */
import { Writer } from '../../src/wasm/binary.ts'
import { OP, TYPE } from '../../src/wasm/opcodes.ts'

export interface RawFunction {
  type?: number
  /** Groups of locals: how many of a type. */
  locals?: ReadonlyArray<readonly [number, number]>
  /** Without the last `end`. */
  code: Uint8Array | readonly number[]
}

export interface RawModule {
  /** Params and results; type 0 is () → () unless given. */
  types?: ReadonlyArray<readonly [readonly number[], readonly number[]]>
  /** Functions imported: module, name, type. */
  imports?: ReadonlyArray<readonly [string, string, number]>
  functions?: readonly RawFunction[]
  /** Exported as `run`; the last function unless given. */
  entry?: number
  tables?: readonly number[]
  memory?: number
  tags?: readonly number[]
  globals?: number
  start?: number
  /** Whole sections put in as they are, by id. */
  sections?: ReadonlyMap<number, Uint8Array>
}

export const ORDER = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11]

export function leb (value: number): number[] {
  const out = new Writer(8)
  out.u32(value)
  return [...out.view()]
}

/** A signed integer of 32 bits. */
export function signed (value: number): number[] {
  const bytes: number[] = []
  for (let rest = value | 0; ;) {
    const byte = rest & 0x7f
    rest >>= 7
    if (rest === ((byte & 0x40) !== 0 ? -1 : 0)) return [...bytes, byte]
    bytes.push(byte | 0x80)
  }
}

export function constant (value: number): number[] { return [OP.i32Const, ...signed(value)] }

/** The same bytes again and again. */
export function repeat (part: readonly number[], count: number): Uint8Array {
  const out = new Uint8Array(part.length * count)
  for (let k = 0; k < count; k++) out.set(part, k * part.length)
  return out
}

export function join (...parts: ReadonlyArray<Uint8Array | readonly number[]>): Uint8Array {
  const out = new Writer()
  for (const part of parts) out.copy(part instanceof Uint8Array ? part : Uint8Array.from(part))
  return out.finish()
}

function vector<T> (items: readonly T[] | undefined, write: (out: Writer, item: T) => void): Uint8Array | undefined {
  if (items === undefined || items.length === 0) return undefined
  const out = new Writer()
  out.u32(items.length)
  for (const item of items) write(out, item)
  return out.finish()
}

function body (out: Writer, { locals = [], code }: RawFunction): void {
  const head = new Writer(16)
  head.u32(locals.length)
  for (const [count, type] of locals) {
    head.u32(count)
    head.u8(type)
  }
  out.u32(head.length + code.length + 1)
  out.copy(head.view())
  out.copy(code instanceof Uint8Array ? code : Uint8Array.from(code))
  out.u8(OP.end)
}

export function raw (module: RawModule): Uint8Array {
  const { types = [[[], []]], imports = [], functions = [] } = module
  const entry = module.entry ?? imports.length + functions.length - 1
  const contents: Record<number, Uint8Array | undefined> = {
    1: vector(types, (out, [params, results]) => out.ops(TYPE.function, ...leb(params.length), ...params, ...leb(results.length), ...results)),
    2: vector(imports, (out, [from, name, type]) => { out.name(from); out.name(name); out.u8(0); out.u32(type) }),
    3: vector(functions, (out, { type = 0 }) => { out.u32(type) }),
    4: vector(module.tables, (out, min) => { out.ops(TYPE.funcref, 0); out.u32(min) }),
    5: module.memory === undefined ? undefined : Uint8Array.of(1, 0, ...leb(module.memory)),
    13: vector(module.tags, (out, type) => { out.u8(0); out.u32(type) }),
    6: vector(Array.from({ length: module.globals ?? 0 }), out => { out.ops(TYPE.i32, 1, OP.i32Const, 0, OP.end) }),
    7: functions.length === 0 ? undefined : exportsOf(entry, module.memory !== undefined),
    8: module.start === undefined ? undefined : Uint8Array.from(leb(module.start)),
    10: vector(functions, body)
  }
  const out = new Writer()
  out.ops(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  for (const id of ORDER) {
    const content = module.sections?.get(id) ?? contents[id]
    if (content === undefined) continue
    out.u8(id)
    out.u32(content.length)
    out.copy(content)
  }
  return out.finish()
}

function exportsOf (entry: number, memory: boolean): Uint8Array {
  const out = new Writer()
  out.u32(memory ? 2 : 1)
  out.name('run')
  out.u8(0)
  out.u32(entry)
  if (memory) {
    out.name('memory')
    out.ops(2, 0)
  }
  return out.finish()
}
