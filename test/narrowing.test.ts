/** Limits that a map narrows to what its items need: over whole nodes, with guests that burn and write what their input says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readBundle } from '../src/credits/bundle.ts'
import { scale, worstCase } from '../src/credits/pricing.ts'
import type { MapOptions, MapProgress } from '../src/emergent/map.ts'
import { DEFAULT_PRICES, LIMITS } from '../src/packet/limits.ts'
import { createTestMesh } from '../src/testing/mesh.ts'
import type { TestMesh } from '../src/testing/options.ts'
import { load } from '../src/wasm/ranges.ts'
import type { Outcome, Run, RunLimits, Runtime } from '../src/wasm/runtime.ts'
import { ECHO } from './guests.ts'

const CREDIT = 1_000_000n
const MILLION = 1_000_000

interface Need { readonly fuel: number, readonly bytes: number }

/** Ends as a guest would that has such needs, and keeps the limits it was given. */
class Guests implements Runtime {
  readonly given: RunLimits[] = []

  async execute ({ input, limits }: Run): Promise<Outcome> {
    const { fuel, bytes } = JSON.parse(new TextDecoder().decode(await load(input))) as Need
    this.given.push(limits)
    const ended = { exitCode: null, result: new Uint8Array(0), files: null, stderr: new Uint8Array(0), pages: 1, message: '' }
    if (BigInt(fuel) > limits.fuelMax) return { ...ended, outcome: 'fuel', fuel: limits.fuelMax }
    if (bytes > limits.outputBytesMax) return { ...ended, outcome: 'output', fuel: BigInt(fuel) }
    return { ...ended, outcome: 'ok', exitCode: 0, fuel: BigInt(fuel), result: new Uint8Array(bytes).fill(fuel % 251) }
  }

  async inspect (): Promise<never> { throw new Error('nobody asks') }
  load (): { slots: number, busy: number, queued: number } { return { slots: 4, busy: 0, queued: 0 } }
  async stop (): Promise<void> {}
}

/** A buyer that runs nothing itself, and a seller. */
function meshOf (guests: Guests): Promise<TestMesh> {
  return createTestMesh({ nodes: 2, runtime: guests, node: index => ({ serve: index === 1 }) })
}

interface Played { readonly codes: string[], readonly progress: MapProgress, readonly inFlightMax: number, readonly cost: bigint }

/** Run a map over these needs; each result is looked at, and the budget with each report. */
async function play (mesh: TestMesh, needs: readonly Need[], options: MapOptions & { readonly budget: bigint }): Promise<Played> {
  const [buyer] = mesh.nodes
  const codes: string[] = []
  let inFlightMax = 0
  let progress: MapProgress | null = null
  const onProgress = (report: MapProgress): void => {
    assert.ok(report.cost + report.held <= options.budget, 'the budget holds at every moment')
    inFlightMax = Math.max(inFlightMax, ...buyer!.peers().map(({ inFlight }) => inFlight))
    progress = report
  }
  for await (const { index, error, bytes } of buyer!.map(ECHO, needs.map(need => JSON.stringify(need)), { where: 'remote', onError: 'yield', ...options, onProgress }) as AsyncIterable<{ index: number, error?: { code: string }, bytes: Uint8Array }>) {
    assert.equal(index, codes.length)
    codes.push(error?.code ?? 'ok')
    if (error === undefined) assert.deepEqual(bytes, new Uint8Array(needs[index]!.bytes).fill(needs[index]!.fuel % 251))
  }
  await mesh.settled()
  const { spent, held } = buyer!.credits()
  assert.deepEqual([held, spent], [0n, progress!.cost], 'what the map says it cost was paid')
  return { codes, progress: progress!, inFlightMax, cost: spent }
}

// Goal: with default limits, of which one worst case is most of the budget, items run beside each other once a few have shown
// what they need. Method: a budget of 20 credits over small items; with `narrow: false` it stays at two worst cases of an idle node's prices.
test('a budget holds more items at once when they need little', async () => {
  const needs = Array<Need>(80).fill({ fuel: 2 * MILLION, bytes: 100 })
  const guests = new Guests()
  await using mesh = await meshOf(guests)
  const narrow = await play(mesh, needs, { budget: 20n * CREDIT })
  assert.deepEqual(new Set(narrow.codes), new Set(['ok']))
  assert.equal(narrow.progress.repeats, 0)
  assert.ok(narrow.inFlightMax >= 8, `${narrow.inFlightMax} in flight`)
  // One more was ordered while the last of them told what it needed.
  assert.ok(guests.given.filter(({ fuelMax }) => fuelMax === LIMITS.job.fuelMax).length <= LIMITS.map.samplesMin + 1)
  const others = new Guests()
  await using same = await meshOf(others)
  const wide = await play(same, needs.slice(0, 10), { budget: 20n * CREDIT, narrow: false })
  assert.ok(wide.inFlightMax <= 2, `${wide.inFlightMax} in flight`)
  assert.deepEqual(new Set(others.given.map(({ fuelMax }) => fuelMax)), new Set([LIMITS.job.fuelMax]))
})

// Goal: an item that needs far more than those before it succeeds all the same, and is paid within the budget; its receipts say what it was
// given. Method: a hundred times the fuel, and a hundred times the output, in the middle; with a budget that covers the caller's
// limits, and one that by then does not.
test('one that needs a hundred times as much succeeds', async () => {
  for (const [budget, large] of [
    [30n * CREDIT, { fuel: 800 * MILLION, bytes: 100 }],
    [30n * CREDIT, { fuel: 8 * MILLION, bytes: 2 * MILLION }],
    [17n * CREDIT, { fuel: 800 * MILLION, bytes: 100 }]
  ] as const) {
    const small = { fuel: 60 * MILLION, bytes: 20_000 }
    await using mesh = await meshOf(new Guests())
    const { codes, progress, cost } = await play(mesh, [...Array<Need>(30).fill(small), large, ...Array<Need>(9).fill(small)], { budget })
    assert.deepEqual([codes.length, new Set(codes)], [40, new Set(['ok'])])
    assert.ok(progress.repeats >= 1 && cost <= budget)
    const receipts = await Array.fromAsync(mesh.nodes[0]!.receipts())
    assert.equal(receipts.length, 40 + progress.repeats, 'a try that was too narrow has a receipt of its own')
    assert.equal(receipts.reduce((sum, { charge }) => sum + charge, 0n), cost)
    const outcomes = await Promise.all(receipts.map(async ({ id }) => readBundle((await mesh.nodes[0]!.receipt(id))!).receipt.payload.outcome))
    assert.equal(outcomes.filter(outcome => outcome !== 'ok').length, progress.repeats)
  }
})

const need = fc.record({
  fuel: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: 20 * MILLION }) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 2_000 * MILLION }) }),
  bytes: fc.oneof({ weight: 6, arbitrary: fc.nat(1_000) }, { weight: 1, arbitrary: fc.nat(400_000) })
})

// Goal: whatever items need, limits stay within the caller's, memory is never narrowed, results are right, the budget is not passed, and an
// item fails only where the caller's own limits or the budget are too little. Method: random needs, limits and budgets.
test('narrowed limits never show in a result', { timeout: 280_000 }, async () => {
  await fc.assert(fc.asyncProperty(fc.array(need, { minLength: 1, maxLength: 25 }), fc.integer({ min: 100, max: 4_000 }), fc.integer({ min: 8, max: 40 }), fc.integer({ min: 1, max: 8 }), async (needs, fuelM, credits, concurrency) => {
    const limits: RunLimits = { fuelMax: BigInt(fuelM) * CREDIT, memoryPagesMax: 64, outputBytesMax: 200_000 }
    const guests = new Guests()
    await using mesh = await meshOf(guests)
    const budget = BigInt(credits) * CREDIT
    const { codes, cost } = await play(mesh, needs, { budget, limits, concurrency })
    for (const { fuelMax, memoryPagesMax, outputBytesMax } of guests.given) {
      assert.ok(fuelMax <= limits.fuelMax && outputBytesMax <= limits.outputBytesMax)
      assert.equal(memoryPagesMax, limits.memoryPagesMax)
    }
    assert.equal(codes.length, needs.length)
    for (const [at, code] of codes.entries()) {
      const { fuel, bytes } = needs[at]!
      const possible = BigInt(fuel) > limits.fuelMax ? 'ERR_OUT_OF_FUEL' : bytes > limits.outputBytesMax ? 'ERR_OUTPUT_LIMIT' : 'ok'
      assert.ok(code === possible || code === 'ERR_BUDGET', `item ${at}: ${code}`)
    }
    const dearest = worstCase(scale(DEFAULT_PRICES, LIMITS.market.priceQuartersMax), limits)
    assert.ok(!codes.includes('ERR_BUDGET') || budget - cost < dearest, 'no item is given up that the budget covers')
  }), { numRuns: 25 })
})
