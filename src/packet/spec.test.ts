import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCanonical } from './cbor.ts'
import { rawCid, recordCid } from './cid.ts'
import { LIMITS } from './limits.ts'
import { decodeSpec, encodeSpec, seedOf, type Spec } from './spec.ts'

const good: Spec = {
  module: rawCid(Uint8Array.of(1)), input: rawCid(Uint8Array.of(2)), entry: '', args: ['a'], env: { A: 'b' }, files: null, outputs: [],
  limits: { fuelMax: 1_000n, memoryPagesMax: 2, outputBytesMax: 3 }, seed: null, profile: 'inos/1'
}
/** Each is another way to write what has one form, or leads nowhere. */
const OUTPUTS_THAT_ARE_NONE = [['a'], [''], ['/a/'], ['//a'], ['/a/./b'], ['/../a'], ['/a/..'], ['/a\0'], ['/b', '/a'], ['/a', '/a'], ['/', '/a'], ['/a', '/a/b'], ['/a', '/a!', '/a/b']]
const refused = { code: 'ERR_INVALID_SPEC' } as const

// Goal: a spec is its bytes, and its id their hash. Method: there and back, in any order of env.
test('a spec comes back as it went', () => {
  const { bytes, id, spec } = encodeSpec(good)
  assert.deepEqual(spec, good)
  assert.deepEqual(decodeSpec(bytes).spec, good)
  assert.ok(id.equals(recordCid(bytes)) && decodeSpec(bytes).id.equals(id))
  assert.deepEqual(encodeSpec({ ...good, env: { B: '1', A: '2' } }).bytes, encodeSpec({ ...good, env: { A: '2', B: '1' } }).bytes)
})

// Goal: everything that computes is in the id. Method: change each field.
test('every field changes the id', () => {
  const ids = new Set([good, { ...good, module: good.input }, { ...good, input: good.module }, { ...good, entry: 'x' }, { ...good, args: [] }, { ...good, env: {} },
    { ...good, files: good.input }, { ...good, outputs: ['/'] }, { ...good, limits: { ...good.limits, fuelMax: 1_001n } }, { ...good, seed: new Uint8Array(32) }, { ...good, profile: 'inos/2' }, { ...good, state: null }, { ...good, state: good.input }
  ].map(spec => encodeSpec(spec).id.toString()))
  assert.equal(ids.size, 13)
})

// Goal: randomness follows from the spec, but neither from its limits nor from what is asked back. Method: seeds of specs that differ.
test('limits and outputs do not change the seed', () => {
  const seed = seedOf(good)
  assert.equal(seed.length, 32)
  assert.deepEqual(seedOf({ ...good, limits: { fuelMax: 9n, memoryPagesMax: 9, outputBytesMax: 9 } }), seed)
  assert.deepEqual(seedOf({ ...good, outputs: ['/out'] }), seed)
  assert.notDeepEqual(seedOf({ ...good, args: ['b'] }), seed)
  assert.notDeepEqual(seedOf({ ...good, state: null }), seed)
  assert.notDeepEqual(seedOf({ ...good, input: good.module }), seed)
  const own = new Uint8Array(32).fill(7)
  assert.deepEqual(seedOf({ ...good, seed: own }), own)
})

// Goal: what a peer sends is checked field by field. Method: one wrong value each.
test('a spec out of range is refused', () => {
  const limits = good.limits
  const wrong: object[] = [
    { module: 'x' }, { input: null }, { entry: 1 }, { entry: 'é'.repeat(129) }, { args: 'x' }, { args: [1] }, { args: Array.from({ length: 1_025 }, () => '') }, { args: ['a\0'] },
    { env: [] }, { env: { A: 1 } }, { env: { '': 'x' } }, { env: { 'A=B': 'x' } }, { env: { 'A\0': 'x' } }, { env: { A: '\0' } }, { files: 'x' }, { seed: new Uint8Array(31) },
    { profile: 1 }, { state: 1 }, { state: 'x' }, { profile: 'x'.repeat(65) }, { more: 1 }, { limits: null }, { limits: { ...limits, more: 1 } }, { limits: { ...limits, fuelMax: -1n } },
    { limits: { ...limits, fuelMax: LIMITS.spec.fuelMax + 1n } }, { limits: { ...limits, fuelMax: 0.5 } }, { limits: { ...limits, memoryPagesMax: LIMITS.spec.memoryPagesMax + 1 } },
    { limits: { ...limits, memoryPagesMax: -1 } }, { limits: { ...limits, outputBytesMax: 1.5 } }, { limits: { ...limits, outputBytesMax: LIMITS.spec.outputBytesMax + 1 } },
    { args: ['x'.repeat(LIMITS.spec.textBytesMax)] }, { outputs: null }, { outputs: [1] }, { outputs: Array.from({ length: 65 }, (_, n) => `/${100 + n}`) }, { outputs: [`/${'x'.repeat(5_000)}`] },
    ...OUTPUTS_THAT_ARE_NONE.map(outputs => ({ outputs }))
  ]
  for (const change of wrong) assert.throws(() => decodeSpec(encodeCanonical({ ...good, ...change })), refused, JSON.stringify(change, (_, value) => typeof value === 'bigint' ? String(value) : value).slice(0, 80))
  for (const value of [null, [], 'x', 1]) assert.throws(() => decodeSpec(encodeCanonical(value)), refused)
  assert.throws(() => decodeSpec(Uint8Array.of(...encodeSpec(good).bytes, 0)), { code: 'ERR_RECORD_INVALID' })
  assert.equal(decodeSpec(encodeCanonical({ ...good, limits: { ...limits, fuelMax: LIMITS.spec.fuelMax } })).spec.limits.fuelMax, 2n ** 53n - 1n)
})
