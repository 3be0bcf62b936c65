import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wasm } from '../../test/wasm-builder.ts'
import type { Parts } from '../../test/wasm-builder.ts'
import { LIMITS } from '../packet/limits.ts'
import { createEngine } from './engine.ts'
import type { Outcome, Run } from './runtime.ts'

const engine = createEngine()
let ids = 0

function task (bytes: Run['wasm'], more: Partial<Run> = {}): Run {
  return {
    moduleId: `module ${ids++}`, wasm: bytes, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax: 10_000_000n, memoryPagesMax: 4, outputBytesMax: 100_000 }, seed: new Uint8Array(32), ...more
  }
}

function run (parts: Parts, more: Partial<Run> = {}): Promise<Outcome> {
  return engine.execute(task(wasm(parts), more), { payer: 'peer' })
}

const SIZE = { module: 'inos', name: 'input_size', type: ':i32' }
const READ = { module: 'inos', name: 'input_read', type: 'i32,i32,i32:i32' }
const WRITE = { module: 'inos', name: 'output_write', type: 'i32,i32:i32' }
const LOG = { module: 'inos', name: 'log', type: 'i32,i32:' }
const INOS = [SIZE, READ, WRITE, LOG]

/** A guest of the native interface. */
function native (code: string, locals = ''): Parts {
  return { imports: INOS, memory: { min: 1, max: 2 }, functions: [{ type: ':i32', locals, code, export: 'run' }], exports: { memory: 'memory 0' } }
}

// Goal: the native interface hands in the input and hands out the result.
// Method: a guest that copies its input to the output in pieces of three bytes.
test('a guest of the native interface', async () => {
  const copy = `block loop
    i32.const 8 local.get 0 i32.const 3 call 1 local.tee 1 i32.eqz br_if 1
    i32.const 8 local.get 1 call 2 local.get 0 i32.add local.set 0 br 0
    end end local.get 0 call 0 i32.sub`
  const input = new TextEncoder().encode('sieben und mehr')
  const outcome = await run(native(copy, 'i32 i32'), { input })
  assert.deepEqual(outcome.result, input)
  assert.deepEqual([outcome.outcome, outcome.exitCode, outcome.pages, outcome.message], ['ok', 0, 1, ''])
})

// Goal: no pointer reaches outside of memory, and no length past a limit.
// Method: calls with hostile numbers; the exit code is what they gave, without its highest bit.
test('pointers and lengths are checked', async () => {
  const input = new Uint8Array(10).fill(7)
  const fault = -21 & 0x7fff_ffff
  const calls: Array<[code: string, expected: number]> = [
    ['i32.const 65536 i32.const 0 i32.const 1 call 1', fault],
    ['i32.const -1 i32.const 0 i32.const 1 call 1', fault],
    ['i32.const 1 i32.const 0 i32.const -1 call 1', fault],
    ['i32.const 65526 i32.const 0 i32.const 10 call 1', 10],
    ['i32.const 65527 i32.const 0 i32.const 10 call 1', fault],
    ['i32.const 65536 i32.const 0 i32.const 0 call 1', 0],
    ['i32.const 0 i32.const -1 i32.const 5 call 1', 0],
    ['i32.const 0 i32.const 8 i32.const 5 call 1', 2],
    ['i32.const 65530 i32.const 7 call 2', fault],
    ['i32.const -8 i32.const 7 call 2', fault],
    ['i32.const 65530 i32.const 6 call 2', 6],
    ['i32.const -1 i32.const -1 call 3 i32.const 3', 3]
  ]
  for (const [code, expected] of calls) {
    const outcome = await run(native(code), { input })
    assert.deepEqual([outcome.outcome, outcome.exitCode], ['ok', expected], code)
  }
})

// Goal: output beyond its limit ends the guest, and the log is cut short instead.
// Method: write 65,536 bytes twice against a limit of 100,000, and log three times as much as is kept.
test('output and log have limits', async () => {
  const write = 'i32.const 0 i32.const 65536 call 2 drop '
  const outcome = await run(native(`${write}${write}i32.const 5`))
  assert.deepEqual([outcome.outcome, outcome.exitCode, outcome.result.length], ['output', null, 0])
  assert.match(outcome.message, /more than 100000 bytes/)
  const log = 'i32.const 0 i32.const 50000 call 3 '
  const logged = await run(native(`${log}${log}${log}unreachable`))
  assert.deepEqual([logged.outcome, logged.stderr.length, logged.result.length], ['trap', LIMITS.guest.stderrBytesMax, 0])
})

// Goal: what a call costs follows its length, before it acts.
// Method: the same guest writing one byte and 8,001 bytes.
test('host calls cost by length', async () => {
  const fuel = async (length: number): Promise<bigint> => (await run(native(`i32.const 0 i32.const ${length} call 2 drop i32.const 0`))).fuel
  assert.equal(await fuel(8_001) - await fuel(1), 1_000n)
})

// Goal: a module is refused for its imports before anything ran, by name.
// Method: one wrong import of each kind.
test('imports that are not supported', async () => {
  const refused = async (parts: Parts, text: RegExp): Promise<void> => {
    await assert.rejects(run({ ...parts, functions: [{ code: '', export: 'run' }] }), error => {
      assert.equal((error as { code: string }).code, 'ERR_UNSUPPORTED_IMPORT')
      assert.match((error as Error).message, text)
      return true
    })
  }
  await refused({ imports: [{ module: 'env', name: 'abort', type: ':' }] }, /imports env\.abort; supported are the modules wasi_snapshot_preview1, wasi_unstable, inos/)
  await refused({ imports: [{ module: 'inos', name: 'sleep', type: ':' }] }, /inos\.sleep; inos has input_size, input_read/)
  await refused({ imports: [{ module: 'inos', name: 'toString', type: ':' }] }, /inos\.toString/)
  await refused({ imports: [{ module: 'inos', name: 'log', type: 'i64,i32:' }] }, /inos\.log as Ii:; its signature is ii:/)
  await refused({ imports: [{ module: 'inos', name: 'log', type: 'externref:' }] }, /as \?:/)
  const memory = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 2, 15, 1, 3, 0x65, 0x6e, 0x76, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2, 0, 1)
  await assert.rejects(engine.execute(task(memory), { payer: '' }), { code: 'ERR_UNSUPPORTED_IMPORT', message: /the memory env\.memory/ })
})

// Goal: entries are found, or the refusal says what there is.
// Method: modules with and without the usual names.
test('entries', async () => {
  const exporting = (...names: string[]): Parts => ({ functions: names.map((name, i) => ({ type: ':i32', code: `i32.const ${i + 1}`, export: name })) })
  assert.equal((await run(exporting('run', '_start'))).exitCode, 2)
  assert.equal((await run(exporting('other', 'run'))).exitCode, 2)
  assert.equal((await run(exporting('run', 'other'), { entry: 'other' })).exitCode, 2)
  assert.equal((await run({ functions: [{ code: '', export: 'run' }] })).exitCode, 0)
  assert.equal((await run({ functions: [{ type: ':i32', code: 'i32.const -2', export: 'run' }] })).exitCode, 0x7fff_fffe)
  const missing = { code: 'ERR_MISSING_EXPORT' }
  await assert.rejects(run(exporting('a', 'b')), { ...missing, message: /no function run; it exports a, b\./ })
  await assert.rejects(run(exporting('a'), { entry: 'toString' }), missing)
  await assert.rejects(run({ functions: [{ type: 'i32:', code: '', export: 'run' }] }), { ...missing, message: /run is i:;/ })
  await assert.rejects(run({ functions: [{ type: ':i64', code: 'i64.const 1', export: 'run' }] }), missing)
  await assert.rejects(run({ globals: ['i32 1'], exports: { run: 'global 0' } }), missing)
})

// Goal: a reactor is set up before its entry is called.
// Method: `_initialize` stores what `run` gives.
test('_initialize comes before the entry', async () => {
  const parts: Parts = {
    globals: ['mut i32 1'],
    functions: [{ code: 'i32.const 6 global.set 0', export: '_initialize' }, { type: ':i32', code: 'global.get 0', export: 'run' }]
  }
  assert.equal((await run(parts)).exitCode, 6)
})

// Goal: what instantiation costs is due before it happens, and its failures are traps like any other.
// Method: more pages than fuel pays for; a segment that does not fit.
test('instantiation', async () => {
  const limits = { fuelMax: 2_000n, memoryPagesMax: 4, outputBytesMax: 0 }
  const poor = await run({ memory: { min: 2 }, functions: [{ code: '', export: 'run' }] }, { limits })
  assert.deepEqual([poor.outcome, poor.fuel, poor.pages], ['fuel', 2_000n, 2])
  const large: Parts = { memory: { min: 5 }, functions: [{ code: '', export: 'run' }] }
  await assert.rejects(run(large, { limits }), { code: 'ERR_INVALID_MODULE', message: /at least 5 pages of memory, and the limit is 4/ })
  const outside = await run({ tables: [{ min: 1 }], functions: [{ code: '', export: 'run' }], elements: [{ offset: 1, functions: [0] }] })
  assert.deepEqual([outside.outcome, outside.fuel], ['trap', 8n + 8n])
})

// Goal: limits that make no sense are refused.
// Method: one wrong limit at a time.
test('limits are checked', async () => {
  const parts: Parts = { functions: [{ code: '', export: 'run' }] }
  const sound = { fuelMax: 10n, memoryPagesMax: 1, outputBytesMax: 1 }
  for (const wrong of [{ fuelMax: -1n }, { fuelMax: 2n ** 63n }, { memoryPagesMax: 1.5 }, { memoryPagesMax: 65_536 }, { outputBytesMax: Number.NaN }]) {
    await assert.rejects(run(parts, { limits: { ...sound, ...wrong } }), { code: 'ERR_INVALID_SPEC' })
  }
  assert.equal((await run(parts, { limits: sound })).outcome, 'ok')
})

// Goal: a module is fetched and compiled once while it is kept, and again after it made room.
// Method: a source that counts its calls, in an engine that keeps two modules.
test('modules are kept by id', async () => {
  const small = createEngine({ moduleCacheMax: 2 })
  const bytes = wasm({ functions: [{ code: '', export: 'run' }] })
  const calls: string[] = []
  const use = (id: string): Promise<Outcome> => small.execute({ ...task(async () => { calls.push(id); return bytes }), moduleId: id }, { payer: '' })
  await Promise.all([use('a'), use('a')])
  await use('b')
  await use('a')
  await use('c')
  await use('a')
  assert.deepEqual(calls, ['a', 'b', 'c'])
  await use('b')
  assert.deepEqual(calls, ['a', 'b', 'c', 'b'])
  const failing = { ...task(() => Promise.reject(new Error('lost'))), moduleId: 'd' }
  await assert.rejects(small.execute(failing, { payer: '' }), /lost/)
  assert.equal((await use('d')).outcome, 'ok')
})

// Goal: one compiled module serves every limit, and runs do not see one another.
// Method: a guest that grows and writes all it can, run under several limits in turn.
test('runs are fresh', async () => {
  const module = task(wasm({
    memory: { min: 1 }, globals: ['mut i32 0'],
    functions: [{
      type: ':i32',
      code: 'global.get 0 i32.const 0 i32.load i32.add i32.const 0 i32.const 9 i32.store i32.const 9 global.set 0 i32.const 1 memory.grow 0 drop',
      export: 'run'
    }]
  }))
  for (const memoryPagesMax of [1, 2, 1, 4]) {
    const outcome = await engine.execute({ ...module, limits: { ...module.limits, memoryPagesMax } }, { payer: '' })
    assert.deepEqual([outcome.exitCode, outcome.pages], [0, Math.min(memoryPagesMax, 2)])
  }
})

// Goal: a cancelled run does not start.
// Method: a signal that is aborted already.
test('a cancelled run', async () => {
  const module = task(wasm({ functions: [{ code: '', export: 'run' }] }))
  await assert.rejects(engine.execute(module, { payer: '', signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' })
})

// Goal: a report describes the module without running or compiling it.
// Method: inspect a small guest of the native interface.
test('inspect', async () => {
  const bytes = wasm({ ...native('i32.const 0'), tags: [] })
  const report = await engine.inspect(bytes)
  assert.deepEqual({ ...report, meteredBytes: 0, estimate: null }, {
    bytes: bytes.length,
    functions: 1,
    abi: 'inos',
    imports: ['inos.input_size', 'inos.input_read', 'inos.output_write', 'inos.log'],
    exports: ['run', 'memory'],
    features: ['mvp'],
    memoryPagesMin: 1,
    estimate: null,
    meteredBytes: 0
  })
  assert.ok(report.meteredBytes > bytes.length)
  assert.ok(report.estimate.cpuMs >= 1 && report.estimate.peakBytes >= 12 * bytes.length)
  assert.equal((await engine.inspect(wasm({}))).abi, 'plain')
  await assert.rejects(engine.inspect(Uint8Array.of(1, 2, 3)), { code: 'ERR_INVALID_MODULE' })
})
