/**
 * A tab as a node, in real Chromium. Jobs: a process of Node buys no-ops of a tab over each transport that a tab dials, beside
 * a bare libp2p echo of as many bytes over a connection of the same transport between the same two, and 64 MiB to the tab. The tab signs and verifies
 * in JavaScript, so this is its own figure and not Node's. Engine: kernels and whole programs in a Web Worker of this Chromium,
 * metered over plain time, as `bench/engine.ts` has them in Node.
 *
 *   npm run bench:browser -- [--quick] [--rounds N] [--jobs | --engine]
 *
 * Transports take turns in each round, and so do the echo and ours; a ratio is the median over the rounds, of times as ours over
 * the echo's, of rates likewise. A table goes to stderr; the last line of stdout is one JSON object.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { parseArgs } from 'node:util'
import type { Libp2p } from '@libp2p/interface'
import type { Browser, Page } from 'playwright-core'
import { join, type JoinOptions, type Node } from '../src/index.ts'
import { startNode } from '../src/node/libp2p.ts'
import { launch, skip } from '../test/chromium.ts'
import { echo } from '../test/programs.ts'
import { until } from '../test/suites/network.ts'
import { joinTab, openPage, run, scriptsOf, serveTab, WEBRTC_DIRECT, WEBSOCKET, WEBTRANSPORT } from '../test/tabs.ts'
import { openBare, sendBulk } from './bare.ts'
import type { EngineFigures, EngineOrder } from './engine.page.ts'
import { type Guest, type Missing, wholePrograms } from './engine-guests.ts'
import { geomean, round } from './engine-run.ts'
import { compileKernel, KERNELS } from './kernels.ts'
import { measure, measureSettled, medianOf, type Rate } from './rate.ts'

/** Where a process listens for tabs, by the name of the transport. */
const TRANSPORTS: Readonly<Record<string, string>> = { ws: WEBSOCKET, webtransport: WEBTRANSPORT, 'webrtc-direct': WEBRTC_DIRECT }
/** A job packet of such jobs: order, spec, module and input, as `bench/market.ts` has it. */
const PACKET_BYTES = 1_100
const LIMITS_OF_JOB = { fuelMax: 100_000n, memoryPagesMax: 1, outputBytesMax: 1_024 }
/** A buyer that never sells would use up the line that strangers get. */
const WIDE = { lineMax: 10n ** 12n, poolMax: 10n ** 12n, sellerPoolMax: 10n ** 12n } satisfies JoinOptions

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, rounds: { type: 'string', default: '3' }, jobs: { type: 'boolean', default: false }, engine: { type: 'boolean', default: false } } })
const { quick } = values
const ROUNDS = Number(values.rounds)
const SAMPLES = { latency: { inFlight: 1, count: quick ? 30 : 150 }, throughput: { inFlight: 64, count: quick ? 200 : 1_000 } } as const
type Kind = keyof typeof SAMPLES
const ENGINE = { sampleMsMin: quick ? 100 : 500, pairs: quick ? 3 : 5 }

/** One transport: who buys over it, and the echo beside. */
interface Lane { readonly name: string, readonly node: Node, readonly bareNode: Libp2p }
type Sample = Record<Kind, { readonly echo: Rate, readonly job: Rate }> & { bulkMBs: number }
interface LaneFigures { readonly jobsPerSecond: number, readonly p50Ms: number, readonly echoPerSecond: number, readonly echoP50Ms: number, readonly throughputRatio: number, readonly latencyRatio: number, readonly bulkMBs: number }

async function openLanes (scratch: string, opened: AsyncDisposableStack): Promise<{ lanes: Lane[], missing: Missing[] }> {
  const lanes: Lane[] = []
  const missing: Missing[] = []
  for (const [name, listen] of Object.entries(TRANSPORTS)) {
    try {
      const node = opened.use(await join({ dataDir: path(scratch, name), listen: [listen], serve: false, ...WIDE }))
      const bareNode = opened.adopt(await startNode({ seed: randomBytes(32), listen: [listen] }), node => node.stop())
      lanes.push({ name, node, bareNode })
    } catch (error) {
      // Heavy native parts are optional.
      missing.push({ name, reason: (error as Error).message })
    }
  }
  return { lanes, missing }
}

async function measureJobs (browser: Browser): Promise<{ transports: Record<string, LaneFigures>, missing: Missing[] }> {
  await using opened = new AsyncDisposableStack()
  const scratch = mkdtempSync(path(tmpdir(), 'inos-bench-'))
  opened.defer(() => { rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }) })
  const { lanes, missing } = await openLanes(scratch, opened)
  const site = opened.use(await serveTab(await scriptsOf('bench/tab.page.ts')))
  const context = opened.use(await browser.newContext())
  const page = await openPage(context, site)
  const tab = await joinTab(page, { peers: lanes.flatMap(({ node }) => node.addresses()), serve: true, ...WIDE })
  const bareTab = await run<string>(page, 'return await inos.startBare(arg)', lanes.flatMap(({ bareNode }) => bareNode.getMultiaddrs().map(String)))
  const samples: Record<string, Sample[]> = {}
  const asks = await Promise.all(lanes.map(async ({ name, node, bareNode }) => {
    await until(() => node.peers().some(({ id, offer }) => id === tab && offer !== null))
    return { name, node, job: await jobsOf(node, tab), bare: await openBare(bareNode, bareTab, PACKET_BYTES), bulk: () => sendBulk(bareNode, bareTab) }
  }))
  for (const { bare, job } of asks) for (const ask of [bare, job]) await measure(ask, 16, SAMPLES.throughput.count)
  for (let at = 0; at < ROUNDS; at++) {
    for (const { name, node, job, bare, bulk } of asks) {
      const sample = {} as Sample
      for (const [kind, { inFlight, count }] of Object.entries(SAMPLES) as [Kind, typeof SAMPLES[Kind]][]) sample[kind] = { echo: await measure(bare, inFlight, count), job: await measureSettled(node, job, inFlight, count) }
      sample.bulkMBs = await bulk()
      ;(samples[name] ??= []).push(sample)
    }
  }
  return { transports: Object.fromEntries(Object.entries(samples).map(([name, rounds]) => [name, figuresOf(rounds)])), missing }
}

async function jobsOf (node: Node, tab: string): Promise<() => Promise<void>> {
  const module = await node.load(echo())
  let inputs = 0
  return async () => {
    const input = `input ${inputs++}`
    if ((await node.compute(module, input, { where: tab, limits: LIMITS_OF_JOB })).text() !== input) throw new Error('the job came back wrong')
  }
}

function figuresOf (rounds: readonly Sample[]): LaneFigures {
  const median = (of: (sample: Sample) => number): number => round(medianOf(rounds.map(of)))
  return {
    jobsPerSecond: median(({ throughput }) => throughput.job.perSecond), p50Ms: median(({ latency }) => latency.job.p50Ms),
    echoPerSecond: median(({ throughput }) => throughput.echo.perSecond), echoP50Ms: median(({ latency }) => latency.echo.p50Ms),
    throughputRatio: median(({ throughput: { job, echo } }) => job.perSecond / echo.perSecond), latencyRatio: median(({ latency: { job, echo } }) => job.p50Ms / echo.p50Ms),
    bulkMBs: median(({ bulkMBs }) => bulkMBs)
  }
}

interface EngineTable { readonly guests: Record<string, EngineFigures>, readonly missing: readonly Missing[], readonly geomean: number, readonly kernelGeomean: number, readonly worst: number }

async function measureEngine (browser: Browser): Promise<EngineTable> {
  await using opened = new AsyncDisposableStack()
  const scratch = mkdtempSync(path(tmpdir(), 'inos-bench-'))
  opened.defer(() => { rmSync(scratch, { recursive: true, force: true }) })
  const names = readdirSync(KERNELS).map(file => file.replace(/\.as$/, ''))
  const kernels = await Promise.all(names.map(async (name): Promise<Guest> => ({ name, wasm: await compileKernel(name), args: [], input: '' })))
  const { guests: programs, missing } = await wholePrograms(scratch)
  const guests = [...kernels, ...programs]
  const site = opened.use(await serveTab({ ...await scriptsOf('bench/engine.page.ts', 'engine'), ...Object.fromEntries(guests.map(({ wasm }, at) => [`/${at}.wasm`, wasm])) }))
  const context = opened.use(await browser.newContext())
  const page = await openPage(context, site)
  const found: Record<string, EngineFigures> = {}
  for (const [at, guest] of guests.entries()) {
    found[guest.name] = await measureGuest(page, at, guest)
    console.error(`${guest.name.padEnd(16)} ${found[guest.name]!.plainMs.toFixed(1).padStart(8)} ms plain, metered ${found[guest.name]!.ratio.toFixed(3)} of it (${found[guest.name]!.spread.join('–')})`)
  }
  const ratiosOf = (guests: readonly Guest[]): number[] => guests.map(({ name }) => found[name]!.ratio)
  return { guests: found, missing, geomean: round(geomean(ratiosOf(guests))), kernelGeomean: round(geomean(ratiosOf(kernels))), worst: round(Math.max(...ratiosOf(guests))) }
}

/** In a worker of its own, whose heap nobody has used. @throws where it fails there */
async function measureGuest (page: Page, at: number, { wasm: _wasm, ...rest }: Guest): Promise<EngineFigures> {
  const figures = await run<EngineFigures | { error: string }>(page, `
    const worker = new Worker('/engine.js', { type: 'module' })
    const wasm = new Uint8Array(await (await fetch(arg.path)).arrayBuffer())
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => { resolve(data) }
      worker.onerror = ({ message }) => { reject(new Error(message)) }
      worker.postMessage({ ...arg.order, guest: { ...arg.order.guest, wasm } })
    }).finally(() => { worker.terminate() })`, { path: `/${at}.wasm`, order: { ...ENGINE, guest: rest } satisfies Omit<EngineOrder, 'guest'> & { guest: Omit<Guest, 'wasm'> } })
  if ('error' in figures) throw new Error(`${rest.name}: ${figures.error}`)
  return figures
}

if (skip !== false) {
  console.error(`skipped: ${skip}`)
  console.log(JSON.stringify({ bench: 'browser', skipped: skip }))
} else {
  const browser = await launch()
  try {
    const jobs = values.engine ? null : await measureJobs(browser)
    for (const [name, { jobsPerSecond, p50Ms, echoPerSecond, echoP50Ms, throughputRatio, latencyRatio, bulkMBs }] of Object.entries(jobs?.transports ?? {})) {
      console.error(`${name.padEnd(14)} ${jobsPerSecond} jobs/s, p50 ${p50Ms} ms   bare echo ${echoPerSecond}/s, p50 ${echoP50Ms} ms   ratios ${throughputRatio} and ${latencyRatio}   bulk ${bulkMBs} MB/s`)
    }
    const engine = values.jobs ? null : await measureEngine(browser)
    for (const { name, reason } of [...jobs?.missing ?? [], ...engine?.missing ?? []]) console.error(`${name}: ${reason}`)
    if (engine !== null) console.error(`metered over plain in Chromium ${browser.version()}: geomean ${engine.geomean}, worst ${engine.worst}`)
    console.log(JSON.stringify({ bench: 'browser', chromium: browser.version(), rounds: ROUNDS, transports: jobs?.transports ?? null, missingTransports: jobs?.missing ?? [], engine }))
  } finally {
    await browser.close()
  }
}
