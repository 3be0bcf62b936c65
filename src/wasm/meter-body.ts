/**
 * Second half of metering a function: write its body anew, with charges, checks and calls of ours at
 * the places `meter-runs.ts` found. Everything between two places is copied as it stands.
 */
import { Reader } from './binary.ts'
import type { Writer } from './binary.ts'
import type { Layout } from './meter-parts.ts'
import { burnFuel } from './meter-parts.ts'
import { PATCH, RunScan, SEGMENT } from './meter-runs.ts'
import { OP, TYPE } from './opcodes.ts'

/** Declared locals of which one costs a unit at entry: V8 zeroes them. */
const LOCALS_PER_UNIT = 16

/** A function that calls nobody and costs at most this much is not checked: its caller is. */
const UNCHECKED_COST_MAX = 256

/** Writes bodies, one at a time, into a writer it is given. */
export class BodyWriter {
  private readonly bytes: Uint8Array
  private readonly layout: Layout
  private readonly scan: RunScan
  private readonly out: Writer
  /** Index of the local counter; the one after it holds lengths of bulk operations. */
  private counter = 0

  constructor (bytes: Uint8Array, layout: Layout, out: Writer) {
    this.bytes = bytes
    this.layout = layout
    this.scan = new RunScan(layout.throws)
    this.out = out
  }

  /**
   * Append the body in [start, end) to the writer, without its size.
   * @param params how many the function has
   */
  write (start: number, end: number, params: number): void {
    const { bytes, layout, out, scan } = this
    const reader = new Reader(bytes, start, end)
    const groups = reader.u32()
    const groupsAt = reader.at
    let declared = 0
    for (let k = 0; k < groups; k++) {
      declared += reader.u32()
      reader.skip(1)
    }
    const code = reader.at
    scan.scan(bytes, code, end, layout.importedFunctions, Math.floor(declared / LOCALS_PER_UNIT))
    this.counter = params + declared
    out.u32(groups + (scan.hasBulk ? 2 : 1))
    out.copy(bytes, groupsAt, code)
    out.ops(1, TYPE.i64)
    if (scan.hasBulk) out.ops(1, TYPE.i32)
    let from = code
    for (let n = 0; n < scan.patches; n++) {
      const at = scan.patchAt[n]!
      if (at > from) out.copy(bytes, from, at)
      from = scan.patchEnd[n]!
      this.patch(scan.patchKind[n]!, scan.patchArgument[n]!)
    }
    out.copy(bytes, from, end)
  }

  private patch (kind: number, argument: number): void {
    const { layout, out } = this
    switch (kind) {
      case PATCH.segment: this.segment(argument); break
      case PATCH.redirect: out.u32(layout.wrapper(argument)); break
      case PATCH.bulk: this.bulk(argument); break
      case PATCH.memoryGrow: this.callAndReload(layout.memoryGrow()); break
      case PATCH.tableGrow: this.callAndReload(layout.tableGrow(argument)); break
    }
  }

  private segment (n: number): void {
    const { layout, out, scan, counter } = this
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
    const { layout, out, counter } = this
    out.u8(OP.localTee)
    out.u32(counter + 1)
    out.u8(OP.localGet)
    out.u32(counter + 1)
    burnFuel(out, layout, shift)
    this.reload()
  }
}
