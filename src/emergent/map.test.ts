/** Map over a processor made of promises: order, concurrency, back-pressure, and every way to end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { InosError } from '../packet/errors.ts'
import type { ComputeOptions, Processor, Result } from '../processor/processor.ts'
import { map, type MapProgress } from './map.ts'

interface Fake extends Processor { running: number, most: number, started: string[], cancelled: number, asked: string[] }

/** What a job holds, and what it is charged. */
const HOLD = 5n
const CHARGE = 2n

/**
 * Two nodes, of which the first takes all it may. Each echoes its input after as many milliseconds as
 * it says. Other inputs: "fail …" traps, "stuck …" never ends at the first, "lost …" loses the first,
 * "lie …" gets a wrong answer from the first, "end …" never ends at the first and traps at the second, "gone N …" finds nobody so many times.
 * @param speed of its clock
 */
function fakeNode (speed = 1): Fake {
  const met = new Map<string, number>()
  const run = async (input: string, peer: string, signal: AbortSignal): Promise<void> => {
    const [what, count] = input.split(' ')
    const times = met.get(input) ?? 0
    met.set(input, times + 1)
    const attempt = (code: 'ERR_PEER_LOST' | 'ERR_VERIFICATION'): InosError => new InosError(code, input, { attempts: [{ peer, code, message: input }] })
    if (what === 'fail') throw new InosError('ERR_TRAP', input)
    if (what === 'lost' && peer === 'first') throw attempt('ERR_PEER_LOST')
    if (what === 'lie' && peer === 'first') throw attempt('ERR_VERIFICATION')
    if (what === 'end' && peer === 'second') throw new InosError('ERR_TRAP', input)
    if (what === 'gone' && times < Number(count)) throw new InosError('ERR_PEER_LOST', input)
    await sleep((what === 'stuck' || what === 'end') && peer === 'first' ? 1_000_000 : Number(input) || 1, undefined, { signal })
  }
  const node = {
    slots: 2,
    clock: { now: () => performance.now() * speed, sleep: async (ms: number, signal: AbortSignal) => { await sleep(ms / speed, undefined, { signal }) } },
    running: 0,
    most: 0,
    started: [] as string[],
    cancelled: 0,
    asked: [] as string[],
    id: 'own',
    peers: () => ['first', 'second'].map(id => ({ id, offer: { slots: 1 } })),
    load: async (bytes: Uint8Array) => ({ id: 'module', bytes }),
    async compute (_module: unknown, input: string, { signal, purse, onProgress, avoid = [] }: ComputeOptions): Promise<Result> {
      const executor = ['first', 'second'].find(peer => !avoid.includes(peer))
      if (executor === undefined) throw new InosError('ERR_NO_OFFER', 'Nobody is left.')
      for (let change = purse!.change(); purse!.free < HOLD; change = purse!.change()) {
        if (purse!.held === 0n) throw new InosError('ERR_BUDGET', 'No more.')
        await change
      }
      purse!.hold(HOLD)
      node.started.push(input)
      node.asked.push(executor)
      node.most = Math.max(node.most, ++node.running)
      onProgress?.({ state: 'running', peer: executor, fuelPerSec: null })
      let charged = 0n
      try {
        await run(input, executor, signal!)
        charged = CHARGE
        return { text: () => input, bytes: new Uint8Array(0), files: {}, cost: CHARGE, fuel: 3n, executor, attempts: [] as unknown } as Result
      } catch (error) {
        if (signal?.aborted === true) node.cancelled++
        throw error
      } finally {
        purse!.end(HOLD, charged)
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

// Goal: of short items more are in flight, of long ones two for each slot. Method: the same items by a clock on which
// they are short, and by one on which they are long.
test('as many in flight as their time allows', async () => {
  const inputs = Array.from({ length: 300 }, () => '1')
  const [short, long] = [fakeNode(0.01), fakeNode(10_000)]
  await Promise.all([short, long].map(node => collect(map(node, wasm, inputs, { hedge: false }))))
  assert.equal(long.most, 8)
  assert.ok(short.most >= 64, String(short.most))
})

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
  assert.equal(alone.most, 8)
  assert.deepEqual(await collect(map(node, wasm, [])), [])
})

// Goal: progress adds up. Method: the last report; a listener that throws changes nothing.
test('progress', async () => {
  const reports: MapProgress[] = []
  await collect(map(fakeNode(), wasm, ['1', '2', '3'], { onProgress: report => { reports.push(report); throw new Error('mine') } }))
  assert.deepEqual(reports.at(-1), { done: 3, failed: 0, repeats: 0, running: 0, cost: 6n, held: 0n, fuel: 9n })
})

// Goal: a stream of the web is a source like any other, also where streams cannot be iterated. Method: one that
// has no iterator; it is read no further than items are taken, and cancelled with the map.
test('streams', async () => {
  let read = 0
  let cancelled = false
  const stream = new ReadableStream<string>({ pull (controller) { read++; controller.enqueue('1') }, cancel () { cancelled = true } }, { highWaterMark: 0 })
  const bare = { getReader: () => stream.getReader() } as ReadableStream<string>
  for await (const { index } of map(fakeNode(), wasm, bare, { concurrency: 2 })) if (index === 5) break
  assert.ok(read <= 8, `${read} read`)
  assert.ok(cancelled)
  assert.deepEqual(await collect(map(fakeNode(), wasm, new ReadableStream<string>({ start (controller) { for (const input of ['1', '2']) controller.enqueue(input); controller.close() } }))), ['0:1', '1:2'])
})

// Goal: what one node loses another does, and who answered wrongly is not asked again. Method: items that the first
// node loses, lies about, or that find nobody for a while; who was asked, and what was paid.
test('an item that fails for a passing reason is begun again', async () => {
  const node = fakeNode()
  const reports: MapProgress[] = []
  assert.deepEqual(await collect(map(node, wasm, ['1', 'lost', '1', '1'], { concurrency: 1, onProgress: report => reports.push(report) })), ['0:1', '1:lost', '2:1', '3:1'])
  assert.deepEqual(node.asked, ['first', 'first', 'second', 'second', 'second'])
  assert.deepEqual([reports.at(-1)!.repeats, reports.at(-1)!.cost], [1, 4n * CHARGE])
  const liar = fakeNode()
  await collect(map(liar, wasm, ['lie 1', 'lie 2', 'lie 3'], { concurrency: 1 }))
  assert.deepEqual(liar.asked, ['first', 'second', 'second', 'second'])
  assert.deepEqual(await collect(map(fakeNode(20), wasm, ['gone 3'])), ['0:gone 3'])
  await assert.rejects(collect(map(fakeNode(20), wasm, ['gone 9'])), isCode('ERR_PEER_LOST'))
})

// Goal: a straggler is given to a second node, its first answer counts, the other try is cancelled and not paid; the node
// that was slow rests. Method: an item that never ends at the first node; one that then traps at the second, which is an answer as well; the same where hedging is off, ended by the caller.
test('stragglers are hedged', async () => {
  const node = fakeNode()
  const reports: MapProgress[] = []
  const inputs = ['1', '1', '1', '1', 'stuck']
  assert.deepEqual(await collect(map(node, wasm, inputs, { ordered: false, onProgress: report => reports.push(report) })), ['0:1', '1:1', '2:1', '3:1', '4:stuck'])
  assert.deepEqual(node.asked.slice(-2), ['first', 'second'])
  assert.equal(node.running, 0)
  assert.equal(node.cancelled, 1)
  assert.deepEqual([reports.at(-1)!.cost, reports.at(-1)!.held, reports.at(-1)!.repeats], [5n * CHARGE, 0n, 1])
  const ended = fakeNode()
  await assert.rejects(collect(map(ended, wasm, ['1', '1', '1', 'end'])), isCode('ERR_TRAP'))
  assert.deepEqual([ended.asked.slice(-2), ended.running, ended.cancelled], [['first', 'second'], 0, 1])
  const patient = fakeNode()
  await assert.rejects(collect(map(patient, wasm, inputs, { hedge: false, signal: AbortSignal.timeout(1_500) })), isCode('ERR_CANCELLED'))
  assert.ok(!patient.asked.includes('second'))
})

// Goal: a budget is hard: what was charged and what is held never pass it, and what it does not cover is told. Method: a
// budget for two of five items, its sums looked at with every report; with `yield` the items it does not cover come with the error.
test('a budget over all items', async () => {
  const reports: MapProgress[] = []
  const inputs = Array(5).fill('1') as string[]
  const budget = 2n * CHARGE + HOLD - 1n
  await assert.rejects(collect(map(fakeNode(), wasm, inputs, { budget, onProgress: report => reports.push(report) })), isCode('ERR_BUDGET'))
  assert.ok(reports.every(({ cost, held }) => cost + held <= budget))
  const codes: (string | undefined)[] = []
  for await (const { error } of map(fakeNode(), wasm, inputs, { budget, onError: 'yield', concurrency: 2 })) codes.push(error?.code)
  assert.deepEqual(codes, [undefined, undefined, 'ERR_BUDGET', 'ERR_BUDGET', 'ERR_BUDGET'])
  await assert.rejects(collect(map(fakeNode(), wasm, inputs, { budget: -1n })), isCode('ERR_USAGE'))
})

// Goal: with `yield` a failure is an item like others, in its place. Method: one of three traps.
test('failures that are yielded', async () => {
  const seen: string[] = []
  for await (const item of map(fakeNode(), wasm, ['1', 'fail', '2'], { onError: 'yield' })) seen.push(item.error === undefined ? item.text() : item.error.code)
  assert.deepEqual(seen, ['1', 'ERR_TRAP', '2'])
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
