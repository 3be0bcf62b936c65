/**
 * The market beside what people use today: no-op tasks with distinct inputs on INOS, Ray and Dask, on
 * this machine, in this run, with the same number of workers, all of them processes of their own.
 *
 * Ours are independent compute() calls, nothing chunked or cached: each is described, ordered, run in an
 * executor of another node, and verified before its result is handed out; the clock stops when the
 * last cheque is acknowledged. Systems take turns, and a ratio is the median over the rounds; what one
 * task takes of the processors, in all processes of a system, is told beside its rate. Beside
 * them a bare libp2p echo of as many bytes, the stages of one job, the same job again from the seller's memory, and map: how much of the cores guests
 * of some milliseconds get, beside the same guests in bare engines, one on each core.
 *
 *   node bench/market.ts [--rounds N] [--alone] [--map]     (--alone: without Ray and Dask; --map: nothing but map)
 *
 * A table goes to stderr; the last line of stdout is one JSON object.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { join, type JoinOptions, type Node } from '../src/index.ts'
import { startNode } from '../src/node/libp2p.ts'
import { openParts, start } from '../src/node/parts.ts'
import type { ComputeOptions, Module } from '../src/processor/processor.ts'
import { echo } from '../test/programs.ts'
import { openBare, serveBare } from './bare.ts'
import { cpuMsOf } from './cpu.ts'
import { type MapFigures, measureMap, type ProcessMs, showMap } from './market-map.ts'
import { installNeighbours, type Neighbour, startNeighbour, type System, SYSTEMS } from './neighbours.ts'
import { medianOf, measure, measureSettled, type Rate } from './rate.ts'
import { noteJob, Notes, type SellerMoments, type Stages, stagesOf } from './stages.ts'

const SAMPLES = { latency: { inFlight: 1, count: 300 }, throughput: { inFlight: 256, count: 4_000 } } as const
type Kind = keyof typeof SAMPLES
const WARM_UP = 1_000
const STAGE_JOBS = 300
/** Jobs of some milliseconds that are bought twice, and the turns of their loop. */
const REPEATS = { count: 100, turns: 5_000_000, limits: { fuelMax: 50_000_000n, memoryPagesMax: 1, outputBytesMax: 1_024 } } as const
/** A job packet of this bench, as it was measured on the wire: order, spec, module and input. */
const PACKET_BYTES = 1_100
const WORKERS = availableParallelism()
/** A job that is small by its limits, so that its price is; and a wide line, because a buyer that never sells uses it up. */
const LIMITS_OF_JOB = { fuelMax: 100_000n, memoryPagesMax: 1, outputBytesMax: 1_024 }
const WIDE: JoinOptions = { lineMax: 10n ** 12n, poolMax: 10n ** 12n, sellerPoolMax: 10n ** 12n }

interface TaskRate extends Rate { readonly cpuUs: number }
type Round = Record<Kind, { readonly echo: Rate, readonly inos: TaskRate } & Partial<Record<System, TaskRate>>>

/** What the seller's process is asked for, and what it says. */
interface Seller { readonly node: string, readonly bare: string }
/** `moments`: since the last report; `cpuUs`: since it started. */
interface SellerReport { readonly moments: SellerMoments[], readonly cpuUs: number }

type Job = (options?: Pick<ComputeOptions, 'onProgress'>) => Promise<void>

function jobsOf (node: Node, module: Module): Job {
  let inputs = 0
  return async options => {
    const input = `input ${inputs++}`
    const result = await node.compute(module, input, { where: 'remote', limits: LIMITS_OF_JOB, ...options })
    if (result.text() !== input) throw new Error('the job came back wrong')
  }
}

/** A sample, and what one task of it takes of the processors in all processes of its system. */
async function withCpu (count: number, cpuMs: () => number, sample: () => Promise<Rate>): Promise<TaskRate> {
  const before = cpuMs()
  const rate = await sample()
  return { ...rate, cpuUs: Math.round((cpuMs() - before) * 1_000 / count) }
}

/** This process, which also starts the others, and the seller with its executors. */
function ownCpuMs (seller: number): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000 + cpuMsOf([seller])
}

async function measureRound (node: Node, seller: number, job: Job, bare: () => Promise<void>, neighbours: ReadonlyMap<System, Neighbour>): Promise<Round> {
  const round = {} as Round
  for (const kind of Object.keys(SAMPLES) as Kind[]) {
    const { inFlight, count } = SAMPLES[kind]
    const echo = await measure(bare, inFlight, count)
    const rates = round[kind] = { echo, inos: await withCpu(count, () => ownCpuMs(seller), () => measureSettled(node, () => job(), inFlight, count)) }
    for (const [system, neighbour] of neighbours) {
      Object.assign(rates, { [system]: await withCpu(count, () => cpuMsOf([neighbour.pid]), () => neighbour.measure(inFlight, count)) })
    }
  }
  return round
}

interface Cpu { readonly buyerUs: number, readonly sellerUs: number }

/** What one job of many in flight takes of both main processes, whatever else the machine does. */
async function measureCpu (node: Node, job: Job, child: ChildProcess): Promise<Cpu> {
  const { count, inFlight } = SAMPLES.throughput
  const { cpuUs } = await reportOf(child)
  const before = process.cpuUsage()
  await measureSettled(node, () => job(), inFlight, count)
  const { user, system } = process.cpuUsage(before)
  return { buyerUs: Math.round((user + system) / count), sellerUs: Math.round(((await reportOf(child)).cpuUs - cpuUs) / count) }
}

async function measureStages (node: Node, job: Job, child: ChildProcess): Promise<Stages> {
  await reportOf(child)
  const moments = []
  for (let i = 0; i < STAGE_JOBS; i++) moments.push(await noteJob(job, () => node.settle()))
  return stagesOf(moments, (await reportOf(child)).moments)
}

/** Medians: milliseconds, and µcr charged. */
interface Purchases { readonly ms: number, readonly cost: number }
interface Repeats { readonly first: Purchases, readonly again: Purchases }

/** What a job costs that ran at its seller before, one after another, beside its first run. */
async function measureRepeats (node: Node): Promise<Repeats> {
  const { count, turns, limits } = REPEATS
  const module = await node.load(echo(turns))
  const buyAll = async (isAgain: boolean): Promise<Purchases> => {
    const rows = []
    for (let i = 0; i < count; i++) {
      const start = performance.now()
      const { cost, cached } = await node.compute(module, `repeat ${i}`, { where: 'remote', limits })
      rows.push({ ms: performance.now() - start, cost: Number(cost) })
      if (cached !== isAgain) throw new Error(isAgain ? 'a job that ran before was run again' : 'a job that never ran came from memory')
    }
    return { ms: Number(medianOf(rows.map(({ ms }) => ms)).toFixed(3)), cost: medianOf(rows.map(({ cost }) => cost)) }
  }
  const found = { first: await buyAll(false), again: await buyAll(true) }
  await node.settle()
  return found
}

async function reportOf (child: ChildProcess): Promise<SellerReport> {
  child.send('report')
  const [report] = await once(child, 'message') as [SellerReport]
  return report
}

/** This process, that of the seller, and all that the seller has started. */
async function processMs (child: ChildProcess): Promise<ProcessMs> {
  const { user, system } = process.cpuUsage()
  const { cpuUs } = await reportOf(child)
  return { buyer: (user + system) / 1_000, seller: cpuUs / 1_000, executors: cpuMsOf([child.pid!]) - cpuUs / 1_000 }
}

interface TaskFigures { rounds: Round[], stages: Stages, cpu: Cpu, repeats: Repeats }
interface Figures { readonly tasks: TaskFigures | null, readonly map: MapFigures }

/** @param neighbours null for map alone */
async function bench (scratch: string, rounds: number, neighbours: ReadonlyMap<System, Neighbour> | null): Promise<Figures> {
  const child = fork(fileURLToPath(import.meta.url), ['serve', scratch])
  const [addresses] = await once(child, 'message') as [Seller]
  await using node = await join({ dataDir: path(scratch, 'buyer'), peers: [addresses.node], ...WIDE })
  try {
    const tasks = neighbours === null ? null : await benchTasks(node, child, addresses.bare, rounds, neighbours)
    return { tasks, map: await measureMap({ node, workers: WORKERS, rounds, cpu: () => processMs(child) }) }
  } finally {
    child.disconnect()
  }
}

async function benchTasks (node: Node, child: ChildProcess, bareAddress: string, rounds: number, neighbours: ReadonlyMap<System, Neighbour>): Promise<TaskFigures> {
  const bareNode = await startNode({ seed: randomBytes(32) })
  try {
    const bare = await openBare(bareNode, bareAddress, PACKET_BYTES)
    const job = jobsOf(node, await node.load(echo()))
    await measure(job, 64, WARM_UP)
    await measure(bare, 64, WARM_UP)
    for (const neighbour of neighbours.values()) await neighbour.measure(64, WARM_UP)
    const figures: Round[] = []
    for (let i = 0; i < rounds; i++) figures.push(await measureRound(node, child.pid!, job, bare, neighbours))
    return { rounds: figures, stages: await measureStages(node, job, child), cpu: await measureCpu(node, job, child), repeats: await measureRepeats(node) }
  } finally {
    await bareNode.stop()
  }
}

async function serve (scratch: string): Promise<void> {
  const notes = new Notes()
  const opened = await openParts({ dataDir: path(scratch, 'seller'), listen: ['/ip4/127.0.0.1/tcp/0'], slots: WORKERS, ...WIDE })
  const node = await start({ ...opened, parts: { ...opened.parts, runtime: notes.around(opened.parts.runtime) } }, {})
  notes.listenTo(node)
  const bare = await startNode({ seed: randomBytes(32), listen: ['/ip4/127.0.0.1/tcp/0'] })
  await serveBare(bare)
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send!({ moments: notes.take(), cpuUs: user + system } satisfies SellerReport)
  })
  process.once('disconnect', () => { process.exit() })
  process.send!({ node: node.addresses()[0]!, bare: bare.getMultiaddrs()[0]!.toString() } satisfies Seller)
}

/** The median over the rounds of how two systems compare within one; 1 is as good as the other. */
function ratioOf (rounds: readonly Round[], ratio: (round: Round) => number): number {
  return Number(medianOf(rounds.map(ratio)).toFixed(3))
}

/** How ours compares with each of the others: latency and throughput as ours over theirs. */
function compare (rounds: readonly Round[]): Record<string, number> {
  const found: Record<string, number> = {}
  for (const system of ['ray', 'dask', 'echo'] as const) {
    if (rounds[0]!.latency[system] === undefined) continue
    found[`${system}LatencyRatio`] = ratioOf(rounds, ({ latency }) => latency.inos.p50Ms / latency[system]!.p50Ms)
    if (system !== 'echo') found[`${system}CpuRatio`] = ratioOf(rounds, ({ throughput }) => throughput.inos.cpuUs / throughput[system]!.cpuUs)
    found[`${system}ThroughputRatio`] = ratioOf(rounds, ({ throughput }) => throughput.inos.perSecond / throughput[system]!.perSecond)
  }
  return found
}

function showTasks ({ rounds, stages, cpu, repeats: { first, again } }: TaskFigures): void {
  for (const system of ['inos', 'ray', 'dask', 'echo'] as const) {
    if (rounds[0]!.latency[system] === undefined) continue
    const p50 = medianOf(rounds.map(({ latency }) => latency[system]!.p50Ms))
    const perSecond = medianOf(rounds.map(({ throughput }) => throughput[system]!.perSecond))
    const cpu = system === 'echo' ? '' : `, each ${medianOf(rounds.map(({ throughput }) => throughput[system]!.cpuUs))} µs of CPU`
    console.error(`${system.padEnd(6)} p50 ${p50.toFixed(3)} ms   ${perSecond} tasks/s${cpu}`)
  }
  console.error(`one job alone, µs: ${Object.entries(stages).map(([name, us]) => `${name} ${us}`).join(' · ')}`)
  console.error(`CPU of a job of many, µs: buyer ${cpu.buyerUs}, seller ${cpu.sellerUs}`)
  console.error(`a job of some ms: ${first.ms} ms for ${first.cost} µcr, again from the seller's memory ${again.ms} ms for ${again.cost} µcr`)
}

const { values, positionals: [mode, dir = ''] } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string', default: '5' }, alone: { type: 'boolean', default: false }, map: { type: 'boolean', default: false } } })
if (mode === 'serve') {
  await serve(dir)
} else {
  await using opened = new AsyncDisposableStack()
  const scratch = mkdtempSync(path(tmpdir(), 'inos-bench-'))
  opened.defer(() => { rmSync(scratch, { recursive: true, force: true }) })
  const neighbours = new Map<System, Neighbour>()
  const python = values.alone || values.map ? null : installNeighbours()
  for (const system of python === null ? [] : SYSTEMS) neighbours.set(system, opened.use(await startNeighbour(python!, system, WORKERS)))
  const { tasks, map } = await bench(scratch, Number(values.rounds), values.map ? null : neighbours)
  if (tasks !== null) showTasks(tasks)
  showMap(map)
  console.log(JSON.stringify({ bench: 'market', workers: WORKERS, ...(tasks === null ? {} : compare(tasks.rounds)), ...tasks, map }))
}
