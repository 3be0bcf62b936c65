import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../packet/limits.ts'
import type { ExecutorEvents, ExecutorProcess } from './executor-process.ts'
import { runOf } from './executor-run.fixture.ts'
import { Recalled } from '../assembly/executor-seat.ts'
import { Worker } from './executor-worker.ts'

const outcome = { outcome: 'ok', exitCode: 0, result: new Uint8Array(0), files: null, stderr: new Uint8Array(0), fuel: 1n, pages: 0, message: '' } as const

// Goal: of jobs that were sent together those behind a slow one are taken back, and no others, however slow all are: what is taken back is done twice.
// Method: a clock that is moved by hand and a process that answers when told to; each job just quick enough, then one that is not.
test('only what waits behind a slow job is taken back', async context => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  let events: ExecutorEvents | undefined
  const quiet = { ready: () => {}, idle: () => {}, retire: () => {}, worked: () => {}, suspended: () => {}, wakes: () => {}, gone: () => {} }
  const worker = new Worker(given => {
    events = given
    return { send: () => {}, allow: () => {}, together: (work: () => void) => { work() }, kill: () => {} } as Partial<ExecutorProcess> as ExecutorProcess
  }, quiet)
  events!.answer({ kind: 'ready' })
  const send = (count: number): Promise<unknown>[] => worker.perform(Array.from({ length: count }, () => ({ kind: 'run', run: runOf('echo', '') }))).map(({ found }) => found.catch((error: unknown) => error))
  const quick = send(4)
  for (let job = 1; job <= 4; job++) {
    context.mock.timers.tick(LIMITS.executor.recallMs - 1)
    events!.answer({ kind: 'outcome', job, outcome })
  }
  assert.deepEqual(await Promise.all(quick), Array(4).fill(outcome))
  const [slow, ...behind] = send(4)
  context.mock.timers.tick(LIMITS.executor.recallMs)
  assert.ok((await Promise.all(behind)).every(end => end instanceof Recalled))
  events!.answer({ kind: 'outcome', job: 5, outcome })
  assert.equal(await slow, outcome)
  worker.end('the test is over')
})
