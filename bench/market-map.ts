/**
 * How much of the cores guests get under map: items of some milliseconds over a node's executors,
 * beside as many of the same guests in bare engines, one process for each core, that know no network,
 * records or ledger. Both are measured in turn; efficiency is bare time over ours.
 *
 * A long map is what map is for; a short one shows what start and end cost. Each is told apart: its rate between the
 * first and the last tenth of its items, what it lost to that rate before and after, what an item takes of the processors
 * in each process, and how much of them nobody used, or others did.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Node } from '../src/index.ts'
import { createEngine } from '../src/wasm/engine.ts'
import type { Runtime } from '../src/wasm/runtime.ts'
import { echo } from '../test/programs.ts'
import { type MachineMs, machineMs } from './cpu.ts'
import { medianOf } from './rate.ts'

/** Milliseconds of one item, and the items of a short map and of one that lasts ten seconds and longer. */
const WORK = { 'no-op': { ms: 0, counts: { short: 2_000, long: 10_000 } }, '5 ms': { ms: 5, counts: { short: 400, long: 4_000 } }, '50 ms': { ms: 50, counts: { short: 60, long: 500 } } } as const
type Name = keyof typeof WORK
type Size = 'short' | 'long'

/** Efficiencies are null where an item has no work to compare. */
export interface LengthFigures {
  readonly items: number
  readonly perSecond: number
  readonly efficiency: number | null
  /** Between the first and the last tenth. */
  readonly steadyPerSecond: number
  readonly steadyEfficiency: number | null
  /** What the map took longer than all of it would take at its steady rate; the end goes on until all is paid. */
  readonly startMs: number
  readonly endMs: number
  /** Of one item, microseconds. */
  readonly buyerUs: number
  readonly sellerUs: number
  readonly executorUs: number
  /** Shares of the processors. */
  readonly idle: number
  readonly others: number
}

export type MapFigures = Record<Name, Record<Size, LengthFigures>>

/** Milliseconds of the processors that each part of a map has used. */
export interface ProcessMs { readonly buyer: number, readonly seller: number, readonly executors: number }

export interface MapBench {
  readonly node: Node
  /** Slots of the seller. */
  readonly workers: number
  readonly rounds: number
  cpu (): Promise<ProcessMs>
}

/** Turns of the guest's loop, and what each burns. */
const TURNS_TO_GAUGE = 20_000_000
const FUEL_PER_TURN = 8n
const FUEL_BESIDES = 100_000n
const LIMITS_OF_ITEM = { memoryPagesMax: 1, outputBytesMax: 1_024 }

interface Share { readonly turns: number, readonly count: number }
interface Work extends Share { readonly module: Awaited<ReturnType<Node['load']>> }
/** One map beside bare engines. `ends`: of its items, since it began. */
interface Row { readonly bareMs: number, readonly ms: number, readonly ends: readonly number[], readonly cpu: ProcessMs, readonly machine: MachineMs }

export async function measureMap (bench: MapBench): Promise<MapFigures> {
  const cores = Array.from({ length: bench.workers }, () => fork(fileURLToPath(import.meta.url)))
  try {
    // The first runs are those of code that is not optimised yet.
    const gauge = (): Promise<void> => runOn(cores, { turns: TURNS_TO_GAUGE, count: 3 })
    await gauge()
    const turnsPerMs = 3 * TURNS_TO_GAUGE / await timeOf(gauge)
    const figures = {} as MapFigures
    for (const [name, { ms, counts }] of Object.entries(WORK) as Array<[Name, typeof WORK[Name]]>) {
      const turns = Math.round(turnsPerMs * ms)
      const module = await bench.node.load(echo(turns))
      await measureRow(bench, cores, { module, turns, count: counts.short })
      const measureSize = async (count: number): Promise<LengthFigures> => {
        const rows = []
        for (let i = 0; i < bench.rounds; i++) rows.push(await measureRow(bench, cores, { module, turns, count }))
        return figuresOf(rows, count, turns > 0)
      }
      figures[name] = { short: await measureSize(counts.short), long: await measureSize(counts.long) }
    }
    return figures
  } finally {
    for (const core of cores) core.disconnect()
  }
}

async function measureRow ({ node, workers, cpu }: MapBench, cores: readonly ChildProcess[], work: Work): Promise<Row> {
  const { turns, count } = work
  const bareMs = await timeOf(() => runOn(cores, { turns, count: Math.ceil(count / workers) }))
  const before = { cpu: await cpu(), machine: machineMs() }
  const start = performance.now()
  const ends = await mapOn(node, work)
  const ms = performance.now() - start
  const after = { cpu: await cpu(), machine: machineMs() }
  const { buyer, seller, executors } = before.cpu
  return {
    bareMs, ms, ends: ends.map(end => end - start),
    cpu: { buyer: after.cpu.buyer - buyer, seller: after.cpu.seller - seller, executors: after.cpu.executors - executors },
    machine: { busy: after.machine.busy - before.machine.busy, idle: after.machine.idle - before.machine.idle }
  }
}

function figuresOf (rows: readonly Row[], count: number, isWork: boolean): LengthFigures {
  const median = (of: (row: Row) => number, digits = 0): number => Number(medianOf(rows.map(of)).toFixed(digits))
  const edge = Math.floor(count / 10)
  /** Items of a millisecond, in its middle. */
  const rate = ({ ends }: Row): number => (count - 2 * edge) / (ends[count - edge - 1]! - ends[edge - 1]!)
  return {
    items: count,
    perSecond: median(({ ms }) => count * 1_000 / ms),
    efficiency: isWork ? median(({ bareMs, ms }) => bareMs / ms, 3) : null,
    steadyPerSecond: median(row => 1_000 * rate(row)),
    steadyEfficiency: isWork ? median(row => row.bareMs * rate(row) / count, 3) : null,
    startMs: median(row => row.ends[edge - 1]! - edge / rate(row), 1),
    endMs: median(row => row.ms - row.ends[count - edge - 1]! - edge / rate(row), 1),
    buyerUs: median(({ cpu }) => 1_000 * cpu.buyer / count),
    sellerUs: median(({ cpu }) => 1_000 * cpu.seller / count),
    executorUs: median(({ cpu }) => 1_000 * cpu.executors / count),
    idle: median(({ machine: { busy, idle } }) => idle / (busy + idle), 3),
    others: median(({ machine: { busy, idle }, cpu: { buyer, seller, executors } }) => Math.max(0, busy - buyer - seller - executors) / (busy + idle), 3)
  }
}

async function timeOf (work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** @returns when each item was done; all are paid by now */
async function mapOn (node: Node, { module, turns, count }: Work): Promise<number[]> {
  const inputs = Array.from({ length: count }, () => crypto.randomUUID())
  const limits = { ...LIMITS_OF_ITEM, fuelMax: BigInt(turns) * FUEL_PER_TURN + FUEL_BESIDES }
  const ends: number[] = []
  const onProgress = ({ done }: { readonly done: number }): void => { while (ends.length < done) ends.push(performance.now()) }
  let taken = 0
  for await (const item of node.map(module, inputs, { where: 'remote', limits, onProgress })) {
    if (item.text() !== inputs[item.index]) throw new Error('an item came back wrong')
    taken++
  }
  if (taken !== count || ends.length !== count) throw new Error(`of ${count} items ${taken} came back`)
  await node.settle()
  return ends
}

export function showMap (figures: MapFigures): void {
  const percent = (share: number | null): string => share === null ? '' : `, ${(share * 100).toFixed(1)} % of the cores`
  for (const [name, sizes] of Object.entries(figures)) {
    for (const each of Object.values(sizes)) {
      console.error(`map of ${String(each.items).padStart(5)} of ${name.padEnd(5)} ${each.perSecond} items/s${percent(each.efficiency)}; steady ${each.steadyPerSecond}/s${percent(each.steadyEfficiency)}, start ${each.startMs} ms, end ${each.endMs} ms`)
      console.error(`    an item, µs of CPU: buyer ${each.buyerUs}, seller ${each.sellerUs}, executors ${each.executorUs}; idle${percent(each.idle).slice(1)}, others${percent(each.others).slice(1)}`)
    }
  }
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
