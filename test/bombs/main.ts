/**
 * Hostile modules through the executor pool: each is refused within a second or stopped within its
 * lease, while the jobs of another payer go on and no executor holds more memory than it may.
 *
 *   npm run bombs [-- --only TEXT]
 *
 * One line per bomb on stderr; the last line on stdout is one JSON object.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { LIMITS } from '../../src/packet/limits.ts'
import { InosError } from '../../src/packet/errors.ts'
import { createExecutorPool } from '../../src/node/executor-pool.ts'
import type { ExecutorPool } from '../../src/node/executor-pool.ts'
import { Lease } from '../../src/assembly/executor-lease.ts'
import { residentBytes } from '../../src/node/executor-process.ts'
import type { Run } from '../../src/wasm/runtime.ts'
import { wasm } from '../wasm-builder.ts'
import { COMPILE_BOMBS } from './compile-bombs.ts'
import type { Bomb } from './compile-bombs.ts'
import { RUN_BOMBS } from './run-bombs.ts'

const FUEL_MAX = 10n ** 8n
const REFUSAL_MS_MAX = 1_000
/** Bytes of code, heap and stacks of Node itself, which the cap of a job's memory does not count. */
const PROCESS_BYTES = 192 * 1024 * 1024
/** A good job beside a bomb may wait for a core, which compilers in the background share, but not for the bomb’s lease. */
const GOOD_MS_MAX = 5_000
const SAMPLE_MS = 50
const COUNT_MIN = 60
/** Refusals of an engine; what else an InosError says is the end of a guest that had to be killed. */
const REFUSALS = new Set(['ERR_INVALID_MODULE', 'ERR_UNSUPPORTED_IMPORT', 'ERR_MISSING_EXPORT'])

interface Result { readonly name: string, readonly ending: string, readonly ms: number, readonly why: string }

function runOf (bytes: Uint8Array): Run {
  return {
    moduleId: createHash('sha256').update(bytes).digest('hex'), wasm: bytes, input: new Uint8Array(100), entry: 'run', args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax: FUEL_MAX, memoryPagesMax: LIMITS.job.memoryPagesMax, outputBytesMax: LIMITS.job.outputBytesMax }, seed: new Uint8Array(32)
  }
}

/** The lease it may use up: with the largest estimate a module of its size can have, as the pool sees it. */
function leaseMs (bytes: Uint8Array): number {
  const lease = new Lease(FUEL_MAX, () => {}, setImmediate)
  lease.expect(bytes.length / 1_000_000 * LIMITS.executor.estimateMsPerMB)
  return lease.ms
}

/** The longest time this process did nothing else while a bomb was in the pool; making bombs does not count. */
class Gaps {
  longestMs = 0
  private last: number | undefined
  private readonly timer = setInterval(() => { this.look() }, 5)

  begin (): void { this.last = performance.now() }

  end (): void {
    this.look()
    this.last = undefined
  }

  stop (): void { clearInterval(this.timer) }

  private look (): void {
    if (this.last === undefined) return
    const now = performance.now()
    this.longestMs = Math.max(this.longestMs, now - this.last)
    this.last = now
  }
}

const gaps = new Gaps()
/** The bomb under way. */
let current = ''

async function drop ({ name, make, refused = false }: Bomb, pool: ExecutorPool): Promise<Result> {
  const bytes = make()
  const run = runOf(bytes)
  current = name
  gaps.begin()
  const started = performance.now()
  const end = await pool.execute(run, { payer: 'bomber' }).then(
    ({ outcome, message }) => ({ ending: outcome as string, message }),
    (error: unknown) => ({ ending: error instanceof InosError ? error.code as string : 'error', message: String(error) })
  )
  const ms = Math.round(performance.now() - started)
  gaps.end()
  const isRefusal = REFUSALS.has(end.ending)
  const late = isRefusal ? ms > REFUSAL_MS_MAX : ms > leaseMs(bytes) + 1_000
  const why = end.ending === 'error' || end.ending === 'ERR_INTERNAL' ? end.message
    : late ? `took ${ms} ms`
      : refused && !isRefusal ? 'was not refused'
        : !refused && isRefusal ? `was refused: ${end.message}` : ''
  console.error(`${why === '' ? 'ok  ' : 'FAIL'} ${String(ms).padStart(6)} ms  ${name}: ${end.ending} ${why || end.message.slice(0, 140)}`)
  return { name, ending: end.ending, ms, why }
}

/** Jobs of another payer, one after the other, each with its own answer. */
async function serve (pool: ExecutorPool, signal: AbortSignal): Promise<{ served: number, slowestMs: number, beside: string, wrong: number }> {
  let [served, slowestMs, wrong] = [0, 0, 0]
  let beside = ''
  while (!signal.aborted) {
    const started = performance.now()
    const outcome = await pool.execute(good, { payer: 'customer' }).catch(() => undefined)
    const ms = performance.now() - started
    if (outcome?.exitCode === 42) served++
    else wrong++
    if (served > 1 && ms > slowestMs) {
      slowestMs = Math.round(ms)
      beside = current
    }
    await sleep(10)
  }
  return { served, slowestMs, beside, wrong }
}

async function weigh (pool: ExecutorPool, signal: AbortSignal): Promise<number> {
  let largest = 0
  while (!signal.aborted) {
    for (const bytes of (await residentBytes(pool.pids())).values()) largest = Math.max(largest, bytes)
    await sleep(SAMPLE_MS)
  }
  return largest
}

const { values: { only = '' } } = parseArgs({ options: { only: { type: 'string' } } })
const good = runOf(wasm({ functions: [{ type: ':i32', code: 'i32.const 42', export: 'run' }] }))
const bombs = [...COMPILE_BOMBS, ...RUN_BOMBS].filter(({ name }) => name.includes(only))
const ended = new AbortController()
await using pool = createExecutorPool({ slots: 2 })
// Executors start before the clock does.
await Promise.all(['customer', 'bomber'].map(payer => pool.execute(good, { payer })))
const serving = serve(pool, ended.signal)
const weighing = weigh(pool, ended.signal)
const results: Result[] = []
for (const bomb of bombs) {
  results.push(await drop(bomb, pool))
}
ended.abort()
gaps.stop()
const { served, slowestMs, beside, wrong } = await serving
const residentMiB = Math.round(await weighing / 1024 / 1024)
const capMiB = Math.round((LIMITS.executor.dataBytesMax + PROCESS_BYTES) / 1024 / 1024)
const failed = results.filter(({ why }) => why !== '')
const count = (holds: (result: Result) => boolean): number => results.filter(holds).length
const ok = failed.length === 0 && wrong === 0 && served > 0 && slowestMs <= GOOD_MS_MAX && residentMiB <= capMiB && (only !== '' || bombs.length >= COUNT_MIN)
console.log(JSON.stringify({
  ok, bombs: bombs.length, refused: count(({ ending }) => REFUSALS.has(ending)), killed: count(({ ending }) => /DEADLINE|LOST/.test(ending)),
  ended: count(({ ending }) => !ending.startsWith('ERR')), failed: failed.map(({ name, why }) => `${name}: ${why.slice(0, 200)}`),
  slowestMs: Math.max(...results.map(({ ms }) => ms)), served, wrong, servedSlowestMs: slowestMs, servedSlowestBeside: beside, loopGapMs: Math.round(gaps.longestMs), residentMiB, capMiB
}))
process.exitCode = ok ? 0 : 1
