import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LIMITS } from '../packet/limits.ts'
import { Usage } from './executor-usage.ts'

// Goal: whoever keeps to `restMs` uses no more than the share, however long the jobs are.
// Method: any jobs one after the other under a clock of our own; what they used against the time that went by.
test('a share of the CPU is kept on average', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 99 }), fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 40 }), (cores, percent, jobs) => {
    let now = 0
    const usage = new Usage(cores, () => now)
    usage.share = percent / 100
    let used = 0
    for (const ms of jobs) {
      now += usage.restMs()
      assert.equal(usage.restMs(), 0)
      now += ms
      usage.worked(ms, null)
      used += ms
    }
    now += usage.restMs()
    assert.ok(used <= now * cores * percent / 100 + LIMITS.executor.shareBurstMs, `${used} of ${now}`)
  }))
})

// Goal: who gives all waits for nothing, and a share says how many may run at once. Method: a table.
test('slots of a share', () => {
  const usage = new Usage(4, () => 0)
  usage.worked(1e9, null)
  assert.deepEqual([usage.restMs(), usage.slotsMax], [0, 4])
  for (const [share, slots] of [[0.75, 3], [0.5, 2], [0.3, 2], [0.01, 1]] as const) {
    usage.share = share
    assert.equal(usage.slotsMax, slots)
  }
})

// Goal: speed is that of running, not of compiling or of starting, and follows a machine that changes.
// Method: runs of two speeds, and such that tell nothing.
test('speed is measured by warm runs that are long enough', () => {
  const usage = new Usage(1, () => 0)
  usage.worked(500, null)
  usage.worked(LIMITS.executor.speedMsMin / 2, 1n)
  assert.equal(usage.fuelPerSec, undefined)
  usage.worked(1_000, 1_000_000_000n)
  assert.equal(usage.fuelPerSec, 1e9)
  for (let i = 0; i < 100; i++) usage.worked(1_000, 500_000_000n)
  assert.ok(Math.abs(usage.fuelPerSec! - 5e8) < 1e7)
})
