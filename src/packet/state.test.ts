import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCanonical } from './cbor.ts'
import { rawCid, sha256 } from './cid.ts'
import { LIMITS, PAGE_BYTES } from './limits.ts'
import { decodeState, encodeState } from './state.ts'
import type { StateRecord } from './state-views.ts'

const good: StateRecord = {
  module: rawCid(Uint8Array.of(1)), profile: 'inos/1', pages: [new Uint8Array(32).fill(1), null, null], globals: new Uint8Array(16).fill(2), tables: [[3, null], []], dropped: [0, 4]
}
const refused = { code: 'ERR_RECORD_INVALID' } as const

// Goal: a state is its bytes, and its id their hash. Method: there and back; every field changes the id.
test('a state comes back as it went', () => {
  const { bytes, id, record } = encodeState(good)
  assert.deepEqual([record, decodeState(bytes).record], [good, good])
  assert.ok(id.equals(rawCid(bytes)) && decodeState(bytes).id.equals(id))
  const others = [good, { ...good, module: rawCid(bytes) }, { ...good, profile: 'x' }, { ...good, pages: [...good.pages, null] }, { ...good, globals: new Uint8Array(8) }, { ...good, tables: [[3]] }, { ...good, dropped: [] }]
  assert.equal(new Set(others.map(each => encodeState(each).id.toString())).size, others.length)
})

// Goal: the largest state has a record that is taken. Method: fill every list to its limit.
test('every state fits its record', () => {
  const { pagesMax, tableEntriesMax, slotsMax, recordBytesMax } = LIMITS.state
  const pages = Array.from({ length: LIMITS.spec.memoryPagesMax }, (_, at) => at < pagesMax ? new Uint8Array(32).fill(1) : null)
  const record = { ...good, pages, globals: new Uint8Array(8 * slotsMax), tables: [new Array<number>(tableEntriesMax).fill(700_000)], dropped: new Array<number>(slotsMax).fill(1_000) }
  assert.ok(encodeState(record).bytes.length <= recordBytesMax)
})

// Goal: what a peer sends is checked field by field. Method: one wrong value each.
test('a record out of range is refused', () => {
  const { pagesMax, tableEntriesMax, slotsMax } = LIMITS.state
  const wrong: object[] = [
    { module: 'x' }, { module: null }, { profile: 1 }, { profile: 'x'.repeat(65) }, { pages: 'x' }, { pages: [1] }, { pages: [new Uint8Array(31)] }, { pages: [sha256(new Uint8Array(PAGE_BYTES))] },
    { pages: new Array<Uint8Array>(pagesMax + 1).fill(new Uint8Array(32)) }, { pages: new Array<null>(LIMITS.spec.memoryPagesMax + 1).fill(null) }, { globals: 'x' }, { globals: new Uint8Array(7) },
    { globals: new Uint8Array(8 * slotsMax + 8) }, { tables: 1 }, { tables: [1] }, { tables: [['x']] }, { tables: [[-1]] }, { tables: [new Array<null>(tableEntriesMax + 1).fill(null)] },
    { tables: new Array<number[]>(LIMITS.module.tablesMax + 1).fill([]) }, { dropped: null }, { dropped: [-1] }, { dropped: ['x'] }, { dropped: new Array<number>(slotsMax + 1).fill(0) }, { more: 1 }
  ]
  for (const change of wrong) assert.throws(() => decodeState(encodeCanonical({ ...good, ...change })), refused, JSON.stringify(change).slice(0, 80))
  for (const value of [null, [], 'x', 1]) assert.throws(() => decodeState(encodeCanonical(value)), refused)
  assert.throws(() => decodeState(Uint8Array.of(...encodeState(good).bytes, 0)), refused)
  assert.throws(() => decodeState(new Uint8Array(LIMITS.state.recordBytesMax + 1)), refused)
})
