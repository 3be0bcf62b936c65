/**
 * Ray and Dask for `market.ts`: installed once into a virtual environment in the user's cache, never
 * into the tree, each started as a process of its own that takes samples by line (`neighbours.py`).
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Rate } from './rate.ts'

const PACKAGES = ['ray==2.60.0', 'distributed==2026.8.0']
export const SYSTEMS = ['ray', 'dask'] as const
export type System = typeof SYSTEMS[number]

export interface Neighbour extends AsyncDisposable {
  /** The process that all others of the system descend from. */
  readonly pid: number
  /** So many no-op tasks with distinct inputs; with one in flight one after the other, else all handed over at once. */
  measure (inFlight: number, count: number): Promise<Rate>
}

/** @returns the Python that has both; @throws when pip cannot install them here */
export function installNeighbours (): string {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'inos')
  const venv = join(cache, `market-${PACKAGES.join('-').replaceAll(/[^\w.-]/g, '')}`)
  const python = join(venv, 'bin', 'python')
  const done = join(venv, 'installed')
  if (existsSync(done)) return python
  console.error(`installing ${PACKAGES.join(' and ')} into ${venv}`)
  rmSync(venv, { recursive: true, force: true })
  mkdirSync(cache, { recursive: true })
  execFileSync('python3', ['-m', 'venv', venv])
  execFileSync(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...PACKAGES], { stdio: ['ignore', 'inherit', 'inherit'] })
  // Only a whole installation is found the next time.
  mkdirSync(`${done}-`)
  renameSync(`${done}-`, done)
  return python
}

export async function startNeighbour (python: string, system: System, workers: number): Promise<Neighbour> {
  const child = spawn(python, [fileURLToPath(new URL('neighbours.py', import.meta.url)), system, String(workers)], { stdio: ['pipe', 'pipe', 'ignore'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const hear = async (): Promise<unknown> => {
    for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
      if (line.value.startsWith('{')) return JSON.parse(line.value)
    }
    throw new Error(`${system} ended before it answered`)
  }
  await hear()
  return {
    pid: child.pid!,
    async measure (inFlight, count) {
      child.stdin.write(`${JSON.stringify({ inFlight, count })}\n`)
      return await hear() as Rate
    },
    [Symbol.asyncDispose]: () => end(child)
  }
}

async function end (child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.stdin?.end()
  if (child.exitCode === null) await ended
}
