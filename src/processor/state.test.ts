import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeCanonical } from '../packet/cbor.ts'
import { rawCid } from '../packet/cid.ts'
import { toHex } from '../packet/identity.ts'
import { applyDelta, encodeDelta, keptOf, sizeOf } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import { PROFILE } from '../wasm/runtime.ts'
import { nextState, bytesIn } from './state.ts'
import { createStateCache } from './states.ts'

const digest = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
const spec = { module: rawCid(Uint8Array.of(1)), profile: PROFILE } as Parameters<typeof nextState>[2]
const rest = { globals: new Uint8Array(8), tables: [], dropped: [] }

/** A page with a few bytes set: anywhere, or close to one another and to an end, so that gaps between changes have every length. */
const place = fc.oneof(fc.nat(PAGE_BYTES - 1), fc.nat(200), fc.nat(200).map(at => PAGE_BYTES - 1 - at))
const page = fc.array(fc.tuple(place, fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 40 }).map(bytes => {
  const all = new Uint8Array(PAGE_BYTES)
  for (const [at, byte] of bytes) all[at] = byte
  return all
})
const memory = fc.array(fc.option(page), { maxLength: 5 })

async function stateOf (before: KeptState | null, pages: ReadonlyArray<Uint8Array | null>): Promise<KeptState> {
  return await nextState(before, { ...rest, pages: pages.length, changed: new Map(pages.entries()) }, spec, digest)
}

// Goal: whoever has the state before makes the state after of its delta, byte for byte.
// Method: two random memories after one another; the delta from nothing is the whole state.
test('a delta makes the state it was made of', async () => {
  await fc.assert(fc.asyncProperty(memory, memory, async (first, second) => {
    const before = await stateOf(null, first)
    const after = await stateOf(before, [...second, ...first.slice(second.length)])
    for (const [base, state] of [[before, after], [null, after], [null, before]] as const) {
      const told = await applyDelta(base, encodeDelta(base, state), digest)
      assert.deepEqual([told.id, bytesIn(told)], [state.id, bytesIn(state)])
    }
  }), { numRuns: 150 })
})

// Goal: what changed a little is told in few bytes. Method: one byte in each of three pages of four.
test('a delta is as small as the change', async () => {
  const full = Array.from({ length: 4 }, (_, i) => new Uint8Array(PAGE_BYTES).fill(i + 1))
  const before = await stateOf(null, full)
  const after = await stateOf(before, full.map((each, i) => i === 0 ? each : each.with(77 * i, 0)))
  assert.ok(encodeDelta(before, after).length < after.bytes.length + 200)
})

// Goal: a damaged delta makes no state. Method: other pages, runs that do not fit, pages twice, a state before that is another.
test('a damaged delta is refused', async () => {
  const before = await stateOf(null, [new Uint8Array(PAGE_BYTES).fill(1), null])
  const after = await stateOf(before, [new Uint8Array(PAGE_BYTES).fill(1), new Uint8Array(PAGE_BYTES).fill(2)])
  const whole = [0, new Uint8Array(PAGE_BYTES).fill(2)]
  const wrong: unknown[] = [
    null, [], { state: after.bytes }, { pages: [] }, { state: after.bytes, pages: [] }, { state: after.bytes.subarray(1), pages: [[1, whole]] },
    ...[[0, whole], [2, whole], [-1, whole], ['x', whole], [1, [0]], [1, [0, 'x']], [1, [1, whole[1]]], [1, [-1, new Uint8Array(2)]], [1, []], [1]].map(each => ({ state: after.bytes, pages: [each] })),
    { state: after.bytes, pages: [[1, whole], [1, whole]] }
  ]
  for (const value of wrong) await assert.rejects(applyDelta(before, encodeCanonical(value), digest), { code: 'ERR_RECORD_INVALID' })
  await assert.rejects(applyDelta(null, encodeDelta(before, after), digest), { code: 'ERR_RECORD_INVALID', message: /lacks/ })
  assert.equal((await applyDelta(before, encodeCanonical({ state: after.bytes, pages: [[1, whole]] }), digest)).id, after.id)
})

// Goal: states stay in memory up to a limit, each for its own payer, the least used going first.
// Method: a cache for two states of one page.
test('the cache of states', async () => {
  const states = await Promise.all([1, 2, 3].map(byte => stateOf(null, [new Uint8Array(PAGE_BYTES).fill(byte)])))
  const [one, two, three] = states as [KeptState, KeptState, KeptState]
  const cache = createStateCache(2 * sizeOf(one))
  cache.keep('a', one)
  cache.keep('a', two)
  cache.keep('a', two)
  assert.ok(cache.get('a', one.id) === one && cache.get('b', one.id) === undefined)
  const hex = toHex(one.record.pages[0]!)
  assert.ok(cache.page('a', hex) === one.pages.get(hex) && cache.page('b', hex) === undefined)
  cache.keep('b', three)
  assert.deepEqual([cache.get('a', one.id)?.id, cache.get('a', two.id), cache.get('b', three.id)?.id], [one.id, undefined, three.id])
  assert.ok(sizeOf(one) < LIMITS.state.cacheBytesMax)
  assert.throws(() => keptOf({ record: one.record, bytes: one.bytes, id: rawCid(one.bytes) }, () => undefined), { code: 'ERR_RECORD_INVALID' })
})
