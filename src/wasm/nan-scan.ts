/**
 * Where in a function NaNs have to be made canonical, so that nobody can tell that they were not all
 * along. The rule is that of `nan-ops.ts`; this finds the few places where it takes an instruction.
 *
 * A value is *exact* if its bits are those of the rule, *raw* if they are once its NaNs are made
 * canonical, and *plain* if it is both, having no NaN but canonical ones. What takes a value whatever
 * NaN it is takes a raw one as well; to everything else it is shown, and then made exact right where
 * it was made. A local is raw if no exact value is ever put into it, and exact otherwise, wherever in the
 * function that may be: so a sum that runs through a loop costs nothing until it is stored.
 * Params, results and values that pass the borders of blocks are exact.
 *
 * The body has passed `admit` and V8's validation. One walk, then one round over the copies of locals.
 */
import type { Module } from './decode.ts'
import { GIVES, NAN_OP, NAN_OPS, SHAPE, TAKES } from './nan-ops.ts'
import { FC, FD, IMMEDIATE, IMMEDIATES, OP, POPS, PUSHES, TYPE } from './opcodes.ts'

/** Values on the stack that are no site. */
const EXACT = -1
const PLAIN = -2

export class NanScan {
  /** Places where a raw value comes onto the stack, in order. */
  sites = 0
  /** Right behind the instruction. */
  readonly siteAt: number[] = []
  /** `SHAPE.none` for a v128 from a local. */
  private readonly shape: number[] = []
  /** The local it came from: it is raw only if that is; −1 if none. */
  private readonly local: number[] = []
  /** Whether it is minus a raw value: then minus it is made canonical. */
  private readonly negated: boolean[] = []
  private readonly shown: boolean[] = []
  /** Shapes in which a v128 from a local was taken, as bits. */
  private readonly taken: number[] = []

  private locals: Uint8Array = new Uint8Array(0)
  private exact = new Uint8Array(0)
  /** Shape of what is put into each v128. */
  private localShape = new Uint8Array(0)
  /** Copies of one local into another, as lists by the one copied. */
  private firstCopy = new Int32Array(0)
  private readonly copyTo: number[] = []
  private readonly copyNext: number[] = []
  /** Sites put into locals, in pairs. */
  private readonly puts: number[] = []

  private readonly module: Module
  private readonly stack: number[] = []
  private readonly bases: number[] = []
  private readonly params: number[] = []
  private readonly results: number[] = []
  private readonly isLoop: boolean[] = []
  private depth = 0
  /** Constructs opened since the code became unreachable, plus one; 0 in live code. */
  private dead = 0
  private at = 0

  constructor (module: Module) {
    this.module = module
  }

  /** Shape in which the value of a site is to be made canonical; `SHAPE.none` if it need not be. */
  needed (site: number): number {
    const local = this.local[site]!
    if (local >= 0 && this.exact[local] === 1) return SHAPE.none
    let shape = this.shape[site]!
    let shown = this.shown[site]!
    if (shape === SHAPE.none) {
      shape = this.localShape[local]!
      if ((this.taken[site]! & ~(1 << shape)) !== 0) shown = true
    }
    return shown ? shape : SHAPE.none
  }

  isNegated (site: number): boolean { return this.negated[site]! }

  /**
   * @param locals value types of params and locals, `count` of them
   * @param start first instruction of the body of function `index`
   */
  scan (index: number, locals: Uint8Array, count: number, params: number, start: number, end: number): void {
    this.sites = this.puts.length = this.copyTo.length = this.copyNext.length = this.stack.length = 0
    this.locals = locals
    if (this.exact.length < count) {
      this.exact = new Uint8Array(count * 2)
      this.localShape = new Uint8Array(count * 2)
      this.firstCopy = new Int32Array(count * 2)
    }
    this.exact.fill(1, 0, params)
    this.exact.fill(0, params, count)
    this.localShape.fill(0, 0, count)
    this.firstCopy.fill(-1, 0, count)
    for (let i = 0; i < count; i++) {
      if (locals[i] === TYPE.f32) this.localShape[i] = SHAPE.f32
      else if (locals[i] === TYPE.f64) this.localShape[i] = SHAPE.f64
    }
    this.depth = -1
    this.dead = 0
    this.open(0, this.module.types[this.module.functions[index]!]!.results.length, false)
    this.at = start
    while (this.at < end && this.depth >= 0) this.instruction()
    this.spreadExactness(count)
  }

  private spreadExactness (count: number): void {
    const { exact, puts } = this
    const work: number[] = []
    for (let i = 0; i < count; i++) if (exact[i] === 1) work.push(i)
    for (let from = work.pop(); from !== undefined; from = work.pop()) {
      for (let n = this.firstCopy[from]!; n >= 0; n = this.copyNext[n]!) {
        const to = this.copyTo[n]!
        if (exact[to] === 1) continue
        exact[to] = 1
        work.push(to)
      }
    }
    for (let n = 0; n < puts.length; n += 2) if (exact[puts[n + 1]!] === 1) this.shown[puts[n]!] = true
  }

  // Operands.

  private site (shape: number, local: number, negated = false): number {
    const n = this.sites++
    this.siteAt[n] = this.at
    this.shape[n] = shape
    this.local[n] = local
    this.negated[n] = negated
    this.shown[n] = false
    this.taken[n] = 0
    return n
  }

  private push (value: number, count = 1): void {
    for (let k = 0; k < count; k++) this.stack.push(value)
  }

  private pop (): number { return this.stack.pop() ?? EXACT }

  private show (value: number): void {
    if (value >= 0) this.shown[value] = true
  }

  private showTop (count: number): void {
    for (let k = this.stack.length - count; k < this.stack.length; k++) this.show(this.stack[k]!)
  }

  private popShown (count: number): void {
    this.showTop(count)
    this.stack.length -= count
  }

  /** Take a value whatever NaN it is, if it is raw in this shape. */
  private take (shape: number): number {
    const value = this.pop()
    if (value < 0) return value
    if (this.shape[value] === SHAPE.none) this.taken[value]! |= 1 << shape
    else if (this.shape[value] !== shape) this.show(value)
    return value
  }

  /** Whether a value is raw for certain, in this shape, as it stands. */
  private isRaw (value: number, shape: number): boolean {
    return value >= 0 && this.local[value] === -1 && !this.negated[value] && this.shape[value] === shape
  }

  /** Push one of two values. */
  private choose (a: number, b: number, shape: number): void {
    if (a === PLAIN && b === PLAIN) this.push(PLAIN)
    else if ((a === PLAIN || this.isRaw(a, shape)) && (b === PLAIN || this.isRaw(b, shape))) this.push(this.site(shape, -1))
    else {
      this.show(a)
      this.show(b)
      this.push(EXACT)
    }
  }

  private put (local: number, value: number): void {
    if (value === PLAIN || !isFloat(this.locals[local]!)) return
    const from = value < 0 ? -1 : this.local[value]!
    const vector = this.locals[local] === TYPE.v128
    if (value === EXACT || this.negated[value] || (vector && from >= 0)) {
      this.show(value)
      this.exact[local] = 1
      return
    }
    if (vector) {
      if (this.localShape[local] === SHAPE.none) this.localShape[local] = this.shape[value]!
      else if (this.localShape[local] !== this.shape[value]) this.exact[local] = 1
    }
    this.puts.push(value, local)
    if (from < 0) return
    this.copyTo.push(local)
    this.copyNext.push(this.firstCopy[from]!)
    this.firstCopy[from] = this.copyTo.length - 1
  }

  private getLocal (local: number): void {
    const type = this.locals[local]!
    if (!isFloat(type)) this.push(EXACT)
    else this.push(this.site(type === TYPE.f32 ? SHAPE.f32 : type === TYPE.f64 ? SHAPE.f64 : SHAPE.none, local))
  }

  // Instructions.

  private u32 (): number {
    const { bytes } = this.module
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[this.at++]!
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }

  private instruction (): void {
    const { bytes } = this.module
    let op = bytes[this.at++]!
    let kind = IMMEDIATES[op]!
    if (kind === IMMEDIATE.control) {
      if (op < OP.fc) {
        this.control(op)
        return
      }
      op = (op === OP.fc ? FC : FD) + this.u32()
      kind = IMMEDIATES[op]!
    }
    const from = this.at
    const first = this.immediates(kind)
    if (this.dead > 0) return
    switch (op) {
      case OP.localGet: this.getLocal(first); return
      case OP.localSet: this.put(first, this.pop()); return
      case OP.localTee: this.put(first, this.stack.at(-1) ?? EXACT); return
      case OP.drop: this.pop(); return
      case OP.select: case OP.selectTyped: this.select(); return
      case OP.f32Const: this.push(isNan(bytes, from, 4) ? EXACT : PLAIN); return
      case OP.f64Const: this.push(isNan(bytes, from, 8) ? EXACT : PLAIN); return
      case OP.v128Const: this.push(hasNan(bytes, from) ? EXACT : PLAIN); return
    }
    this.operate(op)
  }

  private select (): void {
    this.pop()
    const b = this.pop()
    const a = this.pop()
    this.choose(a, b, this.shape[Math.max(a, b)] ?? SHAPE.none)
  }

  private operate (op: number): void {
    const takes = TAKES[op]!
    const gives = GIVES[op]!
    switch (NAN_OPS[op]) {
      case NAN_OP.arithmetic:
        for (let k = POPS[op]!; k > 0; k--) this.take(takes)
        this.push(this.site(gives, -1))
        break
      case NAN_OP.ask:
        for (let k = POPS[op]!; k > 0; k--) this.take(takes)
        this.push(EXACT)
        break
      case NAN_OP.convert:
        this.popShown(1)
        // Of a vector that has no NaN in one shape another shape may see some.
        this.push(gives <= SHAPE.f64 ? PLAIN : this.site(gives, -1))
        break
      case NAN_OP.negate: {
        const value = this.pop()
        this.push(value < 0 ? EXACT : this.site(gives, this.local[value]!, !this.negated[value]))
        break
      }
      case NAN_OP.absolute: {
        const value = this.pop()
        this.push(value < 0 ? value : this.site(gives, this.local[value]!))
        break
      }
      case NAN_OP.choose: {
        const b = this.pop()
        this.choose(this.pop(), b, takes)
        break
      }
      case NAN_OP.splat: this.pass(this.pop(), takes, gives); break
      case NAN_OP.extract: this.pass(this.pop(), takes, gives); break
      default:
        this.popShown(POPS[op]!)
        this.push(EXACT, PUSHES[op]!)
    }
  }

  /** A raw value stays one in another shape. */
  private pass (value: number, takes: number, gives: number): void {
    if (this.isRaw(value, takes)) {
      this.push(this.site(gives, -1))
      return
    }
    this.show(value)
    this.push(EXACT)
  }

  /** Step over immediates; the first of them, if it is a number. */
  private immediates (kind: number): number {
    switch (kind) {
      case IMMEDIATE.leb: return this.u32()
      case IMMEDIATE.leb64: this.u32(); break
      case IMMEDIATE.pair: case IMMEDIATE.memarg: this.u32(); this.u32(); break
      case IMMEDIATE.bytes1: this.at += 1; break
      case IMMEDIATE.bytes4: this.at += 4; break
      case IMMEDIATE.bytes8: this.at += 8; break
      case IMMEDIATE.bytes16: this.at += 16; break
      case IMMEDIATE.memargLane: this.u32(); this.u32(); this.at++; break
      case IMMEDIATE.types: {
        const count = this.u32()
        this.at += count
        break
      }
    }
    return 0
  }

  // Control.

  private open (params: number, results: number, loop: boolean): void {
    const d = ++this.depth
    this.popShown(params)
    this.bases[d] = this.stack.length
    this.params[d] = params
    this.results[d] = results
    this.isLoop[d] = loop
    this.push(EXACT, params)
  }

  private openTyped (loop: boolean, skip: () => void): void {
    const { bytes, types } = this.module
    const first = bytes[this.at]!
    let params = 0
    let results = 0
    if ((first & 0xc0) === 0x40) {
      this.at++
      results = first === TYPE.void ? 0 : 1
    } else {
      const type = types[this.u32()]!
      params = type.params.length
      results = type.results.length
    }
    skip()
    if (this.dead > 0) this.dead++
    else this.open(params, results, loop)
  }

  private die (): void {
    this.stack.length = this.bases[this.depth]!
    this.dead = 1
  }

  /** What a branch to this label shows. */
  private showLabel (label: number): void {
    const d = this.depth - label
    this.showTop(this.isLoop[d] ? this.params[d]! : this.results[d]!)
  }

  private control (op: number): void {
    const live = this.dead === 0
    switch (op) {
      case OP.block: case OP.loop: case OP.if:
        if (live && op === OP.if) this.pop()
        this.openTyped(op === OP.loop, () => {})
        break
      case OP.tryTable: this.openTyped(false, () => { this.catches() }); break
      case OP.else: case OP.end: this.close(op); break
      case OP.br: this.branches(1, true); break
      case OP.brIf:
        if (live) this.pop()
        this.branches(1, false)
        break
      case OP.brTable:
        if (live) this.pop()
        this.branches(this.u32() + 1, true)
        break
      case OP.call: case OP.returnCall: this.call(this.module.functions[this.u32()]!, op === OP.returnCall); break
      case OP.callIndirect: case OP.returnCallIndirect: {
        const type = this.u32()
        this.u32()
        if (live) this.pop()
        this.call(type, op === OP.returnCallIndirect)
        break
      }
      default: // unreachable, return, throw, throw_ref
        if (op === OP.throw) this.u32()
        if (!live) break
        if (op === OP.return) this.showTop(this.results[0]!)
        if (op === OP.throw) this.showTop(this.stack.length - this.bases[this.depth]!)
        this.die()
    }
  }

  private close (op: number): void {
    if (this.dead > 1) {
      if (op === OP.end) this.dead--
      return
    }
    const d = this.depth
    if (this.dead === 0) this.showTop(this.results[d]!)
    this.stack.length = this.bases[d]!
    this.dead = 0
    if (op === OP.else) this.push(EXACT, this.params[d]!)
    else {
      this.push(EXACT, this.results[d]!)
      this.depth--
    }
  }

  private branches (count: number, always: boolean): void {
    for (let k = count; k > 0; k--) {
      const label = this.u32()
      if (this.dead === 0) this.showLabel(label)
    }
    if (always && this.dead === 0) this.die()
  }

  private call (type: number, tail: boolean): void {
    if (this.dead > 0) return
    const { params, results } = this.module.types[type]!
    this.popShown(params.length)
    if (tail) this.die()
    else this.push(EXACT, results.length)
  }

  private catches (): void {
    for (let k = this.u32(); k > 0; k--) {
      if (this.module.bytes[this.at++]! < 2) this.u32()
      this.u32()
    }
  }
}

function isFloat (type: number): boolean {
  return type === TYPE.f32 || type === TYPE.f64 || type === TYPE.v128
}

/** Whether the little-endian float at `at` has all bits of its exponent set: infinities count as well. */
function isNan (bytes: Uint8Array, at: number, size: 4 | 8): boolean {
  const high = bytes[at + size - 1]! & 0x7f
  const next = bytes[at + size - 2]!
  return high === 0x7f && (size === 4 ? next >= 0x80 : next >= 0xf0)
}

/** Whether a v128 has a NaN in either shape. */
function hasNan (bytes: Uint8Array, at: number): boolean {
  for (let lane = 0; lane < 16; lane += 4) if (isNan(bytes, at + lane, 4)) return true
  return isNan(bytes, at, 8) || isNan(bytes, at + 8, 8)
}
