/**
 * What a unit of fuel takes at worst: nanoseconds per unit of guests that do little but one dear instruction.
 * The lease allows `LIMITS.executor.leaseNanosecondsPerFuel`; whatever is above it here is too cheap in docs/fuel.md.
 *
 *   npm run bench:instructions -- [name …]
 *
 * A table goes to stderr, dearest first, and one line of JSON comes last on stdout. The time is CPU time of the
 * thread: what twice as many rounds take longer, at least 50 ms, each the least of a few runs.
 */
import { LIMITS } from '../src/packet/limits.ts'
import { createEngine } from '../src/wasm/engine.ts'
import { wasm } from '../test/wasm-builder.ts'
import type { Func, Parts } from '../test/wasm-builder.ts'

const SAMPLE_MS_MIN = 50
const SAMPLES = 3
const ROUNDS_MAX = 2 ** 26
const TABLE = 4_096
const ENTRIES = 1_000

/** Whatever was computed is used, or the compiler would not compute it. */
const SINK = 'i32.const 0 local.get 2 i64.store i32.const 8 local.get 3 f64.store i32.const 16 local.get 4 v128.store local.get 5 ref.is_null local.get 7 ref.is_null i32.add global.set 0'
/** Local 0 counts down; what is repeated is so often written out that the loop itself counts for nothing. */
const looped = (code: string, rounds: number, times = 32): string =>
  `i32.const ${rounds} local.set 0 loop ${`${code} `.repeat(times)} local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end ${SINK} i32.const 0`
const LOCALS = 'i32 i32 i64 f64 v128 exnref externref funcref'
const entry = (code: string): Func => ({ type: ':i32', locals: LOCALS, code, export: 'run' })
const nothing: Func = { code: '' }
const LINES = 2 ** 23
/**
 * Loads that wait for memory, each for the address the one before gives: a walk over all lines of 512 MiB in an order
 * that no processor foresees (a congruential generator of full period, Knuth, TAOCP 2, 3.2.1.2).
 */
const missing = (rounds: number): Parts => ({
  memory: { min: 8_192 }, globals: ['mut i32 0'],
  functions: [entry(`loop local.get 1 i32.const 6 i32.shl local.get 1 i32.const 1664525 i32.mul i32.const 1013904223 i32.add
    i32.const ${LINES - 1} i32.and i32.const 6 i32.shl i32.store local.get 1 i32.const 1 i32.add local.tee 1 i32.const ${LINES} i32.lt_u br_if 0 end
    i32.const 0 local.set 1 ${looped('local.get 1 i32.load i32.load i32.load i32.load local.set 1', rounds)} local.get 1 i32.add`)]
})
/** Function 1 is the entry. */
const parts = (code: string, more: Parts = {}) => (rounds: number): Parts => ({
  tables: [{ min: TABLE }, { min: TABLE, type: 'externref' }, { min: TABLE }], memory: { min: 64, max: 16_384 },
  elements: [{ offset: 0, functions: Array<number>(TABLE).fill(0) }, { functions: Array<number>(ENTRIES).fill(0) }],
  data: [{ bytes: new Uint8Array(ENTRIES).fill(1) }],
  functions: [nothing, entry(looped(code, rounds)), ...(more.functions ?? [])],
  ...(more.tags === undefined ? {} : { tags: more.tags }), globals: ['mut i32 0']
})
const THROWN = 'block try_table[catch_all:0]'
/** Functions 2 and on: each calls the next, and the last throws. */
const chain = (depth: number, code = ''): Func[] => Array.from({ length: depth }, (_, i) => ({ code: i === depth - 1 ? 'throw 0' : `${code} call ${i + 3}`, ...(code === '' ? {} : { locals: 'i64' }) }))
/** The same with frames that are counted: recursion. */
const deep: Func = { type: 'i32:', code: 'local.get 0 i32.eqz if throw 0 end local.get 0 i32.const 1 i32.sub call 2' }
const rethrowing: Func = { type: 'i32:', code: `local.get 0 i32.eqz if throw 0 end block(:exnref) try_table[catch_all_ref:0] local.get 0 i32.const 1 i32.sub call 2 end return end throw_ref` }
/** Many throws at the bottom of a deep stack. */
const above: Func = { type: 'i32:', code: `local.get 0 i32.eqz if i32.const 10000 local.set 0 loop ${THROWN} throw 0 end end local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end else local.get 0 i32.const 1 i32.sub call 2 end` }
const wide = Array(100).fill('i64').join()
const vectors = Array(100).fill('v128').join()
const caught = Array(16).fill('v128').join()

const CASES: Record<string, (rounds: number) => Parts> = {
  'throw, caught beside it': parts(`${THROWN} throw 0 end end`, { tags: [':'] }),
  'throw, caught with its reference': parts('block(:exnref) try_table[catch_all_ref:0] throw 0 end unreachable end drop', { tags: [':'] }),
  'throw_ref': parts('block(:exnref) try_table[catch_all_ref:0] local.get 5 ref.is_null if throw 0 end local.get 5 throw_ref end unreachable end local.set 5', { tags: [':'] }),
  'throw, not the first tag': parts('block try_table[catch:0:0,catch:1:0] throw 1 end end', { tags: [':', ':'] }),
  'throw from 2 frames below': parts(`${THROWN} call 2 end end`, { tags: [':'], functions: chain(2) }),
  'throw from 60 frames below': parts(`${THROWN} call 2 end end`, { tags: [':'], functions: chain(60) }),
  'throw from 1,000 frames below': parts(`${THROWN} i32.const 1000 call 2 end end`, { tags: [':'], functions: [deep] }),
  'throw, caught beside it above 1,000 frames': parts('i32.const 1000 call 2', { tags: [':'], functions: [above] }),
  'throw_ref in each of 1,000 frames': parts(`${THROWN} i32.const 1000 call 2 end end`, { tags: [':'], functions: [rethrowing] }),
  'throw of 100 i64': parts(`${THROWN} ${'i64.const 1 '.repeat(100)} throw 0 end end`, { tags: [`${wide}:`] }),
  'throw of 100 v128': parts(`${THROWN} ${'local.get 4 '.repeat(100)} throw 0 end end`, { tags: [`${vectors}:`] }),
  'throw of 16 v128, caught with them': parts(`block(:${caught}) try_table[catch:0:0] ${'local.get 4 '.repeat(16)} throw 0 end unreachable end ${'drop '.repeat(16)}`, { tags: [`${caught}:`] }),
  'try_table that nothing leaves': parts(`${THROWN} end end i32.const 1 drop`, { tags: [':'] }),
  ...Object.fromEntries(([['1,000', ENTRIES], ['1', 1], ['0', 0]] as const).flatMap(([name, length]) => [
    [`table.copy of ${name}`, parts(`i32.const 1024 i32.const 0 i32.const ${length} table.copy 0 0`)],
    [`table.copy of ${name} to another table`, parts(`i32.const 0 i32.const 0 i32.const ${length} table.copy 2 0`)],
    [`table.copy of ${name}, overlapping`, parts(`i32.const 1 i32.const 0 i32.const ${length} table.copy 0 0`)],
    [`table.copy of ${name} externref`, parts(`i32.const 1024 i32.const 0 i32.const ${length} table.copy 1 1`)],
    [`table.init of ${name}`, parts(`i32.const 0 i32.const 0 i32.const ${length} table.init 1 2`)],
    [`table.fill of ${name} null`, parts(`i32.const 0 ref.null:funcref i32.const ${length} table.fill 2`)],
    [`table.fill of ${name} functions`, parts(`i32.const 0 ref.func 0 i32.const ${length} table.fill 2`)],
    [`table.fill of ${name} externref`, parts(`i32.const 0 ref.null:externref i32.const ${length} table.fill 1`)],
    [`memory.fill of ${name}`, parts(`i32.const 0 i32.const 7 i32.const ${length} memory.fill 0`)],
    [`memory.copy of ${name}`, parts(`i32.const 9 i32.const 8000 i32.const ${length} memory.copy 0 0`)],
    [`memory.init of ${name}`, parts(`i32.const 0 i32.const 0 i32.const ${length} memory.init 0 0`)]
  ])),
  'memory.fill of a mebibyte': parts('i32.const 0 i32.const 7 i32.const 1048576 memory.fill 0'),
  'memory.copy of a mebibyte': parts('i32.const 0 i32.const 2097152 i32.const 1048576 memory.copy 0 0'),
  'memory.grow by 0': parts('i32.const 0 memory.grow 0 drop'),
  'memory.grow that fails': parts('i32.const 70000 memory.grow 0 drop'),
  'table.grow by 0': parts('ref.null:funcref i32.const 0 table.grow 2 drop'),
  'table.grow by 1, functions': parts('ref.func 0 i32.const 1 table.grow 2 drop'),
  'table.grow by 1, externref': parts('ref.null:externref i32.const 1 table.grow 1 drop'),
  'table.get of a function': parts('i32.const 5 table.get 0 local.set 7'),
  'table.set of a function': parts('i32.const 5 ref.func 0 table.set 0'),
  'table.set of a known function': parts('i32.const 5 local.get 7 table.set 0'),
  'table.set of null': parts('i32.const 5 ref.null:funcref table.set 0'),
  'table.set of externref': parts('i32.const 5 local.get 6 table.set 1'),
  'table.size': parts('table.size 0 drop'),
  'ref.func': parts('ref.func 0 local.set 7'),
  'ref.is_null': parts('local.get 7 ref.is_null drop'),
  'elem.drop': parts('elem.drop 1'),
  'data.drop': parts('data.drop 0'),
  'memory.size': parts('memory.size 0 drop'),
  'call': parts('call 0'),
  'call with 100 params': parts(`${'i64.const 1 '.repeat(100)} call 2`, { functions: [{ type: `${wide}:`, code: '' }] }),
  'call of a function with 15 locals': parts('call 2', { functions: [{ locals: Array(15).fill('v128').join(), code: '' }] }),
  'call_indirect': parts('i32.const 5 call_indirect(:)'),
  'return_call': parts('call 2', { functions: [{ code: 'return_call 0' }] }),
  'i64.div_s': parts('local.get 2 i64.const 7 i64.or i64.const 3 i64.div_s local.set 2'),
  'i64.rem_u of two variables': parts('i64.const -1 local.get 2 i64.const 7 i64.or i64.rem_u local.set 2'),
  'i32.load that misses every cache': missing,
  'f64.mul of denormals': parts('local.get 3 i64.const 1 f64.reinterpret_i64 f64.add f64.const 0.75 f64.mul local.set 3'),
  'f64x2.mul of denormals': parts('local.get 4 v128.const 77777 v128.or v128.const 4604418534313441775 f64x2.mul local.set 4'),
  'f64x2.div of denormals': parts('local.get 4 v128.const 77777 v128.or v128.const 4604418534313441775 f64x2.div local.set 4'),
  'f64.sqrt': parts('local.get 3 f64.sqrt f64.sqrt f64.sqrt f64.sqrt local.set 3'),
  'f64.div': parts('f64.const 3 local.get 3 f64.div local.set 3'),
  'f64.nearest': parts('local.get 3 f64.nearest f64.ceil f64.floor f64.trunc local.set 3'),
  'f64x2.sqrt': parts('local.get 4 f64x2.sqrt f64x2.sqrt f64x2.sqrt f64x2.sqrt local.set 4'),
  'f64x2.div': parts('local.get 4 local.get 4 f64x2.div local.get 4 f64x2.div local.set 4'),
  'f32x4.max': parts('local.get 4 local.get 4 f32x4.max local.get 4 f32x4.min local.set 4'),
  'i64x2.mul': parts('local.get 4 local.get 4 i64x2.mul local.set 4'),
  'i8x16.shr_s': parts('local.get 4 local.get 0 i8x16.shr_s local.get 0 i8x16.shl local.set 4'),
  'i8x16.popcnt': parts('local.get 4 i8x16.popcnt i8x16.popcnt local.set 4'),
  'i8x16.swizzle': parts('local.get 4 local.get 4 i8x16.swizzle local.set 4'),
  'i32x4.trunc_sat_f64x2_u_zero': parts('local.get 4 i32x4.trunc_sat_f64x2_u_zero i32x4.trunc_sat_f32x4_u local.set 4'),
  'i64.trunc_sat_f64_u': parts('local.get 3 i64.trunc_sat_f64_u f64.convert_i64_u local.set 3')
}

const engine = createEngine()
const limits = { fuelMax: LIMITS.spec.fuelMax, memoryPagesMax: 16_384, outputBytesMax: 0 }

async function once (name: string, bytes: Uint8Array): Promise<{ ms: number, fuel: number }> {
  const run = { moduleId: name, wasm: bytes, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [], limits, seed: new Uint8Array(32) }
  // Compiled before the clock runs.
  await engine.execute({ ...run, limits: { ...limits, fuelMax: 0n } }, { payer: '' })
  const before = process.threadCpuUsage()
  const { outcome, fuel, message } = await engine.execute(run, { payer: '' })
  const { user, system } = process.threadCpuUsage(before)
  if (outcome !== 'ok') throw new Error(`${name}: ${outcome} ${message}`)
  return { ms: (user + system) / 1e3, fuel: Number(fuel) }
}

/** The least of a few runs, to be compared with those of twice as many rounds: what comes before the rounds does not count. */
async function least (name: string, bytes: Uint8Array): Promise<{ ms: number, fuel: number }> {
  const samples: Array<{ ms: number, fuel: number }> = []
  for (let i = 0; i < SAMPLES; i++) samples.push(await once(name, bytes))
  return samples.reduce((best, each) => each.ms < best.ms ? each : best)
}

/** Nanoseconds per unit. */
async function measure (name: string, make: (rounds: number) => Parts): Promise<number> {
  for (let rounds = 4; ; rounds *= 2) {
    const [one, two] = [await once(`${name} ${rounds}`, wasm(make(rounds))), await once(`${name} ${2 * rounds}`, wasm(make(2 * rounds)))]
    if (two.ms - one.ms < SAMPLE_MS_MIN && rounds < ROUNDS_MAX) continue
    const [less, more] = [await least(`${name} ${rounds}`, wasm(make(rounds))), await least(`${name} ${2 * rounds}`, wasm(make(2 * rounds)))]
    return Number(((more.ms - less.ms) * 1e6 / (more.fuel - less.fuel)).toFixed(2))
  }
}

const wanted = process.argv.slice(2)
const found: Array<[string, number]> = []
for (const [name, make] of Object.entries(CASES)) {
  if (wanted.length === 0 || wanted.includes(name)) found.push([name, await measure(name, make)])
}
found.sort(([, a], [, b]) => b - a)
for (const [name, nanoseconds] of found) process.stderr.write(`${nanoseconds.toFixed(2).padStart(9)}  ${name}\n`)
process.stdout.write(`${JSON.stringify({ nsPerFuel: Object.fromEntries(found), worst: found[0]?.[1], allowed: LIMITS.executor.leaseNanosecondsPerFuel })}\n`)
