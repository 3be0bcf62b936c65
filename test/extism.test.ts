/**
 * Extism plug-ins, as `inos run --entry` runs them: published ones (`fixtures/extism`, unmodified) and one in C that
 * uses what those do not. The larger published ones are in `suites/extism.ts`.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createEngine } from '../src/wasm/engine.ts'
import type { Outcome } from '../src/wasm/runtime.ts'
import { wasm } from './wasm-builder.ts'

const MAIN = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/extism/${name}`, import.meta.url))
const root = mkdtempSync(join(tmpdir(), 'inos-extism-'))
after(() => rmSync(root, { recursive: true, force: true }))

const engine = createEngine()
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

function call (file: string, entry: string, input: string, env: Record<string, string> = {}, fuelMax = 10n ** 9n): Promise<Outcome> {
  return engine.execute({
    moduleId: file, wasm: readFileSync(file), input: new TextEncoder().encode(input), entry, args: [], env, files: {}, outputs: [], seed: new Uint8Array(32),
    limits: { fuelMax, memoryPagesMax: 256, outputBytesMax: 1 << 20 }
  }, { payer: 'test' })
}

// Goal: plug-ins that others have built and published run as they are. Method: each one's own test, from outside.
test('published plug-ins run', async () => {
  const hello = await call(fixture('hello.wasm'), 'run_test', '')
  assert.deepEqual([hello.outcome, hello.exitCode, text(hello.result)], ['ok', 0, 'Hello, world!'])
  const offset = await call(fixture('input_offset.wasm'), 'input_offset_length', 'hello')
  assert.equal(new DataView(offset.result.buffer).getBigUint64(0, true), 5n)
  const fail = await call(fixture('fail.wasm'), 'run_test', '')
  assert.deepEqual([fail.exitCode, text(fail.result), text(fail.stderr)], [1, '', 'Some error message\n'])
  assert.equal((await call(fixture('alloc.wasm'), 'run_test', '')).exitCode, 0)
})

// Goal: so they do from the command line, and a module check knows what they are.
// Method: run one with --entry; an entry that is not there is named.
test('inos run --entry', () => {
  const inos = (...args: string[]): { status: number | null, stdout: string, stderr: string } =>
    spawnSync(process.execPath, [MAIN, ...args], { cwd: root, input: '', encoding: 'utf8', timeout: 120_000, env: { ...process.env, INOS_HOME: join(root, 'home') } })
  assert.equal(inos('run', fixture('hello.wasm'), '--entry', 'run_test').stdout, 'Hello, world!')
  const missing = inos('run', fixture('hello.wasm'))
  assert.equal(missing.status, 101)
  assert.match(missing.stderr, /exports no function run; it exports run_test/)
  assert.equal((JSON.parse(inos('module', 'check', '--json', fixture('hello.wasm')).stdout) as { abi: string }).abi, 'extism:host/env')
})

// Goal: what a plug-in prints is talk, and no part of its result. Method: one that writes "talk" to WASI's stdout,
// also more often than a result could hold, and names eight bytes of its own as output; then the same without Extism.
test('stdout of a plug-in goes to stderr', async () => {
  const imports = [{ module: 'wasi_snapshot_preview1', name: 'fd_write', type: 'i32,i32,i32,i32:i32' }, { module: 'extism:host/env', name: 'alloc', type: 'i64:i64' }, { module: 'extism:host/env', name: 'output_set', type: 'i64,i64:' }]
  const data = [{ offset: 0, bytes: new Uint8Array(new Uint32Array([8, 5]).buffer) }, { offset: 8, bytes: new TextEncoder().encode('talk\n') }]
  const print = 'loop i32.const 1 i32.const 0 i32.const 1 i32.const 16 call 0 drop local.get 0 i32.const 1 i32.add local.tee 0 i32.const 20 i32.lt_u br_if 0 end'
  const run = (plugin: boolean): Promise<Outcome> => engine.execute({
    moduleId: `talk ${plugin}`,
    wasm: wasm({
      imports: plugin ? imports : imports.slice(0, 1), memory: { min: 1 }, data, exports: { memory: 'memory 0' },
      functions: [{ type: ':i32', locals: 'i32', export: 'run', code: `${print} ${plugin ? 'i64.const 8 call 1 i64.const 8 call 2' : ''} i32.const 0` }]
    }),
    input: new Uint8Array(0), entry: 'run', args: [], env: {}, files: {}, outputs: [], seed: new Uint8Array(32), limits: { fuelMax: 10n ** 6n, memoryPagesMax: 1, outputBytesMax: plugin ? 8 : 100 }
  }, { payer: 'test' })
  const plugin = await run(true)
  assert.deepEqual([plugin.outcome, plugin.result, text(plugin.stderr)], ['ok', new Uint8Array(8), 'talk\n'.repeat(20)])
  const command = await run(false)
  assert.deepEqual([command.outcome, text(command.result), text(command.stderr)], ['ok', 'talk\n'.repeat(20), ''])
})

/** Counts vowels in Extism's way: config names them, a variable keeps the total of two rounds, log tells. */
const COUNT_VOWELS = `
typedef unsigned long long u64;
#define HOST(name) __attribute__((import_module("extism:host/env"), import_name(#name))) extern
HOST(input_length) u64 input_length(void);
HOST(input_load_u8) unsigned char input_load_u8(u64);
HOST(alloc) u64 alloc(u64);
HOST(free) void release(u64);
HOST(length) u64 length(u64);
HOST(load_u8) unsigned char load_u8(u64);
HOST(store_u8) void store_u8(u64, unsigned char);
HOST(load_u64) u64 load_u64(u64);
HOST(store_u64) void store_u64(u64, u64);
HOST(output_set) void output_set(u64, u64);
HOST(error_set) void error_set(u64);
HOST(config_get) u64 config_get(u64);
HOST(var_get) u64 var_get(u64);
HOST(var_set) void var_set(u64, u64);
HOST(log_info) void log_info(u64);
HOST(http_request) u64 http_request(u64, u64);
HOST(http_status_code) int http_status_code(void);

static u64 put(const char *text) {
  u64 size = 0;
  while (text[size]) size++;
  u64 at = alloc(size);
  for (u64 i = 0; i < size; i++) store_u8(at + i, text[i]);
  return at;
}

__attribute__((export_name("count_vowels"))) int count_vowels(void) {
  u64 vowels = config_get(put("vowels"));
  if (vowels == 0) { error_set(put("no vowels")); return 1; }
  for (int round = 0; round < 2; round++) {
    u64 before = var_get(put("total")), total = before ? load_u64(before) : 0;
    if (before) release(before);
    for (u64 i = 0; i < input_length(); i++)
      for (u64 v = 0; v < length(vowels); v++) total += input_load_u8(i) == load_u8(vowels + v);
    u64 value = alloc(8);
    store_u64(value, total);
    var_set(put("total"), value);
  }
  log_info(put("counted"));
  if (http_request(put("{\\"url\\":\\"http://example.org\\"}"), 0) != 0 || http_status_code() != 0) return 2;
  output_set(var_get(put("total")), 8);
  return 0;
}
`

const noClang = spawnSync('wasm-ld', ['--version']).status !== 0 || spawnSync('clang', ['--version']).status !== 0

// Goal: config, variables, log and the refusal of HTTP work for a module as they do for a caller in JavaScript, and cost
// what they cost. Method: a plug-in in C against the documented ABI; then one unit of fuel less than it burnt.
test('a plug-in in C runs', { skip: noClang && 'apt install clang lld' }, async () => {
  const file = join(root, 'count_vowels.wasm')
  execFileSync('clang', ['--target=wasm32', '-O2', '-nostdlib', '-fno-builtin', '-Wl,--no-entry', '-x', 'c', '-', '-o', file], { input: COUNT_VOWELS })
  const counted = await call(file, 'count_vowels', 'Hello, wörld!', { vowels: 'aeiou' })
  assert.deepEqual([counted.outcome, counted.exitCode, text(counted.stderr)], ['ok', 0, 'counted\n'])
  assert.equal(new DataView(counted.result.buffer).getBigUint64(0, true), 4n)
  assert.deepEqual(await call(file, 'count_vowels', 'Hello, wörld!', { vowels: 'aeiou' }), counted)
  assert.equal((await call(file, 'count_vowels', 'Hello, wörld!', { vowels: 'aeiou' }, counted.fuel - 1n)).outcome, 'fuel')
  const failed = await call(file, 'count_vowels', 'Hello')
  assert.deepEqual([failed.exitCode, text(failed.stderr)], [1, 'no vowels\n'])
})
