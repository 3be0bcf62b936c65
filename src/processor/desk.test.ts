/** The desk: joining, cancelling, limits, and memory for inputs handed out in turn. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InosError } from '../packet/errors.ts'
import { createDesk } from './desk.ts'

const LIMITS_OF_TEST = { jobsPerPeerMax: 2, inputBytesPerPeerMax: 6, inputBytesMax: 10 }
const never = new AbortController().signal
const isCode = (code: string) => (error: unknown): boolean => error instanceof InosError && error.code === code

// Goal: one order is one piece of work. Method: two askers of one order, then its limit by others.
test('a repeat joins, too many are refused', async () => {
  const desk = createDesk(LIMITS_OF_TEST)
  const end = Promise.withResolvers<object>()
  let started = 0
  const start = (): Promise<object> => { started++; return end.promise }
  const first = desk.work('a', '1', never, start)
  const joined = desk.work('a', '1', never, start)
  const second = desk.work('a', '2', never, start)
  await assert.rejects(desk.work('a', '3', never, start), isCode('ERR_BUSY'))
  const other = desk.work('b', '1', never, start)
  assert.equal(started, 3)
  assert.equal(desk.size, 3)
  end.resolve({ text: 'done' })
  assert.deepEqual(await Promise.all([first, joined, second, other]), Array(4).fill({ text: 'done' }))
  await desk.idle()
  assert.equal(desk.size, 0)
  await desk.work('a', '3', never, start)
})

// Goal: a cancel ends the work, also one that comes from who joined; a lost connection does not.
// Method: abort with an error of ours as sessions do when lost, then without a reason.
test('a cancel ends the work, a lost session does not', async () => {
  const desk = createDesk(LIMITS_OF_TEST)
  const [lost, cancelled] = [new AbortController(), new AbortController()]
  const start = (cancel: AbortSignal): Promise<object> => new Promise((_, reject) => { cancel.addEventListener('abort', () => { reject(new InosError('ERR_CANCELLED', 'x')) }) })
  const first = desk.work('a', '1', lost.signal, start)
  lost.abort(new InosError('ERR_PEER_LOST', 'gone'))
  const joined = desk.work('a', '1', cancelled.signal, start)
  assert.equal(desk.size, 1)
  cancelled.abort()
  await assert.rejects(first, isCode('ERR_CANCELLED'))
  await assert.rejects(joined, isCode('ERR_CANCELLED'))
  assert.equal(desk.size, 0)
})

// Goal: memory for inputs never passes its limits, and who waits comes in order. Method: two peers and a small desk.
test('inputs wait for room', async () => {
  const desk = createDesk(LIMITS_OF_TEST)
  const came: string[] = []
  const enter = async (name: string, peer: string, bytes: number, signal = never): Promise<Disposable> => {
    const room = await desk.room(peer, bytes, signal)
    came.push(name)
    return room
  }
  const a1 = await enter('a1', 'a', 6)
  const cancel = new AbortController()
  const a2 = enter('a2', 'a', 1)
  const b1 = await enter('b1', 'b', 4)
  const b2 = enter('b2', 'b', 2, cancel.signal)
  const c1 = enter('c1', 'c', 1)
  await new Promise(setImmediate)
  assert.deepEqual(came, ['a1', 'b1'])
  cancel.abort()
  await assert.rejects(b2, isCode('ERR_CANCELLED'))
  b1[Symbol.dispose]()
  await c1
  assert.deepEqual(came, ['a1', 'b1', 'c1'])
  a1[Symbol.dispose]()
  await a2
  await assert.rejects(enter('late', 'a', 1, AbortSignal.abort()), isCode('ERR_CANCELLED'))
})
