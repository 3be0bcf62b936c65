/** When money is paid; what is paid is tested where whole nodes trade (`trade.test.ts`). */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import type { Rooms } from './rooms.ts'
import { createSettlement } from './settle.ts'

/** A node that owes nothing: it counts how often it was asked for a cheque, and rests until it is woken. */
function stub (): { node: Rooms, asked: () => number, wake: () => Promise<void>, stopping: AbortController } {
  let asked = 0
  let rest = Promise.withResolvers<void>()
  const stopping = new AbortController()
  const node = {
    platform: { sleep: async (_ms: number, signal: AbortSignal) => { await Promise.race([rest.promise, new Promise((_, reject) => { signal.addEventListener('abort', reject) })]) } },
    credits: { isSynced: () => true, untoldCancels: async () => [], nextCheque: async () => { asked++; return null } },
    sessions: () => ({ list: () => [] }),
    isOpen: () => true,
    stopping: stopping.signal
  } as unknown as Rooms
  const wake = async (): Promise<void> => {
    rest.resolve()
    rest = Promise.withResolvers()
    await turn()
  }
  return { node, asked: () => asked, wake, stopping }
}

// Goal: the first job is paid at once, those that follow soon after together, and whoever asks for payment
// waits for no pause. Method: a clock that stands still until it is told.
test('jobs in a row share a cheque', async () => {
  const { node, asked, wake, stopping } = stub()
  const settlement = createSettlement(node)
  settlement.paySoon('peer')
  await turn()
  assert.equal(asked(), 1)
  for (let i = 0; i < 5; i++) settlement.paySoon('peer')
  await turn()
  assert.equal(asked(), 1)
  await wake()
  assert.equal(asked(), 2)
  await settlement.pay('peer')
  assert.equal(asked(), 3)
  await wake()
  assert.equal(asked(), 3, 'nothing came since')
  settlement.paySoon('peer')
  await turn()
  assert.equal(asked(), 4)
  settlement.paySoon('peer')
  stopping.abort()
  await turn()
  settlement.paySoon('peer')
  await turn()
  assert.equal(asked(), 5, 'a pause that was broken off is over')
})
