/** Map over a processor made of promises: order, concurrency, back-pressure, and every way to end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { InosError } from '../packet/errors.ts'
import type { ComputeOptions, Processor, Result } from '../processor/processor.ts'
import { map, type MapProgress } from './map.ts'

interface Fake extends Processor { running: number, most: number, started: string[], cancelled: number }

/** Echoes its input after as many milliseconds as it says, or fails with "fail …". */
function fakeNode (): Fake {
  const node = {
    slots: 2,
    running: 0,
    most: 0,
    started: [] as string[],
    cancelled: 0,
    peers: () => [],
    load: async (bytes: Uint8Array) => ({ id: 'module', bytes }),
    async compute (_module: unknown, input: string, { signal }: ComputeOptions): Promise<Result> {
      node.started.push(input)
      node.most = Math.max(node.most, ++node.running)
      try {
        if (input.startsWith('fail')) throw new InosError('ERR_TRAP', input)
        await sleep(Number(input), undefined, { signal })
        return { text: () => input, cost: 2n, fuel: 3n } as Result
      } catch (error) {
        if (signal?.aborted === true) node.cancelled++
        throw error
      } finally {
        node.running--
      }
    }
  }
  return node as unknown as Fake
}

const wasm = new Uint8Array(8)
const isCode = (code: string) => (error: unknown): boolean => error instanceof InosError && error.code === code

async function collect (items: AsyncIterable<{ index: number, text (): string }>): Promise<string[]> {
  return await Array.fromAsync(items, item => `${item.index}:${item.text()}`)
}

// Goal: results in the order of inputs, or as they come, so many at once. Method: later inputs are quicker.
test('order and concurrency', async () => {
  const node = fakeNode()
  // Far apart, so that a machine which stands still for a while does not change who is first.
  const inputs = ['1200', '600', '1', '2']
  assert.deepEqual(await collect(map(node, wasm, inputs, { concurrency: 3 })), ['0:1200', '1:600', '2:1', '3:2'])
  assert.equal(node.most, 3)
  assert.deepEqual(await collect(map(node, wasm, inputs, { concurrency: 3, ordered: false })), ['2:1', '3:2', '1:600', '0:1200'])
  const alone = fakeNode()
  await collect(map(alone, wasm, Array(9).fill('1')))
  assert.equal(alone.most, 4)
  assert.deepEqual(await collect(map(node, wasm, [])), [])
})

// Goal: progress adds up. Method: the last report; a listener that throws changes nothing.
test('progress', async () => {
  const reports: MapProgress[] = []
  await collect(map(fakeNode(), wasm, ['1', '2', '3'], { onProgress: report => { reports.push(report); throw new Error('mine') } }))
  assert.deepEqual(reports.at(-1), { done: 3, failed: 0, running: 0, cost: 6n, fuel: 9n })
})

// Goal: a source is read as fast as items are taken, and told when the loop ends. Method: an endless
// generator, a consumer that stops early.
test('back-pressure, and break cancels', async () => {
  const node = fakeNode()
  let read = 0
  let closed = false
  const endless = (async function * () {
    try {
      for (;;) { read++; yield read > 3 ? '10000' : '1' }
    } finally {
      closed = true
    }
  })()
  for await (const item of map(node, wasm, endless, { concurrency: 4 })) if (item.index === 2) break
  assert.ok(read <= 7, `${read} read`)
  assert.ok(closed)
  assert.equal(node.running, 0)
  assert.ok(node.cancelled > 0)
})

// Goal: an input may depend on an earlier result. Method: a source that waits for the item before.
test('a source that waits for results gets them', async () => {
  const results: string[] = []
  let wake = (): void => {}
  const source = (async function * () {
    for (let i = 1; i <= 3; i++) {
      yield `${i}`
      if (results.length < i) await new Promise<void>(resolve => { wake = resolve })
    }
  })()
  for await (const item of map(fakeNode(), wasm, source, { concurrency: 8 })) {
    results.push(item.text())
    wake()
  }
  assert.deepEqual(results, ['1', '2', '3'])
})

// Goal: whatever fails ends the map at once and cancels the rest. Method: an item, the source, a signal
// before and during, also while a source gives nothing.
test('failures', async () => {
  const node = fakeNode()
  await assert.rejects(collect(map(node, wasm, ['10000', 'fail here', '10000'])), /fail here/)
  assert.equal(node.running, 0)
  assert.ok(node.cancelled >= 1)
  const broken = (async function * () { yield '10000'; throw new Error('no more') })()
  await assert.rejects(collect(map(node, wasm, broken)), /no more/)
  assert.equal(node.running, 0)
  await assert.rejects(collect(map(node, wasm, ['1'], { signal: AbortSignal.abort() })), isCode('ERR_CANCELLED'))
  const silent: AsyncIterable<string> = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) }
  await assert.rejects(collect(map(node, wasm, silent, { signal: AbortSignal.timeout(20) })), isCode('ERR_CANCELLED'))
  for (const concurrency of [0, -1, 1.5, Number.NaN]) await assert.rejects(collect(map(node, wasm, ['1'], { concurrency })), isCode('ERR_USAGE'))
})
