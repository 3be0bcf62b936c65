/**
 * Published Extism plug-ins through the engine: those that Extism's Go SDK ships for its own tests, built with
 * Rust, Go, TinyGo and Zig. They are not committed; get them with
 *
 *   go mod download -json github.com/extism/go-sdk@v1.7.1        # prints "Dir"
 *   npm run suite:extism -- DIR/wasm
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createEngine } from '../../src/wasm/engine.ts'

interface Case { plugin: string, entry: string, input?: string, env?: Record<string, string>, files?: Record<string, string>, exitCode?: number, result?: string | RegExp, stderr?: string }

const CASES: readonly Case[] = [
  { plugin: 'alloc', entry: 'run_test' },
  { plugin: 'config', entry: 'run_test', env: { thing: 'yes' }, result: '{"config": "yes"}' },
  { plugin: 'count_vowels', entry: 'count_vowels', input: 'hello world', result: '{"count":3,"total":3,"vowels":"aeiouAEIOU"}' },
  { plugin: 'count_vowels_std', entry: '', input: 'hello world', result: '{"count": 3, "config": "<unset by host>", "a": "this is var a"}' },
  { plugin: 'exit', entry: '', env: { code: '3' }, exitCode: 3 },
  { plugin: 'fail', entry: 'run_test', exitCode: 1, stderr: 'Some error message\n' },
  { plugin: 'fs', entry: 'run_test', files: { '/mnt/test.txt': 'hello world!' }, result: 'hello world!' },
  { plugin: 'fs_std', entry: 'run_test', files: { '/mnt/test.txt': 'hello world!' }, result: 'hello world!' },
  { plugin: 'hello', entry: 'run_test', result: 'Hello, world!' },
  { plugin: 'input_offset', entry: 'input_offset_length', input: 'hello', result: '\u0005\0\0\0\0\0\0\0' },
  { plugin: 'log', entry: 'run_test', stderr: 'this is an info log\nthis is a warning log\nthis is an error log\n' },
  { plugin: 'noop', entry: 'run_test' },
  { plugin: 'println', entry: 'run_test', input: 'hi', result: 'this was printed from the plugin hi\n' },
  { plugin: 'replace', entry: 'run_test', input: 'Hello, World', result: /^Hello, / },
  { plugin: 'sleep', entry: 'run_test', env: { duration: '3' }, result: 'slept for 3 seconds' },
  { plugin: 'std_command', entry: '', input: 'x', result: 'hello x' },
  { plugin: 'var', entry: 'run_test', result: 'a: 0' }
]

/** What the rest needs, and INOS does not give. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  read_write: 'a directory of the host that keeps what is written',
  http: 'HTTP', http_headers: 'HTTP',
  host: 'functions of the embedding program', host_memory: 'functions of the embedding program', host_multiple: 'functions of the embedding program',
  lib: 'linking of several modules', main: 'linking of several modules',
  hello_haskell: 'hs_init(argc, argv) before the entry', 'nested.c.instr': 'functions of an instrumentation tool'
}

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.error('usage: npm run suite:extism -- DIR')
  process.exit(64)
}

const engine = createEngine()
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const matches = (wanted: string | RegExp, found: string): boolean => typeof wanted === 'string' ? found === wanted : wanted.test(found)

function bytesOf (files: Readonly<Record<string, string>>): Record<string, Uint8Array> {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [path, new TextEncoder().encode(content)]))
}

async function run ({ plugin, entry, input = '', env = {}, files = {}, exitCode = 0, result = '', stderr = '' }: Case): Promise<string> {
  try {
    const outcome = await engine.execute({
      moduleId: plugin, wasm: readFileSync(join(folder!, `${plugin}.wasm`)), input: new TextEncoder().encode(input), entry, args: [], env, files: bytesOf(files), outputs: [],
      seed: new Uint8Array(32), limits: { fuelMax: 10n ** 10n, memoryPagesMax: 4_096, outputBytesMax: 1 << 20 }
    }, { payer: 'suite' })
    const right = outcome.outcome === 'ok' && outcome.exitCode === exitCode && matches(result, text(outcome.result)) && matches(stderr, text(outcome.stderr))
    return right ? '' : `${outcome.outcome} ${outcome.exitCode} ${JSON.stringify(text(outcome.result))} ${JSON.stringify(text(outcome.stderr))} ${outcome.message}`
  } catch (error) {
    return String(error)
  }
}

let failed = 0
for (const each of CASES) {
  const wrong = await run(each)
  if (wrong !== '') failed++
  console.log(`${wrong === '' ? 'ok  ' : 'FAIL'} ${each.plugin} ${wrong}`)
}
for (const [plugin, needs] of Object.entries(LEFT_OUT)) console.log(`left out: ${plugin} needs ${needs}`)
console.log(`${CASES.length - failed} passed, ${failed} failed, ${Object.keys(LEFT_OUT).length} left out`)
process.exitCode = failed === 0 ? 0 : 1
