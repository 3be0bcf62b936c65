/**
 * What accounting costs: jobs between two processes over loopback TCP, whole but for the guest. The
 * runtime gives its input back at once, so that orders, receipts, cheques, acks and the store are
 * measured and WebAssembly is not; every receipt is checked, every job is paid, and the clock stops
 * when the last cheque is acknowledged.
 *
 * In the same run and in turn, two things to compare with:
 *
 *     bare   the same nodes and sessions with signatures of zeros, checks that always pass and a store
 *            that keeps nothing: records are still made, encoded, hashed, sent and decoded. `ratio` is
 *            full accounting over this, the price of signing and storing alone.
 *     echo   a session that sends as many bytes there and back and makes no records at all, so that it
 *            is also without specs, CIDs, checks and the processor. `ratioToEcho` is what all of it costs.
 *
 * Then the books at rest: a store of a million cheques is made and opened, balance() is asked there
 * and in empty books, and bytes of a settled job are counted on the wire and on the disks of both.
 *
 *   node bench/credits.ts [--cheques N] [--rounds N]
 *
 * The last line of stdout is one JSON object.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ClassicLevel } from 'classic-level'
import { createCredits } from '../src/credits/credits.ts'
import type { Store } from '../src/credits/store.ts'
import type { Network, Wire } from '../src/network/network.ts'
import { createSessions, type Sessions } from '../src/network/sessions.ts'
import { createSigner, verify } from '../src/node/keys.ts'
import { createNetwork } from '../src/node/libp2p.ts'
import { timers } from '../src/node/timers.ts'
import type { Signer } from '../src/packet/identity.ts'
import { createProcessor } from '../src/processor/create.ts'
import type { Module, Processor } from '../src/processor/processor.ts'
import type { Platform } from '../src/processor/rooms.ts'
import { load } from '../src/wasm/ranges.ts'
import type { Runtime } from '../src/wasm/runtime.ts'
import { storeIn } from '../src/testing/blobs.ts'
import { benchBooks } from './books.ts'
import { better, measure, measureSettled, type Rate } from './rate.ts'

const DEPTHS = { sequential: { inFlight: 1, count: 500 }, parallel: { inFlight: 64, count: 5_000 } }
type Depth = keyof typeof DEPTHS
const LIMITS_OF_JOB = { fuelMax: 100_000n, memoryPagesMax: 1, outputBytesMax: 1_024 }
const WIDE = { lineMax: 10n ** 12n, poolMax: 10n ** 12n, sellerPoolMax: 10n ** 12n }
const ANY_PORT = ['/ip4/127.0.0.1/tcp/0']
const NO_SIGNATURE = new Uint8Array(64)

/** Bytes that passed a node's streams, both ways. */
interface Traffic { bytes: number }

interface Bench extends AsyncDisposable { readonly node: Processor, readonly traffic: Traffic }

/** One node; with `dir` null nothing is signed, checked or stored. */
async function startNode (dir: string | null, listen: readonly string[]): Promise<Bench> {
  await using opened = new AsyncDisposableStack()
  const seed = randomBytes(32)
  const platform = createPlatform(dir === null ? { ...createSigner(seed), sign: () => NO_SIGNATURE } : createSigner(seed), dir !== null)
  const store = dir === null ? FORGETFUL : opened.use(new ClassicLevel<string, Uint8Array>(dir, { valueEncoding: 'view' }))
  const credits = await createCredits({ store, ...platform, now: () => Math.floor(Date.now() / 1000) }, WIDE)
  const traffic = { bytes: 0 }
  const network = counted(await createNetwork({ seed, listen, bootstrap: [] }), traffic)
  const node = createProcessor({ platform, runtime: MIRROR, credits, blobs: storeIn(new Map()), network, timers, market: { serve: listen.length > 0 } })
  opened.use(node)
  const all = opened.move()
  return { node, traffic, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/** Takes everything, keeps nothing. */
const FORGETFUL: Store = {
  get: async () => undefined,
  batch: async () => {},
  iterator: () => (async function * () {})()
}

/** Gives the input back. */
const MIRROR: Runtime = {
  execute: async ({ input }) => ({ outcome: 'ok', exitCode: 0, result: await load(input), stderr: new Uint8Array(0), fuel: 1_000n, pages: 1, message: '', files: null }),
  inspect: () => { throw new Error('there are no modules here') },
  load: () => ({ slots: 64, busy: 0, queued: 0 }),
  stop: async () => {}
}

function createPlatform (signer: Signer, checks: boolean): Platform {
  return {
    signer,
    verify: checks ? verify : () => true,
    digest: bytes => hash('sha256', bytes, 'buffer'),
    now: Date.now,
    sleep: async (ms, signal) => { await sleep(ms, undefined, { signal }) },
    randomBytes,
    log (what, error) { if (process.env['INOS_DEBUG'] !== undefined) console.error(what, error) }
  }
}

/** The same network, its bytes counted. */
function counted (network: Network, traffic: Traffic): Network {
  const count = (wire: Wire): Wire => ({
    peer: wire.peer,
    read: async function * () {
      for await (const chunk of wire.read()) {
        traffic.bytes += chunk.length
        yield chunk
      }
    },
    write (bytes) {
      traffic.bytes += bytes.length
      return wire.write(bytes)
    },
    drained: signal => wire.drained(signal),
    end: () => wire.end(),
    abort: reason => { wire.abort(reason) }
  })
  return {
    id: network.id,
    addresses: () => network.addresses(),
    dial: (address, signal) => network.dial(address, signal),
    open: async (peer, signal) => count(await network.open(peer, signal)),
    handle: handler => { network.handle(wire => { handler(count(wire)) }) },
    peers: () => network.peers(),
    routesTo: peer => network.routesTo(peer),
    on: events => { network.on(events) },
    provide: (capability, signal) => network.provide(capability, signal),
    withdraw: capability => { network.withdraw(capability) },
    find: (capability, signal) => network.find(capability, signal),
    hangUp: peer => network.hangUp(peer),
    stop: () => network.stop()
  }
}

function createEcho (network: Network): Sessions {
  return createSessions({
    network,
    timers,
    hello: () => ({ profile: 'inos/1', net: 'bench', records: [] }),
    serve: { request: async (_peer, { size }) => ({ result: new Uint8Array(Number(size)) }), oneShot: async () => ({}) },
    blobs: { get: async () => null }
  })
}

/** Jobs of a node, each with an input of its own. */
function jobsOf (node: Processor, module: Module): () => Promise<void> {
  let inputs = 0
  return async () => {
    const input = `input ${inputs++}`
    const result = await node.compute(module, input, { where: 'remote', limits: LIMITS_OF_JOB })
    if (result.text() !== input) throw new Error('the job came back wrong')
  }
}

/** `buyerCpuMs` is what one job takes of the buyer's processor, whatever else the machine does. */
interface JobRate extends Rate { buyerCpuMs: number }

interface Addresses { readonly full: string, readonly bare: string, readonly echo: string }
interface JobFigures extends Record<Depth, Record<'full' | 'bare', JobRate> & { echo: Rate, ratio: number, ratioToEcho: number }> {
  wireBytesPerJob: number
  diskBytesPerJob: { buyer: number, seller: number }
}

async function benchJobs (scratch: string, rounds: number): Promise<JobFigures> {
  const child = fork(fileURLToPath(import.meta.url), ['serve', scratch])
  const [addresses] = await once(child, 'message') as [Addresses]
  const full = await startNode(path(scratch, 'buyer'), [])
  const bare = await startNode(null, [])
  const echoNetwork = await createNetwork({ seed: randomBytes(32), listen: [], bootstrap: [] })
  const echo = createEcho(echoNetwork)
  const jobs = { full: await connect(full.node, addresses.full), bare: await connect(bare.node, addresses.bare) }
  let count = 0
  const run = async (name: 'full' | 'bare', { inFlight, count: more }: { inFlight: number, count: number }): Promise<JobRate> => {
    if (name === 'full') count += more
    const cpu = process.cpuUsage()
    const rate = await measureSettled({ full, bare }[name].node, jobs[name], inFlight, more)
    const { user, system } = process.cpuUsage(cpu)
    return { ...rate, buyerCpuMs: Number(((user + system) / 1000 / more).toFixed(3)) }
  }
  await run('bare', { inFlight: 64, count: 1_000 })
  await run('full', { inFlight: 64, count: 1_000 })
  const bytes = Math.round(full.traffic.bytes / count / 2)
  const peer = await echo.connect(addresses.echo, AbortSignal.timeout(10_000))
  const ask = (): Promise<unknown> => echo.request(peer, { kind: 'job', input: new Uint8Array(bytes), size: BigInt(bytes) })
  await measure(ask, 64, 2_000)
  const figures = {} as JobFigures
  for (const depth of Object.keys(DEPTHS) as Depth[]) {
    const rates: { full?: JobRate, bare?: JobRate, echo?: Rate } = {}
    for (let round = 0; round < rounds; round++) {
      rates.echo = better(rates.echo, await measure(ask, DEPTHS[depth].inFlight, DEPTHS[depth].count))
      rates.bare = better(rates.bare, await run('bare', DEPTHS[depth]))
      rates.full = better(rates.full, await run('full', DEPTHS[depth]))
    }
    const { full, bare, echo } = rates as Required<typeof rates>
    figures[depth] = { full, bare, echo, ratio: ratioOf(depth, full, bare), ratioToEcho: ratioOf(depth, full, echo) }
  }
  figures.wireBytesPerJob = Math.round(full.traffic.bytes / count)
  await echo.stop()
  await echoNetwork.stop()
  await bare[Symbol.asyncDispose]()
  await full[Symbol.asyncDispose]()
  await leave(child)
  figures.diskBytesPerJob = { buyer: Math.round(await restingBytes(path(scratch, 'buyer')) / count), seller: Math.round(await restingBytes(path(scratch, 'seller')) / count) }
  return figures
}

/** Of rates at 64 in flight, of median times one by one; 1 is as good as the other. */
function ratioOf (depth: Depth, a: Rate, b: Rate): number {
  return Number((depth === 'parallel' ? a.perSecond / b.perSecond : b.p50Ms / a.p50Ms).toFixed(3))
}

async function connect (node: Processor, address: string): Promise<() => Promise<void>> {
  await node.connect(address)
  return jobsOf(node, await node.load(randomBytes(64)))
}

async function leave (child: ChildProcess): Promise<void> {
  child.send('stop')
  await once(child, 'exit')
}

/** What a closed store takes once LevelDB has nothing left to tidy. */
async function restingBytes (dir: string): Promise<number> {
  const db = new ClassicLevel<string, Uint8Array>(dir, { valueEncoding: 'view' })
  await db.compactRange('', '\u{10ffff}')
  await db.close()
  return readdirSync(dir).reduce((sum, name) => sum + statSync(path(dir, name)).size, 0)
}

async function serve (scratch: string): Promise<void> {
  const full = await startNode(path(scratch, 'seller'), ANY_PORT)
  const bare = await startNode(null, ANY_PORT)
  const echo = await createNetwork({ seed: randomBytes(32), listen: ANY_PORT, bootstrap: [] })
  createEcho(echo)
  process.once('disconnect', () => { process.exit() })
  process.once('message', () => { void full[Symbol.asyncDispose]().then(() => { process.exit() }) })
  process.send!({ full: full.node.addresses()[0]!, bare: bare.node.addresses()[0]!, echo: echo.addresses()[0]! } satisfies Addresses)
}

const { values, positionals: [mode, dir = ''] } = parseArgs({ allowPositionals: true, options: { cheques: { type: 'string', default: '1000000' }, rounds: { type: 'string', default: '3' } } })
if (mode === 'serve') {
  await serve(dir)
} else {
  const scratch = mkdtempSync(path(tmpdir(), 'inos-bench-'))
  try {
    const jobs = await benchJobs(scratch, Number(values.rounds))
    for (const depth of Object.keys(DEPTHS) as Depth[]) {
      const { full, bare, echo, ratio, ratioToEcho } = jobs[depth]
      const rate = ({ perSecond, p50Ms }: Rate): string => `${perSecond}/s, p50 ${p50Ms} ms`
      console.error(`${depth.padEnd(10)}  full ${rate(full)}   bare ${rate(bare)}   echo ${rate(echo)}   ratio ${ratio}, to echo ${ratioToEcho}`)
    }
    console.log(JSON.stringify({ bench: 'credits', ...jobs, books: await benchBooks(path(scratch, 'books'), Number(values.cheques)) }))
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
