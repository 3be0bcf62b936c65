/**
 * The stack budget: which functions are counted against it, and what frame each takes.
 *
 * V8's own end of the stack comes at a depth that varies from run to run, so a budget of bytes comes
 * before it. A frame is what V8's baseline compiler needs at most; its optimising one needs less:
 *
 *   FRAME_BYTES + slot · (2 · params + results + locals + highest operand stack)
 *
 * where a slot is 16 bytes in a function that has a v128 anywhere and 8 in any other. Params count
 * twice, for they are passed on the stack and kept in the frame. Measured with Node 24 and 26: the
 * constant is 48 to 60 bytes, and the meter's own locals come on top.
 *
 * Most calls are never counted: a function is *shallow* if it and everything below it together
 * take at most SHALLOW_BYTES, whatever is called; recursion makes that infinite. Everything else is
 * counted, and so only counted functions call counted ones. That many bytes and the host's own
 * calls are what V8's stack has to have beside the budget.
 *
 * What this does not bound: the optimising compiler remembers what was computed before a call and
 * is computed again behind it, beyond all locals and operands. A guest written for that can end V8's
 * stack first, from about thirty such values in frames of hardly any locals (8 bytes each, measured up to
 * 16 KB a frame); that is a host fault and no outcome, and rarer the larger the stack a guest is run on.
 */
import type { CallGraph } from './admit.ts'
import type { Module } from './decode.ts'

/** Bytes all counted frames may take together. V8's smallest stack has 984 KiB: threads, JSPI, Chromium. */
export const STACK_BYTES = 640 * 1024
/** The deepest chain of calls that is not counted. */
export const SHALLOW_BYTES = 8 * 1024

const FRAME_BYTES = 96
const SLOT_BYTES = 8
const WIDE_SLOT_BYTES = 16

export class CallStack {
  private readonly module: Module
  private readonly graph: CallGraph
  /** First index of each type among its equals: calls through tables compare types by structure. */
  private readonly canonical: Uint32Array
  /** Per own function, then per type, which stands for all functions it may reach: 1 if shallow. */
  private readonly shallow: Uint8Array

  constructor (module: Module, graph: CallGraph) {
    this.module = module
    this.graph = graph
    this.canonical = canonicalTypes(module)
    this.shallow = new Uint8Array(this.own + module.types.length)
    this.spread()
  }

  private get own (): number { return this.module.bodies.length / 2 }

  /** Bytes of the frame of own function `i`. */
  frame (i: number): number {
    const { module, graph } = this
    const { params, results } = module.types[module.functions[module.imported.functions + i]!]!
    const slot = graph.wide[i] === 1 ? WIDE_SLOT_BYTES : SLOT_BYTES
    return FRAME_BYTES + slot * (graph.slots[i]! + params.length + results.length)
  }

  /** Whether own function `i` is counted. */
  isCounted (i: number): boolean { return this.shallow[i] === 0 }

  /** Whether a callee, as a call graph names it, may be counted. Imported functions are not. */
  mayCount (callee: number): boolean {
    const node = this.node(callee)
    return node >= 0 && this.shallow[node] === 0
  }

  /** The node of a callee; below zero if it is imported. */
  private node (callee: number): number {
    return callee < 0 ? this.own + this.canonical[~callee]! : callee - this.module.imported.functions
  }

  /** From the functions that call nobody upwards: a node is shallow once all it calls are, and the deepest of them leaves room. */
  private spread (): void {
    const { shallow, own } = this
    const { from, to } = this.edges()
    const first = new Uint32Array(shallow.length + 1)
    for (const callee of to) first[callee + 1]!++
    for (let node = 0; node < shallow.length; node++) first[node + 1]! += first[node]!
    const callers = new Uint32Array(from.length)
    const next = first.slice()
    const pending = new Uint32Array(shallow.length)
    for (let e = 0; e < from.length; e++) {
      callers[next[to[e]!]!++] = from[e]!
      pending[from[e]!]!++
    }
    const below = new Float64Array(shallow.length)
    const ready: number[] = []
    for (let node = 0; node < shallow.length; node++) if (pending[node] === 0) ready.push(node)
    for (let node = ready.pop(); node !== undefined; node = ready.pop()) {
      const depth = below[node]! + (node < own ? this.frame(node) : 0)
      if (depth > SHALLOW_BYTES) continue
      shallow[node] = 1
      for (let e = first[node]!; e < first[node + 1]!; e++) {
        const caller = callers[e]!
        below[caller] = Math.max(below[caller]!, depth)
        if (--pending[caller]! === 0) ready.push(caller)
      }
    }
  }

  /** Calls from own functions, and from each type to the functions of that type a table may hold. */
  private edges (): { from: number[], to: number[] } {
    const { module, graph, own } = this
    const from: number[] = []
    const to: number[] = []
    let at = 0
    for (let i = 0; i < own; i++) {
      for (; at < graph.calleesEnd[i]!; at++) {
        const node = this.node(graph.callees[at]!)
        if (node < 0) continue
        from.push(i)
        to.push(node)
      }
    }
    const imported = module.imported.functions
    for (const index of new Set([...module.addressed, ...graph.addressed])) {
      if (index < imported) continue
      from.push(own + this.canonical[module.functions[index]!]!)
      to.push(index - imported)
    }
    return { from, to }
  }
}

function canonicalTypes ({ types }: Module): Uint32Array {
  const first = new Map<string, number>()
  return Uint32Array.from(types, ({ params, results }, i) => {
    const key = `${params.join()}:${results.join()}`
    const known = first.get(key)
    if (known === undefined) first.set(key, i)
    return known ?? i
  })
}
