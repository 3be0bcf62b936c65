/**
 * Admission: is every instruction in the profile, and can V8 compile this module without running
 * for seconds or taking gigabytes? One walk over all bodies, before V8 sees a byte; done on the
 * original and again on the metered module, whose counts grew.
 *
 * Per function: S = params + locals + highest operand stack, B = blocks, E = branch edges,
 * V = params and results over all calls. V8's baseline compiler costs 15–45 ns and 14–28 bytes per
 * S·B and 1.6–2.5 ns per S·E, and wide calls are quadratic in their signature: measured with
 * Node 24 on 169 real modules, all of which the caps of `LIMITS.module` admit.
 *
 * Types are not checked here. Heights are exact for a valid module, and V8 refuses any other.
 */
import { invalidModule, Reader } from './binary.ts'
import type { FuncType, Module, ModuleCaps } from './decode.ts'
import { valueTypeFeature } from './decode.ts'
import { describeRefused, FC, FD, FEATURE_OF, FEATURES, featureBit, IMMEDIATE, IMMEDIATES, OP, POPS, PUSHES, TYPE } from './opcodes.ts'

const MIB = 1024 * 1024

/** What admission learns of a module. */
export interface Admission {
  readonly features: string[]
  /** V8's cost of compiling all of it: CPU milliseconds and peak bytes. */
  readonly estimate: { readonly cpuMs: number, readonly peakBytes: number }
  readonly graph: CallGraph
  /** Whether code can drop segments, and whether it can change tables. */
  readonly drops: boolean
  readonly writesTables: boolean
}

/** Who calls whom, and what each function of the module's own keeps on the stack. */
export interface CallGraph {
  /** Callees of own function `i` end at `calleesEnd[i]` and begin where those of the one before end. */
  readonly callees: readonly number[]
  readonly calleesEnd: Uint32Array
  /** Params, locals and highest operand stack of own function `i`. */
  readonly slots: Uint32Array
  /** 1 if own function `i` may hold a v128. */
  readonly wide: Uint8Array
  /** Functions code takes references to. */
  readonly addressed: readonly number[]
}

/** A callee is a function's index, or the complement of a type's if the call is indirect. */
export const indirectCallee = (type: number): number => ~type

/**
 * @throws {InosError} ERR_INVALID_MODULE naming the rule, the function index and the offset
 */
export function admit (module: Module, caps: ModuleCaps): Admission {
  const walk = new Walk(module, caps)
  const own = module.functions.length - module.imported.functions
  let slotBlocks = 0
  let slotEdges = 0
  let values = 0
  let highest = 0
  let codeBytes = 0
  for (let i = 0; i < own; i++) {
    walk.body(i)
    walk.calleesEnd[i] = walk.callees.length
    walk.slotsOf[i] = walk.slots
    walk.wideOf[i] = walk.wide ? 1 : 0
    slotBlocks += walk.slots * walk.blocks
    slotEdges += walk.slots * walk.edges
    values += walk.values
    highest = Math.max(highest, walk.slots * walk.blocks)
    codeBytes += module.bodies[2 * i + 1]! - module.bodies[2 * i]!
    if (slotBlocks > caps.moduleSlotBlocksMax) throw walk.refusal('slots times blocks of the whole module', slotBlocks, caps.moduleSlotBlocksMax)
    if (slotEdges > caps.moduleSlotEdgesMax) throw walk.refusal('slots times branch edges of the whole module', slotEdges, caps.moduleSlotEdgesMax)
  }
  const size = module.bytes.length
  const cpuMs = 5 * size / MIB + 50 * codeBytes / MIB + 0.004 * own + 25e-6 * slotBlocks + 2.5e-6 * slotEdges + 0.2e-3 * values
  return {
    features: FEATURES.filter(feature => (walk.features & featureBit(feature)) !== 0),
    estimate: { cpuMs: Math.ceil(cpuMs), peakBytes: 12 * size + 28 * highest },
    graph: { callees: walk.callees, calleesEnd: walk.calleesEnd, slots: walk.slotsOf, wide: walk.wideOf, addressed: walk.addressed },
    drops: walk.drops,
    writesTables: walk.writesTables
  }
}

/** The walk over one body at a time, with the counts of the last. */
class Walk {
  readonly module: Module
  readonly caps: ModuleCaps
  readonly reader: Reader
  features: number
  slots = 0
  blocks = 0
  edges = 0
  values = 0
  /** Whether the function has a v128 anywhere. */
  wide = false
  drops = false
  writesTables = false
  readonly callees: number[] = []
  readonly addressed: number[] = []
  readonly calleesEnd: Uint32Array
  readonly slotsOf: Uint32Array
  readonly wideOf: Uint8Array
  private readonly wideTypes: Uint8Array
  private index = 0
  private height = 0
  private highest = 0
  /** Per open construct: where its operands begin, how many it takes and gives. */
  private depth = 0
  private readonly bases: Int32Array
  private readonly params: Uint8Array
  private readonly results: Uint8Array
  /** Type of the block type read last. */
  private blockParams = 0
  private blockResults = 0

  constructor (module: Module, caps: ModuleCaps) {
    this.module = module
    this.caps = caps
    this.features = module.features
    this.reader = new Reader(module.bytes)
    const own = module.functions.length - module.imported.functions
    this.calleesEnd = new Uint32Array(own)
    this.slotsOf = new Uint32Array(own)
    this.wideOf = new Uint8Array(own)
    this.wideTypes = Uint8Array.from(module.types, ({ params, results }) => params.includes(TYPE.v128) || results.includes(TYPE.v128) ? 1 : 0)
    this.bases = new Int32Array(caps.nestingMax + 1)
    this.params = new Uint8Array(caps.nestingMax + 1)
    this.results = new Uint8Array(caps.nestingMax + 1)
  }

  refusal (rule: string, count: number, countMax: number): Error {
    return invalidModule(`function ${this.index} has ${count} ${rule}, and ${countMax} are allowed`, this.reader.at)
  }

  /** Walk own function `i`; leaves its counts in the fields. */
  body (i: number): void {
    const { module, caps, reader } = this
    this.index = module.imported.functions + i
    reader.at = module.bodies[2 * i]!
    reader.end = module.bodies[2 * i + 1]!
    const type = module.types[module.functions[this.index]!]!
    this.wide = this.wideTypes[module.functions[this.index]!] === 1
    const locals = this.locals(type.params.length)
    this.blocks = this.edges = this.values = this.height = this.highest = 0
    this.depth = -1
    this.blockParams = 0
    this.blockResults = type.results.length
    this.open()
    this.instructions()
    if (!reader.done) throw invalidModule(`function ${this.index} goes on after its end`, reader.at)
    this.slots = locals + this.highest
    this.check('slots times blocks', this.slots * this.blocks, caps.functionSlotBlocksMax)
    this.check('slots times branch edges', this.slots * this.edges, caps.functionSlotEdgesMax)
    this.check('blocks', this.blocks, caps.blocksMax)
    this.check('params and results over its calls', this.values, caps.callValuesMax)
  }

  private check (rule: string, count: number, countMax: number): void {
    if (count > countMax) throw this.refusal(rule, count, countMax)
  }

  /** Params and declared locals of the function. */
  private locals (params: number): number {
    const { reader, caps } = this
    const groups = reader.count(caps.localsMax, `groups of locals in function ${this.index}`)
    let locals = params
    for (let k = 0; k < groups; k++) {
      locals += reader.u32()
      this.check('locals', locals, caps.localsMax)
      const at = reader.at
      const code = reader.u8()
      this.features |= valueTypeFeature(code, at)
      if (code === TYPE.v128) this.wide = true
    }
    return locals
  }

  private open (): void {
    // What it takes is popped from the construct around it.
    this.pop(this.blockParams)
    this.depth++
    this.check('nested blocks', this.depth, this.caps.nestingMax)
    this.bases[this.depth] = this.height
    this.params[this.depth] = this.blockParams
    this.results[this.depth] = this.blockResults
    this.push(this.blockParams)
  }

  private pop (count: number): void {
    // Code after a branch may pop more than there is: the stack is polymorphic there.
    const base = this.depth < 0 ? 0 : this.bases[this.depth]!
    this.height = Math.max(this.height - count, base)
  }

  private push (count: number): void {
    this.height += count
    if (this.height > this.highest) this.highest = this.height
  }

  private funcType (index: number): FuncType {
    const type = this.module.types[index]
    if (type === undefined) throw invalidModule(`type ${index} does not exist`, this.reader.at)
    return type
  }

  private blockType (): void {
    const { reader } = this
    const at = reader.at
    const first = reader.u8()
    this.blockParams = 0
    this.blockResults = 0
    if (first === TYPE.void) return
    // A negative number of one byte is a value type, all others are indexes of function types.
    if ((first & 0xc0) === 0x40) {
      this.features |= valueTypeFeature(first, at)
      if (first === TYPE.v128) this.wide = true
      this.blockResults = 1
      return
    }
    reader.at = at
    const type = this.typeAt(reader.u32())
    this.features |= featureBit('multi-value')
    this.blockParams = type.params.length
    this.blockResults = type.results.length
  }

  /** A type whose values the function holds. */
  private typeAt (index: number): FuncType {
    const type = this.funcType(index)
    if (this.wideTypes[index] === 1) this.wide = true
    return type
  }

  private called (type: FuncType): void {
    this.values += type.params.length + type.results.length
    this.pop(type.params.length)
    this.push(type.results.length)
  }

  private dead (): void { this.height = this.bases[this.depth]! }

  /** All instructions up to the end of the body. */
  private instructions (): void {
    const { reader } = this
    const { bytes, end } = reader
    while (this.depth >= 0) {
      const at = reader.at
      let op = reader.u8()
      let kind = IMMEDIATES[op]!
      if (kind === IMMEDIATE.control) {
        if (op < OP.fc) {
          this.control(op)
          continue
        }
        const code = reader.u32()
        if (code > 0xff) throw this.refused(op, code, at)
        if (op === OP.fd) this.wide = true
        kind = IMMEDIATES[op = (op === OP.fc ? FC : FD) + code]!
        if (kind === IMMEDIATE.absent) throw this.refused(bytes[at]!, code, at)
      }
      this.features |= 1 << FEATURE_OF[op]!
      switch (kind) {
        case IMMEDIATE.absent: throw this.refused(0, op, at)
        case IMMEDIATE.none: break
        case IMMEDIATE.leb: this.indexed(op); break
        case IMMEDIATE.leb64: reader.skipLeb(64); break
        case IMMEDIATE.pair: this.copying(op); break
        case IMMEDIATE.memarg: this.memoryArgument(); break
        case IMMEDIATE.bytes1: reader.skip(1); break
        case IMMEDIATE.bytes4: reader.skip(4); break
        case IMMEDIATE.bytes8: reader.skip(8); break
        case IMMEDIATE.bytes16: reader.skip(16); break
        case IMMEDIATE.memargLane: this.memoryArgument(); reader.skip(1); break
        case IMMEDIATE.types: this.selectTypes(); break
      }
      this.pop(POPS[op]!)
      this.push(PUSHES[op]!)
    }
    if (reader.at > end) throw invalidModule(`function ${this.index} ends too early`, end)
  }

  private refused (prefix: number, code: number, at: number): Error {
    return invalidModule(`${describeRefused(prefix, code)} (function ${this.index})`, at)
  }

  /** The immediate of an instruction that has one number. */
  private indexed (op: number): void {
    const { module, reader } = this
    switch (op) {
      case OP.refNull: this.heapType(); break
      case OP.refFunc: this.addressed.push(reader.u32()); break
      case OP.globalGet: if (module.globalTypes[reader.u32()] === TYPE.v128) this.wide = true; break
      case OP.dataDrop: case OP.elemDrop: this.drops = true; reader.skipLeb(32); break
      case OP.tableSet: case OP.tableGrow: case OP.tableFill: this.writesTables = true; reader.skipLeb(32); break
      default: reader.skipLeb(32)
    }
  }

  /** The immediates of an instruction that copies from one place to another. */
  private copying (op: number): void {
    if (op === OP.tableInit || op === OP.tableCopy) this.writesTables = true
    this.reader.skipLeb(32)
    this.reader.skipLeb(32)
  }

  private heapType (): void {
    const at = this.reader.at
    this.features |= valueTypeFeature(this.reader.u8(), at)
  }

  private memoryArgument (): void {
    const { reader } = this
    const at = reader.at
    if (reader.u32() >= 64) throw invalidModule(`multi-memory is not in the profile (function ${this.index})`, at)
    reader.skipLeb(64)
  }

  private selectTypes (): void {
    const { reader } = this
    const count = reader.count(1, 'types in one select')
    for (let k = 0; k < count; k++) this.heapType()
  }

  private control (op: number): void {
    const { reader } = this
    this.features |= 1 << FEATURE_OF[op]!
    switch (op) {
      case OP.unreachable: this.dead(); break
      case OP.block: case OP.loop: case OP.if:
        if (op === OP.if) this.pop(1)
        this.blocks++
        this.blockType()
        this.open()
        break
      case OP.tryTable: this.tryTable(); break
      case OP.else: this.blocks++; this.dead(); this.push(this.params[this.depth]!); break
      case OP.end: this.dead(); this.push(this.results[this.depth]!); this.depth--; break
      case OP.throw: reader.u32(); this.dead(); break
      case OP.throwRef: this.dead(); break
      case OP.br: this.edges++; reader.u32(); this.dead(); break
      case OP.brIf: this.edges++; reader.u32(); this.pop(1); break
      case OP.brTable: this.branchTable(); break
      case OP.return: this.edges++; this.dead(); break
      case OP.call: case OP.returnCall: {
        const callee = reader.u32()
        const type = this.module.functions[callee]
        if (type === undefined) throw invalidModule(`function ${callee} does not exist`, reader.at)
        this.callees.push(callee)
        this.called(this.typeAt(type))
        if (op === OP.returnCall) this.dead()
        break
      }
      case OP.callIndirect: case OP.returnCallIndirect: {
        this.pop(1)
        const type = reader.u32()
        this.callees.push(indirectCallee(type))
        this.called(this.typeAt(type))
        reader.u32()
        if (op === OP.returnCallIndirect) this.dead()
        break
      }
    }
  }

  private branchTable (): void {
    const { reader } = this
    const count = reader.count(this.caps.branchTableMax, `targets in one br_table of function ${this.index}`)
    for (let k = 0; k <= count; k++) reader.u32()
    this.edges += count + 1
    this.dead()
  }

  private tryTable (): void {
    const { reader } = this
    this.blocks++
    this.blockType()
    const count = reader.count(this.caps.branchTableMax, `catches in one try_table of function ${this.index}`)
    for (let k = 0; k < count; k++) {
      const at = reader.at
      const form = reader.u8()
      if (form > 3) throw invalidModule(`catch kind ${form} is not in the profile`, at)
      if (form < 2) reader.u32()
      reader.u32()
    }
    this.edges += count
    this.open()
  }
}
