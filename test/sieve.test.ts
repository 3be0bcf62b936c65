/** The example that fans out and folds, as people start it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ENTRY = fileURLToPath(new URL('../examples/sieve/main.ts', import.meta.url))

// Goal: the example does what its README says, with executors, sockets and receipts that are real.
// Method: a small one; the count is known, and some of it was done by others.
test('a sieve fans out over three nodes and folds', { timeout: 240_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [ENTRY, '--json', '--below', '1000000', '--parts', '12'], { timeout: 230_000 })
  const report = JSON.parse(stdout) as { primes: string, same: boolean, receipts: number, executors: number }
  assert.deepEqual([report.primes, report.same, report.receipts], ['78498', true, 12])
  assert.ok(report.executors > 1, stdout)
})
