/**
 * The page of `determinism-browser.test.ts`, and the worker it starts: one script for both. It fetches the
 * modules from where it came from, runs the guests of `determinism-guests.ts` and says how each ended.
 */
import { runGuests } from './determinism-guests.ts'
import type { Endings, GuestFiles } from './determinism-guests.ts'

/** What is used here of a page and of a worker, which the types of Node do not know. */
interface Messages { onmessage: ((event: { data: unknown }) => void) | null, postMessage (message: unknown): void }
interface Scope extends Messages {
  document?: object
  Worker: new (url: string, options: { type: 'module' }) => Messages & { onerror: ((event: { message: string }) => void) | null }
  inosRun?: (where: 'page' | 'worker', promise: boolean) => Promise<Endings>
}
type Answer = { endings: Endings } | { error: string }

const scope = globalThis as unknown as Scope

async function fetchBytes (path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(path)
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

async function runHere (promise: boolean): Promise<Endings> {
  const names = await (await fetch('/kernels')).json() as string[]
  const kernels: Record<string, Uint8Array<ArrayBuffer>> = {}
  for (const name of names) kernels[name] = await fetchBytes(`/kernels/${name}`)
  const files: GuestFiles = { kernels, python: await fetchBytes('/python'), esbuild: await fetchBytes('/esbuild') }
  return runGuests(files, promise)
}

function runInWorker (promise: boolean): Promise<Endings> {
  const worker = new scope.Worker('/script.js', { type: 'module' })
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      const answer = data as Answer
      if ('endings' in answer) resolve(answer.endings)
      else reject(new Error(answer.error))
    }
    worker.onerror = ({ message }) => { reject(new Error(message)) }
    worker.postMessage(promise)
  })
}

if (scope.document !== undefined) scope.inosRun = (where, promise) => where === 'page' ? runHere(promise) : runInWorker(promise)
else {
  scope.onmessage = ({ data }) => {
    runHere(data === true).then(endings => { scope.postMessage({ endings }) }, (error: unknown) => { scope.postMessage({ error: String(error) }) })
  }
}
