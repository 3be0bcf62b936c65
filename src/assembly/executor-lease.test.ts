import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as immediate } from 'node:timers/promises'
import { LIMITS } from '../packet/limits.ts'
import { estimateMs, Lease } from './executor-lease.ts'

const { leaseMsBase, leaseEstimateFactor, leaseNanosecondsPerFuel, estimateMsMax } = LIMITS.executor

// Goal: a lease is base + estimate · factor + fuel · nanoseconds, whatever an executor claims, and fits a timer.
// Method: the sum for a default job, estimates that shrink or lie, and all the fuel there is.
test('the length of a lease', () => {
  const lease = new Lease(1_000_000_000n, () => {}, setImmediate)
  const fuelMs = 1_000 * leaseNanosecondsPerFuel
  assert.equal(lease.ms, leaseMsBase + fuelMs)
  lease.expect(100)
  lease.expect(50)
  assert.equal(lease.ms, leaseMsBase + 100 * leaseEstimateFactor + fuelMs)
  lease.expect(Number.MAX_VALUE)
  assert.equal(lease.ms, leaseMsBase + estimateMsMax * leaseEstimateFactor + fuelMs)
  assert.equal(new Lease(LIMITS.spec.fuelMax, () => {}, setImmediate).ms, 2 ** 31 - 1)
  assert.ok(estimateMs(LIMITS.wire.blobBytesMax) < estimateMsMax)
})

// Goal: only the time counts in which the job runs, and an expired lease is told once.
// Method: mocked timers and a mocked clock: run, pause for an hour, run on to the end.
test('a paused lease does not run out', async context => {
  let now = 0
  context.mock.method(performance, 'now', () => now)
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const pass = async (ms: number): Promise<void> => {
    now += ms
    context.mock.timers.tick(ms)
    await immediate()
  }
  let expired = 0
  const lease = new Lease(0n, () => { expired++ }, setImmediate)
  lease.resume()
  await pass(leaseMsBase - 1_000)
  lease.pause()
  await pass(3_600_000)
  lease.resume()
  await pass(999)
  assert.equal(expired, 0)
  await pass(1)
  await pass(leaseMsBase)
  assert.equal(expired, 1)
})

// Goal: an answer that waits to be read when the lease ends still counts.
// Method: pause, as an answer does, between the end of the timer and the turn of the loop that follows.
test('an answer at the last moment counts', async context => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  let expired = 0
  const lease = new Lease(0n, () => { expired++ }, setImmediate)
  lease.resume()
  setTimeout(() => { lease.pause() }, leaseMsBase)
  context.mock.timers.tick(leaseMsBase)
  await immediate()
  assert.equal(expired, 0)
})
