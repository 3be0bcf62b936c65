/**
 * What tests of the pool share: runs for the stand-in executor, whose first argument is a command of
 * `executor.fixture.ts`, and questions about processes.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Run } from '../wasm/runtime.ts'
import type { ExecutorPool } from './executor-pool.ts'

export const FIXTURE = new URL('./executor.fixture.ts', import.meta.url)

export function runOf (command: string, argument = '', over: Partial<Run> = {}): Run {
  return {
    moduleId: 'module', wasm: new Uint8Array(8), input: new Uint8Array(0), entry: '', args: [command, argument], env: {}, files: {}, outputs: [],
    limits: { fuelMax: 1000n, memoryPagesMax: 16, outputBytesMax: 100_000 }, seed: new Uint8Array(32), ...over
  }
}

export interface AskOptions { argument?: string, payer?: string, signal?: AbortSignal, over?: Partial<Run> }

/** Run a command and read its answer as text. */
export async function ask (pool: ExecutorPool, command: string, { argument, payer = 'A', signal, over }: AskOptions = {}): Promise<string> {
  const { result } = await pool.execute(runOf(command, argument, over), { payer, ...(signal === undefined ? {} : { signal }) })
  return new TextDecoder().decode(result)
}

/** Whether a process runs; one that has ended and waits to be collected does not. */
export function isAlive (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' && process.platform !== 'linux'
  }
}

/** Wait until something holds. @throws {Error} naming it after `msMax` */
export async function until (what: string, holds: () => boolean, msMax = 30_000): Promise<void> {
  for (const end = performance.now() + msMax; !holds(); await sleep(5)) {
    if (performance.now() > end) throw new Error(`not within ${msMax} ms: ${what}`)
  }
}
