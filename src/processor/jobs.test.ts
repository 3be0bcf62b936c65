/** The table of jobs: what it tells of jobs at work and of those that are over, cancelling, and its limits. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { ECHO, ENDLESS, TRAP } from '../../test/guests.ts'
import { rawCid } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { describeJob, type Job } from './job.ts'
import { createJobs } from './jobs.ts'
import { Mesh, until } from './mesh.fixture.ts'
import type { JobState } from './processor.ts'

const SMALL = { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 }
const AWAY = { where: 'remote', limits: SMALL }

/** Runs until it is cancelled. */
const never = (_run: unknown, { signal }: { signal?: AbortSignal }): Promise<void> => new Promise((_resolve, reject) => { signal?.addEventListener('abort', () => { reject(new InosError('ERR_CANCELLED', 'Stopped.')) }) })

// Goal: a job tells every peer asked, what each said, who won and why, and what became of each try.
// Method: three sellers, of which one is too dear and the best one loses its executor.
test('explain', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const bad = await mesh.start('bad', { prices: { perMFuel: 1n }, before: async () => { throw new InosError('ERR_EXECUTOR_LOST', 'It is gone.') } })
  const good = await mesh.start('good')
  const dear = await mesh.start('dear', { prices: { base: 100_000_000n } })
  for (const seller of [dear, good, bad]) await mesh.connect(buyer, seller)
  const seen: JobState['state'][] = []
  const result = await buyer.compute(ECHO, 'x', { ...AWAY, costMax: 1_000_000n, onProgress: ({ state }) => { seen.push(state) } })
  const report = buyer.explain(result.job)
  assert.deepEqual(buyer.jobs().map(({ id }) => id), [result.job])
  const { state, peer, tries, fuel, cost, receipt, module, where, code } = report
  assert.deepEqual(
    { state, peer, tries, fuel, cost, receipt, module, where, code },
    { state: 'settled', peer: good.id, tries: 2, fuel: result.fuel, cost: result.cost, receipt: result.receiptId, module: rawCid(ECHO).toString(), where: 'remote', code: null }
  )
  assert.deepEqual(seen, ['offered', 'sending', 'running', 'retrying', 'offered', 'sending', 'running', 'verifying', 'settled'])
  assert.deepEqual(report.steps.map(({ state }) => state), seen)
  assert.deepEqual(report.rounds.map(({ chosen, asked }) => [chosen, asked]), [[bad.id, 3], [good.id, 3]])
  const [first, second] = report.rounds
  assert.deepEqual(first!.bids.map(({ peer, code }) => [peer, code]), [[bad.id, null], [good.id, null], [dear.id, 'ERR_BUDGET']])
  assert.match(first!.reason, /^It has the lowest score of 2: /)
  assert.equal(second!.reason, 'It is the only one that takes the job.')
  assert.deepEqual(second!.bids.map(({ peer, reason }) => [peer, reason]).slice(1), [[dear.id, first!.bids[2]!.reason], [bad.id, 'It was lost or refused before.']])
  assert.deepEqual(report.attempts.map(({ peer, code }) => [peer, code]), [[bad.id, 'ERR_EXECUTOR_LOST']])
  assert.throws(() => buyer.explain('no such job'), { code: 'ERR_USAGE' })
})

// Goal: how far a running job is told by the speed its node claims, never above what it may burn, and not once it is over.
// Method: a clock that is set by hand.
test('an estimate of fuel', async () => {
  let now = 0
  const jobs = createJobs(() => now, 'me', () => {})
  const entry = jobs.begin(await describeJob({ cid: rawCid(ECHO), bytes: ECHO }, 'x', AWAY, bytes => createHash('sha256').update(bytes).digest()), {})
  const estimate = (): bigint | null => jobs.list()[0]!.fuelEstimate
  assert.equal(estimate(), null)
  entry.say({ state: 'running', peer: 'p', fuelPerSec: 100_000 })
  now = 2_000
  assert.equal(estimate(), 200_000n)
  now = 60_000
  assert.equal(estimate(), SMALL.fuelMax)
  entry.say({ state: 'verifying', peer: 'p' })
  assert.equal(estimate(), null)
  entry.say({ state: 'running', peer: 'q', fuelPerSec: null })
  assert.equal(estimate(), null)
})

// Goal: a job that is at work is shown so, with who has it, and ends when it is cancelled by its name; its order is
// released and the seller's executor free. Method: a guest that never ends, cancelled from beside.
test('cancel', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  let cancelled = false
  const seller = await mesh.start('seller', { before: async (run, options) => { await never(run, options).finally(() => { cancelled = true }) } })
  await mesh.connect(buyer, seller)
  const work = buyer.compute(ENDLESS, '', AWAY).then(() => null, (error: unknown) => error as InosError)
  await until(() => buyer.jobs()[0]?.state === 'running', 'it runs')
  const [job] = buyer.jobs()
  assert.deepEqual([job!.peer, job!.ended, job!.code], [seller.id, null, null])
  buyer.cancel(job!.id)
  assert.equal((await work)?.code, 'ERR_CANCELLED')
  const { state, code, ended } = buyer.explain(job!.id)
  assert.deepEqual([state, code, ended === null], ['cancelled', 'ERR_CANCELLED', false])
  await until(() => cancelled, 'the seller has stopped')
  await until(() => buyer.credits().held === 0n, 'the hold is free')
  assert.throws(() => { buyer.cancel(job!.id) }, { code: 'ERR_USAGE', message: /is over/ })
  assert.throws(() => { buyer.cancel('99') }, { code: 'ERR_USAGE' })
})

// Goal: a failure stays to be read, with its reason and code; a guest's own trap is a job that was done.
// Method: a job nobody takes, one whose caller gave it up before it began, and a trap.
test('failures', async () => {
  await using mesh = new Mesh()
  const node = await mesh.start('alone', { alone: true })
  await assert.rejects(node.compute(ECHO, 'x', { where: 'remote' }), { code: 'ERR_NO_OFFER' })
  await assert.rejects(node.compute(ECHO, 'x', { signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' })
  await assert.rejects(node.compute(TRAP, 'x'), { code: 'ERR_TRAP' })
  assert.deepEqual(node.jobs().map(({ state, code, outcome }) => [state, code, outcome]), [['failed', 'ERR_NO_OFFER', null], ['cancelled', 'ERR_CANCELLED', null], ['settled', null, 'trap']])
  assert.match(node.jobs()[0]!.reason!, /^No other node that takes work is connected/)
  assert.equal(node.explain(node.jobs()[2]!.id).rounds[0]!.chosen, node.id)
})

// Goal: the table is bounded and never forgets a job at work. Method: more jobs over than are kept, beside one that is not.
test('the latest are kept', async () => {
  const described: Job = await describeJob({ cid: rawCid(ECHO), bytes: ECHO }, 'x', {}, bytes => createHash('sha256').update(bytes).digest())
  const jobs = createJobs(() => 0, 'me', () => {})
  const open = jobs.begin(described, {})
  const caller = new AbortController()
  for (let i = 0; i < LIMITS.market.jobsKeptMax + 5; i++) {
    const entry = jobs.begin(described, { signal: caller.signal })
    for (let step = 0; step < 3 * LIMITS.market.jobStepsMax; step++) entry.say({ state: 'queued', reason: String(step) })
    entry.failed(new InosError('ERR_BUSY', 'No.'))
  }
  assert.equal(jobs.list().length, LIMITS.market.jobsKeptMax + 1)
  assert.deepEqual([jobs.list()[0]!.id, jobs.list()[1]!.id], [open.id, '7'])
  const { steps } = jobs.report('7')
  assert.deepEqual([steps.length, steps[0]!.reason, steps.at(-1)!.state], [LIMITS.market.jobStepsMax, '0', 'failed'])
  caller.abort()
  jobs.stop(new InosError('ERR_CANCELLED', 'The end.'))
  assert.equal((open.signal.reason as InosError).message, 'The end.')
})
