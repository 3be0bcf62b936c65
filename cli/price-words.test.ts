import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseBuyers } from './price-words.ts'

const PEER = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'

// Goal: who may buy is anyone or a list of peers, and whatever else is written says so by name. Method: each way to write it.
test('buyers', () => {
  assert.equal(parseBuyers('anyone'), null)
  assert.deepEqual(parseBuyers(`${PEER},${PEER}`), [PEER, PEER])
  for (const text of ['members', '', ',', `${PEER},nobody`, 'Anyone']) {
    assert.throws(() => parseBuyers(text), { code: 'ERR_USAGE', message: /Buyers are "anyone"/ }, text)
  }
  assert.throws(() => parseBuyers(`${PEER},nobody`), { message: /^"nobody"/ })
})
