/** What ends a wait for a peer: its answer, the time, or who gave it up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InosError } from '../packet/errors.ts'
import { within } from './deadline.ts'
import type { Rooms } from './rooms.ts'

/** A node whose time is up when it is told, and that knows whether anybody still waits for that. */
function stub (): { node: Rooms, timeIsUp: () => void, waits: () => boolean } {
  const time = Promise.withResolvers<void>()
  let waiting = false
  const sleep = async (_ms: number, signal: AbortSignal): Promise<void> => {
    waiting = true
    signal.addEventListener('abort', () => { waiting = false })
    await time.promise
  }
  return { node: { platform: { sleep } } as unknown as Rooms, timeIsUp: time.resolve, waits: () => waiting }
}

const untilAborted = (signal: AbortSignal): Promise<never> => new Promise((_, reject) => {
  signal.addEventListener('abort', () => { reject(new InosError('ERR_CANCELLED', 'It was ended.')) })
})

// Goal: work is ended when its time is up, and says so; whoever gives it up, or whose work fails, hears that instead.
// Method: a clock that stands still until it is told, work that ends by its signal alone.
test('work is waited for only so long', async () => {
  const late = stub()
  const work = within(late.node, 5, 'It did not come', untilAborted)
  late.timeIsUp()
  await assert.rejects(work, { code: 'ERR_DEADLINE', message: 'It did not come within 5 ms.' })

  const gaveUp = new AbortController()
  const cancelled = within(stub().node, 5, 'It did not come', untilAborted, gaveUp.signal)
  gaveUp.abort()
  await assert.rejects(cancelled, { code: 'ERR_CANCELLED' })

  const answered = stub()
  assert.equal(await within(answered.node, 5, 'It did not come', async () => 'here'), 'here')
  assert.equal(answered.waits(), false)
  await assert.rejects(within(stub().node, 5, 'It did not come', async () => { throw new InosError('ERR_GONE', 'No.') }), { code: 'ERR_GONE' })
})
