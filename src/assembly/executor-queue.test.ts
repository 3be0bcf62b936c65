import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TurnQueue } from './executor-queue.ts'

interface Job { readonly payer: string, readonly at: number, readonly depth: number }

// Goal: payers take turns, each one's deepest jobs come first and keep their order, no job is lost or doubled, and it is known who waits alone.
// Method: random pushes, shifts and removals against a plain list; after it, drain.
test('turns', () => {
  const step = fc.oneof(fc.record({ push: fc.constantFrom('a', 'b', 'c'), depth: fc.nat(2) }), fc.constant('shift' as const), fc.nat(5).map(index => ({ remove: index })))
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), steps => {
    const queue = new TurnQueue<Job>()
    let waiting: Job[] = []
    const turn: string[] = []
    for (const [at, each] of steps.entries()) {
      if (each === 'shift') {
        const job = queue.shift()
        if (waiting.length === 0) { assert.equal(job, undefined); continue }
        const payer = turn.shift()!
        const own = waiting.filter(one => one.payer === payer)
        assert.deepEqual(job, own.find(({ depth }) => depth === Math.max(...own.map(one => one.depth))))
        waiting = waiting.filter(one => one !== job)
        if (waiting.some(one => one.payer === payer)) turn.push(payer)
      } else if ('push' in each) {
        const job = { payer: each.push, at, depth: each.depth }
        queue.push(job)
        waiting.push(job)
        if (!turn.includes(job.payer)) turn.push(job.payer)
      } else {
        const job = waiting[each.remove]
        if (job === undefined) { assert.equal(queue.remove({ payer: 'a', at: -1, depth: 0 }), false); continue }
        assert.equal(queue.remove(job), true)
        waiting = waiting.filter(one => one !== job)
        if (!waiting.some(one => one.payer === job.payer)) turn.splice(turn.indexOf(job.payer), 1)
      }
      assert.equal(queue.size, waiting.length)
      assert.equal(queue.isOnly('a'), waiting.every(({ payer }) => payer === 'a'))
    }
    assert.deepEqual(new Set(queue.drain()), new Set(waiting))
    assert.equal(queue.size, 0)
  }))
})

// Goal: a job that comes back is the next one, and its payer is not served twice for it.
// Method: two payers, one job taken and put back; the order of all.
test('a job put back is the next', () => {
  const queue = new TurnQueue<Job>()
  for (let at = 0; at < 4; at++) queue.push({ payer: at < 3 ? 'A' : 'B', at, depth: 0 })
  const first = queue.shift()!
  assert.equal(queue.peek('A')?.at, 1)
  queue.unshift(first)
  assert.equal(queue.size, 4)
  assert.deepEqual(queue.drain().map(({ at }) => at).sort(), [0, 1, 2, 3])
  queue.unshift(first)
  queue.push({ payer: 'B', at: 3, depth: 0 })
  assert.deepEqual([queue.shift()?.at, queue.shift()?.at, queue.size], [0, 3, 0])
})

// Goal: a payer whose next job may not go yet holds up nobody else, and comes back behind nothing deeper.
// Method: two payers, a rule that lets only deep ones go, and a shallow one that is put back.
test('who may not go is passed over', () => {
  const queue = new TurnQueue<Job>()
  for (const [at, payer, depth] of [[0, 'A', 0], [1, 'B', 1], [2, 'A', 2]] as const) queue.push({ payer, at, depth })
  assert.equal(queue.peek('A')?.at, 2)
  const deep = ({ depth }: Job): boolean => depth > 0
  assert.deepEqual([queue.shift(deep)?.at, queue.shift(deep)?.at, queue.shift(deep)?.at, queue.size], [2, 1, undefined, 1])
  queue.push({ payer: 'A', at: 3, depth: 1 })
  queue.unshift({ payer: 'A', at: 4, depth: 0 })
  assert.deepEqual([queue.shift()?.at, queue.shift()?.at, queue.shift()?.at], [3, 4, 0])
})
