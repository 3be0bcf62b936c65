/** What README and docs/ show of the library is run as it stands there. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ECHO } from './guests.ts'

/** What the sample of `document` marked "test: NAME" prints: this checkout in the place of the package, an echo in that of `wasm`, in a process and a home of its own. */
function printed (document: string, name: string): string[] {
  const text = readFileSync(new URL(`../${document}`, import.meta.url), 'utf8')
  const sample = new RegExp(`<!-- test: ${name} -->\\n\`\`\`ts\\n(.*?)\`\`\``, 's').exec(text)?.[1]
  assert.ok(sample !== undefined, `${document} has a sample marked "test: ${name}"`)
  const scratch = mkdtempSync(join(tmpdir(), 'inos-readme-'))
  try {
    const file = join(scratch, 'sample.ts')
    const place = (path: string): string => `'${new URL(`../src/${path}`, import.meta.url).href}'`
    const code = sample.replace("'inos'", place('index.ts')).replace("'inos/testing'", place('testing/index.ts'))
    writeFileSync(file, `const wasm = Uint8Array.from([${ECHO.join()}])\n${code}`)
    return execFileSync(process.execPath, [file], { env: { ...process.env, NODE_TEST_CONTEXT: undefined, INOS_HOME: join(scratch, 'home') }, encoding: 'utf8', timeout: 60_000 }).split('\n')
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

// Goal: a reader who copies the sample gets what it promises. Method: cut it out and run it.
test('the library sample of README runs', () => {
  const lines = printed('README.md', 'library')
  assert.match(lines[0]!, /^hello \d+n 0n$/)
  assert.deepEqual(lines.slice(1, 4), ['0 one', '1 two', '2 three'])
  assert.match(lines.slice(4).join(' '), /balance: 0n.*held: 0n.*due: 0n.*owed: 0n.*earned: 0n.*spent: 0n/)
})

// Goal: the same for the sample of the test kit. Method: the same; it runs its own tests, whose report it prints.
test('the sample of docs/testing.md runs', () => {
  const report = printed('docs/testing.md', 'kit').join(' ')
  assert.match(report, /pass 2\b/)
  assert.match(report, /fail 0\b/)
})

// Goal: the same for the sample of actors. Method: the same; the echo keeps its memory and answers what it is sent.
test('the sample of docs/actors.md runs', () => {
  assert.deepEqual(printed('docs/actors.md', 'actor').slice(0, 3), ['1 hello true', "1 [ 'counter' ]", '1'])
})
