import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../packet/limits.ts'
import { Rounds } from './rounds.ts'

const { roundMsMin, roundMsMax, roundSamples } = LIMITS.market

/** A clock that moves when it is told to. */
function createClock (): { now (): number, sleep (ms: number, signal: AbortSignal): Promise<void>, advance (ms: number): Promise<void> } {
  let now = 0
  const sleepers = new Set<{ until: number, wake (): void }>()
  return {
    now: () => now,
    sleep: (ms, signal) => new Promise((resolve, reject) => {
      sleepers.add({ until: now + ms, wake: resolve })
      signal.addEventListener('abort', () => { reject(signal.reason) })
    }),
    async advance (ms) {
      now += ms
      for (const sleeper of sleepers) {
        if (sleeper.until > now) continue
        sleepers.delete(sleeper)
        sleeper.wake()
      }
      await new Promise(resolve => { setImmediate(resolve) })
    }
  }
}

/** Jobs of one peer, all at once, of which one is done each `everyMs`. @returns when each was handed out */
async function handOut (count: number, everyMs: number): Promise<number[]> {
  const clock = createClock()
  const rounds = new Rounds(clock, new AbortController().signal)
  const ends = Array.from({ length: count }, () => Promise.withResolvers<void>())
  const outs: number[] = []
  const jobs = ends.map(async ({ promise }) => {
    await rounds.run('peer', () => promise)
    outs.push(clock.now())
  })
  for (const { resolve } of ends) {
    for (let ms = 0; ms < everyMs; ms++) await clock.advance(1)
    resolve()
    await clock.advance(0)
  }
  await clock.advance(roundMsMax)
  await Promise.all(jobs)
  return outs
}

// Goal: many short jobs come back in rounds, none later than a round, fewer each time as fewer are left, and the last ones at once.
// Method: a clock of the test's own; when each was handed out beside when it was done.
test('answers of a peer with many jobs leave together', async () => {
  const outs = await handOut(200, 2)
  const done = outs.map((_, at) => 2 * (at + 1))
  assert.ok(outs.every((out, at) => out - done[at]! <= roundMsMax), 'none waits for more than a round')
  assert.deepEqual(outs.slice(0, roundSamples - 1), done.slice(0, roundSamples - 1), 'the first are not kept waiting')
  const amid = outs.slice(20, 150)
  assert.ok(new Set(amid).size <= amid.length / 20, `${new Set(amid).size} rounds for ${amid.length}`)
  assert.deepEqual(outs.slice(-roundMsMin / 2), done.slice(-roundMsMin / 2), 'nobody waits where the executors might')
})

// Goal: no executor rests while the peer waits for a round: when it has its answers, half of what was here is still to do.
// Method: jobs of ever other lengths; at each round how many are left, beside how many were when the last one left.
test('a round ends when half is done, however fast', async () => {
  for (const everyMs of [1, 3, 10, 40]) {
    const count = 64
    const outs = await handOut(count, everyMs)
    let left = count - roundSamples + 1
    for (const out of [...new Set(outs)].filter(out => out > everyMs * roundSamples)) {
      const undone = count - Math.floor(out / everyMs)
      assert.ok(undone >= Math.floor((left - 1) / 2), `${undone} of ${left} left after ${out} ms`)
      left = undone
    }
  }
})

// Goal: a job that takes longer than those before keeps the others' answers no longer than the longest round.
// Method: short jobs, then none is done any more.
test('a round has an end where nothing more is done', async () => {
  const clock = createClock()
  const rounds = new Rounds(clock, new AbortController().signal)
  const open = Array.from({ length: 200 }, () => Promise.withResolvers<void>())
  let out = 0
  for (const { promise } of open) void rounds.run('peer', () => promise).then(() => { out++ })
  for (const { resolve } of open.slice(0, roundSamples + 4)) {
    await clock.advance(1)
    resolve()
    await clock.advance(0)
  }
  assert.equal(out, roundSamples - 1)
  await clock.advance(roundMsMax)
  assert.equal(out, roundSamples + 4)
})

// Goal: what fails is told at once, and a node that stops keeps nobody waiting. Method: a failure amid a busy peer's jobs; a stop while answers wait.
test('failures and a stop wait for no round', async () => {
  const clock = createClock()
  const stop = new AbortController()
  const rounds = new Rounds(clock, stop.signal)
  const open = Array.from({ length: 200 }, () => Promise.withResolvers<string>())
  const jobs = open.map(({ promise }) => rounds.run('peer', () => promise))
  for (const { resolve } of open.slice(0, roundSamples + 4)) {
    await clock.advance(1)
    resolve('done')
    await clock.advance(0)
  }
  open.at(-1)!.reject(new Error('lost'))
  await assert.rejects(jobs.at(-1)!, /lost/)
  stop.abort()
  assert.deepEqual(await Promise.all(jobs.slice(0, roundSamples + 4)), Array(roundSamples + 4).fill('done'))
})
