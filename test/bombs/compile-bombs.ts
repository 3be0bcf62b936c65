/** Modules that are costly to look at, to compile or to optimise: at the caps of admission, and beyond. */
import { LIMITS } from '../../src/packet/limits.ts'
import { OP, TYPE } from '../../src/wasm/opcodes.ts'
import { constant, join, leb, raw, repeat } from './raw-module.ts'
import type { RawFunction } from './raw-module.ts'

export interface Bomb {
  readonly name: string
  readonly make: () => Uint8Array
  /** Whether it may not even be compiled. */
  readonly refused?: boolean
}

const CAPS = LIMITS.module
const { i32, i64, f64, v128 } = TYPE
const END = OP.end
const I32_NE = 0x47

function blocks (count: number): Uint8Array { return repeat([OP.block, TYPE.void, END], count) }
function nested (opening: readonly number[], count: number, inner: readonly number[] = []): Uint8Array {
  return join(repeat(opening, count), inner, repeat([END], count))
}
function edges (count: number): Uint8Array { return join([OP.block, TYPE.void], repeat([...constant(0), OP.brIf, 0], count), [END]) }

/** Functions that are all called by the last one. */
function called (functions: readonly RawFunction[]): RawFunction[] {
  return [...functions, { code: join(...functions.map((_, i) => [OP.call, ...leb(i)])) }]
}

function many (count: number, one: RawFunction): RawFunction[] { return called(Array.from({ length: count }, () => one)) }

/** Hot enough for the optimising compiler, which then has all of `inner` to work on. */
function hot (inner: Uint8Array, rounds = 1_000_000, locals: RawFunction['locals'] = []): RawFunction {
  return {
    locals: [[1, i32], ...locals],
    code: join([OP.loop, TYPE.void], inner, [OP.localGet, 0, ...constant(1), OP.i32Add, OP.localTee, 0, ...constant(rounds), I32_NE, OP.brIf, 0, END])
  }
}

/** Locals assigned and read in turn, so that each loop has to merge all of them. */
function shuffle (count: number): Uint8Array {
  return join(...Array.from({ length: count }, (_, k) => [OP.localGet, ...leb(1 + k), OP.localGet, ...leb(1 + (k * 7 + 1) % count), OP.i32Add, OP.localSet, ...leb(1 + k)]))
}

function fit (total: number, factor: number): number { return Math.floor(total / factor) }

export const COMPILE_BOMBS: readonly Bomb[] = [
  // The baseline compiler, slots times blocks.
  { name: 'locals times blocks far above the cap', refused: true, make: () => raw({ functions: [{ locals: [[16_000, i32]], code: blocks(60_000) }] }) },
  { name: 'locals times blocks at the cap of a function', make: () => raw({ functions: [{ locals: [[8_000, i32]], code: blocks(fit(CAPS.functionSlotBlocksMax, 8_010) - 2) }] }) },
  { name: 'locals times blocks at the cap of a module', make: () => raw({ functions: many(15, { locals: [[8_000, i64]], code: blocks(990) }) }) },
  { name: 'locals times blocks above the cap of a module', refused: true, make: () => raw({ functions: many(40, { locals: [[8_000, i64]], code: blocks(990) }) }) },
  { name: 'operands times blocks above the cap', refused: true, make: () => raw({ functions: [{ code: join(repeat(constant(1), 16_000), blocks(1_000), repeat([0x1a], 16_000)) }] }) },
  { name: 'operands times blocks at the cap', make: () => raw({ functions: many(10, { code: join(repeat(constant(1), 8_000), blocks(980), repeat([0x1a], 8_000)) }) }) },
  { name: 'vectors as locals times blocks', make: () => raw({ functions: many(10, { locals: [[8_000, v128]], code: blocks(980) }) }) },
  { name: 'ifs with else over many locals', make: () => raw({ functions: many(10, { locals: [[4_000, i32]], code: repeat([...constant(0), OP.if, TYPE.void, OP.else, END], 950) }) }) },
  { name: 'loops one after the other over many locals', make: () => raw({ functions: many(10, { locals: [[8_000, i32]], code: repeat([OP.loop, TYPE.void, END], 950) }) }) },
  // Slots times edges.
  { name: 'locals times branches above the cap', refused: true, make: () => raw({ functions: [{ locals: [[16_000, i32]], code: edges(60_000) }] }) },
  { name: 'locals times branches at the cap of a module', make: () => raw({ functions: many(8, { locals: [[8_000, i32]], code: edges(7_900) }) }) },
  { name: 'br_tables over many locals', make: () => raw({ functions: many(6, { locals: [[7_000, i32]], code: join([OP.block, TYPE.void, ...constant(0), OP.brTable, ...leb(8_000)], repeat([0], 8_001), [END]) }) }) },
  { name: 'a br_table with a million targets', refused: true, make: () => raw({ functions: [{ code: join([OP.block, TYPE.void, ...constant(0), OP.brTable, ...leb(1_000_000)], repeat([0], 1_000_001), [END]) }] }) },
  { name: 'many br_tables at the cap', make: () => raw({ functions: [{ code: repeat([...join([OP.block, TYPE.void, ...constant(0), OP.brTable, ...leb(8_000)], repeat([0], 8_001), [END])], 200) }] }) },
  // Signatures.
  { name: 'calls of a thousand values', refused: true, make: () => raw({ types: [[Array(1_000).fill(i32), Array(1_000).fill(i32)], [[], []]], functions: [{ type: 0, code: join(...Array.from({ length: 1_000 }, (_, k) => [OP.localGet, ...leb(k)])) }] }) },
  { name: 'a type of 130 params', refused: true, make: () => raw({ types: [[Array(130).fill(i32), []]] }) },
  { name: 'calls of the widest type up to the cap', make: () => wideCalls(1_800, 1) },
  { name: 'calls of the widest type in many functions', make: () => wideCalls(1_800, 40) },
  { name: 'calls of the widest type above the cap', refused: true, make: () => wideCalls(2_000, 1) },
  { name: 'blocks that take and give as much as they may', make: () => raw({ types: [[[], []], [Array(128).fill(i64), Array(16).fill(i64)]], functions: many(4, { code: repeat([...repeat([OP.i64Const, 0], 128), OP.block, 1, ...repeat([0x1a], 112), END, ...repeat([0x1a], 16)], 2_000) }) }) },
  { name: 'loops that take as much as they may, nested', make: () => raw({ types: [[[], []], [Array(128).fill(i32), Array(16).fill(i32)]], functions: [{ code: join(repeat(constant(0), 128), nested([OP.loop, 1], 1, [...repeat([0x1a], 112)]), repeat([0x1a], 16)) }] }) },
  { name: 'thousands of types', refused: true, make: () => raw({ types: Array.from({ length: 3_000 }, (_, k) => [Array(k % 100).fill(i32), []] as const) }) },
  // Nesting.
  { name: 'half a million nested blocks', refused: true, make: () => raw({ functions: [{ code: nested([OP.block, TYPE.void], 500_000) }] }) },
  { name: 'blocks nested as deep as they may', make: () => raw({ functions: many(20, { code: nested([OP.block, TYPE.void], 8_000) }) }) },
  { name: 'loops nested as deep as they may', make: () => raw({ functions: many(4, { code: nested([OP.loop, TYPE.void], 8_000) }) }) },
  { name: 'ifs nested as deep as they may', make: () => raw({ functions: many(10, { code: nested([...constant(1), OP.if, TYPE.void], 8_000) }) }) },
  { name: 'try_tables nested as deep as they may', make: () => raw({ tags: [0], functions: many(4, { code: nested([OP.tryTable, TYPE.void, 0], 8_000) }) }) },
  { name: 'a try_table with as many catches as it may', make: () => raw({ tags: [0], functions: [{ code: join([OP.block, TYPE.void], repeat([...join([OP.tryTable, TYPE.void, ...leb(8_000)], repeat([0, 0, 0], 8_000), [END])], 20), [END]) }] }) },
  // Sizes.
  { name: 'four billion locals', refused: true, make: () => raw({ functions: [{ locals: [[0xffffffff, i32]], code: [] }] }) },
  { name: 'locals in groups that add up beyond four billion', refused: true, make: () => raw({ functions: [{ locals: Array.from({ length: 10 }, () => [0x7fffffff, i32] as const), code: [] }] }) },
  { name: 'as many locals as there may be in thousands of functions', make: () => raw({ functions: many(3_000, { locals: [[16_000, v128]], code: [] }) }) },
  { name: 'a million functions', refused: true, make: () => raw({ functions: Array.from({ length: 1_000_000 }, () => ({ code: [] })) }) },
  { name: 'as many functions as there may be', make: () => raw({ functions: Array.from({ length: 600_000 }, () => ({ code: [] })) }) },
  { name: 'a body of three million bytes', refused: true, make: () => raw({ functions: [{ code: repeat([OP.nop], 3_000_000) }] }) },
  { name: 'bodies of two million bytes', make: () => raw({ functions: many(8, { code: repeat([...constant(1), 0x1a], 690_000) }) }) },
  { name: 'a table of ten million entries', refused: true, make: () => raw({ tables: [10_000_000], functions: [{ code: [] }] }) },
  { name: 'a table as large as it may be', make: () => raw({ tables: [2 ** 20], functions: [{ code: [] }] }) },
  { name: 'tables that are too large together', refused: true, make: () => raw({ tables: Array(100).fill(100_000), functions: [{ code: [] }] }) },
  { name: 'a hundred thousand globals', refused: true, make: () => raw({ globals: 100_000, functions: [{ code: [] }] }) },
  { name: 'as many globals as there may be', make: () => raw({ globals: 65_000, functions: [{ code: [] }] }) },
  { name: 'ninety megabytes of nothing', make: () => join(raw({ functions: [{ code: [] }] }), [0, ...leb(90_000_000)], new Uint8Array(90_000_000)) },
  { name: 'a module of a hundred megabytes', refused: true, make: () => join(raw({ functions: [{ code: [] }] }), [0, ...leb(101_000_000)], new Uint8Array(101_000_000)) },
  { name: 'millions of empty custom sections', make: () => join(raw({ functions: [{ code: [] }] }), repeat([0, 1, 0], 5_000_000)) },
  // The optimising compiler.
  { name: 'hot loops nested thousands deep', make: () => raw({ functions: [hot(nested([OP.loop, TYPE.void], 5_000))] }) },
  { name: 'hot loops nested with branches to each', make: () => raw({ functions: [hot(nestedBranches(600))] }) },
  { name: 'hot loops eight thousand deep over hundreds of locals', make: () => raw({ functions: [hotNest(8_000, 300)] }) },
  { name: 'eight times hot loops thousands deep', make: () => raw({ functions: many(8, hotNest(4_000, 300, 350)) }) },
  { name: 'hot loops that merge a thousand locals each', make: () => raw({ functions: [hot(repeat([...join([OP.loop, TYPE.void], shuffle(1_000), constant(0), [OP.brIf, 0, END])], 20), 1_000_000, [[1_000, i32]])] }) },
  { name: 'hot loops nested that merge a hundred locals', make: () => raw({ functions: [hot(nestedShuffles(300, 100), 1_000_000, [[100, i32]])] }) },
  { name: 'a hot body over three thousand locals', make: () => raw({ functions: [hot(shuffle(3_000), 1_000_000, [[3_000, i32]])] }) },
  { name: 'a hot straight line of a hundred thousand additions', make: () => raw({ functions: [hot(join(constant(1), repeat([OP.localGet, 0, OP.i32Add, OP.localGet, 0, OP.i32Mul], 100_000), [0x1a]))] }) },
  { name: 'a hot switch of eight thousand arms', make: () => raw({ functions: [hot(hotSwitch(8_000))] }) },
  { name: 'hot divisions of vectors and floats', make: () => raw({ functions: [hot(repeat([OP.f64Const, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x9f, 0x9f, 0x9f, 0x9f, 0x1a], 5_000))] }) },
  { name: 'a thousand hot functions', make: () => raw({ functions: many(1_000, hot(shuffle(100), 20_000, [[100, i32]])) }) },
  { name: 'a hot tree of calls to inline', make: () => raw({ functions: callTree(16) }) },
  { name: 'hot ifs in ifs over a thousand locals', make: () => raw({ functions: [hot(nestedIfs(400, 1_000), 1_000_000, [[1_000, i32]])] }) },
  { name: 'hot selects in a chain', make: () => raw({ functions: [hot(join(constant(1), repeat([...constant(2), OP.localGet, 0, 0x1b], 100_000), [0x1a]))] }) },
  { name: 'hot loads and stores that may alias', make: () => raw({ memory: 1, functions: [hot(repeat([...constant(8), ...constant(8), 0x28, 2, 0, 0x36, 2, 0], 50_000))] }) },
  { name: 'hot float loops over many locals', make: () => raw({ functions: [hot(join(...Array.from({ length: 2_000 }, (_, k) => [OP.localGet, ...leb(1 + k), OP.localGet, ...leb(1 + (k + 1) % 2_000), 0xa2, OP.localSet, ...leb(1 + k)])), 100_000, [[2_000, f64]])] }) }
]

function wideCalls (calls: number, functions: number): Uint8Array {
  const params = 128
  const wide = { type: 1, code: join(repeat(constant(0), 16)) }
  const one = repeat([...repeat(constant(0), params), OP.call, 0, ...repeat([0x1a], 16)], calls)
  const all = Array.from({ length: functions }, () => ({ code: one }))
  return raw({
    types: [[[], []], [Array(params).fill(i32), Array(16).fill(i32)]],
    functions: [wide, ...all, { code: join(...all.map((_, i) => [OP.call, ...leb(1 + i)])) }]
  })
}

/** Loops in loops, each of which may go on with any of forty around it. */
function nestedBranches (depth: number): Uint8Array {
  const loops = Array.from({ length: depth }, (_, k) => {
    const targets = Array.from({ length: Math.min(k, 40) }, (_, n) => n * Math.max(1, Math.floor(k / 40)))
    return [OP.loop, TYPE.void, ...targets.flatMap(target => [...constant(0), OP.brIf, ...leb(target)])]
  })
  return join(...loops, repeat([END], depth))
}

/** Loops in loops that each change a local and may go on with one of the eight around it: costly to optimise, not to run. */
function hotNest (depth: number, locals: number, rounds = 1_000_000): RawFunction {
  const opening = Array.from({ length: depth }, (_, k) => [OP.loop, TYPE.void, OP.localGet, ...leb(1 + k % locals), ...constant(1), OP.i32Add, OP.localSet, ...leb(1 + k % locals)])
  const closing = Array.from({ length: depth }, (_, k) => [...constant(0), OP.brIf, ...leb(Math.min(depth - 1 - k, 7)), END])
  return hot(join(...opening, ...closing), rounds, [[locals, i32]])
}

function nestedShuffles (depth: number, locals: number): Uint8Array {
  const moves = join(...Array.from({ length: 20 }, (_, k) => [OP.localGet, ...leb(1 + k), OP.localGet, ...leb(1 + (k * 7 + 1) % locals), OP.i32Add, OP.localSet, ...leb(1 + k)]))
  return join(...Array.from({ length: depth }, () => join([OP.loop, TYPE.void], moves)), repeat([...constant(0), OP.brIf, 0, END], depth))
}

function nestedIfs (depth: number, locals: number): Uint8Array {
  const arms = Array.from({ length: depth }, (_, k) => [OP.localGet, ...leb(1 + k % locals), OP.if, TYPE.void, OP.localGet, 0, OP.localSet, ...leb(1 + (k * 13) % locals)])
  return join(...arms, repeat([END], depth))
}

function hotSwitch (arms: number): Uint8Array {
  return join(
    repeat([OP.block, TYPE.void], arms), [OP.localGet, 0, ...constant(8_191), 0x71, OP.brTable, ...leb(arms - 1)],
    ...Array.from({ length: arms }, (_, k) => leb(k)), [END], repeat([OP.localGet, 0, OP.localSet, 0, END], arms - 1)
  )
}

/** Each function calls the one before twice, in a hot loop at the top. */
function callTree (depth: number): RawFunction[] {
  const functions: RawFunction[] = [{ locals: [[1, i32]], code: [...constant(1), OP.localSet, 0] }]
  for (let k = 1; k < depth; k++) functions.push({ code: [OP.call, ...leb(k - 1), OP.call, ...leb(k - 1)] })
  return [...functions, hot(Uint8Array.of(OP.call, ...leb(depth - 1)), 1_000)]
}
