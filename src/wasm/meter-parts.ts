/**
 * What the meter adds to a module: where its globals, functions and types come to stand behind the
 * guest's own, and the bodies of those functions.
 */
import type { Module } from './decode.ts'
import { Writer } from './binary.ts'
import { ENTRY_SHIFT, PAGE_SHIFT } from './fuel-costs.ts'
import { FC, OP, TYPE } from './opcodes.ts'

/** Values of the global `m:ended`. */
export const ENDED = {
  /** The guest runs. */
  no: 0,
  /** A host function ended it. */
  byHost: 1,
  /** V8 could not grow a memory or table within its limits: a fault of this machine. */
  growthFailed: 2,
  /** Its calls took more than the stack budget. */
  stackSpent: 3
} as const

interface Part { readonly type: number, readonly body: Uint8Array }

/** Indices of everything added, and the parts added so far: those for growth only if something grows. */
export class Layout {
  readonly importedFunctions: number
  /** Whether the module has tags, so that a call may end in an exception. */
  readonly throws: boolean
  /** Globals: the fuel left (i64), how the guest ended, pages its memory may have, stack left to a callee (all i32). */
  readonly fuel: number
  readonly ended: number
  readonly pages: number
  readonly stack: number
  readonly burn: number
  /** Function types added, behind the guest's: their binary form. */
  readonly types: Uint8Array[] = []
  /** Functions added, behind the guest's. */
  readonly parts: Part[] = []
  private readonly module: Module
  private readonly tableEntriesMax: number
  private readonly growers = new Map<number, number>()

  /**
   * @param importFuel units per call of each imported function, besides what the function itself burns
   * @param tableEntriesMax entries each table may grow to
   */
  constructor (module: Module, importFuel: readonly number[], tableEntriesMax: number) {
    this.module = module
    this.tableEntriesMax = tableEntriesMax
    this.importedFunctions = module.imported.functions
    this.throws = module.tags > 0
    this.fuel = module.imported.globals + module.globals
    this.ended = this.fuel + 1
    this.pages = this.fuel + 2
    this.stack = this.fuel + 3
    for (let i = 0; i < this.importedFunctions; i++) this.addWrapper(i, importFuel[i]!)
    this.burn = this.add(this.addType([TYPE.i64], []), this.burnBody())
  }

  /** The function guests reach imported function `index` through. */
  wrapper (index: number): number { return this.module.functions.length + index }

  /** The function in place of memory.grow. */
  memoryGrow (): number {
    return this.grower(-1, () => {
      const out = begin()
      this.refuseGrowth(out, 0, w => { w.u8(OP.globalGet); w.u32(this.pages) }, w => w.ops(OP.memorySize, 0))
      out.ops(OP.localGet, 0)
      burnFuel(out, this, PAGE_SHIFT)
      out.ops(OP.localGet, 0, OP.memoryGrow, 0, OP.localTee, 0)
      this.endUnlessGrown(out, 0)
      return this.add(this.addType([TYPE.i32], [TYPE.i32]), out.finish())
    })
  }

  /** The function in place of table.grow of one table. */
  tableGrow (table: number): number {
    return this.grower(table, () => {
      const { type, max: declared } = this.module.tables[table]!
      const max = Math.min(declared ?? this.tableEntriesMax, this.tableEntriesMax)
      const out = begin()
      this.refuseGrowth(out, 1, w => { w.u8(OP.i32Const); w.positive(max) }, w => { w.ops(OP.fc, OP.tableSize - FC); w.u32(table) })
      out.ops(OP.localGet, 1)
      burnFuel(out, this, ENTRY_SHIFT)
      out.ops(OP.localGet, 0, OP.localGet, 1, OP.fc, OP.tableGrow - FC)
      out.u32(table)
      out.ops(OP.localTee, 1)
      this.endUnlessGrown(out, 1)
      return this.add(this.addType([type, TYPE.i32], [TYPE.i32]), out.finish())
    })
  }

  private grower (table: number, make: () => number): number {
    let index = this.growers.get(table)
    if (index === undefined) this.growers.set(table, index = make())
    return index
  }

  /** A function of ours. @returns its index */
  add (type: number, body: Uint8Array): number {
    return this.module.functions.length + this.parts.push({ type, body }) - 1
  }

  /** @returns the index of a function type of ours */
  addType (params: readonly number[], results: readonly number[]): number {
    const binary = Uint8Array.of(TYPE.function, params.length, ...params, results.length, ...results)
    return this.module.types.length + this.types.push(binary) - 1
  }

  /** Burn, compare, call, and look whether the guest may go on. */
  private addWrapper (index: number, units: number): void {
    const type = this.module.functions[index]!
    const out = begin()
    if (units > 0) {
      out.u8(OP.globalGet)
      out.u32(this.fuel)
      out.u8(OP.i64Const)
      out.positive(units)
      out.ops(OP.i64Sub, OP.globalSet)
      out.u32(this.fuel)
    }
    this.endIfSpent(out)
    const params = this.module.types[type]!.params.length
    for (let k = 0; k < params; k++) {
      out.u8(OP.localGet)
      out.u32(k)
    }
    out.u8(OP.call)
    out.u32(index)
    out.u8(OP.globalGet)
    out.u32(this.ended)
    out.ops(OP.if, TYPE.void, OP.unreachable, OP.end)
    this.endIfSpent(out)
    out.u8(OP.end)
    this.add(type, out.finish())
  }

  private endIfSpent (out: Writer): void {
    out.u8(OP.globalGet)
    out.u32(this.fuel)
    out.ops(OP.i64Const, 0, OP.i64LtS, OP.if, TYPE.void, OP.unreachable, OP.end)
  }

  private burnBody (): Uint8Array {
    const out = begin()
    out.u8(OP.globalGet)
    out.u32(this.fuel)
    out.ops(OP.localGet, 0, OP.i64Sub, OP.globalSet)
    out.u32(this.fuel)
    this.endIfSpent(out)
    out.u8(OP.end)
    return out.finish()
  }

  /** Return −1 if local `delta` exceeds max − size; neither can overflow, for size never exceeds max. */
  private refuseGrowth (out: Writer, delta: number, max: (out: Writer) => void, size: (out: Writer) => void): void {
    out.ops(OP.localGet, delta)
    max(out)
    size(out)
    out.ops(OP.i32Sub, OP.i32GtU, OP.if, TYPE.void, OP.i32Const, 0x7f, OP.return, OP.end)
  }

  /** The result of growing is on the stack and in local `grown`. */
  private endUnlessGrown (out: Writer, grown: number): void {
    out.ops(OP.i32Const, 0x7f, OP.i32Eq, OP.if, TYPE.void, OP.i32Const, ENDED.growthFailed, OP.globalSet)
    out.u32(this.ended)
    out.ops(OP.unreachable, OP.end, OP.localGet, grown, OP.end)
  }
}

/** A body without locals of its own. */
function begin (): Writer {
  const out = new Writer(64)
  out.u8(0)
  return out
}

/**
 * Burn for the length on the stack, an unsigned i32, which is taken.
 * @param shift to the right if positive, else to the left
 */
export function burnFuel (out: Writer, layout: Layout, shift: number): void {
  out.u8(OP.i64ExtendI32U)
  out.u8(OP.i64Const)
  out.positive(Math.abs(shift))
  out.u8(shift > 0 ? OP.i64ShrU : OP.i64Shl)
  out.u8(OP.call)
  out.u32(layout.burn)
}
