/** `inos run job.js` and `inos run job.py`, as people call them. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { QUICKJS, withQuickJS } from './quickjs.ts'

const MAIN = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const root = mkdtempSync(join(tmpdir(), 'inos-scripts-'))
after(() => rmSync(root, { recursive: true, force: true }))

interface Done { code: number | null, stdout: string, stderr: string }

function run (file: string, source: string, { input = '', args = [], env = {}, folder = 'a' }: { input?: string, args?: readonly string[], env?: Record<string, string>, folder?: string } = {}): Done {
  const dir = join(root, folder)
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, file), source)
  const { INOS_PYTHON: _python, INOS_QUICKJS: _quickjs, ...inherited } = process.env
  const done = spawnSync(process.execPath, [MAIN, 'run', join(dir, file), ...args], {
    cwd: root, input, encoding: 'utf8', timeout: 120_000, env: { ...inherited, INOS_HOME: join(root, 'home'), ...env }
  })
  return { code: done.status, stdout: done.stdout, stderr: done.stderr }
}

// Goal: a JavaScript job reads stdin and its arguments and writes stdout; promises and timers end before it does.
// Method: scripts that do each of it, output to the letter.
test('JavaScript', withQuickJS, () => {
  const answer = run('job.js', 'print(JSON.parse(std.in.readAsString()).a * 21, ...scriptArgs)', { input: '{"a":2}', args: ['--', 'x', '-y'] })
  assert.deepEqual([answer.code, answer.stdout], [0, '42 /job.js x -y\n'], answer.stderr)
  const waits = run('job.mjs', `
    import * as os from 'os'
    setTimeout(() => console.log('timer', Date.now() - start), 60_000)
    const start = Date.now()
    console.log(await new Promise(resolve => os.setTimeout(() => resolve('promise'), 1000)))
    std.out.write(new Uint8Array([65, 0, 10]).buffer, 0, 3)`)
  assert.match(waits.stdout, /^promise\nA\0\ntimer 600\d\d\n$/)
})

// Goal: a script that fails says so, and its exit code is its own.
// Method: an exception, a rejection nobody handles, a syntax error, endless recursion, std.exit.
test('JavaScript that fails', withQuickJS, () => {
  for (const [source, code, said] of [
    ["throw new Error('gone')", 1, /Error: gone\n {4}at <anonymous> \(\/job\.js:1/],
    ["Promise.reject(new Error('nobody'))", 1, /nobody/],
    ['let let', 1, /SyntaxError/],
    ['const f = () => f(); f()', 1, /RangeError/],
    ["console.error('bye'); std.exit(7)", 7, /^bye\n/m]
  ] as const) {
    const done = run('job.js', source)
    assert.deepEqual([done.code, done.stdout], [code, ''], source)
    assert.match(done.stderr, said)
  }
})

// Goal: what a script computes depends on nothing of the machine it is sent from.
// Method: one source in two folders under two names; clock, randomness, fuel and result are compared.
test('a script is its bytes', withQuickJS, () => {
  const source = 'print(Math.random(), Date.now(), performance.now(), scriptArgs)'
  const runs = [run('job.js', source), run('other.js', source, { folder: 'b' })].map(done => {
    assert.equal(done.code, 0, done.stderr)
    return [done.stdout, /fuel [\d,_ ]+/.exec(done.stderr)?.[0]]
  })
  assert.deepEqual(runs[0], runs[1])
})

// Goal: the same for Python, through the package that npm has. Method: stdin, arguments, exit code, a traceback.
test('Python', () => {
  const answer = run('job.py', 'import sys, json\nprint(json.load(sys.stdin)["a"] * 21, sys.argv)', { input: '{"a":2}', args: ['--', 'x', '-y'] })
  assert.deepEqual([answer.code, answer.stdout], [0, "42 ['/job.py', 'x', '-y']\n"], answer.stderr)
  assert.equal(run('job.py', 'import sys; sys.exit(3)').code, 3)
  const failed = run('job.py', '1 / 0')
  assert.equal(failed.code, 1)
  assert.match(failed.stderr, /File "\/job\.py", line 1.*ZeroDivisionError/s)
})

// Goal: another interpreter can be named, and one that is not there is an error that says what to do.
// Method: paths to nothing, and QuickJS under the name of Python: it reads its script as JavaScript.
test('the interpreter can be chosen', withQuickJS, () => {
  const missing = run('job.py', 'print(1)', { env: { INOS_PYTHON: join(root, 'none.wasm') } })
  assert.equal(missing.code, 64)
  assert.match(missing.stderr, /none\.wasm cannot be read/)
  const other = run('job.py', 'print([1, 2].map(x => x * 2))', { env: { INOS_PYTHON: QUICKJS } })
  assert.deepEqual([other.code, other.stdout], [0, '2,4\n'], other.stderr)
})
