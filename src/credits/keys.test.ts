/** Keys in the books: what they stand for, over restarts, with two orders, when there are too many. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawCid } from '../packet/cid.ts'
import { Keys } from './keys.ts'
import type { Op } from './store.ts'

const SPEC = rawCid(Uint8Array.of(1))
const OTHER = rawCid(Uint8Array.of(2))
const order = (name: string) => ({ order: name, peer: `peer of ${name}` })

/** The rows that are left when these are written. */
function written (...batches: readonly Op[][]): Map<string, Uint8Array> {
  const rows = new Map<string, Uint8Array>()
  for (const op of batches.flat()) {
    if (op.type === 'put') rows.set(op.key, op.value)
    else rows.delete(op.key)
  }
  return rows
}

// Goal: a key stands for one spec, for the orders under it, and for nothing when all are given up; the rows say the same. Method:
// one order, a second one, each given up, read again from the rows in between.
test('a key stands for its spec and its orders', () => {
  const keys = new Keys()
  const rows = [keys.add('k!"', SPEC, order('a'), 1, () => true), keys.add('k!"', SPEC, order('b'), 2, () => true)]
  assert.throws(() => keys.add('k!"', OTHER, order('c'), 3, () => true), { code: 'ERR_USAGE' })
  const again = new Keys()
  again.restore(Array.from(written(...rows), ([key, value]) => [key.slice('key!'.length), value] as const))
  for (const each of [keys, again]) {
    assert.deepEqual(each.orders('k!"', SPEC), [order('a'), order('b')])
    assert.throws(() => each.orders('k!"', OTHER), { code: 'ERR_USAGE' })
    assert.deepEqual(each.shared(), [[order('a'), order('b')]])
    rows.push(each.drop('a'))
    assert.deepEqual(each.orders('k!"', SPEC), [order('b')])
    assert.deepEqual(each.drop('a'), [])
    rows.push(each.drop('b'))
    assert.deepEqual(each.orders('k!"', OTHER), [])
    assert.equal(each.has('b'), false)
  }
  assert.equal(written(...rows).size, 0)
  assert.throws(() => new Keys().restore([['k', Uint8Array.of(0x80)]]), { code: 'ERR_STORE' })
})

// Goal: no more keys than the limit, and none is forgotten whose order is open. Method: a limit of three, the oldest open.
test('of too many keys the oldest that is settled is forgotten', () => {
  const keys = new Keys(3)
  const rows = ['a', 'b', 'c', 'd'].map((name, at) => keys.add(name, SPEC, order(name), at, each => each === 'a'))
  assert.deepEqual([...written(...rows).keys()], ['key!a', 'key!c', 'key!d'])
  assert.deepEqual(['a', 'b', 'c', 'd'].map(name => keys.orders(name, SPEC).length), [1, 0, 1, 1])
  assert.equal(keys.has('b'), false)
})
