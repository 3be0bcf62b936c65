import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { LIMITS } from '../src/packet/limits.ts'
import { decode } from '../src/wasm/decode.ts'
import { createEngine } from '../src/wasm/engine.ts'
import type { Outcome } from '../src/wasm/runtime.ts'
import { PROFILE } from '../src/wasm/runtime.ts'
import { countFuel } from './fuel-counter.ts'
import { fuelVectors } from './suites/fuel-vectors.ts'
import type { FuelVector } from './suites/fuel-vectors.ts'
import { generate } from './wasm-generator.ts'

const engine = createEngine()

function run (wasm: Uint8Array, fuelMax: bigint, memoryPagesMax: number): Promise<Outcome> {
  return engine.execute({
    moduleId: `${ids++}`, wasm, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax, memoryPagesMax, outputBytesMax: 0 }, seed: new Uint8Array(32)
  }, { payer: '' })
}
let ids = 0

// Goal: docs/fuel.md says enough that an implementation which shares nothing with the engine agrees to the unit.
// Method: random modules in the engine and in the slow interpreter, with plenty of fuel, with exactly what
// they burn, one unit less, and half of it: same outcome, exit code, fuel and pages.
test('the engine and a second implementation agree on random modules', async () => {
  const ends = new Map<string, number>()
  await fc.assert(fc.asyncProperty(fc.integer(), async seed => {
    const { wasm } = generate(seed)
    const module = decode(wasm, LIMITS.module)
    const memoryPagesMax = 2 + (seed & 1)
    const plenty = await run(wasm, 1_000_000n, memoryPagesMax)
    for (const fuelMax of [1_000_000n, plenty.fuel, plenty.fuel - 1n, plenty.fuel / 2n]) {
      const counted = countFuel(module, { fuelMax, memoryPagesMax, outputBytesMax: 0 })
      const outcome = fuelMax === 1_000_000n ? plenty : await run(wasm, fuelMax, memoryPagesMax)
      for (const part of ['outcome', 'exitCode', 'fuel', 'pages'] as const) assert.equal(counted[part], outcome[part], `${part} at ${fuelMax}`)
    }
    ends.set(plenty.outcome, (ends.get(plenty.outcome) ?? 0) + 1)
  }), { numRuns: 300 })
  assert.ok((ends.get('ok') ?? 0) > 50 && (ends.get('trap') ?? 0) > 20, JSON.stringify([...ends]))
})

// Goal: the committed vectors are what the engine does, and what the second implementation does.
// Method: make them anew and compare; run each whose instructions the interpreter knows.
test('the vectors stand', async () => {
  const vectors = JSON.parse(readFileSync('test/vectors/fuel.json', 'utf8')) as FuelVector[]
  assert.deepEqual(await fuelVectors(), vectors)
  for (const { name, module, input, limits, counted, ...expected } of vectors) {
    if (!counted) continue
    const found = countFuel(decode(Buffer.from(module, 'base64'), LIMITS.module), { ...limits, fuelMax: BigInt(limits.fuelMax) }, Buffer.from(input))
    const { outcome, exitCode, fuel, pages } = found
    const result = createHash('sha256').update(found.result).digest('hex')
    assert.deepEqual({ outcome, exitCode, fuel: String(fuel), pages, result }, expected, name)
  }
})

// Goal: a frozen profile stays what it was: other fuel is another profile. Method: the vectors of each name have one hash.
test('the profile is frozen', () => {
  const frozen: Record<string, string> = { 'inos/1': 'd3982457e8588535d2055661a3850e48d61b32fbc47774b890c78f2bf4b2de51' }
  assert.equal(createHash('sha256').update(readFileSync('test/vectors/fuel.json')).digest('hex'), frozen[PROFILE])
})
