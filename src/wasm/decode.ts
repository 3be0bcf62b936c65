/**
 * Sections of a module → a description the rest of this room works on, in one pass. Every count is
 * compared with its cap before anything is allocated for it, and types outside the profile are
 * refused by name and offset.
 *
 * Instructions in function bodies are `admit.ts`'s; whether the module is well-typed is V8's to say
 * (`WebAssembly.validate` on these same bytes), so whoever uses a description asks V8 as well.
 */
import { hex, invalidModule, Reader } from './binary.ts'
import type { LIMITS } from '../packet/limits.ts'
import { describeRefused, featureBit, OP, TYPE } from './opcodes.ts'

/** Caps under which a module is decoded and admitted; see `LIMITS.module`. */
export type ModuleCaps = { readonly [K in keyof typeof LIMITS.module]: number }

/** Value types as their binary codes. */
export interface FuncType { readonly params: Uint8Array, readonly results: Uint8Array }
export interface TableType { readonly type: number, readonly min: number, readonly max: number | undefined }
export interface MemoryType { readonly min: number, readonly max: number | undefined }
/** A segment that is not copied at the start, by its index among its kind. */
export interface PassiveSegment { readonly index: number, readonly length: number }
export interface Range { readonly start: number, readonly end: number }

export const KIND = { func: 0, table: 1, memory: 2, global: 3, tag: 4 } as const

export interface Import {
  readonly module: string
  readonly name: string
  /** One of `KIND`. */
  readonly kind: number
  /** Type index of a function or tag; −1 otherwise. */
  readonly type: number
}

export interface Export { readonly name: string, readonly kind: number, readonly index: number }

/** A place outside function bodies that names an imported function by index. */
export interface FunctionReference extends Range { readonly index: number }

export interface Module {
  readonly bytes: Uint8Array
  readonly types: readonly FuncType[]
  readonly imports: readonly Import[]
  /** Type index per function, imported ones first. */
  readonly functions: Uint32Array
  /** Start and end of body `i` at 2i and 2i+1. */
  readonly bodies: Uint32Array
  /** Imported ones first. */
  readonly tables: readonly TableType[]
  readonly memories: readonly MemoryType[]
  /** Own globals, without imported ones. */
  readonly globals: number
  /** Value type per global, imported ones first. */
  readonly globalTypes: readonly number[]
  /** Own globals that change, by index. */
  readonly mutableGlobals: readonly number[]
  readonly tags: number
  readonly exports: readonly Export[]
  readonly start: number | undefined
  readonly elements: number
  /** All bytes of all data segments. */
  readonly dataBytes: number
  /** Segments that bulk instructions may copy from, and code may drop: their length, and for elements their type. */
  readonly passive: { readonly data: readonly PassiveSegment[], readonly elements: ReadonlyArray<PassiveSegment & { readonly type: number }> }
  readonly imported: { readonly functions: number, readonly tables: number, readonly memories: number, readonly globals: number }
  readonly references: readonly FunctionReference[]
  /** Functions that tables or globals may hold from the start, by index. */
  readonly addressed: readonly number[]
  /** Content of each section present, by id; custom sections left out. */
  readonly sections: ReadonlyMap<number, Range>
  /** Set of feature bits met so far. */
  readonly features: number
}

export const SECTION = {
  custom: 0, type: 1, import: 2, function: 3, table: 4, memory: 5, global: 6, export: 7, start: 8,
  element: 9, code: 10, data: 11, dataCount: 12, tag: 13
} as const

/** The order in which sections must come. */
const ORDER: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11]

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [0x63, 'typed function references (ref null)'],
  [0x64, 'typed function references (ref)'],
  [0x4e, 'GC types (rec)'],
  [0x4f, 'GC types (sub final)'],
  [0x50, 'GC types (sub)'],
  [0x5e, 'GC types (array)'],
  [0x5f, 'GC types (struct)'],
  [0x6a, 'GC types (arrayref)'],
  [0x6b, 'GC types (structref)'],
  [0x6c, 'GC types (i31ref)'],
  [0x6d, 'GC types (eqref)'],
  [0x6e, 'GC types (anyref)'],
  [0x71, 'GC types (nullref)'],
  [0x72, 'GC types (nullexternref)'],
  [0x73, 'GC types (nullfuncref)'],
  [0x74, 'exceptions without values (nullexnref)']
])

const MULTI_VALUE = featureBit('multi-value')
const REFERENCES = featureBit('reference-types')
const SIMD = featureBit('simd')
const EXCEPTIONS = featureBit('exceptions')
const BULK = featureBit('bulk-memory')
const EXTENDED_CONST = featureBit('extended-const')
const MUTABLE_GLOBALS = featureBit('mutable-globals')

/** The feature a value type belongs to, as a bit; throws for one outside the profile. */
export function valueTypeFeature (code: number, offset: number): number {
  switch (code) {
    case TYPE.i32: case TYPE.i64: case TYPE.f32: case TYPE.f64: return 1
    case TYPE.v128: return SIMD
    case TYPE.funcref: case TYPE.externref: return REFERENCES
    case TYPE.exnref: return EXCEPTIONS
  }
  throw invalidModule(`${TYPE_NAMES.get(code) ?? `type ${hex(code)}`} is not in the profile`, offset)
}

/**
 * @param bytes the whole module
 * @throws {InosError} ERR_INVALID_MODULE naming what and where
 */
export function decode (bytes: Uint8Array, caps: ModuleCaps): Module {
  return new Decoder(bytes, caps).decode()
}

class Decoder {
  readonly bytes: Uint8Array
  readonly caps: ModuleCaps
  readonly types: FuncType[] = []
  readonly imports: Import[] = []
  readonly importedTypes: number[] = []
  readonly tables: TableType[] = []
  readonly memories: MemoryType[] = []
  readonly exports: Export[] = []
  readonly references: FunctionReference[] = []
  readonly addressed: number[] = []
  readonly globalTypes: number[] = []
  readonly mutableGlobals: number[] = []
  readonly passive = { data: [] as PassiveSegment[], elements: [] as Array<PassiveSegment & { type: number }> }
  readonly sections = new Map<number, Range>()
  readonly imported = { functions: 0, tables: 0, memories: 0, globals: 0 }
  functions = new Uint32Array()
  bodies = new Uint32Array()
  globals = 0
  tags = 0
  start: number | undefined
  elements = 0
  tableEntries = 0
  dataBytes = 0
  features = 1

  constructor (bytes: Uint8Array, caps: ModuleCaps) {
    this.bytes = bytes
    this.caps = caps
  }

  decode (): Module {
    const { bytes, caps } = this
    if (bytes.length > caps.bytesMax) throw invalidModule(`it has ${bytes.length} bytes, and ${caps.bytesMax} are allowed`, 0)
    const reader = new Reader(bytes)
    const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
    for (const [at, byte] of header.entries()) {
      if (bytes[at] !== byte) throw invalidModule(at < 4 ? 'it does not start like WebAssembly' : 'its version is not 1', at)
    }
    reader.at = header.length
    let last = -1
    while (!reader.done) {
      const at = reader.at
      const id = reader.u8()
      const length = reader.u32()
      const start = reader.at
      reader.skip(length)
      if (id === SECTION.custom) continue
      const rank = ORDER.indexOf(id)
      if (rank < 0) throw invalidModule(`section ${id} is not known`, at)
      if (rank <= last) throw invalidModule(`section ${id} comes twice or too late`, at)
      last = rank
      this.sections.set(id, { start, end: reader.at })
      this.section(id, new Reader(bytes, start, reader.at))
    }
    if (this.functions.length - this.imported.functions !== this.bodies.length / 2) {
      throw invalidModule('it declares functions without bodies', bytes.length)
    }
    return this
  }

  section (id: number, reader: Reader): void {
    switch (id) {
      case SECTION.type: this.typeSection(reader); break
      case SECTION.import: this.importSection(reader); break
      case SECTION.function: this.functionSection(reader); break
      case SECTION.table: this.tableSection(reader); break
      case SECTION.memory: this.memorySection(reader); break
      case SECTION.tag: this.tagSection(reader); break
      case SECTION.global: this.globalSection(reader); break
      case SECTION.export: this.exportSection(reader); break
      case SECTION.start: this.start = reader.u32(); break
      case SECTION.element: this.elementSection(reader); break
      case SECTION.dataCount: this.features |= BULK; reader.u32(); break
      case SECTION.code: this.codeSection(reader); break
      case SECTION.data: this.dataSection(reader); break
    }
    if (!reader.done) throw invalidModule(`section ${id} has bytes left over`, reader.at)
    // Without a function section there is still a list: that of the imported ones.
    if (id === SECTION.import) this.functions = Uint32Array.from(this.importedTypes)
  }

  valueType (reader: Reader): number {
    const at = reader.at
    const code = reader.u8()
    this.features |= valueTypeFeature(code, at)
    return code
  }

  valueTypes (reader: Reader, countMax: number, what: string): Uint8Array {
    const codes = new Uint8Array(reader.count(countMax, what))
    for (let i = 0; i < codes.length; i++) codes[i] = this.valueType(reader)
    return codes
  }

  typeSection (reader: Reader): void {
    const count = reader.count(this.caps.typesMax, 'types')
    for (let i = 0; i < count; i++) {
      const at = reader.at
      const form = reader.u8()
      if (form !== TYPE.function) throw invalidModule(`${TYPE_NAMES.get(form) ?? `type ${hex(form)}`} is not in the profile`, at)
      const params = this.valueTypes(reader, this.caps.paramsMax, `params in type ${i}`)
      const results = this.valueTypes(reader, this.caps.resultsMax, `results in type ${i}`)
      if (results.length > 1) this.features |= MULTI_VALUE
      this.types.push({ params, results })
    }
  }

  typeIndex (reader: Reader): number {
    const at = reader.at
    const index = reader.u32()
    if (index >= this.types.length) throw invalidModule(`type ${index} does not exist`, at)
    return index
  }

  importSection (reader: Reader): void {
    const count = reader.count(this.caps.importsMax, 'imports')
    for (let i = 0; i < count; i++) {
      const module = reader.name()
      const name = reader.name()
      const at = reader.at
      const kind = reader.u8()
      let type = -1
      switch (kind) {
        case KIND.func:
          type = this.typeIndex(reader)
          this.importedTypes.push(type)
          this.imported.functions++
          break
        case KIND.table: this.tables.push(this.tableType(reader)); this.imported.tables++; break
        case KIND.memory: this.memories.push(this.limits(reader, 'memory')); this.imported.memories++; break
        case KIND.global:
          this.globalTypes.push(this.valueType(reader))
          if (this.mutability(reader)) this.features |= MUTABLE_GLOBALS
          this.imported.globals++
          break
        case KIND.tag: type = this.tagType(reader); break
        default: throw invalidModule(`import kind ${kind} is not in the profile`, at)
      }
      this.imports.push({ module, name, kind, type })
    }
    if (this.imported.memories > 1) throw invalidModule('multi-memory is not in the profile', reader.at)
  }

  mutability (reader: Reader): boolean {
    const at = reader.at
    const flag = reader.u8()
    if (flag > 1) throw invalidModule('a shared global (threads) is not in the profile', at)
    return flag === 1
  }

  limits (reader: Reader, what: 'memory' | 'table'): MemoryType {
    const at = reader.at
    const flags = reader.u8()
    if ((flags & 2) !== 0) throw invalidModule(`a shared ${what} (threads) is not in the profile`, at)
    if ((flags & 4) !== 0) throw invalidModule(`a 64-bit ${what} (memory64) is not in the profile`, at)
    if (flags > 1) throw invalidModule(`${what} limits ${hex(flags)} are not in the profile`, at)
    const min = reader.u32()
    const max = flags === 1 ? reader.u32() : undefined
    return { min, max }
  }

  tableType (reader: Reader): TableType {
    const at = reader.at
    if (this.bytes[at] === 0x40) throw invalidModule('a table with an initialiser (typed function references) is not in the profile', at)
    const type = this.valueType(reader)
    const limits = this.limits(reader, 'table')
    this.tableEntries += limits.min
    if (this.tableEntries > this.caps.tableEntriesMax) {
      throw invalidModule(`its tables start with ${this.tableEntries} entries, and ${this.caps.tableEntriesMax} are allowed`, at)
    }
    return { type, ...limits }
  }

  functionSection (reader: Reader): void {
    const count = reader.count(this.caps.functionsMax, 'functions')
    const before = this.imported.functions
    this.functions = new Uint32Array(before + count)
    this.functions.set(this.importedTypes)
    for (let i = 0; i < count; i++) this.functions[before + i] = this.typeIndex(reader)
  }

  tableSection (reader: Reader): void {
    const count = reader.count(this.caps.tablesMax, 'tables')
    for (let i = 0; i < count; i++) this.tables.push(this.tableType(reader))
    if (count + this.imported.tables > 1) this.features |= REFERENCES
  }

  memorySection (reader: Reader): void {
    const at = reader.at
    const count = reader.u32()
    if (count + this.imported.memories > 1) throw invalidModule('multi-memory is not in the profile', at)
    if (count === 1) this.memories.push(this.limits(reader, 'memory'))
  }

  tagType (reader: Reader): number {
    const at = reader.at
    if (reader.u8() !== 0) throw invalidModule('a tag attribute is not in the profile', at)
    this.features |= EXCEPTIONS
    return this.typeIndex(reader)
  }

  tagSection (reader: Reader): void {
    this.tags = reader.count(this.caps.tagsMax, 'tags')
    for (let i = 0; i < this.tags; i++) this.tagType(reader)
  }

  globalSection (reader: Reader): void {
    this.globals = reader.count(this.caps.globalsMax, 'globals')
    for (let i = 0; i < this.globals; i++) {
      this.globalTypes.push(this.valueType(reader))
      if (this.mutability(reader)) this.mutableGlobals.push(this.imported.globals + i)
      this.constant(reader)
    }
  }

  exportSection (reader: Reader): void {
    const count = reader.count(this.caps.exportsMax, 'exports')
    for (let i = 0; i < count; i++) {
      const name = reader.name()
      const at = reader.at
      const kind = reader.u8()
      if (kind > KIND.tag) throw invalidModule(`export kind ${kind} is not in the profile`, at)
      this.exports.push({ name, kind, index: reader.u32() })
    }
  }

  /** A function index outside of code; where those of imports stand is kept, for the meter puts wrappers in their place. */
  functionIndex (reader: Reader): void {
    const start = reader.at
    const index = reader.u32()
    this.addressed.push(index)
    if (index < this.imported.functions) this.references.push({ start, end: reader.at, index })
  }

  constant (reader: Reader): void {
    for (;;) {
      const at = reader.at
      const op = reader.u8()
      switch (op) {
        case OP.end: return
        case OP.i32Const: reader.skipLeb(32); break
        case OP.i64Const: reader.skipLeb(64); break
        case OP.f32Const: reader.skip(4); break
        case OP.f64Const: reader.skip(8); break
        case OP.globalGet: reader.u32(); break
        case OP.refNull: this.valueType(reader); break
        case OP.refFunc: this.features |= REFERENCES; this.functionIndex(reader); break
        case OP.i32Add: case OP.i32Sub: case OP.i32Mul: case OP.i64Add: case OP.i64Sub: case OP.i64Mul:
          this.features |= EXTENDED_CONST
          break
        case OP.fd: {
          const code = reader.u32()
          if (code !== 12) throw invalidModule(`${describeRefused(OP.fd, code)} of constants`, at)
          this.features |= SIMD
          reader.skip(16)
          break
        }
        default: throw invalidModule(`${describeRefused(0, op)} of constants`, at)
      }
    }
  }

  /** Flags: 1 passive or declared, 2 names a table (declared, with 1), 4 expressions instead of indexes. */
  elementSection (reader: Reader): void {
    const count = reader.count(this.caps.elementSegmentsMax, 'element segments')
    for (let i = 0; i < count; i++) {
      const at = reader.at
      const flags = reader.u32()
      if (flags > 7) throw invalidModule(`element segment kind ${flags} is not in the profile`, at)
      if (flags !== 0) this.features |= BULK
      if ((flags & 1) === 0) {
        if ((flags & 2) !== 0) reader.u32()
        this.constant(reader)
      }
      const expressions = (flags & 4) !== 0
      let type: number = TYPE.funcref
      if ((flags & 3) !== 0) {
        if (expressions) type = this.valueType(reader)
        else if (reader.u8() !== 0) throw invalidModule('an element kind is not in the profile', reader.at - 1)
      }
      const length = reader.count(this.caps.elementsMax - this.elements, 'more elements')
      this.elements += length
      if ((flags & 3) === 1) this.passive.elements.push({ index: i, length, type })
      for (let k = 0; k < length; k++) {
        if (expressions) this.constant(reader)
        else this.functionIndex(reader)
      }
    }
  }

  codeSection (reader: Reader): void {
    const at = reader.at
    const count = reader.count(this.caps.functionsMax, 'bodies')
    if (count !== this.functions.length - this.imported.functions) throw invalidModule('functions and bodies differ in number', at)
    this.bodies = new Uint32Array(count * 2)
    for (let i = 0; i < count; i++) {
      const length = reader.u32()
      if (length > this.caps.bodyBytesMax) {
        throw invalidModule(`function ${this.imported.functions + i} has ${length} bytes, and ${this.caps.bodyBytesMax} are allowed`, reader.at)
      }
      this.bodies[2 * i] = reader.at
      reader.skip(length)
      this.bodies[2 * i + 1] = reader.at
    }
  }

  dataSection (reader: Reader): void {
    const count = reader.count(this.caps.dataSegmentsMax, 'data segments')
    for (let i = 0; i < count; i++) {
      const at = reader.at
      const flags = reader.u32()
      if (flags > 2) throw invalidModule(`data segment kind ${flags} is not in the profile`, at)
      if (flags === 1) this.features |= BULK
      if (flags === 2) reader.u32()
      if (flags !== 1) this.constant(reader)
      const length = reader.u32()
      reader.skip(length)
      if (flags === 1) this.passive.data.push({ index: i, length })
      this.dataBytes += length
    }
  }
}
