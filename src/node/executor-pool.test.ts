import assert from 'node:assert/strict'
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ErrorCode } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createExecutorPool } from './executor-pool.ts'
import type { ExecutorPool } from './executor-pool.ts'
import { ask, FIXTURE, isAlive, runOf, until } from './executor-run.fixture.ts'
import { NO_WALLS, probeWalls } from './executor-walls.ts'

const open = (slots = 2, log: string[] = []): ExecutorPool => createExecutorPool({ slots, entry: FIXTURE, log: line => { log.push(line) } })

/** Wait until the spare is up as well, so that no test depends on a start that still goes on. */
async function settle (pool: ExecutorPool): Promise<void> {
  await ask(pool, 'echo')
  await until('the spare is up', () => pool.pids('ready').length >= 2 && pool.pids('ready').length === pool.pids().length)
}

const fails = (code: ErrorCode, message = /./) => (error: unknown): boolean => {
  assert.ok(error instanceof Error && 'code' in error)
  assert.equal(error.code, code)
  assert.match(error.message, message)
  return true
}

// Goal: many jobs over few slots all come back, each with its own answer, and never more run than there are slots.
// Method: 200 jobs of five payers at once, watching the load.
test('200 jobs over 2 slots', async () => {
  await using pool = open()
  const jobs = Array.from({ length: 200 }, (_, at) => ask(pool, 'echo', { argument: `job ${at}`, payer: `payer ${at % 5}` }))
  assert.ok(pool.load().queued > 190)
  const seen = setInterval(() => { assert.ok(pool.load().busy <= 2 && pool.pids().length <= 3) }, 1)
  assert.deepEqual(await Promise.all(jobs), Array.from({ length: 200 }, (_, at) => `job ${at}`))
  clearInterval(seen)
  // What was taken back from a slow executor may still run there, for nobody.
  await until('all rest', () => pool.load().busy === 0 && pool.load().queued === 0)
})

// Goal: guests of two payers never share an executor, and a payer with many jobs does not keep others waiting.
// Method: on one slot, A queues 20 slow jobs and then B one; B's comes after at most two of A's.
test('payers take turns', async () => {
  await using pool = open(1)
  await settle(pool)
  const ended: string[] = []
  const send = (payer: string): Promise<unknown> => ask(pool, 'wait', { argument: '5', payer }).then(() => ended.push(payer))
  const jobs = [...Array.from({ length: 20 }, () => send('A')), send('B')]
  await Promise.all(jobs)
  assert.ok(ended.indexOf('B') <= 2, `B was number ${ended.indexOf('B')}`)
})

// Goal: a module is fetched only by an executor that lacks it, and jobs go where it is compiled.
// Method: two executors are warm; ten runs of one module by a function that counts its calls.
test('a job goes where its module is', async () => {
  await using pool = open()
  await settle(pool)
  let fetched = 0
  const over = { moduleId: 'other', wasm: async () => { fetched++; return new Uint8Array(100) } }
  const names = new Set<string>()
  for (let i = 0; i < 10; i++) names.add(await ask(pool, 'name', { over }))
  assert.equal(fetched, 1)
  assert.equal(names.size, 1)
})

// Goal: a module that cannot be fetched fails its own job with its own reason, and no executor is lost by it.
// Method: a source that rejects; the executor that asked answers the next job.
test('a module that cannot be had', async () => {
  const log: string[] = []
  await using pool = open(1, log)
  const wasm = (): Promise<Uint8Array> => Promise.reject(new Error('no holder'))
  await assert.rejects(ask(pool, 'echo', { over: { moduleId: 'gone', wasm } }), fails('ERR_INTERNAL', /no holder/))
  assert.equal(await ask(pool, 'echo', { argument: 'on' }), 'on')
  assert.deepEqual(log, [])
})

// Goal: the queue has an end, said with a code that sends the buyer elsewhere.
// Method: fill the only slot and the whole queue, then one more.
test('a full queue is busy', async () => {
  await using pool = open(1)
  await settle(pool)
  const stop = new AbortController()
  const jobs = Array.from({ length: LIMITS.executor.queueMax + 1 }, () => ask(pool, 'wait', { argument: '60000', signal: stop.signal, over: { moduleId: 'slow' } }))
  await assert.rejects(ask(pool, 'echo'), fails('ERR_BUSY'))
  stop.abort()
  const ends = await Promise.allSettled(jobs)
  assert.ok(ends.every(end => end.status === 'rejected' && fails('ERR_CANCELLED')(end.reason)))
  assert.equal(await ask(pool, 'echo', { argument: 'free' }), 'free')
})

// Goal: a guest that never ends is ended when its lease is over, and the spare takes the next job at once.
// Method: an endless loop with hardly any fuel, so that the lease is its base; the job behind it runs in a process that was there before.
test('a lease ends', async context => {
  await using pool = open(1)
  await settle(pool)
  const begin = performance.now()
  const loop = ask(pool, 'loop')
  const waiting = ask(pool, 'wait', { argument: '1' })
  const pids = pool.pids()
  await assert.rejects(loop, fails('ERR_DEADLINE'))
  const ms = performance.now() - begin
  assert.ok(ms >= LIMITS.executor.leaseMsBase && ms < 2 * LIMITS.executor.leaseMsBase, `${ms} ms`)
  const [pid] = pool.pids('busy')
  await waiting
  assert.ok(pid !== undefined && pids.includes(pid), 'the spare had to be started')
  context.diagnostic(`kill to next result: ${(performance.now() - begin - ms).toFixed(1)} ms`)
})

// Goal: abort ends a running guest, forgets a waiting job, and refuses one that comes too late.
// Method: on one slot a loop and a job behind it, aborted in both orders.
test('abort', async () => {
  await using pool = open(1)
  await settle(pool)
  const [running, waiting] = [new AbortController(), new AbortController()]
  const loop = ask(pool, 'loop', { signal: running.signal })
  const queued = ask(pool, 'echo', { signal: waiting.signal })
  const pid = pool.pids('busy')[0]!
  await sleep(50)
  waiting.abort()
  await assert.rejects(queued, fails('ERR_CANCELLED'))
  assert.deepEqual([pool.load().busy, pool.load().queued], [1, 0])
  running.abort()
  await assert.rejects(loop, fails('ERR_CANCELLED'))
  await until('the looping executor is gone', () => !isAlive(pid))
  await assert.rejects(ask(pool, 'echo', { signal: running.signal }), fails('ERR_CANCELLED'))
  assert.equal(await ask(pool, 'echo', { argument: 'on' }), 'on')
})

// Goal: an executor killed from outside costs the job it ran and nothing else.
// Method: kill -9 while it runs, then kill -9 of every idle one; jobs that wait still end well.
test('killed from outside', async () => {
  const log: string[] = []
  await using pool = open(1, log)
  await settle(pool)
  const loop = ask(pool, 'loop')
  const waiting = ask(pool, 'echo', { argument: 'patient' })
  const pid = pool.pids('busy')[0]!
  await sleep(20)
  process.kill(pid, 'SIGKILL')
  await assert.rejects(loop, fails('ERR_EXECUTOR_LOST', /SIGKILL/))
  assert.equal(await waiting, 'patient')
  await settle(pool)
  const idle = pool.pids()
  for (const one of idle) process.kill(one, 'SIGKILL')
  await until('all deaths are known', () => log.length === 1 + idle.length)
  assert.equal(await ask(pool, 'echo', { argument: 'again' }), 'again')
})

// Goal: an executor that fills its memory dies alone and says why, by the kernel's cap or by ours.
// Method: a bomb of 64 MiB at a time, behind the walls of this machine and behind none.
test('a memory bomb', { timeout: 60_000 }, async () => {
  const limits = { fuelMax: 10n ** 12n, memoryPagesMax: 1, outputBytesMax: 10 }
  for (const walls of [await probeWalls(FIXTURE), NO_WALLS]) {
    await using pool = createExecutorPool({ slots: 1, entry: FIXTURE, walls })
    await assert.rejects(ask(pool, 'hog', { argument: walls.memory ? '' : 'touch', over: { limits } }), fails('ERR_EXECUTOR_LOST', /memory cap/))
    assert.equal(await ask(pool, 'echo', { argument: 'on' }), 'on')
  }
})

// Goal: nothing a taken-over executor writes into the pipe can crash the main process or end a job wrongly.
// Method: hostile bytes of each kind by hand, then random ones; each ends that job as lost and the pool serves on.
test('garbage from an executor', { timeout: 60_000 }, async () => {
  const log: string[] = []
  await using pool = open(2, log)
  const frame = (header: object, body = ''): Uint8Array => {
    const [text, bytes] = [Buffer.from(JSON.stringify(header)), Buffer.from(body)]
    const prefix = Buffer.alloc(8)
    prefix.writeUInt32LE(text.length, 0)
    prefix.writeUInt32LE(bytes.length, 4)
    return Buffer.concat([prefix, text, bytes])
  }
  const outcome = { kind: 'outcome', job: 1, outcome: 'ok', exitCode: 0, fuel: '1', pages: 0, message: '', parts: [0, 0] }
  const hostile = [
    Buffer.from([0, 0, 0, 4, 255, 255, 255, 255]), Buffer.alloc(64, 0xff), Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    frame({ cmd: 'NODE_HANDLE_ACK' }), frame([]), frame({ parts: [] }), frame({ kind: 'ready', parts: [] }), frame({ kind: 'need', job: 9, parts: [] }),
    Buffer.concat([frame({ kind: 'need', job: 1, parts: [] }), frame({ kind: 'need', job: 1, parts: [] })]),
    frame({ ...outcome, job: 2 }), frame({ ...outcome, fuel: '1001' }), frame({ ...outcome, fuel: '-1' }), frame({ ...outcome, fuel: '1e3' }), frame({ ...outcome, outcome: 'won' }),
    frame({ ...outcome, exitCode: null }), frame({ ...outcome, pages: 17 }), frame({ ...outcome, parts: [0] }), frame({ ...outcome, parts: [99_999_999, 0] }),
    frame({ kind: 'report', job: 1, report: {}, parts: [] }), frame({ kind: 'refusal', job: 1, code: 'ERR_BUDGET', message: '', parts: [] }),
    frame({ kind: 'estimate', job: 1, cpuMs: -1, parts: [] }),
    ...[{ kind: 'estimate', job: 1, cpuMs: 1, parts: [] }, { kind: 'retire', parts: [] }].map(header => Buffer.concat([frame(header), frame(header)]))
  ]
  // The same by hand but true is believed, so it is the lies that fail.
  assert.equal((await pool.execute(runOf('write', '', { input: frame(outcome) }), { payer: 'A' })).fuel, 1n)
  const survives = async (input: Uint8Array): Promise<void> => {
    await assert.rejects(ask(pool, 'write', { over: { input } }), fails('ERR_EXECUTOR_LOST'))
  }
  await Promise.all(hostile.map(survives))
  assert.ok(log.filter(line => line.includes('broke the protocol')).length >= hostile.length - 1, log.join('\n'))
  await fc.assert(fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 50 }), survives), { numRuns: 5 })
  assert.equal(await ask(pool, 'echo', { argument: 'on' }), 'on')
})

// Goal: an executor that prints without end neither fills nor occupies the main process.
// Method: 6 MB on stderr in the middle of a job.
test('a flood on stderr', async () => {
  await using pool = open(1)
  await assert.rejects(ask(pool, 'flood'), fails('ERR_EXECUTOR_LOST', /printed without end/))
  assert.equal(await ask(pool, 'echo', { argument: 'on' }), 'on')
})

// Goal: an idle executor that burns CPU is replaced before it gets the next job.
// Method: one that asks to be replaced after its job; its process goes, the pool serves on.
test('a burning executor retires', async () => {
  await using pool = open(1)
  await settle(pool)
  const burning = ask(pool, 'burn')
  const pid = pool.pids('busy')[0]!
  const name = await burning
  await until('the burning executor is gone', () => !isAlive(pid))
  assert.notEqual(await ask(pool, 'name'), name)
})

// Goal: a machine on which no executor starts answers so, soon, and does not spin.
// Method: an entry that does not exist; count the attempts in the log over a second and a half more.
test('executors that do not start', { timeout: 30_000 }, async () => {
  const log: string[] = []
  await using pool = createExecutorPool({ slots: 1, entry: new URL('./absent.fixture.ts', import.meta.url), log: line => { log.push(line) } })
  await assert.rejects(ask(pool, 'echo'), fails('ERR_EXECUTOR_LOST', /No executor starts.*Error/))
  const attempts = log.length
  await sleep(1_500)
  assert.ok(log.length - attempts <= 2, `${log.length - attempts} more attempts`)
})

// Goal: stop leaves no process, no timer and no promise behind.
// Method: stop while one job loops and one waits, and again while the first executor starts; every process is gone when stop returns.
test('stop', async () => {
  const pool = open(1)
  await settle(pool)
  const jobs = [ask(pool, 'loop'), ask(pool, 'echo')].map(job => assert.rejects(job, fails('ERR_CANCELLED')))
  const pids = pool.pids()
  await pool.stop()
  await Promise.all(jobs)
  assert.ok(pids.length === 2 && pids.every(pid => !isAlive(pid)))
  await assert.rejects(ask(pool, 'echo'), fails('ERR_CANCELLED'))
  const young = open(1)
  await until('the first executor is born', () => young.pids().length > 0)
  const [born] = young.pids()
  await young.stop()
  assert.ok(born !== undefined && !isAlive(born))
})

// Goal: executors end with their parent even if it dies by SIGKILL while a guest loops.
// Method: a process of its own opens a pool, one executor loops, one is idle; kill -9 and watch, with the kernel's help and with the watcher's.
test('a killed parent takes its executors along', { skip: process.platform === 'win32' && 'Windows has no kill -9', timeout: 30_000 }, async () => {
  for (const walls of ['undefined', JSON.stringify(NO_WALLS)]) {
    const script = `
      const { createExecutorPool } = await import(${JSON.stringify(new URL('./executor-pool.ts', import.meta.url).href)})
      const { ask, FIXTURE } = await import(${JSON.stringify(new URL('./executor-run.fixture.ts', import.meta.url).href)})
      const walls = ${walls}
      const pool = createExecutorPool({ slots: 1, entry: FIXTURE, ...(walls && { walls }) })
      await ask(pool, 'echo')
      ask(pool, 'loop').catch(() => {})
      setTimeout(() => console.log(pool.pids().join()), 400)`
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(parent.stdout, 'data')
    const pids = String(line).trim().split(',').map(Number)
    assert.equal(pids.length, 2)
    assert.ok(pids.every(isAlive))
    parent.kill('SIGKILL')
    await until('all executors are gone', () => !pids.some(isAlive))
  }
})

// Goal: results as large as a job may have come back whole.
// Method: echo 1 MB by an argument, which also is the longest header of an order here.
test('a large result', async () => {
  await using pool = open(1)
  const argument = 'x'.repeat(1 << 20)
  assert.equal((await pool.execute(runOf('echo', argument, { limits: { fuelMax: 1n, memoryPagesMax: 1, outputBytesMax: 1 << 20 } }), { payer: 'A' })).result.length, 1 << 20)
})

// Goal: short jobs of one payer go to an executor several at a time, and one among them that hangs or dies takes no other along.
// Method: after short ones of a module one that loops (then: that exits) in the midst of thirty; the others all come back, and what loops ends only when it is aborted.
test('short jobs are sent together', async () => {
  for (const [command, code] of [['loop', 'ERR_CANCELLED'], ['exit', 'ERR_EXECUTOR_LOST']] as const) {
    const log: string[] = []
    await using pool = open(2, log)
    await settle(pool)
    for (let i = 0; i < 8; i++) await Promise.all([ask(pool, 'echo'), ask(pool, 'echo')])
    const stop = new AbortController()
    const limits = { fuelMax: 10n ** 12n, memoryPagesMax: 16, outputBytesMax: 100_000 }
    const bad = (): Promise<string> => ask(pool, command, { argument: '1', signal: stop.signal, over: { limits } })
    const jobs = Array.from({ length: 30 }, (_, at) => at === 12 ? assert.rejects(bad(), fails(code)) : ask(pool, 'echo', { argument: String(at) }))
    for (const [at, job] of jobs.entries()) if (at !== 12) assert.equal(await job, String(at))
    if (command === 'loop') stop.abort()
    await jobs[12]
    assert.equal(log.length, 1)
  }
})

// Goal: what was recalled from behind a slow job is done, also where no further job comes and asks for an executor.
// Method: on one slot, and behind a job that runs, thirty known as short, of which the first takes long.
test('short jobs behind a slow one', { timeout: 60_000 }, async () => {
  await using pool = open(1)
  await settle(pool)
  for (let i = 0; i < 5; i++) await ask(pool, 'echo')
  const first = ask(pool, 'echo')
  const slow = ask(pool, 'wait', { argument: String(4 * LIMITS.executor.recallMs) })
  const jobs = Array.from({ length: 30 }, (_, at) => ask(pool, 'echo', { argument: String(at) }))
  await Promise.all([first, slow])
  assert.deepEqual(await Promise.all(jobs), jobs.map((_, at) => String(at)))
})

// Goal: a job that cannot even be written down fails alone.
// Method: one whose environment throws when it is read, among others that are sent with it.
test('a job that cannot be sent', async () => {
  await using pool = open(1)
  await settle(pool)
  for (let i = 0; i < 5; i++) await ask(pool, 'echo')
  const env = Object.defineProperty({}, 'name', { enumerable: true, get: () => { throw new Error('unreadable') } })
  const jobs = Array.from({ length: 9 }, (_, at) => ask(pool, 'echo', { argument: String(at), ...(at % 3 === 1 && { over: { env } }) }))
  const ends = await Promise.allSettled(jobs)
  assert.deepEqual(ends.map(end => end.status === 'fulfilled' ? end.value : 'failed'), ['0', 'failed', '2', '3', 'failed', '5', '6', 'failed', '8'])
  assert.deepEqual([pool.load().busy, pool.load().queued], [0, 0])
})

// Goal: jobs that were sent together can be aborted one by one.
// Method: twenty short ones, every second aborted at once; the others come back, and no executor is lost but one whose job ran.
test('abort among short jobs', async () => {
  const log: string[] = []
  await using pool = open(1, log)
  await settle(pool)
  for (let i = 0; i < 5; i++) await ask(pool, 'echo')
  const stop = new AbortController()
  const jobs = Array.from({ length: 20 }, (_, at) => ask(pool, 'echo', { argument: String(at), ...(at % 2 === 1 && { signal: stop.signal }) }))
  stop.abort()
  const ends = await Promise.allSettled(jobs)
  for (const [at, end] of ends.entries()) {
    if (at % 2 === 1) assert.ok(end.status === 'rejected' && fails('ERR_CANCELLED')(end.reason))
    else assert.ok(end.status === 'fulfilled' && end.value === String(at))
  }
  assert.ok(log.length <= 1, log.join())
})
