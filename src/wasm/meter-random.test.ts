import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { generate, PAGES_MAX } from '../../test/wasm-generator.ts'
import { LIMITS } from '../packet/limits.ts'
import { admit } from './admit.ts'
import { STACK_BYTES } from './call-stack.ts'
import { decode } from './decode.ts'
import { capsAfterMetering, GUEST_PREFIX, meter, METER_EXPORTS, METER_MEMORY, METER_MODULE } from './meter.ts'

const FUEL = 10n ** 9n

interface Result { ends: string, value: unknown, memory: Uint8Array, count: bigint }

function observe (instance: WebAssembly.Instance, prefix: string): Result {
  const exported = (name: string): WebAssembly.ExportValue => instance.exports[prefix + name]!
  let ends: string
  try {
    ends = `returned ${(exported('run') as () => number)()}`
  } catch (error) {
    ends = error instanceof WebAssembly.Exception ? 'threw' : (error as Error).message
  }
  return {
    ends,
    value: (exported('value') as WebAssembly.Global).value,
    memory: new Uint8Array((exported('memory') as WebAssembly.Memory).buffer),
    count: (exported('count') as WebAssembly.Global<'i64'>).value
  }
}

function runPlain (wasm: Uint8Array<ArrayBuffer>): Result {
  return observe(new WebAssembly.Instance(new WebAssembly.Module(wasm)), '')
}

function runMetered (wasm: Uint8Array<ArrayBuffer>, fuelMax: bigint): Result & { burnt: bigint } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: PAGES_MAX })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm), { [METER_MODULE]: { [METER_MEMORY]: memory } })
  const fuel = instance.exports[METER_EXPORTS.fuel] as WebAssembly.Global<'i64'>
  ;(instance.exports[METER_EXPORTS.pages] as WebAssembly.Global<'i32'>).value = PAGES_MAX
  ;(instance.exports[METER_EXPORTS.stack] as WebAssembly.Global<'i32'>).value = STACK_BYTES
  fuel.value = fuelMax
  const result = observe(instance, GUEST_PREFIX)
  return { ...result, burnt: fuelMax - fuel.value }
}

// Goal: metering changes nothing a guest computes, and counts what is executed to the unit.
// Method: random modules with every kind of control flow, run plainly, counting one by one, and metered:
// same end, globals and memory; without a trap the fuel is the count, with one at least that; a limit of
// the fuel burnt suffices and one unit less leaves the counter below zero.
test('random modules compute the same, and cost what they execute', () => {
  const caps = capsAfterMetering(LIMITS.module)
  const ends = { returned: 0, threw: 0, trapped: 0 }
  fc.assert(fc.property(fc.integer(), seed => {
    const sample = generate(seed)
    assert.ok(WebAssembly.validate(sample.wasm))
    const module = decode(sample.wasm, LIMITS.module)
    const { graph } = admit(module, LIMITS.module)
    const metered = meter(module, graph, [], LIMITS.module).wasm
    admit(decode(metered, caps), caps)
    const plain = runPlain(sample.wasm)
    const counting = runPlain(sample.counting)
    const { burnt, ...result } = runMetered(metered, FUEL)
    if (/call stack/.test(plain.ends)) return
    assert.deepEqual(result, plain)
    assert.equal(counting.ends, plain.ends)
    const orderly = /^(returned|threw)/.test(plain.ends)
    if (orderly) assert.equal(burnt, counting.count)
    else assert.ok(burnt >= counting.count)
    assert.deepEqual(runMetered(metered, burnt), { ...result, burnt })
    assert.ok(runMetered(metered, burnt - 1n).burnt > burnt - 1n)
    ends[plain.ends.startsWith('returned') ? 'returned' : orderly ? 'threw' : 'trapped']++
  }), { numRuns: 700 })
  // Were nearly all modules to end in one way, this test would say little.
  for (const count of Object.values(ends)) assert.ok(count > 20, JSON.stringify(ends))
})
