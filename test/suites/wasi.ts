/**
 * Runs the preview 1 programs of the official WASI test suite (WebAssembly/wasi-testsuite, branch
 * prod/testsuite-base) through the engine.
 *
 *   node test/suites/wasi.ts DIR     DIR is a checkout of that branch
 *
 * One line per program on stderr; the last line on stdout is one JSON object. Fewer than `PASSED_MIN`
 * passed or any failure not listed in wasi-skips.json makes it exit with 1. Entries of that file carry
 * their reason.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { createEngine } from '../../src/wasm/engine.ts'
import type { Outcome, Run, Runtime } from '../../src/wasm/runtime.ts'

const PASSED_MIN = 45
const FOLDER = 'wasm32-wasip1'
const FUEL_MAX = 10n ** 10n

/** What a program expects, as in the JSON file beside it; `root` is a folder it sees as "/". */
interface Expectations {
  args?: string[]
  env?: Record<string, string>
  root?: string
  exit_code?: number
  stdout?: string
  stderr?: string
}

interface Verdict { readonly name: string, readonly kind: 'ok' | 'fail' | 'skip', readonly reason: string }

function readJson<T> (path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T
}

function findPrograms (directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.wasm') && basename(dirname(path)) === FOLDER)
    .sort().map(path => join(directory, path))
}

function readFiles (root: string): Record<string, Uint8Array> {
  const files: Record<string, Uint8Array> = {}
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) files[path.slice(root.length)] = readFileSync(path)
  }
  return files
}

function makeRun (path: string, { args = [], env = {}, root }: Expectations): Run {
  const wasm = readFileSync(path)
  return {
    moduleId: createHash('sha256').update(wasm).digest('hex'),
    wasm,
    input: new Uint8Array(0),
    entry: '_start',
    args,
    env,
    files: root === undefined ? {} : readFiles(resolve(dirname(path), root)),
    outputs: [],
    limits: { fuelMax: FUEL_MAX, memoryPagesMax: 1_024, outputBytesMax: 1 << 20 },
    seed: new Uint8Array(32)
  }
}

/** What is wrong with an outcome; empty if nothing. */
function compare (outcome: Outcome, { exit_code: exitCode = 0, stdout, stderr }: Expectations): string {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
  if (outcome.outcome !== 'ok') return `${outcome.outcome}: ${outcome.message} ${text(outcome.stderr)}`
  if (outcome.exitCode !== exitCode) return `exit code ${outcome.exitCode}: ${text(outcome.stderr)}`
  if (stdout !== undefined && text(outcome.result) !== stdout) return `stdout ${JSON.stringify(text(outcome.result))}`
  if (stderr !== undefined && text(outcome.stderr) !== stderr) return `stderr ${JSON.stringify(text(outcome.stderr))}`
  return ''
}

async function judge (engine: Runtime, path: string, skips: Record<string, string>): Promise<Verdict> {
  const name = basename(path, '.wasm')
  if (skips[name] !== undefined) return { name, kind: 'skip', reason: skips[name] }
  const file = path.replace(/\.wasm$/, '.json')
  const expected = existsSync(file) ? readJson<Expectations>(file) : {}
  try {
    const outcome = await engine.execute(makeRun(path, expected), { payer: 'suite' })
    const reason = compare(outcome, expected)
    return { name, kind: reason === '' ? 'ok' : 'fail', reason }
  } catch (error) {
    return { name, kind: 'fail', reason: String(error) }
  }
}

async function main (directory: string): Promise<boolean> {
  const skips = readJson<Record<string, string>>(join(import.meta.dirname, 'wasi-skips.json'))
  const engine = createEngine()
  const verdicts: Verdict[] = []
  for (const path of findPrograms(resolve(directory))) {
    const verdict = await judge(engine, path, skips)
    verdicts.push(verdict)
    const { name, kind, reason } = verdict
    console.error(`${kind === 'fail' ? 'FAIL' : kind} ${name}${reason === '' ? '' : `: ${reason.trim().slice(0, 300)}`}`)
  }
  await engine.stop()
  const count = (kind: Verdict['kind']) => verdicts.filter(verdict => verdict.kind === kind).length
  const failures = verdicts.filter(({ kind }) => kind === 'fail').map(({ name, reason }) => ({ name, reason }))
  const ok = count('ok') >= PASSED_MIN && failures.length === 0
  console.log(JSON.stringify({ ok, run: verdicts.length, passed: count('ok'), failed: count('fail'), skipped: count('skip'), failures }))
  return ok
}

const directory = process.argv[2]
if (directory === undefined) {
  console.error('usage: node test/suites/wasi.ts DIR')
  process.exitCode = 64
} else if (!await main(directory)) {
  process.exitCode = 1
}
