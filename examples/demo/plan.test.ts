/** The plan of the demo: every pixel in one tile, every share fair, every option checked. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InosError } from '../../src/packet/errors.ts'
import { checkOptions, cutTiles, type DemoOptions, planSweep, planTiles } from './plan.ts'

const options = (changes: Partial<DemoOptions>): DemoOptions =>
  ({ seed: 1, width: 960, height: 540, nodes: 3, json: false, signal: new AbortController().signal, ...changes })

// Goal: tiles make up the picture, whatever its size.
// Method: count for random sizes how often each pixel is covered, and how large tiles are.
test('each pixel lies in exactly one tile', () => {
  fc.assert(fc.property(fc.integer({ min: 16, max: 400 }), fc.integer({ min: 9, max: 300 }), (width, height) => {
    const covered = new Uint8Array(width * height)
    for (const area of cutTiles(width, height)) {
      assert.ok(area.width >= 1 && area.width <= 120 && area.height >= 1 && area.height <= 90)
      for (let y = area.y; y < area.y + area.height; y++) {
        for (let x = area.x; x < area.x + area.width; x++) covered[y * width + x]!++
      }
    }
    assert.ok(covered.every(times => times === 1))
  }), { numRuns: 60 })
})

// Goal: with three nodes each executes at least a fifth of the tiles, some for others, and buys some;
// the plan leaves room for one node to lose a few.
// Method: count the plan of several sizes.
test('the shares of three nodes are fair', () => {
  for (const [width, height] of [[16, 9], [160, 90], [960, 540], [1920, 1080]] as const) {
    const tasks = planTiles(options({ width, height }))
    for (let node = 0; node < 3; node++) {
      const executed = tasks.filter(({ executor }) => executor === node)
      assert.ok(executed.length >= 0.3 * tasks.length, `${executed.length} of ${tasks.length}`)
      assert.ok(executed.filter(({ buyer }) => buyer !== node).length >= 8)
      assert.ok(tasks.filter(({ buyer, executor }) => buyer === node && executor !== node).length >= 8)
    }
  }
})

// Goal: a node alone asks nobody else.
// Method: look for a task of one node with another buyer or executor than itself.
test('alone, everything is bought and executed by oneself', () => {
  const tasks = [...planTiles(options({ nodes: 1 })), ...planSweep(1)]
  assert.ok(tasks.length > 48 && tasks.every(({ buyer, executor }) => buyer === 0 && executor === 0))
})

// Goal: a tile's input depends on picture and place alone, so that pictures of any number of nodes agree.
// Method: compare inputs and limits of plans for one and for three nodes.
test('the number of nodes does not enter a tile', () => {
  const facts = (nodes: number): unknown[] => planTiles(options({ nodes })).map(({ index, input, limits, args }) => ({ index, input, limits, args }))
  assert.deepEqual(facts(1), facts(3))
})

// Goal: bad options are refused by name, the ends of each range are not.
// Method: one step inside and outside every range.
test('options out of range are refused', () => {
  for (const good of [{ seed: 0 }, { seed: 2 ** 32 - 1 }, { nodes: 1 }, { nodes: 8 }, { width: 16, height: 9 }, { width: 4096, height: 4096 }]) {
    checkOptions(options(good))
  }
  for (const [bad, name] of [
    [{ seed: -1 }, /--seed/], [{ seed: 2 ** 32 }, /--seed/], [{ seed: 0.5 }, /--seed/], [{ nodes: 0 }, /--nodes/], [{ nodes: 9 }, /--nodes/],
    [{ width: 15 }, /width/], [{ width: 4097 }, /width/], [{ height: 8 }, /height/], [{ height: Number.NaN }, /height/]
  ] as const) {
    assert.throws(() => { checkOptions(options(bad)) }, (error: unknown) => error instanceof InosError && error.code === 'ERR_USAGE' && name.test(error.message))
  }
})
