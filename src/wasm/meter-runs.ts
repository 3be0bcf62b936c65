/**
 * First half of metering a function: find its runs, what each costs, and the places where code of
 * ours goes. The rules of fuel are those at the head of `meter.ts`; the second half, which writes
 * the new body, is `meter-body.ts`.
 *
 * The body has passed `admit` and V8's validation. No object is made per instruction: what is found
 * lies in arrays that are used again for the next function.
 */
import type { CallStack } from './call-stack.ts'
import { indirectCallee } from './admit.ts'
import { NAN_OP, NAN_OPS } from './nan-ops.ts'
import { BYTES_SHIFT, ENTRY_SHIFT, FRAME_UNITS, UNITS } from './fuel-costs.ts'
import { FC, FD, IMMEDIATE, IMMEDIATES, OP, TRAPS } from './opcodes.ts'

/** What a patch puts into a body. */
export const PATCH = {
  /** A segment begins: the argument is its index. */
  segment: 0,
  /** An index of an imported function stands here: the argument is that index. */
  redirect: 1,
  /** A bulk operation follows that costs its length shifted by the argument: to the right if positive, else to the left. */
  bulk: 2,
  /** memory.grow, replaced by a call. */
  memoryGrow: 3,
  /** table.grow of the table in the argument, replaced by a call. */
  tableGrow: 4,
  /** A call follows that takes from the stack budget. */
  call: 5,
  /** The same in place of this function, whose frame is given back first. */
  tailCall: 6
} as const

/** What is known of a segment: a stretch of code without a boundary inside. */
export const SEGMENT = {
  /** Its run begins here, so the run is charged here. */
  starts: 1,
  /** The global counter is newer than the local one. */
  reload: 2,
  /** Something in it lets the global counter be seen: a trap, a call, an exception, leaving the function. */
  observed: 4,
  /** The local counter may be newer than the global one. */
  dirty: 8,
  /** Nothing is executed in it: the function ends at once. */
  empty: 16
} as const

/** Who leaves the local counter newer than the global one at a place, besides the number of a segment. */
const DEBTOR = {
  nobody: -1,
  /** Several segments, or one that also leads elsewhere. */
  many: -2
} as const

export class RunScan {
  patches = 0
  readonly patchAt: number[] = []
  readonly patchEnd: number[] = []
  readonly patchKind: number[] = []
  readonly patchArgument: number[] = []

  segments = 0
  readonly segmentFlags: number[] = []
  readonly segmentRun: number[] = []
  /** Loop whose head a segment is; −1 if it is none. */
  readonly segmentLoop: number[] = []
  /** The one segment that makes this one dirty, and leads nowhere else; or a `DEBTOR`. */
  private readonly segmentDebtor: number[] = []

  runs = 0
  readonly runCost: number[] = []

  loops = 0
  /** Whether anything leads back to the head of each loop. */
  readonly loopsBack: boolean[] = []
  /** The segment at the head of each loop; −1 if nothing gets there. */
  private readonly loopHead: number[] = []

  hasCalls = false
  /** Whether there is float arithmetic, which makes NaNs. */
  hasFloats = false
  hasBulk = false

  /** Whether exceptions exist: then a call may not come back to the code after it. */
  private readonly throws: boolean
  private readonly stack: CallStack
  /** Whether the function itself is counted against the stack budget. */
  private counted = false

  /** Per open construct, the body being number 0. */
  private depth = 0
  private readonly openRun: number[] = []
  private readonly openAlive: boolean[] = []
  /** Outermost construct any code inside leads to; the construct is closed if that is itself. */
  private readonly outermost: number[] = []
  private readonly endDebtor: number[] = []
  private readonly elseDirty: boolean[] = []
  private readonly isLanding: boolean[] = []
  private readonly loopOf: number[] = []

  private alive = false
  private cost = 0
  private segment = 0
  private run = 0
  /** Flags every segment is born with. */
  private birth = 0

  /** @param throws whether the module has tags */
  constructor (throws: boolean, stack: CallStack) {
    this.throws = throws
    this.stack = stack
  }

  /**
   * @param start first instruction of the body
   * @param entryCost units due at entry besides instructions
   * @param counted whether the function takes a frame from the stack budget
   */
  scan (bytes: Uint8Array, start: number, end: number, importedFunctions: number, entryCost: number, counted: boolean): void {
    this.counted = counted
    this.birth = 0
    if (!this.walk(bytes, start, end, importedFunctions, entryCost)) {
      // Exceptions land in this function: the global counter has to be right wherever they may arise.
      this.birth = SEGMENT.observed
      this.walk(bytes, start, end, importedFunctions, entryCost)
    }
    this.storeEarly()
  }

  /**
   * Where one of two ways to a place has stored the counter and the other has not, the other stores
   * it, and the place need not: fewer stores are executed, and never more.
   */
  private storeEarly (): void {
    const { segmentFlags, segmentDebtor } = this
    const wanted = SEGMENT.observed | SEGMENT.dirty
    for (let n = this.segments - 1; n > 0; n--) {
      const debtor = segmentDebtor[n]!
      if (debtor < 0 || (segmentFlags[n]! & (wanted | SEGMENT.starts)) !== wanted) continue
      segmentFlags[n]! &= ~SEGMENT.dirty
      segmentFlags[debtor]! |= SEGMENT.observed
    }
  }

  /** Units of all code of the function, each instruction counted once. */
  get staticCost (): number {
    let sum = 0
    for (let run = 0; run < this.runs; run++) sum += this.runCost[run]!
    return sum
  }

  private patch (kind: number, at: number, end: number, argument: number): void {
    const n = this.patches++
    this.patchKind[n] = kind
    this.patchAt[n] = at
    this.patchEnd[n] = end
    this.patchArgument[n] = argument
  }

  private begin (at: number, flags: number, dirty: boolean): void {
    const n = this.segments++
    this.segment = n
    if ((flags & SEGMENT.starts) !== 0) {
      this.run = this.runs++
      this.runCost[this.run] = 0
    }
    this.segmentRun[n] = this.run
    this.segmentLoop[n] = -1
    this.segmentDebtor[n] = DEBTOR.many
    this.segmentFlags[n] = this.birth | flags | (dirty ? SEGMENT.dirty : 0)
    this.cost = 0
    this.alive = true
    this.patch(PATCH.segment, at, at, n)
  }

  /** End the segment; true if the local counter may now be newer than the global one. */
  private close (observed: number): boolean {
    if (!this.alive) return false
    const flags = this.segmentFlags[this.segment]! | observed
    this.segmentFlags[this.segment] = flags
    this.runCost[this.run]! += this.cost
    this.alive = false
    return (flags & SEGMENT.observed) === 0 && (flags & (SEGMENT.dirty | SEGMENT.starts)) !== 0
  }

  private observe (): void {
    if (this.alive) this.segmentFlags[this.segment]! |= SEGMENT.observed
  }

  private open (): void {
    const d = ++this.depth
    this.openRun[d] = this.run
    this.openAlive[d] = this.alive
    this.outermost[d] = d
    this.endDebtor[d] = DEBTOR.nobody
    this.elseDirty[d] = false
    this.isLanding[d] = false
    this.loopOf[d] = -1
  }

  /** Control may be lost from the function here, and never comes back to the code behind. */
  private leave (): void {
    if (this.alive) this.outermost[this.depth] = 0
  }

  /** Record who comes to the end of an open construct with a counter not stored. */
  private owe (d: number, debtor: number): void {
    this.endDebtor[d] = this.endDebtor[d] === DEBTOR.nobody ? debtor : DEBTOR.many
  }

  /** Record a branch of the segment just closed, which owes what `debtor` says. */
  private branch (target: number, debtor: number): void {
    if (target < this.outermost[this.depth]!) this.outermost[this.depth] = target
    const loop = this.loopOf[target]!
    if (loop >= 0) this.loopsBack[loop] = true
    else if (debtor !== DEBTOR.nobody) this.owe(target, debtor)
  }

  private endConstruct (at: number): void {
    const d = this.depth--
    if (this.close(0)) this.owe(d, this.segment)
    if (this.elseDirty[d]!) this.owe(d, DEBTOR.many)
    const debtor = this.endDebtor[d]!
    const outermost = this.outermost[d]!
    if (outermost < this.outermost[d - 1]!) this.outermost[d - 1] = outermost
    if (!this.openAlive[d]) return
    const reload = this.isLanding[d] ? SEGMENT.reload : 0
    const closed = outermost >= d
    if (closed) this.run = this.openRun[d]!
    this.begin(at, closed ? reload : reload | SEGMENT.starts, debtor !== DEBTOR.nobody)
    this.segmentDebtor[this.segment] = debtor
  }

  /** @returns false if the body has a try_table and was not walked with all segments observed */
  private walk (bytes: Uint8Array, start: number, end: number, importedFunctions: number, entryCost: number): boolean {
    this.patches = this.segments = this.runs = this.loops = 0
    this.hasCalls = this.hasBulk = this.hasFloats = this.alive = false
    this.depth = -1
    this.open()
    this.begin(start, SEGMENT.starts | SEGMENT.reload, false)
    this.cost = entryCost
    let at = start
    while (at < end) {
      const from = at
      let op = bytes[at++]!
      let kind = IMMEDIATES[op]!
      if (kind === IMMEDIATE.control) {
        if (op < OP.fc) {
          if (op === OP.tryTable && this.birth === 0) return false
          this.cost += UNITS[op]!
          at = this.control(bytes, from, op, importedFunctions)
          if (this.depth < 0) return true
          continue
        }
        // Codes after a prefix are below 256: one or two bytes, as shortly written as anybody likes.
        const code = index(bytes, at)
        while (bytes[at++]! > 0x7f);
        op = (op === OP.fc ? FC : FD) + code
        kind = IMMEDIATES[op]!
      }
      this.cost += UNITS[op]!
      if (TRAPS[op] !== 0) this.observe()
      else if (NAN_OPS[op] === NAN_OP.arithmetic) this.hasFloats = true
      switch (kind) {
        case IMMEDIATE.none: break
        case IMMEDIATE.leb: case IMMEDIATE.leb64: while (bytes[at++]! > 0x7f); break
        case IMMEDIATE.pair: case IMMEDIATE.memarg:
          while (bytes[at++]! > 0x7f);
          while (bytes[at++]! > 0x7f);
          break
        case IMMEDIATE.bytes1: at += 1; break
        case IMMEDIATE.bytes4: at += 4; break
        case IMMEDIATE.bytes8: at += 8; break
        case IMMEDIATE.bytes16: at += 16; break
        case IMMEDIATE.memargLane:
          while (bytes[at++]! > 0x7f);
          while (bytes[at++]! > 0x7f);
          at++
          break
        case IMMEDIATE.types: {
          const count = index(bytes, at)
          while (bytes[at++]! > 0x7f);
          at += count
          break
        }
      }
      if (op === OP.memoryGrow || op === OP.refFunc || op >= FC + 8) this.special(bytes, op, from, at, importedFunctions)
    }
    return true
  }

  /** Instructions that cost by length, and `ref.func`. `from` and `to` bound the instruction. */
  private special (bytes: Uint8Array, op: number, from: number, to: number, importedFunctions: number): void {
    switch (op) {
      case OP.refFunc: this.redirect(bytes, from + 1, to, importedFunctions); break
      case OP.memoryGrow: this.patch(PATCH.memoryGrow, from, to, 0); break
      case OP.tableGrow: this.patch(PATCH.tableGrow, from, to, index(bytes, afterLeb(bytes, from + 1))); break
      case OP.memoryInit: case OP.memoryCopy: case OP.memoryFill: this.bulk(from, BYTES_SHIFT); break
      case OP.tableInit: case OP.tableCopy: case OP.tableFill: this.bulk(from, ENTRY_SHIFT); break
    }
  }

  private bulk (from: number, shift: number): void {
    this.hasBulk = true
    this.patch(PATCH.bulk, from, from, shift)
  }

  private redirect (bytes: Uint8Array, from: number, to: number, importedFunctions: number): void {
    const callee = index(bytes, from)
    if (callee < importedFunctions) this.patch(PATCH.redirect, from, to, callee)
  }

  /** One control instruction; returns where the next begins. */
  private control (bytes: Uint8Array, from: number, op: number, importedFunctions: number): number {
    let at = from + 1
    switch (op) {
      case OP.block:
        at = afterLeb(bytes, at)
        this.open()
        break
      case OP.loop: {
        at = afterLeb(bytes, at)
        this.open()
        const alive = this.alive
        this.close(0)
        this.loopOf[this.depth] = this.loops
        this.loopsBack[this.loops] = false
        this.loopHead[this.loops] = -1
        if (alive) {
          // What the branches back bring is not known yet, so the worst is assumed.
          this.begin(at, SEGMENT.starts, true)
          this.segmentLoop[this.segment] = this.loops
          this.loopHead[this.loops] = this.segment
        }
        this.loops++
        break
      }
      case OP.if: {
        at = afterLeb(bytes, at)
        this.open()
        const alive = this.alive
        const dirty = this.close(0)
        this.elseDirty[this.depth] = dirty
        if (alive) this.begin(at, SEGMENT.starts, dirty)
        break
      }
      case OP.else: {
        const d = this.depth
        if (this.close(0)) this.owe(d, this.segment)
        const dirty = this.elseDirty[d]!
        this.elseDirty[d] = false
        if (this.openAlive[d]) this.begin(at, SEGMENT.starts, dirty)
        break
      }
      case OP.end:
        if (this.depth > 0) {
          this.endConstruct(at)
          break
        }
        if (this.alive && this.cost === 0) this.segmentFlags[this.segment]! |= SEGMENT.empty
        this.close(SEGMENT.observed)
        this.depth--
        break
      case OP.br: case OP.brIf: case OP.brTable: at = this.branches(bytes, from, op); break
      case OP.call: case OP.callIndirect: case OP.returnCall: case OP.returnCallIndirect:
        at = this.call(bytes, from, op, importedFunctions)
        break
      case OP.tryTable: at = this.tryTable(bytes, at); break
      // A trap ends everything, so it does not count as leading out of a construct.
      case OP.unreachable: this.close(SEGMENT.observed); break
      default: // return, throw, throw_ref
        if (op === OP.throw) at = afterLeb(bytes, at)
        this.leave()
        this.close(SEGMENT.observed)
    }
    return at
  }

  private branches (bytes: Uint8Array, from: number, op: number): number {
    let at = from + 1
    const { alive, depth } = this
    let left = 1
    if (op === OP.brTable) {
      left = index(bytes, at) + 1
      at = afterLeb(bytes, at)
    }
    const first = at
    let leaves = 0
    for (let k = left; k > 0; k--) {
      if (depth === index(bytes, at)) leaves = SEGMENT.observed
      at = afterLeb(bytes, at)
    }
    const dirty = this.close(leaves)
    const debtor = !dirty ? DEBTOR.nobody : op === OP.br ? this.segment : DEBTOR.many
    for (let k = left, p = first; alive && k > 0; k--, p = afterLeb(bytes, p)) {
      this.branch(depth - index(bytes, p), debtor)
    }
    if (alive && op === OP.brIf) this.begin(at, SEGMENT.starts, dirty)
    return at
  }

  private call (bytes: Uint8Array, from: number, op: number, importedFunctions: number): number {
    let at = afterLeb(bytes, from + 1)
    // Only counted functions call counted ones.
    if (this.counted) this.lend(bytes, from, op)
    if (op === OP.call || op === OP.returnCall) this.redirect(bytes, from + 1, at, importedFunctions)
    else at = afterLeb(bytes, at)
    this.hasCalls = true
    if (this.throws && (op === OP.call || op === OP.callIndirect)) this.cost += FRAME_UNITS
    const { alive } = this
    // A function of the module's own comes back into the same run; only a host reads the counter.
    const own = !this.throws && op === OP.call && index(bytes, from + 1) >= importedFunctions
    if (!own) this.leave()
    this.close(SEGMENT.observed)
    if (alive && own) this.begin(at, SEGMENT.reload, false)
    else if (alive && (op === OP.call || op === OP.callIndirect)) this.begin(at, SEGMENT.starts | SEGMENT.reload, false)
    return at
  }

  /** The callee of the call at `from` may take from the stack budget. */
  private lend (bytes: Uint8Array, from: number, op: number): void {
    const named = index(bytes, from + 1)
    const direct = op === OP.call || op === OP.returnCall
    if (!this.stack.mayCount(direct ? named : indirectCallee(named))) return
    this.patch(op === OP.call || op === OP.callIndirect ? PATCH.call : PATCH.tailCall, from, from, 0)
  }

  private tryTable (bytes: Uint8Array, from: number): number {
    let at = afterLeb(bytes, from)
    const count = index(bytes, at)
    at = afterLeb(bytes, at)
    for (let k = 0; k < count; k++) {
      const tagged = bytes[at++]! < 2
      if (tagged) at = afterLeb(bytes, at)
      this.land(this.depth - index(bytes, at))
      at = afterLeb(bytes, at)
    }
    this.open()
    return at
  }

  /** An exception may arrive at the label of construct `target`, with a counter older than the global one. */
  private land (target: number): void {
    const loop = this.loopOf[target]!
    if (loop < 0) {
      this.isLanding[target] = true
      return
    }
    this.loopsBack[loop] = true
    const head = this.loopHead[loop]!
    if (head >= 0) this.segmentFlags[head]! |= SEGMENT.reload
  }
}

/** The unsigned LEB128 at `at`, known to be valid. */
function index (bytes: Uint8Array, at: number): number {
  let value = bytes[at]!
  if (value < 0x80) return value
  value &= 0x7f
  for (let shift = 7, p = at + 1; ; shift += 7, p++) {
    const byte = bytes[p]!
    value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return value
  }
}

function afterLeb (bytes: Uint8Array, at: number): number {
  let p = at
  while (bytes[p++]! > 0x7f);
  return p
}
