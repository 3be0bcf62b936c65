/**
 * Runs the tests of a suite with Node's own runner and keeps what the runner reports: counts and
 * the names of skipped tests go to .test-report/<suite>.json, which CI adds up.
 *
 * node scripts/test.ts unit          beside the files of one room, and the tidy test
 * node scripts/test.ts integration   processes, sockets, real programs
 */
import { globSync, mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const SUITES: Record<string, { files: string[], concurrency: number }> = {
  unit: { files: ['src/**/*.test.ts', 'cli/**/*.test.ts', 'examples/**/*.test.ts', 'test/tidy.test.ts'], concurrency: availableParallelism() + 1 },
  // One file at a time: they start nodes, and time limits of theirs are meant for an idle machine.
  integration: { files: ['test/**/*.test.ts'], concurrency: 1 }
}
const name = process.argv[2] ?? ''
const suite = SUITES[name]
if (suite === undefined) {
  console.error(`usage: node scripts/test.ts ${Object.keys(SUITES).join('|')}`)
  process.exit(64)
}

const files = globSync(suite.files, { cwd: root }).filter(file => name === 'unit' || file !== join('test', 'tidy.test.ts')).sort()
const report = { passed: 0, failed: 0, skipped: [] as string[] }
const started = performance.now()
const tests = run({ files: files.map(file => join(root, file)), concurrency: suite.concurrency, timeout: 300_000 })
/** Only leaves are counted; a file or a describe block is not a test of its own. */
const isLeaf = (data: { details: { type?: string | undefined }, file?: string | undefined, name: string }): boolean =>
  data.details.type !== 'suite' && data.name !== data.file
tests.on('test:pass', data => {
  if (!isLeaf(data)) return
  if (data.skip !== undefined) report.skipped.push(data.name)
  else report.passed++
})
// A file that dies outside its tests fails too.
tests.on('test:fail', data => { if (data.details.type !== 'suite') report.failed++ })
tests.compose(spec).pipe(process.stdout)
tests.on('end', () => {
  mkdirSync(join(root, '.test-report'), { recursive: true })
  writeFileSync(join(root, '.test-report', `${name}.json`), `${JSON.stringify(report, null, 2)}\n`)
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  console.log(`${name}: ${report.passed} passed, ${report.failed} failed, ${report.skipped.length} skipped in ${seconds} s`)
  process.exitCode = report.failed === 0 && report.passed > 0 ? 0 : 1
})
