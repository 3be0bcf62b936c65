/** The dispatch of the demo, on nodes that are only told of. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { InosError } from '../../src/packet/errors.ts'
import { createDispatch, type Dispatch, type DispatchOptions } from './dispatch.ts'
import type { Purchase } from './messages.ts'
import { planTiles, type Task } from './plan.ts'

interface Fake { id: string, up: boolean, running: boolean }

const fakes = (count: number): Fake[] => Array.from({ length: count }, (_, place) => ({ id: `peer-${place}`, up: true, running: true }))
const plan = (nodes: number): Task[] => planTiles({ seed: 1, width: 16, height: 9, nodes, json: false, signal: new AbortController().signal })

/** A dispatch whose jobs take a moment and then do what `compute` says of their executor. */
function dispatchOver (members: Fake[], compute: (buyer: number, executor: number) => Promise<void> | void, allows: DispatchOptions['allows'] = () => true): { dispatch: Dispatch, done: Task[] } {
  const done: Task[] = []
  const dispatch = createDispatch({
    members,
    tasks: plan(members.length),
    allows,
    compute: async (buyer: number, { where }: Purchase) => {
      const executor = where === 'local' ? buyer : members.findIndex(({ id }) => id === where)
      await sleep(1)
      await compute(buyer, executor)
      return { bytes: new Uint8Array(0), executor: members[executor]!.id, fuel: 1n }
    },
    deliver: task => { done.push(task) }
  })
  return { dispatch, done }
}

// Goal: on a calm day everybody does the planned share, once.
// Method: count what came back from three nodes that never fail.
test('every task is done once, by the planned node', async () => {
  const { dispatch, done } = dispatchOver(fakes(3), () => {})
  await dispatch.run()
  assert.equal(new Set(done.map(({ index }) => index)).size, 48)
  assert.equal(done.length, 48)
  const planned = plan(3)
  for (const [place, tally] of dispatch.tallies.entries()) {
    const executed = planned.filter(({ executor }) => executor === place)
    assert.deepEqual(tally, {
      tiles: executed.length,
      tilesForOthers: executed.filter(({ buyer }) => buyer !== place).length,
      bought: planned.filter(({ buyer, executor }) => buyer === place && executor !== place).length,
      fuel: BigInt(executed.length),
      busy: 0
    })
  }
  assert.equal(dispatch.rerunElsewhere, 0)
})

// Goal: a task whose executor is lost goes to another node and counts as done elsewhere; what the
// lost node had bought is bought by it again after its return.
// Method: node 1 dies at its third task, is down for a while, and comes back.
test('a lost executor is replaced, a lost buyer is waited for', async () => {
  const members = fakes(3)
  const victim = members[1]!
  let executed = 0
  let deaths = 0
  const { dispatch, done } = dispatchOver(members, (buyer, executor) => {
    if (executor === 1 && victim.running && ++executed === 3) {
      deaths++
      Object.assign(victim, { up: false, running: false })
      void sleep(50).then(() => {
        Object.assign(victim, { up: true, running: true })
        dispatch.wake()
      })
    }
    if ((executor === 1 || buyer === 1) && !victim.running) throw new InosError('ERR_PEER_LOST', 'gone')
  })
  await dispatch.run()
  assert.equal(deaths, 1)
  assert.equal(new Set(done.map(({ index }) => index)).size, 48)
  assert.equal(done.length, 48)
  const redone = done.filter(({ lost }) => lost.length > 0)
  assert.ok(redone.length >= 1 && redone.every(({ lost, executor, buyer }) => lost[0] === 1 && executor !== 1 && buyer !== 1))
  assert.equal(dispatch.rerunElsewhere, redone.length)
  assert.ok(dispatch.tallies[1]!.tiles >= 10)
})

// Goal: with two nodes the buyer itself takes over.
// Method: the other node loses everything it is given.
test('with nobody else left the buyer does it', async () => {
  const { dispatch } = dispatchOver(fakes(2), (buyer, executor) => {
    if (buyer === 0 && executor === 1) throw new InosError('ERR_EXECUTOR_LOST', 'gone')
  })
  await dispatch.run()
  assert.equal(dispatch.rerunElsewhere, 12)
})

// Goal: a node that is full is asked again, one that refuses for good ends the demo, and so does one
// that is full for ever.
// Method: refuse for want of room twice, then once with a code that isn't retryable.
test('refusals are waited out or final', async () => {
  let refusals = 0
  const full = dispatchOver(fakes(2), () => {
    if (++refusals <= 2) throw new InosError('ERR_BUSY', 'full')
  })
  await full.dispatch.run()
  assert.equal(full.done.length, 48)
  const final = dispatchOver(fakes(2), () => { throw new InosError('ERR_TRAP', 'the guest trapped') })
  await assert.rejects(final.dispatch.run(), { code: 'ERR_TRAP' })
})

// Goal: nothing is sent that the demo does not allow, and `wake` is enough to go on.
// Method: forbid node 0 as executor until all else is done.
test('what is not allowed waits', async () => {
  let open = false
  const { dispatch, done } = dispatchOver(fakes(2), (_, executor) => { assert.ok(open || executor === 1) }, ({ executor }) => open || executor === 1)
  const running = dispatch.run()
  while (done.length < 24) await sleep(5)
  open = true
  dispatch.wake()
  await running
  assert.equal(done.length, 48)
})
