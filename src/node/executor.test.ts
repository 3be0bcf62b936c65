import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import binaryen from 'binaryen'
import { LIMITS } from '../packet/limits.ts'
import { createEngine } from '../wasm/engine.ts'
import type { Run } from '../wasm/runtime.ts'
import { createExecutorPool } from './executor-pool.ts'
import type { ExecutorPool } from './executor-pool.ts'

function assemble (text: string): Uint8Array {
  const module = binaryen.parseText(`(module ${text})`)
  module.setFeatures(binaryen.Features.All)
  try {
    return module.emitBinary()
  } finally {
    module.dispose()
  }
}

const ECHO = assemble(`
  (import "inos" "input_size" (func $size (result i32)))
  (import "inos" "input_read" (func $read (param i32 i32 i32) (result i32)))
  (import "inos" "output_write" (func $write (param i32 i32) (result i32)))
  (memory (export "memory") 1100)
  (func (export "run") (result i32)
    (drop (call $read (i32.const 0) (i32.const 0) (call $size)))
    (drop (call $write (i32.const 0) (call $size)))
    (i32.const 0))`)
const NOTHING = assemble('(func (export "run") (result i32) (i32.const 0))')
const LOOP = assemble('(func (export "run") (result i32) (loop $l (br $l)) (i32.const 0))')
const GROW = assemble(`
  (memory (export "memory") 0 16384)
  (func (export "run") (result i32)
    (drop (memory.grow (i32.const 16384)))
    (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x3fffffff))
    (memory.size))`)

function runOf (wasm: Uint8Array, over: Partial<Run> = {}): Run {
  return {
    moduleId: createHash('sha256').update(wasm).digest('hex'), wasm, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax: 10_000_000_000n, memoryPagesMax: LIMITS.spec.memoryPagesMax, outputBytesMax: LIMITS.spec.outputBytesMax },
    seed: new Uint8Array(32), ...over
  }
}

const open = (): ExecutorPool => createExecutorPool({ slots: 1 })
const A = { payer: 'A' }

// Goal: where a guest runs changes nothing of its outcome.
// Method: the same runs in an executor and in this process, one with a result of 64 MiB, one out of fuel, one inspected.
test('an executor gives the outcomes of the engine', { timeout: 60_000 }, async () => {
  await using pool = open()
  const engine = createEngine()
  const input = new Uint8Array(LIMITS.spec.outputBytesMax)
  input.forEach((_, at) => { if (at % 997 === 0) input[at] = at })
  const fuelMax = 1_000_000n
  for (const run of [runOf(ECHO, { input }), runOf(LOOP, { limits: { fuelMax, memoryPagesMax: 0, outputBytesMax: 0 } }), runOf(NOTHING)]) {
    const [there, here] = [await pool.execute(run, A), await engine.execute(run, A)]
    assert.ok(Buffer.compare(there.result, here.result) === 0)
    assert.deepEqual({ ...there, result: null, stderr: Buffer.from(there.stderr) }, { ...here, result: null, stderr: Buffer.from(here.stderr) })
  }
  assert.deepEqual(await pool.inspect(ECHO), await engine.inspect(ECHO))
})

// Goal: a refusal keeps its code, and the executor lives on.
// Method: no module at all, a wrong entry, an unknown import; the executor is the same before and after.
test('refusals come back by name', async () => {
  const log: string[] = []
  await using pool = createExecutorPool({ slots: 1, log: line => { log.push(line) } })
  await assert.rejects(pool.execute(runOf(Uint8Array.of(1, 2, 3)), A), { code: 'ERR_INVALID_MODULE' })
  await assert.rejects(pool.execute(runOf(NOTHING, { entry: 'other' }), A), { code: 'ERR_MISSING_EXPORT' })
  await assert.rejects(pool.execute(runOf(assemble('(import "env" "f" (func)) (func (export "run"))')), A), { code: 'ERR_UNSUPPORTED_IMPORT' })
  await assert.rejects(pool.inspect(new Uint8Array(100)), { code: 'ERR_INVALID_MODULE' })
  assert.equal((await pool.execute(runOf(NOTHING), A)).outcome, 'ok')
  assert.deepEqual(log, [])
})

// Goal: an executor can give every memory it accepts, not only once.
// Method: three runs, each filling 1 GiB, in one executor; all within the cap on its data.
test('memory is given back between jobs', { timeout: 60_000 }, async () => {
  await using pool = open()
  for (let i = 0; i < 3; i++) assert.equal((await pool.execute(runOf(GROW), A)).outcome, 'ok')
})

// Goal: a guest in an endless loop with all the fuel in the world can be stopped, and soon.
// Method: abort after 100 ms; the next job is done long before the lease would end.
test('a looping guest is killed', async () => {
  await using pool = open()
  await pool.execute(runOf(NOTHING), A)
  const limits = { fuelMax: LIMITS.spec.fuelMax, memoryPagesMax: 0, outputBytesMax: 0 }
  await assert.rejects(pool.execute(runOf(LOOP, { limits }), { payer: 'A', signal: AbortSignal.timeout(100) }), { code: 'ERR_CANCELLED' })
  const begin = performance.now()
  assert.equal((await pool.execute(runOf(NOTHING), { payer: 'B' })).outcome, 'ok')
  assert.ok(performance.now() - begin < 30_000)
})

// Goal: the executor starts wherever an installer puts the program, also when its packages are links.
// Method: copy the rooms it reads to a new place, beside a link to its package, and run a job from there.
test('an executor of a linked installation', async () => {
  const folder = await mkdtemp(join(await realpath(tmpdir()), 'inos-'))
  try {
    const rooms = fileURLToPath(new URL('..', import.meta.url))
    for (const room of ['node', 'wasm', 'packet']) await cp(join(rooms, room), join(folder, 'src', room), { recursive: true })
    await writeFile(join(folder, 'package.json'), '{"type":"module"}')
    await mkdir(join(folder, 'node_modules', '@noble'), { recursive: true })
    await symlink(dirname(fileURLToPath(import.meta.resolve('@noble/hashes/sha2.js'))), join(folder, 'node_modules', '@noble', 'hashes'), 'junction')
    await using pool = createExecutorPool({ slots: 1, entry: pathToFileURL(join(folder, 'src', 'node', 'executor.ts')) })
    assert.equal((await pool.execute(runOf(NOTHING), A)).outcome, 'ok')
  } finally {
    await rm(folder, { recursive: true })
  }
})
