import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { generateNans } from '../../test/nan-generator.ts'
import { wasm } from '../../test/wasm-builder.ts'
import type { Func } from '../../test/wasm-builder.ts'
import { LIMITS } from '../packet/limits.ts'
import { admit } from './admit.ts'
import { STACK_BYTES } from './call-stack.ts'
import { capsAfterMetering, GUEST_PREFIX, meter, METER_EXPORTS, METER_MEMORY, METER_MODULE } from './meter.ts'
import type { MeterOptions } from './meter.ts'
import { decode } from './decode.ts'

const CAPS = capsAfterMetering(LIMITS.module)

function metered (bytes: Uint8Array<ArrayBuffer>, options: MeterOptions = {}): Uint8Array<ArrayBuffer> {
  assert.ok(WebAssembly.validate(bytes))
  const module = decode(bytes, LIMITS.module)
  const { graph } = admit(module, LIMITS.module)
  const { wasm } = meter(module, graph, [], LIMITS.module, options)
  admit(decode(wasm, CAPS), CAPS)
  return new Uint8Array(wasm)
}

/** Memory after `run`. */
function runMetered (bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { [METER_MODULE]: { [METER_MEMORY]: memory } })
  ;(exports[METER_EXPORTS.fuel] as WebAssembly.Global<'i64'>).value = 10n ** 12n
  ;(exports[METER_EXPORTS.stack] as WebAssembly.Global<'i32'>).value = STACK_BYTES
  ;(exports[`${GUEST_PREFIX}run`] as () => void)()
  return new Uint8Array(memory.buffer)
}

function runPlain (bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes))
  ;(exports['run'] as () => void)()
  return new Uint8Array((exports['memory'] as WebAssembly.Memory).buffer)
}

// Goal: whatever a guest does with floats, it sees the bits of the rule and no others.
// Method: random modules against the same modules that make each result of arithmetic canonical at once;
// memory is compared byte for byte. Without the rule many of them differ.
test('random modules see canonical NaNs', () => {
  const count = { ran: 0, differing: 0 }
  fc.assert(fc.property(fc.integer(), seed => {
    const sample = generateNans(seed)
    const expected = runPlain(sample.canonical)
    assert.deepEqual(runMetered(metered(sample.wasm)), expected)
    count.ran++
    if (Buffer.compare(runMetered(metered(sample.wasm, { nan: false })), expected) !== 0) count.differing++
  }), { numRuns: 300 })
  assert.ok(count.differing > count.ran / 10, JSON.stringify(count))
})

function entry (code: string, locals: string, type = ':'): Func { return { type, code, locals, export: 'run' } }

/** How often the canonical NaN of f64 stands in a metered module; none of these has one itself. */
function places (func: Func): number {
  const bytes = metered(wasm({ memory: { min: 1 }, functions: [func, { type: 'f64:', code: '' }] }))
  return Buffer.from(bytes).toString('latin1').split('\0\0\0\0\0\0\u00f8\u007f').length - 1
}

// Goal: NaNs are made canonical only where somebody sees them.
// Method: count the places in small functions of known flow.
test('the rule costs nothing where nobody looks', () => {
  const x = 'local.get 0'
  const cases: Array<[code: string, places: number]> = [
    [`${x} ${x} f64.add ${x} f64.mul f64.sqrt local.set 1 local.get 1 ${x} f64.lt drop`, 0],
    [`loop local.get 1 ${x} f64.add local.set 1 local.get 1 ${x} f64.lt br_if 0 end i32.const 0 local.get 1 f64.store`, 1],
    ['i32.const 0 i32.const 0 f64.load f64.store', 0],
    [`i32.const 0 ${x} f64.neg f64.store`, 0],
    [`i32.const 0 ${x} ${x} f64.add f64.neg f64.store`, 1],
    [`i32.const 0 ${x} ${x} f64.add f64.abs f64.store`, 1],
    [`${x} ${x} f64.add f64.neg ${x} f64.mul f64.neg drop`, 0],
    [`${x} ${x} f64.add ${x} f64.copysign drop`, 1],
    [`${x} ${x} ${x} f64.add f64.copysign drop`, 1],
    // A local that is also loaded is exact.
    [`i32.const 0 f64.load local.set 1 ${x} ${x} f64.mul local.set 1`, 1],
    [`${x} local.set 1 local.get 1 local.set 2 ${x} ${x} f64.mul local.set 2`, 1],
    [`${x} ${x} f64.mul local.set 1 local.get 1 local.set 2 i32.const 0 local.get 2 f64.store`, 1],
    [`${x} ${x} f64.mul local.tee 1 i64.reinterpret_f64 drop`, 1],
    ['i32.const 1 f64.convert_i32_s local.set 1 i32.const 0 local.get 1 f64.store', 0],
    [`${x} ${x} f64.mul i32.trunc_sat_f64_s drop`, 0],
    [`${x} ${x} f64.mul drop`, 0],
    [`${x} ${x} f64.mul call 1`, 1]
  ]
  for (const [code, expected] of cases) assert.equal(places(entry(code, 'f64 f64', 'f64:')), expected, code)
})

// Goal: NaNs that come from elsewhere keep their bits, signalling ones included.
// Method: move one through loads, locals, blocks, select, neg, abs and copysign.
test('NaNs that nobody computed pass unchanged', () => {
  const bits = 0x7ff0_0000_1234_5678n
  const code = `
    i32.const 0 i64.const ${bits} i64.store
    i32.const 8 i32.const 0 f64.load local.tee 0 local.get 0 i32.const 1 select f64.store
    i32.const 16 block(:f64) local.get 0 br 0 end f64.neg f64.store
    i32.const 24 local.get 0 f64.neg f64.abs f64.store
    i32.const 32 local.get 0 f64.const -1 f64.copysign f64.store
    i32.const 40 local.get 0 f64.const 1 f64.mul f64.store
    i32.const 48 local.get 0 f64.const 1 f64.mul f64.neg f64.store`
  const memory = new DataView(runMetered(metered(wasm({ memory: { min: 1, max: 1 }, functions: [entry(code, 'f64')] }))).buffer)
  const sign = 1n << 63n
  const found = Array.from({ length: 7 }, (_, i) => memory.getBigUint64(i * 8, true))
  assert.deepEqual(found, [bits, bits, bits | sign, bits, bits | sign, 0x7ff8n << 48n, 0xfff8n << 48n])
})
