/**
 * What a state holds of a module beside its memory, and the parts the meter adds to a module that keeps one: functions
 * and tables under names that no guest can reach, by which `state.ts` reads and writes it between two calls.
 *
 * The stack is empty then, so that memory, changing globals, tables and which passive segments were dropped are all
 * there is. What cannot be read soundly is refused by name.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Admission } from './admit.ts'
import { Writer } from './binary.ts'
import type { Module } from './decode.ts'
import type { Layout } from './meter-parts.ts'
import { FC, FD, OP, TYPE } from './opcodes.ts'

/** Names of exports; tables have their number behind `table`. */
export const STATE_EXPORTS = { get: 'm:get', set: 'm:set', kept: 'm:kept', drop: 'm:drop', functions: 'm:functions', table: 'm:table:' } as const

/** 64 bits of a global. */
interface Slot { readonly global: number, readonly type: number, readonly lane: number }

/** A passive segment of at least one byte or entry, which code can tell from a dropped one. */
interface Segment { readonly index: number, readonly length: number, /** A table of its type; null for data. */ readonly table: number | null }

export interface StatePlan {
  readonly slots: readonly Slot[]
  /** Tables whose entries belong to the state: all, or none where no code changes any. */
  readonly tables: number
  /** Functions that entries of tables can name, by the guest's own index. */
  readonly functions: readonly number[]
  /** Segments that can be dropped. */
  readonly segments: readonly Segment[]
}

/** @throws {InosError} ERR_INVALID_MODULE for what has no sound state */
export function planState (module: Module, { graph, drops, writesTables }: Admission): StatePlan {
  const functions = writesTables ? [...new Set([...module.addressed, ...graph.addressed])].sort((a, b) => a - b) : []
  const plan = { slots: slotsOf(module), tables: writesTables ? tablesOf(module) : 0, functions, segments: drops ? segmentsOf(module) : [] }
  const { slotsMax, tableEntriesMax } = LIMITS.state
  if (plan.slots.length > slotsMax) throw stateless(`it has ${plan.slots.length} words of globals that change, and ${slotsMax} are allowed`)
  if (plan.segments.length > slotsMax) throw stateless(`it has ${plan.segments.length} segments that can be dropped, and ${slotsMax} are allowed`)
  if (functions.length > tableEntriesMax) throw stateless(`its tables can hold ${functions.length} functions, and ${tableEntriesMax} are allowed`)
  return plan
}

function slotsOf ({ mutableGlobals, globalTypes }: Module): Slot[] {
  return mutableGlobals.flatMap((global): Slot[] => {
    const type = globalTypes[global]!
    switch (type) {
      case TYPE.i32: case TYPE.i64: case TYPE.f32: case TYPE.f64: return [{ global, type, lane: 0 }]
      case TYPE.v128: return [{ global, type, lane: 0 }, { global, type, lane: 1 }]
      default: throw stateless(`its global ${global} holds a reference and changes`)
    }
  })
}

function tablesOf ({ tables }: Module): number {
  const other = tables.findIndex(({ type }) => type !== TYPE.funcref)
  if (other >= 0) throw stateless(`its table ${other} holds other references than functions, and its code changes tables`)
  return tables.length
}

/** Without a memory, or a table of its type, no code can look into a segment. */
function segmentsOf ({ passive, memories, tables }: Module): Segment[] {
  const data = memories.length === 0 ? [] : passive.data.map(({ index, length }) => ({ index, length, table: null }))
  const elements = passive.elements.map(({ index, length, type }) => ({ index, length, table: tables.findIndex(table => table.type === type) }))
  return [...data, ...elements.filter(({ table }) => table >= 0)].filter(({ length }) => length > 0)
}

function stateless (why: string): InosError {
  return new InosError('ERR_INVALID_MODULE', `The module can keep no state: ${why}.`)
}

/** The functions that stand in a metered module for its plan, by the names of their exports. */
export function addStateParts (layout: Layout, { slots, segments }: StatePlan): ReadonlyArray<readonly [name: string, index: number]> {
  const added: Array<readonly [string, number]> = []
  const add = (name: string, params: readonly number[], results: readonly number[], cases: ReadonlyArray<(out: Writer) => void>): void => {
    if (cases.length > 0) added.push([name, layout.add(layout.addType(params, results), choice(cases))])
  }
  add(STATE_EXPORTS.get, [TYPE.i32], [TYPE.i64], slots.map(slot => out => { readSlot(out, slot) }))
  add(STATE_EXPORTS.set, [TYPE.i32, TYPE.i64], [], slots.map(slot => out => { writeSlot(out, slot) }))
  add(STATE_EXPORTS.kept, [TYPE.i32], [], segments.map(segment => out => { probe(out, segment) }))
  add(STATE_EXPORTS.drop, [TYPE.i32], [], segments.map(({ index, table }) => out => {
    out.ops(OP.fc, (table === null ? OP.dataDrop : OP.elemDrop) - FC)
    out.u32(index)
  }))
  return added
}

/** A body that does one of several things, by its first param. */
function choice (cases: ReadonlyArray<(out: Writer) => void>): Uint8Array {
  const out = new Writer()
  out.u8(0)
  for (let i = 0; i < cases.length; i++) out.ops(OP.block, TYPE.void)
  out.ops(OP.localGet, 0, OP.brTable)
  out.u32(cases.length - 1)
  for (let i = 0; i < cases.length; i++) out.u32(i)
  for (const write of cases) {
    out.u8(OP.end)
    write(out)
    out.u8(OP.return)
  }
  out.ops(OP.unreachable, OP.end)
  return out.finish()
}

/** The bits as they are: on its way through a number of JavaScript a NaN may lose some. */
function readSlot (out: Writer, { global, type, lane }: Slot): void {
  out.u8(OP.globalGet)
  out.u32(global)
  switch (type) {
    case TYPE.i32: out.u8(OP.i64ExtendI32U); break
    case TYPE.f32: out.ops(OP.i32ReinterpretF32, OP.i64ExtendI32U); break
    case TYPE.f64: out.u8(OP.i64ReinterpretF64); break
    case TYPE.v128: out.ops(OP.fd, OP.i64x2ExtractLane - FD, lane); break
  }
}

function writeSlot (out: Writer, { global, type, lane }: Slot): void {
  if (type === TYPE.v128) {
    out.u8(OP.globalGet)
    out.u32(global)
  }
  out.ops(OP.localGet, 1)
  switch (type) {
    case TYPE.i32: out.u8(OP.i32WrapI64); break
    case TYPE.f32: out.ops(OP.i32WrapI64, OP.f32ReinterpretI32); break
    case TYPE.f64: out.u8(OP.f64ReinterpretI64); break
    case TYPE.v128: out.ops(OP.fd, OP.i64x2ReplaceLane - FD, lane); break
  }
  out.u8(OP.globalSet)
  out.u32(global)
}

/** Copies nothing, from the end of the segment: a trap exactly if it was dropped, for then it is shorter. */
function probe (out: Writer, { index, length, table }: Segment): void {
  out.ops(OP.i32Const, 0, OP.i32Const)
  out.positive(length)
  out.ops(OP.i32Const, 0, OP.fc, (table === null ? OP.memoryInit : OP.tableInit) - FC)
  out.u32(index)
  out.u32(table ?? 0)
}
