/** What README shows of the library is run as it stands there. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ECHO } from './guests.ts'

// Goal: a reader who copies the sample gets what it promises. Method: cut it out, put this checkout in the
// place of the package and an echo in the place of `wasm`, and run it in a process and a home of its own.
test('the library sample of README runs', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const sample = /<!-- test: library -->\n```ts\n(.*?)```/s.exec(readme)?.[1]
  assert.ok(sample !== undefined, 'README has a sample marked "test: library"')
  const scratch = mkdtempSync(join(tmpdir(), 'inos-readme-'))
  try {
    const file = join(scratch, 'sample.ts')
    const inos = new URL('../src/index.ts', import.meta.url).href
    writeFileSync(file, `const wasm = Uint8Array.from([${ECHO.join()}])\n${sample.replace("'inos'", `'${inos}'`)}`)
    const printed = execFileSync(process.execPath, [file], { env: { ...process.env, INOS_HOME: join(scratch, 'home') }, encoding: 'utf8', timeout: 60_000 }).split('\n')
    assert.match(printed[0]!, /^hello \d+n 0n$/)
    assert.deepEqual(printed.slice(1, 4), ['0 one', '1 two', '2 three'])
    assert.match(printed.slice(4).join(' '), /balance: 0n.*held: 0n.*due: 0n.*owed: 0n.*earned: 0n.*spent: 0n/)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
})
