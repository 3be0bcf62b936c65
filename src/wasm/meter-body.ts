/**
 * Second half of metering a function: write its body anew, with charges, checks and calls of ours at
 * the places `meter-runs.ts` found. Everything between two places is copied as it stands.
 */
import { Reader } from './binary.ts'
import type { Writer } from './binary.ts'
import type { CallStack } from './call-stack.ts'
import type { Module } from './decode.ts'
import type { MeterOptions } from './meter.ts'
import type { Layout } from './meter-parts.ts'
import { burnFuel, ENDED } from './meter-parts.ts'
import { writeCanonical } from './nan-write.ts'
import { NanScan } from './nan-scan.ts'
import { SHAPE } from './nan-ops.ts'
import { LOCALS_PER_UNIT } from './fuel-costs.ts'
import { PATCH, RunScan, SEGMENT } from './meter-runs.ts'
import { OP, TYPE } from './opcodes.ts'

/** A function that calls nobody and costs at most this much is not checked: its caller is. */
const UNCHECKED_COST_MAX = 256

/** Locals a body gets at most. */
export const METER_LOCALS = 6

/** Writes bodies, one at a time, into a writer it is given. */
export class BodyWriter {
  private readonly bytes: Uint8Array
  private readonly module: Module
  private readonly layout: Layout
  private readonly stack: CallStack
  private readonly scan: RunScan
  private readonly nan: NanScan
  private readonly out: Writer
  private readonly options: Required<Omit<MeterOptions, 'state'>>
  /** Index of the local counter. */
  private counter = 0
  /** Index of the local that holds lengths of bulk operations. */
  private length = 0
  /** Index of the local that holds what the function leaves of the stack budget, and its own frame. */
  private left = 0
  private frame = 0
  /** Index of a local of each shape for making NaNs canonical; −1 if there is none. */
  private readonly scratch = new Int32Array(Object.keys(SHAPE).length)

  constructor (module: Module, layout: Layout, stack: CallStack, options: MeterOptions, out: Writer) {
    this.bytes = module.bytes
    this.module = module
    this.layout = layout
    this.stack = stack
    this.options = { fuel: true, stack: true, nan: true, ...options }
    this.scan = new RunScan(layout.throws, stack)
    this.nan = new NanScan(module)
    this.out = out
  }

  /** Append the body of own function `i` to the writer, without its size. */
  write (i: number): void {
    const { bytes, module, layout, stack, nan, out, scan } = this
    const start = module.bodies[2 * i]!
    const end = module.bodies[2 * i + 1]!
    const params = module.types[module.functions[layout.importedFunctions + i]!]!.params.length
    const counted = this.options.stack && stack.isCounted(i)
    const reader = new Reader(bytes, start, end)
    const groups = reader.u32()
    const groupsAt = reader.at
    let declared = 0
    for (let k = 0; k < groups; k++) {
      declared += reader.u32()
      reader.skip(1)
    }
    const code = reader.at
    scan.scan(bytes, code, end, layout.importedFunctions, Math.floor(declared / LOCALS_PER_UNIT), counted)
    const added: number[] = []
    const local = (type: number): number => params + declared + added.push(type) - 1
    this.counter = local(TYPE.i64)
    if (scan.hasBulk) this.length = local(TYPE.i32)
    if (counted) this.left = local(TYPE.i32)
    const sites = scan.hasFloats && this.options.nan ? this.findNans(i, params + declared, params, code, end, local) : 0
    out.u32(groups + added.length)
    out.copy(bytes, groupsAt, code)
    for (const type of added) out.ops(1, type)
    if (counted) this.takeFrame(stack.frame(i))
    let from = code
    let site = 0
    for (let n = 0; n < scan.patches; n++) {
      const at = scan.patchAt[n]!
      for (; site < sites && nan.siteAt[site]! <= at; site++) from = this.canonical(site, from)
      if (at > from) out.copy(bytes, from, at)
      from = scan.patchEnd[n]!
      this.patch(scan.patchKind[n]!, scan.patchArgument[n]!)
    }
    for (; site < sites; site++) from = this.canonical(site, from)
    out.copy(bytes, from, end)
  }

  /** Copy the body up to a site and make its value canonical there; returns where to go on. */
  private canonical (site: number, from: number): number {
    const { bytes, nan, out, scratch } = this
    const shape = nan.needed(site)
    if (shape === SHAPE.none) return from
    const at = nan.siteAt[site]!
    out.copy(bytes, from, at)
    writeCanonical(out, shape, nan.isNegated(site), scratch[shape]!)
    return at
  }

  /** Find the function's NaNs, and add the locals needed to make them canonical; returns the sites. */
  private findNans (i: number, count: number, params: number, code: number, end: number, local: (type: number) => number): number {
    const { module, nan, scratch } = this
    nan.scan(module.imported.functions + i, this.localTypes(i, count, code), count, params, code, end)
    scratch.fill(-1)
    for (let site = 0; site < nan.sites; site++) {
      const shape = nan.needed(site)
      if (shape === SHAPE.none || scratch[shape]! >= 0) continue
      const vector = shape === SHAPE.f32x4 || shape === SHAPE.f64x2
      const at = local(vector ? TYPE.v128 : shape === SHAPE.f32 ? TYPE.f32 : TYPE.f64)
      if (vector) scratch[SHAPE.f32x4] = scratch[SHAPE.f64x2] = at
      else scratch[shape] = at
    }
    return nan.sites
  }

  /** Value types of all params and locals. */
  private localTypes (i: number, count: number, code: number): Uint8Array {
    const { module, bytes } = this
    const { params } = module.types[module.functions[module.imported.functions + i]!]!
    const types = new Uint8Array(count)
    types.set(params)
    const reader = new Reader(bytes, module.bodies[2 * i]!, code)
    let at = params.length
    for (let groups = reader.u32(); groups > 0; groups--) {
      const length = reader.u32()
      types.fill(reader.u8(), at, at + length)
      at += length
    }
    return types
  }

  private patch (kind: number, argument: number): void {
    const { layout, out } = this
    switch (kind) {
      case PATCH.segment: this.segment(argument); break
      case PATCH.redirect: out.u32(layout.wrapper(argument)); break
      case PATCH.bulk: this.bulk(argument); break
      case PATCH.memoryGrow: this.callAndReload(layout.memoryGrow()); break
      case PATCH.tableGrow: this.callAndReload(layout.tableGrow(argument)); break
      case PATCH.call: this.lend(0); break
      case PATCH.tailCall: this.lend(this.frame); break
    }
  }

  /** Take a frame from what the caller left, or end the guest. */
  private takeFrame (bytes: number): void {
    const { layout, out, left } = this
    this.frame = bytes
    out.u8(OP.globalGet)
    out.u32(layout.stack)
    out.u8(OP.i32Const)
    out.positive(bytes)
    out.ops(OP.i32Sub, OP.localTee)
    out.u32(left)
    out.ops(OP.i32Const, 0, OP.i32LtS, OP.if, TYPE.void, OP.i32Const, ENDED.stackSpent, OP.globalSet)
    out.u32(layout.ended)
    out.ops(OP.unreachable, OP.end)
  }

  /** Leave a callee the rest of the budget. Whoever calls says so anew each time, so nobody ever gives a frame back. */
  private lend (more: number): void {
    const { layout, out, left } = this
    out.u8(OP.localGet)
    out.u32(left)
    if (more > 0) {
      out.u8(OP.i32Const)
      out.positive(more)
      out.u8(OP.i32Add)
    }
    out.u8(OP.globalSet)
    out.u32(layout.stack)
  }

  private segment (n: number): void {
    const { layout, out, scan, counter } = this
    if (!this.options.fuel) return
    const flags = scan.segmentFlags[n]!
    const cost = (flags & SEGMENT.starts) === 0 ? 0 : scan.runCost[scan.segmentRun[n]!]!
    const reload = (flags & SEGMENT.reload) !== 0
    const store = (flags & SEGMENT.observed) !== 0 && (cost > 0 || (flags & SEGMENT.dirty) !== 0)
    if (cost > 0 || (reload && (flags & SEGMENT.empty) === 0)) {
      out.u8(reload ? OP.globalGet : OP.localGet)
      out.u32(reload ? layout.fuel : counter)
      if (cost > 0) {
        out.u8(OP.i64Const)
        out.positive(cost)
        out.u8(OP.i64Sub)
      }
      out.u8(store ? OP.localTee : OP.localSet)
      out.u32(counter)
    } else if (store) {
      out.u8(OP.localGet)
      out.u32(counter)
    }
    if (store) {
      out.u8(OP.globalSet)
      out.u32(layout.fuel)
    }
    // A loop is checked at its head: there the charge has just set the flags of the processor, and the
    // many branches back that an interpreter has need nothing. Measured faster than before the branches.
    const loop = scan.segmentLoop[n]!
    if (loop >= 0 ? scan.loopsBack[loop]! : n === 0 && this.checkedAtEntry()) this.check(store)
  }

  private checkedAtEntry (): boolean {
    return this.scan.hasCalls || this.scan.staticCost > UNCHECKED_COST_MAX
  }

  /** End the guest if the local counter is below zero. */
  private check (stored: boolean): void {
    const { layout, out, counter } = this
    out.u8(OP.localGet)
    out.u32(counter)
    out.ops(OP.i64Const, 0, OP.i64LtS, OP.if, TYPE.void)
    if (!stored) {
      out.u8(OP.localGet)
      out.u32(counter)
      out.u8(OP.globalSet)
      out.u32(layout.fuel)
    }
    out.ops(OP.unreachable, OP.end)
  }

  private callAndReload (callee: number): void {
    this.out.u8(OP.call)
    this.out.u32(callee)
    this.reload()
  }

  private reload (): void {
    const { layout, out, counter } = this
    out.u8(OP.globalGet)
    out.u32(layout.fuel)
    out.u8(OP.localSet)
    out.u32(counter)
  }

  /** Burn for the length on top of the stack, an unsigned i32, and leave it there. */
  private bulk (shift: number): void {
    const { layout, out } = this
    out.u8(OP.localTee)
    out.u32(this.length)
    out.u8(OP.localGet)
    out.u32(this.length)
    burnFuel(out, layout, shift)
    this.reload()
  }
}
