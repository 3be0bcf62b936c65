/** A thousand children from the command line, and their tree of receipts in a process that has nothing but the file. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { FAN, fanInput, fanSize } from './family-guests.ts'

const ENTRY = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const root = await mkdtemp(join(tmpdir(), 'inos-family-'))
after(() => rm(root, { recursive: true, force: true }))

async function inos (home: string, ...args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await promisify(execFile)(process.execPath, [ENTRY, ...args, '--json'], { cwd: root, timeout: 200_000, maxBuffer: 2 ** 26, env: { ...process.env, INOS_HOME: join(root, home) } })
  return JSON.parse(stdout) as Record<string, unknown>
}

// Goal: 1,110 children on three levels stay within the fuel of their root, and prove it to whoever has the file alone.
// Method: run them from the command line, and verify the file in another process with a home of its own, which it leaves empty.
test('a thousand children within the budget of their root, verified elsewhere', { timeout: 280_000 }, async () => {
  const shape = { levels: 3, width: 10 }
  await writeFile(join(root, 'fan.wasm'), FAN)
  await writeFile(join(root, 'input'), fanInput({ ...shape, fuel: 2n ** 36n }))
  const { outcome, result, fuel } = await inos('home', 'run', 'fan.wasm', '-i', 'input', '--fuel', String(2n ** 36n), '--memory', '64KiB', '--children', '1110', '--receipt', 'tree.inos')
  assert.deepEqual([outcome, result], ['ok', Buffer.from(Uint32Array.of(1 + fanSize(shape)).buffer).toString('base64')])
  const verified = await inos('elsewhere', 'receipts', 'verify', 'tree.inos')
  const below = verified.below as { receipts: number, executors: number }
  assert.deepEqual([verified.ok, verified.fuel, below.receipts], [true, fuel, fanSize(shape)])
  await assert.rejects(access(join(root, 'elsewhere')))
})
