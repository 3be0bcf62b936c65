/** A slice of the simulation for CI. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulate } from './simulate.ts'

const STORM = { nodes: 20, jobs: 1, loss: 0.2, duplicate: 0.005, churn: 0.3 } as const

// Goal: whatever happens to machines and packets, afterwards every job has ended and both ends of every line agree; and what happens
// follows from the seed alone. Method: the same twenty nodes twice, every third losing its power; then another seed.
test('a mesh of twenty nodes comes to rest, the same way each time', async () => {
  const first = await simulate({ ...STORM, seed: 1 })
  assert.deepEqual(first.problems, [])
  assert.ok((first.ends['ok'] ?? 0) > 0)
  assert.equal(first.killed, 6)
  const { memory: _, ...again } = await simulate({ ...STORM, seed: 1 })
  const { memory: __, ...before } = first
  assert.deepEqual(again, before)
  const other = await simulate({ ...STORM, seed: 2 })
  assert.deepEqual(other.problems, [])
  assert.notEqual(other.trace, first.trace)
})
