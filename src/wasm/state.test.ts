import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { wasm } from '../../test/wasm-builder.ts'
import type { Func, Parts } from '../../test/wasm-builder.ts'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import { createEngine } from './engine.ts'
import type { Outcome, Run, State } from './runtime.ts'
import { applyChange } from './state.ts'

const engine = createEngine()
const NOTHING = new Uint8Array(0)

function task (bytes: Uint8Array, entry: string, state: State | null, more: Partial<Run> = {}): Run {
  return {
    moduleId: createHash('sha256').update(bytes).digest('hex'), wasm: bytes, input: NOTHING, entry, args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax: 10_000_000n, memoryPagesMax: 32, outputBytesMax: 100_000 }, seed: new Uint8Array(32), state, ...more
  }
}

async function step (bytes: Uint8Array, entry: string, state: State | null, more: Partial<Run> = {}): Promise<Outcome & { after: State | null }> {
  const outcome = await engine.execute(task(bytes, entry, state, more), { payer: 'peer' })
  return { ...outcome, after: outcome.state === undefined ? state : applyChange(state, outcome.state) }
}

const SIZE = { module: 'inos', name: 'input_size', type: ':i32' }
const WRITE = { module: 'inos', name: 'output_write', type: 'i32,i32:i32' }

/** Functions 0 and 1 are imported, 2 is the start function, 3 and 4 are for tables, entries come behind. */
const ENTRIES: Record<string, string> = {
  count: 'global.get 0 i32.const 1 i32.add global.set 0 global.get 1 i64.const 3 i64.mul global.set 1 i32.const 70000 global.get 0 i32.store@0',
  grow: 'i32.const 1 memory.grow 0 drop memory.size 0 i32.const 1 i32.sub i32.const 65536 i32.mul global.get 0 i32.store@8',
  reserve: 'i32.const 2 memory.grow 0 drop',
  floats: 'global.get 0 i32.const 2141192193 i32.add f32.reinterpret_i32 global.set 2 global.get 1 i64.const 1 i64.shr_u i64.const 9219994337134247937 i64.or f64.reinterpret_i64 global.set 3',
  vector: 'global.get 4 global.get 1 i64x2.replace_lane 1 global.set 4',
  point: 'global.get 0 i32.const 3 i32.and ref.func 3 table.set 0',
  import: 'global.get 0 i32.const 3 i32.and ref.func 0 table.set 0',
  clear: 'global.get 0 i32.const 3 i32.and ref.null:funcref table.set 0',
  widen: 'ref.func 4 i32.const 2 table.grow 1 drop',
  init: 'i32.const 200 i32.const 0 i32.const 4 memory.init 0 0',
  forget: 'data.drop 0',
  list: 'i32.const 1 i32.const 0 i32.const 2 table.init 0 0',
  unlist: 'elem.drop 0',
  wipe: 'i32.const 0 i32.const 0 i32.const 65536 memory.fill 0',
  look: `i32.const 4096 global.get 0 i32.store@0 i32.const 4096 global.get 1 i64.store@8 i32.const 4096 global.get 2 f32.store@16 i32.const 4096 global.get 3 f64.store@24
    i32.const 4096 global.get 4 v128.store@32 i32.const 4096 memory.size 0 i32.store@48 i32.const 4096 table.size 1 i32.store@52
    i32.const 4096 i32.const 1 table.get 0 ref.is_null i32.store@56 i32.const 4096 i32.const 0 i32.load@100 i32.store@60
    i32.const 4096 i32.const 64 call 1 drop`,
  call: 'i32.const 4096 global.get 0 i32.const 3 i32.and call_indirect(:i32) i32.store@0 i32.const 4096 i32.const 4 call 1 drop'
}

const functions: Func[] = [
  { code: 'global.get 0 i32.const 100 i32.add global.set 0' },
  { type: ':i32', code: 'i32.const 33' },
  { type: ':i32', code: 'global.get 0' },
  ...Object.entries(ENTRIES).map(([name, code]) => ({ code, export: name }))
]

const PARTS: Parts = {
  imports: [SIZE, WRITE],
  memory: { min: 2 },
  tables: [{ min: 4, max: 9 }, { min: 1 }],
  globals: ['mut i32 5', 'mut i64 -7', 'mut f32 1.5', 'mut f64 -2.5', 'mut v128 9', 'i32 77'],
  start: 2,
  functions,
  // Its first segments are passive.
  elements: [{ functions: [3, 4] }, { offset: 0, functions: [4, 3, 4] }],
  data: [{ bytes: Uint8Array.of(1, 2, 3, 4) }, { offset: 100, bytes: Uint8Array.of(5, 6, 7, 8) }, { offset: 66_000, bytes: Uint8Array.of(9) }],
  exports: { memory: 'memory 0', size: 'func 0' }
}
const GUEST = wasm(PARTS)

/** The same module, kept alive by V8 alone. */
function alive (): { call (name: string): { output: Uint8Array, ok: boolean }, memory (): Uint8Array } {
  let output = NOTHING
  const memory = (): Uint8Array => new Uint8Array((instance.exports['memory'] as WebAssembly.Memory).buffer)
  const instance = new WebAssembly.Instance(new WebAssembly.Module(GUEST), {
    inos: {
      input_size: () => 0,
      output_write: (ptr: number, len: number) => { output = memory().slice(ptr, ptr + len); return len }
    }
  })
  return {
    memory,
    call (name) {
      output = NOTHING
      try {
        (instance.exports[name] as () => void)()
        return { output, ok: true }
      } catch {
        return { output: NOTHING, ok: false }
      }
    }
  }
}

function bytesOf (state: State): Uint8Array {
  const all = new Uint8Array(state.pages.length * PAGE_BYTES)
  state.pages.forEach((page, at) => { if (page !== null) all.set(page, at * PAGE_BYTES) })
  return all
}

// Goal: steps through states are the same computation as one instance that lives on.
// Method: random calls, each trap of which changes nothing, to V8's own instance and by steps; outputs, endings and memories must be equal
// after each, and what the globals, tables and segments hold is in the outputs. A second engine, which knows nothing of the first, burns the same fuel.
test('calls by steps do what calls to one instance do', async () => {
  const other = createEngine()
  await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom(...Object.keys(ENTRIES)), { maxLength: 24 }), async names => {
    const whole = alive()
    let state: State | null = null
    for (const name of [...names, 'look', 'call', 'look']) {
      const again: Outcome = await other.execute(task(GUEST, name, state), { payer: 'peer' })
      const { outcome, result, fuel, after }: Awaited<ReturnType<typeof step>> = await step(GUEST, name, state)
      const expected = whole.call(name)
      assert.deepEqual([outcome === 'ok', Buffer.from(result).toString('hex')], [expected.ok, Buffer.from(expected.output).toString('hex')], name)
      assert.deepEqual([again.outcome, again.fuel, again.state], [outcome, fuel, outcome === 'ok' ? again.state : undefined])
      if (after !== null) assert.ok(Buffer.compare(bytesOf(after), whole.memory()) === 0, `memory after ${name}`)
      // Where the first call trapped, the one instance has begun and a new one has not.
      if (after === null) return
      state = after
    }
  }), { numRuns: 60 })
})

// Goal: every kind of global keeps its bits, also those of a NaN that a number of JavaScript cannot carry.
// Method: signalling NaNs with payloads are set in one call and read as bytes in the next.
test('globals keep their bits', async () => {
  const { after } = await step(GUEST, 'floats', null)
  const { after: second } = await step(GUEST, 'vector', after)
  const { result } = await step(GUEST, 'look', second)
  const view = new DataView(result.slice().buffer)
  assert.equal(view.getInt32(0, true), 105)
  assert.equal(view.getBigInt64(8, true), -7n)
  assert.equal(view.getUint32(16, true), 2_141_192_193 + 105)
  assert.equal(view.getBigUint64(24, true), (BigInt.asUintN(64, -7n) >> 1n) | 9_219_994_337_134_247_937n)
  assert.deepEqual([view.getBigInt64(32, true), view.getBigInt64(40, true)], [9n, -7n])
})

// Goal: a state says only what changed, and a page that is wiped is no page.
// Method: look at the changed pages of single calls.
test('a change names the pages that differ', async () => {
  const first = await step(GUEST, 'count', null)
  assert.deepEqual([...first.state!.changed.keys()], [0, 1])
  const second = await step(GUEST, 'count', first.after)
  assert.deepEqual([...second.state!.changed.keys()], [1])
  const third = await step(GUEST, 'wipe', second.after)
  assert.deepEqual([...third.state!.changed], [[0, null]])
  const fourth = await step(GUEST, 'wipe', third.after)
  assert.deepEqual([fourth.state!.changed.size, fourth.state!.pages], [0, 2])
  assert.deepEqual((await step(GUEST, 'grow', fourth.after)).state!.pages, 3)
})

// Goal: what restoring and taking costs is what docs/fuel.md says.
// Method: the same call without a state, and with one, in modules whose sizes are counted by hand.
test('the fuel of a state', async () => {
  const idle = wasm({ memory: { min: 3 }, functions: [{ code: '', export: 'run' }, { code: 'i32.const 1 memory.grow 0 drop', export: 'grow' }, { code: 'i32.const 70000 i32.const 1 i32.store@0', export: 'touch' }] })
  const { state: _absent, ...bare } = task(idle, 'run', null)
  const { fuel } = await engine.execute(bare, { payer: 'peer' })
  const first = await step(idle, '', null)
  assert.equal(first.fuel, fuel + 3n * 1_024n)
  const grown = await step(idle, 'grow', first.after)
  const idled = await step(idle, '', grown.after)
  assert.equal(idled.fuel, fuel + 1_024n + 4n * 1_024n)
  const touched = await step(idle, 'touch', grown.after)
  assert.equal(touched.fuel - idled.fuel, 3n + 8_192n)
  const short = await step(idle, '', grown.after, { limits: { fuelMax: idled.fuel - 1n, memoryPagesMax: 32, outputBytesMax: 0 } })
  assert.deepEqual([short.outcome, short.fuel, short.state], ['fuel', idled.fuel - 1n, undefined])
  const tables = wasm({ tables: [{ min: 5 }], functions: [{ code: '', export: 'run' }, { code: 'ref.null:funcref i32.const 2 table.grow 0 drop', export: 'widen' }] })
  const wide = await step(tables, 'widen', null)
  assert.equal((await step(tables, '', wide.after)).fuel, 5n * 8n + 7n * 8n + 7n * 8n)
})

// Goal: a call that does not return leaves the state as it was, and says so.
// Method: traps, an exit in the middle, and one that runs out of fuel.
test('only a call that returns has a state', async () => {
  const exit = wasm({
    imports: [{ module: 'wasi_snapshot_preview1', name: 'proc_exit', type: 'i32:' }],
    memory: { min: 1 }, exports: { memory: 'memory 0' }, functions: [{ code: 'i32.const 0 call 0', export: 'run' }, { type: ':i32', code: 'i32.const 7', export: 'seven' }, { code: 'unreachable', export: 'trap' }]
  })
  const left = await step(exit, '', null)
  assert.deepEqual([left.outcome, left.exitCode, left.state], ['ok', 0, undefined])
  const seven = await step(exit, 'seven', null)
  assert.deepEqual([seven.outcome, seven.exitCode, seven.state?.pages], ['ok', 7, 1])
  assert.deepEqual([(await step(exit, 'trap', null)).state], [undefined])
})

// Goal: `_initialize` of a reactor runs once, before the first entry, as does a start function.
// Method: both count in a global that the entry gives back.
test('what runs at the start does not run again', async () => {
  const reactor = wasm({
    globals: ['mut i32 0'], start: 0,
    functions: [
      { code: 'global.get 0 i32.const 10 i32.add global.set 0' },
      { code: 'global.get 0 i32.const 100 i32.add global.set 0', export: '_initialize' },
      { type: ':i32', code: 'global.get 0 i32.const 1 i32.add global.set 0 global.get 0', export: 'run' }
    ]
  })
  const first = await step(reactor, '', null)
  const second = await step(reactor, '', first.after)
  assert.deepEqual([first.exitCode, second.exitCode], [111, 112])
})

// Goal: a state that somebody made up, or that belongs to another module, is refused before anything runs.
// Method: a true state with one thing changed at a time.
test('a state that does not fit is refused by name', async () => {
  const { after } = await step(GUEST, 'count', null)
  const good = after!
  const wrong: Array<[Partial<State>, RegExp]> = [
    [{ pages: good.pages.slice(1) }, /1 pages/],
    [{ pages: [...good.pages, ...new Array<null>(40).fill(null)] }, /42 pages/],
    [{ pages: [new Uint8Array(PAGE_BYTES - 1), null] }, /bytes/],
    [{ globals: good.globals.subarray(8) }, /bytes of globals/],
    [{ tables: [] }, /tables/],
    [{ tables: [good.tables[0]!.slice(1), good.tables[1]!] }, /table 0 has 3 entries/],
    [{ tables: [new Array<null>(10).fill(null), good.tables[1]!] }, /table 0 has 10 entries/],
    [{ tables: [[4, 3, 4, 2], good.tables[1]!] }, /function that no table/],
    [{ tables: [[4, 3, 4, 999], good.tables[1]!] }, /function that no table/],
    [{ dropped: [2] }, /drops segments/],
    [{ dropped: [1, 0] }, /drops segments/],
    [{ dropped: [0, 0] }, /drops segments/]
  ]
  for (const [change, message] of wrong) {
    await assert.rejects(step(GUEST, 'look', { ...good, ...change }), { code: 'ERR_INVALID_SPEC', message }, String(message))
  }
  await assert.rejects(step(wasm({ functions: [{ code: '', export: 'run' }] }), '', good), { code: 'ERR_INVALID_SPEC', message: /memory has 0 to 0/ })
})

// Goal: what has no sound state is refused by name, and what is too large to keep is the outcome memory.
// Method: modules with references that change, of an interface that keeps things outside, a command, and one that fills more pages and entries than a state may have.
test('what cannot be kept is refused', async () => {
  const run = { code: '', export: 'run' }
  const refused: Array<[Parts, RegExp]> = [
    [{ globals: ['mut funcref ref.null:funcref'], functions: [run] }, /global 0 holds a reference/],
    [{ globals: ['mut externref ref.null:externref'], functions: [run] }, /global 0 holds a reference/],
    [{ tables: [{ min: 1, type: 'externref' }], functions: [{ code: 'i32.const 0 ref.null:externref table.set 0', export: 'run' }] }, /table 0 holds other references/],
    [{ globals: new Array<string>(LIMITS.state.slotsMax + 1).fill('mut i32 0'), functions: [run] }, /words of globals/]
  ]
  for (const [parts, message] of refused) await assert.rejects(step(wasm(parts), '', null), { code: 'ERR_INVALID_MODULE', message })
  await assert.rejects(step(wasm({ imports: [{ module: 'extism:host/env', name: 'input_length', type: ':i64' }], functions: [run] }), '', null), { code: 'ERR_UNSUPPORTED_IMPORT', message: /no state/ })
  await assert.rejects(step(wasm({ functions: [{ code: '', export: '_start' }] }), '_start', null), { code: 'ERR_MISSING_EXPORT', message: /called once/ })
  const large = { limits: { fuelMax: 1_000_000_000n, memoryPagesMax: LIMITS.state.pagesMax + 1, outputBytesMax: 0 } }
  const pages = wasm({ memory: { min: LIMITS.state.pagesMax + 1 }, functions: [{ code: `i32.const 0 i32.const 1 i32.const ${(LIMITS.state.pagesMax + 1) * PAGE_BYTES} memory.fill 0`, export: 'run' }] })
  assert.deepEqual([(await step(pages, '', null, large)).outcome], ['memory'])
  const entries = wasm({ tables: [{ min: 0 }], functions: [{ code: `ref.null:funcref i32.const ${LIMITS.state.tableEntriesMax + 1} table.grow 0 drop`, export: 'run' }] })
  assert.deepEqual([(await step(entries, '', null, large)).outcome], ['memory'])
})

// Goal: the names by which a state is read are unreachable, and a guest that takes them for its own gets its own.
// Method: a guest that exports all of them.
test('a guest with names like ours', async () => {
  const names = ['m:get', 'm:set', 'm:kept', 'm:drop', 'm:functions', 'm:table:0']
  const guest = wasm({ globals: ['mut i32 3'], tables: [{ min: 1 }], functions: names.map(name => ({ type: ':i32', code: 'i32.const 0 ref.null:funcref table.set 0 global.get 0 i32.const 2 i32.mul global.set 0 global.get 0', export: name })) })
  const first = await step(guest, 'm:get', null)
  assert.deepEqual([first.exitCode, (await step(guest, 'm:table:0', first.after)).exitCode], [6, 12])
})
