import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../packet/limits.ts'
import { createHistory } from './history.ts'

const { historyHalfMs, wrongHalfMs, historyPeersMax, historyModulesMax, paceMax } = LIMITS.market

// Goal: who fails weighs more, who works well makes up for it, who cheats hardly, and who is slow as much as it is slow.
// Method: experiences, and the burden after each.
test('burdens', () => {
  const history = createHistory(() => 0)
  const after = (peer: string, ...experiences: Parameters<typeof history.note>[1][]): number => {
    for (const experience of experiences) history.note(peer, experience)
    return history.burden(peer)
  }
  assert.equal(history.burden('nobody'), 1)
  assert.equal(after('good', 'ok', 'ok', 'ok'), 1)
  assert.equal(after('lost', 'lost'), 5)
  assert.ok(after('lost', 'ok', 'ok', 'ok') < 3)
  assert.equal(after('refused', 'refused'), 2)
  assert.ok(after('cheat', ...Array<'ok'>(9).fill('ok'), 'wrong') > 7)
  for (let i = 0; i < 40; i++) history.note('slow', 'ok', 3)
  assert.ok(Math.abs(history.burden('slow') - 3) < 0.01)
  for (let i = 0; i < 40; i++) history.note('slow', 'ok', 1_000)
  assert.ok(history.burden('slow') <= paceMax, 'a stopped clock bars nobody for ever')
  history.note('fast', 'ok', 0.001)
  assert.equal(history.burden('fast'), 1, 'faster than promised is no merit: what it says of its speed is its own to raise')
})

// Goal: what was seen fades, a wrong answer slowest, and survives a restart. Method: a clock of our own; save and read.
test('memory fades and is kept', () => {
  let now = 1_800_000_000_000
  const history = createHistory(() => now)
  history.note('lost', 'lost', 5)
  history.note('cheat', 'wrong')
  const before = [history.burden('lost'), history.burden('cheat')] as const
  now += historyHalfMs
  assert.ok(history.of('lost')!.lost === 0.5 && history.of('lost')!.pace === 1.5)
  assert.ok(history.burden('cheat') > 0.9 * before[1])
  const again = createHistory(() => now, history.save())
  assert.deepEqual([again.of('lost'), again.of('cheat'), again.of('nobody')], [history.of('lost'), history.of('cheat'), null])
  now += 20 * wrongHalfMs
  for (const [at, peer] of ['lost', 'cheat'].entries()) assert.ok(again.burden(peer) < 1.001 && before[at]! > 5)
})

// Goal: a file that is no history is refused whole. Method: broken ones of each kind.
test('what is no history is refused', () => {
  for (const text of ['', 'x', '[]', '{"version":2,"peers":[]}', '{"version":1,"peers":[1]}', '{"version":1,"peers":[["p",1,1,1,1,1]]}', '{"version":1,"peers":[["p",1,1,-1,1,1,1]]}', '{"version":1,"peers":[["p",1,1,null,1,1,1]]}']) {
    assert.throws(() => createHistory(() => 0, text), { code: 'ERR_RECORD_INVALID' }, text)
  }
})

// Goal: it is bounded, the oldest go first; a module is expected to do what it did. Method: one more than fit.
test('limits, and what modules use', () => {
  const history = createHistory(() => 0)
  for (let i = 0; i <= historyPeersMax; i++) history.note(`p${i}`, 'ok')
  assert.deepEqual([history.of('p0'), history.of('p1')?.ok], [null, 1])
  const limits = { fuelMax: 100n, memoryPagesMax: 7, outputBytesMax: 9 }
  const all = { fuel: 100n, pages: 7, resultBytes: 9, filesBytes: 0 }
  assert.deepEqual(history.expect('m0', limits), all)
  for (let i = 0; i <= historyModulesMax; i++) history.ran(`m${i}`, { fuel: BigInt(i), pages: 1, resultBytes: 2, filesBytes: 3 })
  assert.deepEqual(history.expect('m0', limits), all)
  assert.deepEqual(history.expect('m5', limits), { fuel: 5n, pages: 1, resultBytes: 2, filesBytes: 3 })
  assert.equal(history.expect('m500', limits).fuel, 100n)
})
