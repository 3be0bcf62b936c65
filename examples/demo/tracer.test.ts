/** The guest that draws: run by the engine as any node runs it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import type { Outcome } from '../../src/wasm/runtime.ts'
import { createEngine } from '../../src/wasm/engine.ts'
import { type Area, planTiles, TRACER } from './plan.ts'
import { Picture } from './picture.ts'

const wasm = readFileSync(TRACER)
const engine = createEngine()
after(() => engine.stop())

async function trace (input: Uint8Array): Promise<Outcome> {
  const limits = { fuelMax: 20_000_000_000n, memoryPagesMax: 16, outputBytesMax: 1_000_000 }
  return await engine.execute({ moduleId: 'tracer', wasm, input, entry: '', args: [], env: {}, files: {}, outputs: [], limits, seed: new Uint8Array(32) }, { payer: 'test' })
}

function words (...numbers: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(numbers).buffer)
}

const SEED = 7
const WHOLE: Area = { x: 0, y: 0, width: 64, height: 36 }

// Goal: the picture is the same however it is cut, so that any node may draw any tile.
// Method: draw it as one tile and as the demo's tiles; compare the files.
test('tiles make up the picture that is drawn in one piece', async () => {
  const options = { seed: SEED, width: 64, height: 36, nodes: 3, json: false, signal: new AbortController().signal }
  const whole = new Picture(64, 36)
  whole.put(WHOLE, (await trace(words(64, 36, 0, 0, 64, 36, SEED, 3))).result)
  const pieces = new Picture(64, 36)
  for (const { input } of planTiles(options)) {
    const [, , x, y, width, height] = new Uint32Array(input.slice().buffer)
    const { outcome, exitCode, result } = await trace(input)
    assert.deepEqual([outcome, exitCode], ['ok', 0])
    pieces.put({ x: x!, y: y!, width: width!, height: height! }, result)
  }
  assert.deepEqual(pieces.encode(), whole.encode())
})

// Goal: the seed chooses the scene, and the same seed the same one, at the same fuel.
// Method: draw two seeds twice.
test('a seed is a scene', async () => {
  const draw = (seed: number): Promise<Outcome> => trace(words(32, 18, 0, 0, 32, 18, seed, 2))
  const [one, again, other] = [await draw(1), await draw(1), await draw(2)]
  assert.deepEqual(again, one)
  assert.notDeepEqual(other.result, one.result)
})

// Goal: the picture is neither black nor blown out.
// Method: mean brightness and number of distinct colours of a few scenes.
test('there is something to see', async () => {
  for (let seed = 0; seed < 8; seed++) {
    const { result } = await trace(words(48, 27, 0, 0, 48, 27, seed, 1))
    const mean = result.reduce((sum, byte) => sum + byte, 0) / result.length
    const colours = new Set(Array.from({ length: result.length / 3 }, (_, pixel) => result.subarray(pixel * 3, pixel * 3 + 3).join()))
    assert.ok(mean > 50 && mean < 210, `seed ${seed}: mean ${mean}`)
    assert.ok(colours.size > 300, `seed ${seed}: ${colours.size} colours`)
  }
})

// Goal: an input that is no job ends with exit code 1 and no picture, never with a trap.
// Method: inputs that are too short, too long, empty, or name places outside the picture.
test('a bad input is an exit code', async () => {
  for (const input of [
    new Uint8Array(0), new Uint8Array(31), new Uint8Array(33), words(0, 9, 0, 0, 1, 1, 1, 3), words(16, 9, 16, 0, 1, 1, 1, 3),
    words(16, 9, 0, 0, 17, 1, 1, 3), words(16, 9, 0, 8, 1, 2, 1, 3), words(16, 9, 0, 0, 0, 1, 1, 3), words(16, 9, 0, 0, 1, 1, 1, 0),
    words(16, 9, 2 ** 32 - 1, 0, 2, 1, 1, 3), words(2 ** 31, 9, 0, 0, 2 ** 31, 1, 1, 3)
  ]) {
    const { outcome, exitCode, result } = await trace(input)
    assert.deepEqual([outcome, exitCode, result.length], ['ok', 1, 0])
  }
})
