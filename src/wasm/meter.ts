/**
 * The meter: rewrites a module so that it counts its own fuel and can be ended from outside, and
 * changes nothing else a guest could observe. What a unit of fuel is, to the unit:
 *
 * - An executed instruction costs what `fuel-costs.ts` says: 1, but 0 for `block`, `loop`, `else`, `end`, `nop` and
 *   `try_table`, and more for what is dear. In a module with tags `call` and `call_indirect` cost 7 more.
 * - Fuel is charged by the *run*, whole at its entry, also if a trap inside cuts it short. A run
 *   begins at the entry of a function and after `loop`, `if`, `else`, `br_if`, `call` of an import,
 *   `call_indirect` and the `end` of a construct that is not closed. A `call` of a function that the
 *   module defines begins none: the code after it was charged before it; only in a module with tags
 *   it begins one, because an exception may pass that code by. A construct (block, loop, if,
 *   try_table) is *closed* if no reachable code in it branches to a label outside of it, makes a call
 *   that begins a run, returns, throws or tail-calls; traps do not count. After the `end` of a closed construct the
 *   run in which the construct began goes on: whoever enters the one executes the other.
 *   Code that follows `br`, `br_table`, `return`, `unreachable`, `throw`, `throw_ref` or a tail
 *   call, up to the next `else` or `end` of the construct around it, belongs to no run.
 * - Entering a function costs ⌊declared locals / 8⌋ more.
 * - memory.fill, .copy, .init cost ⌊length / 8⌋ more and table.fill, .copy, .init 8 per element,
 *   charged and compared before they act. memory.grow by n pages costs 1024·n more and table.grow
 *   by n entries 8·n more, unless that would pass the maximum: then they give −1 and cost nothing more.
 * - Calling an import costs what the caller of `meter` says, charged and compared before the call.
 * - What instantiation costs is `initFuel`, due before anything of the guest runs.
 *
 * A guest is out of fuel iff its path costs more than it has. Comparisons are sparse (function
 * entries, loops, bulk operations, around imports), so the counter may be below zero for a while;
 * whoever runs the module reads `m:fuel` at every end and believes a negative one before all else.
 *
 * Calls take their frames from the budget of `call-stack.ts`. A frame that does not fit ends the guest
 * at the entry of the function, before anything of that function is charged.
 *
 * Nothing of the guest's shifts: globals, functions, types, locals and exports are only appended.
 * Only indices of imported functions change, to wrappers of ours, so that no import is reached past
 * its price or after the guest was ended. The guest's memory becomes an import, so that one compiled
 * module serves every limit; its start function becomes the export `m:start`; its exports get the
 * prefix `g:`. Custom sections are dropped.
 *
 * The module must have been decoded, admitted and validated by V8 *before*: an invalid module could
 * name indices that exist only afterwards and thereby forge its fuel.
 */
import { LIMITS } from '../packet/limits.ts'
import { invalidModule, Writer } from './binary.ts'
import type { CallGraph } from './admit.ts'
import type { Module, ModuleCaps } from './decode.ts'
import { KIND, SECTION } from './decode.ts'
import { CallStack } from './call-stack.ts'
import { BYTES_SHIFT, ENTRY_SHIFT, PAGE_SHIFT } from './fuel-costs.ts'
import { BodyWriter, METER_LOCALS } from './meter-body.ts'
import { Layout } from './meter-parts.ts'
import { addStateParts, STATE_EXPORTS } from './state-plan.ts'
import type { StatePlan } from './state-plan.ts'
import { OP, TYPE } from './opcodes.ts'

/** Module name of the memory import. */
export const METER_MODULE = 'm:'
export const METER_MEMORY = 'memory'
/** Names of exports: the guest's own behind a prefix, ours in a space of their own. */
export const GUEST_PREFIX = 'g:'
export const METER_EXPORTS = { fuel: 'm:fuel', ended: 'm:ended', pages: 'm:pages', stack: 'm:stack', start: 'm:start' } as const

/** The kind of an element segment that fills a table other than the first. */
const ACTIVE_IN_TABLE = 2

/** Globals the meter adds, each of them exported. */
const METER_GLOBALS = 4

/** Functions a module that keeps a state has more, each of its own type. */
const STATE_PARTS = Object.keys(STATE_EXPORTS).length

/** What the meter adds at most, so that the second admission allows for it. */
export function capsAfterMetering (caps: ModuleCaps): ModuleCaps {
  return {
    ...caps,
    typesMax: caps.typesMax + caps.tablesMax + 2 + STATE_PARTS,
    importsMax: caps.importsMax + 1,
    functionsMax: caps.functionsMax + caps.importsMax + caps.tablesMax + 2 + STATE_PARTS,
    globalsMax: caps.globalsMax + METER_GLOBALS,
    exportsMax: caps.exportsMax + METER_GLOBALS + 1 + STATE_PARTS + caps.tablesMax,
    tablesMax: caps.tablesMax + 1,
    tableEntriesMax: caps.tableEntriesMax + LIMITS.state.tableEntriesMax,
    elementSegmentsMax: caps.elementSegmentsMax + 1,
    elementsMax: caps.elementsMax + LIMITS.state.tableEntriesMax,
    localsMax: caps.localsMax + METER_LOCALS
  }
}

export interface Metered {
  readonly wasm: Uint8Array<ArrayBuffer>
  /** Units due before the guest runs: data bytes / 8, 8 per element and initial table entry, 1024 per initial page, globals. */
  readonly initFuel: bigint
}

/** What of the profile is written into a module: all of it, but for those who measure what each costs. */
export interface MeterOptions {
  readonly fuel?: boolean
  readonly stack?: boolean
  readonly nan?: boolean
  /** Makes it a module whose state can be read and written between calls. */
  readonly state?: StatePlan
}

/**
 * @param graph what admission found out about the module's calls
 * @param importFuel units per call of each imported function, in the order of imports
 */
export function meter (module: Module, graph: CallGraph, importFuel: readonly number[], caps: ModuleCaps, options: MeterOptions = {}): Metered {
  return new Meter(module, graph, importFuel, caps, options).meter()
}

class Meter {
  private readonly module: Module
  private readonly caps: ModuleCaps
  private readonly layout: Layout
  private readonly graph: CallGraph
  private readonly options: MeterOptions
  private readonly out: Writer
  private readonly section = new Writer()
  /** Exported functions by which a state is read and written. */
  private readonly stateParts: ReadonlyArray<readonly [name: string, index: number]>

  constructor (module: Module, graph: CallGraph, importFuel: readonly number[], caps: ModuleCaps, options: MeterOptions) {
    this.module = module
    this.graph = graph
    this.options = options
    this.caps = caps
    this.layout = new Layout(module, importFuel, caps.tableEntriesMax)
    this.stateParts = options.state === undefined ? [] : addStateParts(this.layout, options.state)
    this.out = new Writer(module.bytes.length + 4096)
  }

  meter (): Metered {
    const bodies = this.bodies()
    this.out.ops(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
    this.types()
    this.imports()
    this.functions()
    this.tables()
    this.copy(SECTION.tag)
    this.globals()
    this.exports()
    this.elements()
    this.copy(SECTION.dataCount)
    this.code(bodies)
    this.copy(SECTION.data)
    return { wasm: this.out.view(), initFuel: this.initFuel() }
  }

  private initFuel (): bigint {
    const { module } = this
    const own = <T>(all: readonly T[], imported: number): readonly T[] => all.slice(imported)
    const pages = own(module.memories, module.imported.memories).reduce((sum, memory) => sum + memory.min, 0)
    const entries = own(module.tables, module.imported.tables).reduce((sum, table) => sum + table.min, 0)
    return BigInt((module.dataBytes >> BYTES_SHIFT) + (module.elements + entries) * 2 ** -ENTRY_SHIFT + pages * 2 ** -PAGE_SHIFT + module.globals)
  }

  private emit (id: number, content: Writer): void {
    this.out.u8(id)
    this.out.u32(content.length)
    this.out.copy(content.view())
    content.length = 0
  }

  private copy (id: number): void {
    const range = this.module.sections.get(id)
    if (range === undefined) return
    this.section.copy(this.module.bytes, range.start, range.end)
    this.emit(id, this.section)
  }

  /** The content of a vector section behind its count, with imported functions replaced by their wrappers. */
  private vector (id: number, added: number): void {
    const { module, section } = this
    const range = module.sections.get(id)
    if (range === undefined) {
      section.u32(added)
      return
    }
    let from = range.start
    let count = 0
    for (let shift = 0; ; shift += 7) {
      const byte = module.bytes[from++]!
      count += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) break
    }
    section.u32(count + added)
    for (const reference of module.references) {
      if (reference.start < from || reference.end > range.end) continue
      section.copy(module.bytes, from, reference.start)
      section.u32(this.layout.wrapper(reference.index))
      from = reference.end
    }
    section.copy(module.bytes, from, range.end)
  }

  /** Functions that tables can hold stand in a table of ours as well, so that a state can name them. */
  private elements (): void {
    const { module, section, named } = this
    if (!module.sections.has(SECTION.element) && named.length === 0) return
    this.vector(SECTION.element, named.length === 0 ? 0 : 1)
    if (named.length > 0) {
      section.u32(ACTIVE_IN_TABLE)
      section.u32(module.tables.length)
      section.ops(OP.i32Const, 0, OP.end, KIND.func)
      section.u32(named.length)
      for (const index of named) section.u32(this.reached(index))
    }
    this.emit(SECTION.element, section)
  }

  private get named (): readonly number[] { return this.options.state?.functions ?? [] }

  private types (): void {
    const { types } = this.layout
    this.vector(SECTION.type, types.length)
    for (const type of types) this.section.copy(type)
    this.emit(SECTION.type, this.section)
  }

  private imports (): void {
    const { module, section } = this
    const memory = module.memories[module.imported.memories]
    this.vector(SECTION.import, memory === undefined ? 0 : 1)
    if (memory !== undefined) {
      section.name(METER_MODULE)
      section.name(METER_MEMORY)
      section.ops(KIND.memory, 0)
      section.u32(memory.min)
    }
    this.emit(SECTION.import, section)
  }

  private functions (): void {
    const { parts } = this.layout
    this.vector(SECTION.function, parts.length)
    for (const part of parts) this.section.u32(part.type)
    this.emit(SECTION.function, this.section)
  }

  private tables (): void {
    const { module, section, caps } = this
    const own = module.tables.slice(module.imported.tables)
    const { named } = this
    if (own.length === 0) return
    section.u32(own.length + (named.length === 0 ? 0 : 1))
    for (const { type, min, max } of own) {
      section.ops(type, 1)
      section.u32(min)
      section.u32(Math.min(max ?? caps.tableEntriesMax, caps.tableEntriesMax))
    }
    if (named.length > 0) {
      section.ops(TYPE.funcref, 1)
      section.u32(named.length)
      section.u32(named.length)
    }
    this.emit(SECTION.table, section)
  }

  private globals (): void {
    const { section } = this
    this.vector(SECTION.global, METER_GLOBALS)
    section.ops(TYPE.i64, 1, OP.i64Const, 0, OP.end)
    for (let i = 1; i < METER_GLOBALS; i++) section.ops(TYPE.i32, 1, OP.i32Const, 0, OP.end)
    this.emit(SECTION.global, section)
  }

  private exports (): void {
    const { module, section, layout } = this
    const ours = this.stateExports()
    section.u32(module.exports.length + METER_GLOBALS + (module.start === undefined ? 0 : 1) + ours.length)
    for (const { name, kind, index } of module.exports) {
      this.export(GUEST_PREFIX + name, kind, kind === KIND.func ? this.reached(index) : index)
    }
    this.export(METER_EXPORTS.fuel, KIND.global, layout.fuel)
    this.export(METER_EXPORTS.ended, KIND.global, layout.ended)
    this.export(METER_EXPORTS.pages, KIND.global, layout.pages)
    this.export(METER_EXPORTS.stack, KIND.global, layout.stack)
    if (module.start !== undefined) this.export(METER_EXPORTS.start, KIND.func, this.reached(module.start))
    for (const [name, kind, index] of ours) this.export(name, kind, index)
    this.emit(SECTION.export, section)
  }

  private stateExports (): ReadonlyArray<readonly [name: string, kind: number, index: number]> {
    const { module, named, stateParts } = this
    const tables = Array.from({ length: this.options.state?.tables ?? 0 }, (_, table) => [STATE_EXPORTS.table + table, KIND.table, table] as const)
    const functions = named.length === 0 ? [] : [[STATE_EXPORTS.functions, KIND.table, module.tables.length] as const]
    return [...stateParts.map(([name, index]) => [name, KIND.func, index] as const), ...tables, ...functions]
  }

  private export (name: string, kind: number, index: number): void {
    this.section.name(name)
    this.section.u8(kind)
    this.section.u32(index)
  }

  /** The function that stands for guest function `index`. */
  private reached (index: number): number {
    return index < this.layout.importedFunctions ? this.layout.wrapper(index) : index
  }

  /** All bodies; they come first, for they decide which parts are needed. */
  private bodies (): Writer {
    const { module, layout, caps } = this
    const own = module.functions.length - module.imported.functions
    const all = new Writer(module.bytes.length + 4096)
    const body = new Writer()
    const writer = new BodyWriter(module, layout, new CallStack(module, this.graph), this.options, body)
    for (let i = 0; i < own; i++) {
      writer.write(i)
      appendSized(all, body.view())
      body.length = 0
      if (all.length > caps.bytesMax) throw invalidModule(`metered it has more than the ${caps.bytesMax} bytes allowed`, module.bodies[2 * i]!)
    }
    for (const part of layout.parts) appendSized(all, part.body)
    return all
  }

  private code (bodies: Writer): void {
    const { module, layout, section, out } = this
    section.u32(module.functions.length - module.imported.functions + layout.parts.length)
    out.u8(SECTION.code)
    out.u32(section.length + bodies.length)
    out.copy(section.view())
    out.copy(bodies.view())
    section.length = 0
  }
}

function appendSized (out: Writer, body: Uint8Array): void {
  out.u32(body.length)
  out.copy(body)
}
