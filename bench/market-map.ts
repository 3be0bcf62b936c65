/**
 * How much of the cores guests get under map: items of some milliseconds over a node's executors,
 * beside as many of the same guests in bare engines, one process for each core, that know no network,
 * records or ledger. Both are measured in turn; efficiency is bare time over ours.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Node } from '../src/index.ts'
import { createEngine } from '../src/wasm/engine.ts'
import type { Runtime } from '../src/wasm/runtime.ts'
import { echo } from '../test/programs.ts'
import { medianOf } from './rate.ts'

/** Milliseconds of one item, and how many items. */
const WORK = { 'no-op': { ms: 0, count: 2_000 }, '5 ms': { ms: 5, count: 400 }, '50 ms': { ms: 50, count: 60 } } as const
type Name = keyof typeof WORK

export type MapFigures = Record<Name, { perSecond: number, efficiency: number | null }>

/** Turns of the guest's loop, and what each burns. */
const TURNS_TO_GAUGE = 20_000_000
const FUEL_PER_TURN = 8n
const FUEL_BESIDES = 100_000n
const LIMITS_OF_ITEM = { memoryPagesMax: 1, outputBytesMax: 1_024 }

interface Share { readonly turns: number, readonly count: number }

export async function measureMap (node: Node, workers: number, rounds: number): Promise<MapFigures> {
  const cores = Array.from({ length: workers }, () => fork(fileURLToPath(import.meta.url)))
  try {
    // The first runs are those of code that is not optimised yet.
    const gauge = (): Promise<void> => runOn(cores, { turns: TURNS_TO_GAUGE, count: 3 })
    await gauge()
    const turnsPerMs = 3 * TURNS_TO_GAUGE / await timeOf(gauge)
    const figures = {} as MapFigures
    for (const [name, { ms, count }] of Object.entries(WORK) as Array<[Name, typeof WORK[Name]]>) {
      const turns = Math.round(turnsPerMs * ms)
      const module = await node.load(echo(turns))
      const items = (): Promise<void> => mapOn(node, module, turns, count)
      const bare = (): Promise<void> => runOn(cores, { turns, count: Math.ceil(count / workers) })
      await items()
      await bare()
      const times = []
      for (let i = 0; i < rounds; i++) times.push({ bare: await timeOf(bare), ours: await timeOf(items) })
      figures[name] = {
        perSecond: Math.round(count * 1_000 / medianOf(times.map(({ ours }) => ours))),
        efficiency: ms === 0 ? null : Number(medianOf(times.map(({ bare, ours }) => bare / ours)).toFixed(3))
      }
    }
    return figures
  } finally {
    for (const core of cores) core.disconnect()
  }
}

async function timeOf (work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

async function mapOn (node: Node, module: Awaited<ReturnType<Node['load']>>, turns: number, count: number): Promise<void> {
  const inputs = Array.from({ length: count }, () => crypto.randomUUID())
  const limits = { ...LIMITS_OF_ITEM, fuelMax: BigInt(turns) * FUEL_PER_TURN + FUEL_BESIDES }
  let done = 0
  for await (const item of node.map(module, inputs, { where: 'remote', limits })) {
    if (item.text() !== inputs[item.index]) throw new Error('an item came back wrong')
    done++
  }
  if (done !== count) throw new Error(`of ${count} items ${done} came back`)
  await node.settle()
}

/** Have each of these processes do a share, all at once. */
async function runOn (cores: readonly ChildProcess[], share: Share): Promise<void> {
  await Promise.all(cores.map(async core => {
    core.send(share)
    await once(core, 'message')
  }))
}

async function work (engine: Runtime, { turns, count }: Share): Promise<void> {
  const wasm = echo(turns)
  for (let i = 0; i < count; i++) {
    await engine.execute({
      moduleId: String(turns), wasm, input: Buffer.from(String(i)), entry: '', args: [], env: {}, files: {}, outputs: [],
      limits: { ...LIMITS_OF_ITEM, fuelMax: BigInt(turns) * FUEL_PER_TURN + FUEL_BESIDES }, seed: new Uint8Array(32)
    }, { payer: 'bench' })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const engine = createEngine()
  process.on('message', (share: Share) => { void work(engine, share).then(() => { process.send!('done') }) })
}
