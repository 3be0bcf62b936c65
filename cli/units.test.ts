import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LIMITS } from '../src/packet/limits.ts'
import { exitCodeOf, parseWhere } from './run.ts'
import { formatCredits, groupDigits, parseCount, parseCredits, parseSeconds } from '../src/packet/amounts.ts'
import { formatBytes, parseBytes, parsePages } from './units.ts'

const USAGE = { code: 'ERR_USAGE' }
const MAX = 10n ** 18n

// Goal: numbers mean what they say, and nothing that is not a number passes.
// Method: a table of good and bad texts.
test('counts', () => {
  assert.equal(parseCount('0', MAX), 0n)
  assert.equal(parseCount('10_000', MAX), 10_000n)
  assert.equal(parseCount('5', 5n), 5n)
  for (const text of ['', ' 1', '1 ', '-1', '+1', '1.0', '1e3', '0x10', '_1', '1_', '1__0', '١', '6', '9'.repeat(30)]) {
    assert.throws(() => parseCount(text, 5n), USAGE, text)
  }
})

// Goal: sizes with and without unit; memory only as whole pages within the limit. Method: a table.
test('bytes and pages', () => {
  assert.equal(parseBytes('64MiB'), 64n << 20n)
  assert.equal(parseBytes('1GiB'), 1n << 30n)
  assert.equal(parseBytes('3kB'), 3_000n)
  assert.equal(parseBytes('65_536'), 65_536n)
  assert.equal(parsePages('64MiB'), 1024)
  assert.equal(parsePages('0'), 0)
  assert.equal(parsePages('1GiB'), LIMITS.spec.memoryPagesMax)
  for (const text of ['', 'MiB', '64mib', '64 MiB', '-1MiB', '1.5MiB', '1TiB', '64toString']) assert.throws(() => parseBytes(text), USAGE, text)
  for (const text of ['100', '65KiB', '2GiB', '999999999GiB']) assert.throws(() => parsePages(text), USAGE, text)
})

// Goal: an amount of credits is exact or refused. Method: a table, and a random round trip through text.
test('credits', () => {
  assert.equal(parseCredits('2cr'), 2_000_000n)
  assert.equal(parseCredits('0.5cr'), 500_000n)
  assert.equal(parseCredits('0.000001cr'), 1n)
  assert.equal(parseCredits('500ucr'), 500n)
  assert.equal(parseCredits('500µcr'), 500n)
  for (const text of ['', '2', 'cr', '-1cr', '1,5cr', '.5cr', '0.0000001cr', '1.5ucr', '1 cr', '1CR', '99999999999999999999cr']) {
    assert.throws(() => parseCredits(text), USAGE, text)
  }
  assert.equal(formatCredits(0n), '0 cr')
  assert.equal(formatCredits(-1_250_000n), '-1.25 cr')
  assert.equal(formatCredits(1_234_000_001n), '1,234.000001 cr')
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: LIMITS.credits.amountMax }), amount => {
    assert.equal(parseCredits(formatCredits(amount).replaceAll(',', '').replace(' ', '')), amount)
  }), { seed: 1 })
})

// Goal: what is printed can be read. Method: fixed examples.
test('digits and sizes for people', () => {
  assert.equal(groupDigits(1_234_567n), '1,234,567')
  assert.equal(groupDigits(12), '12')
  assert.equal(formatBytes(0), '0 B')
  assert.equal(formatBytes(1536), '1.5 KiB')
  assert.equal(formatBytes(96 * 2 ** 20), '96 MiB')
})

// Goal: a place is one of three words or a PeerId. Method: good and bad texts.
test('where', () => {
  for (const text of ['any', 'local', 'remote', '12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu']) assert.equal(parseWhere(text), text)
  for (const text of ['', 'here', 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG', '12D3Koo', 'toString']) assert.throws(() => parseWhere(text), USAGE, text)
})

// Goal: no failing guest looks like a good one. Method: codes at the edges of 8 bits.
test('exit codes keep 8 bits and never become 0', () => {
  assert.deepEqual([0, 1, 255, 256, 257, 300, 512, 2 ** 31 - 1].map(exitCodeOf), [0, 1, 255, 255, 1, 44, 255, 255])
})

// Goal: a span of time is read as it is meant, or refused. Method: each unit, and texts that are nearly one.
test('spans of time', () => {
  assert.deepEqual(['7d', '12h', '30m', '90s', '1_000s'].map(parseSeconds), [604_800, 43_200, 1_800, 90, 1_000])
  for (const bad of ['', '7', 'd', '1.5h', '-1d', '7 d', '7D', '36526d', `${'9'.repeat(30)}s`]) assert.throws(() => parseSeconds(bad), { code: 'ERR_USAGE' }, bad)
})
