/**
 * What a session costs above a bare libp2p stream, and what each transport costs beside TCP: echoes of 100 bytes between two processes
 * over loopback, one at a time and 64 in flight, and 64 MiB one way. The baseline sends the same frames at the same depth
 * over a stream of its own, with no packet decoded and no id matched.
 *
 *   npm run bench:wire -- [--transport tcp,ws,quic-v1] [--rounds N]
 *
 * Node dials no WebTransport: `bench/browser.ts` has a tab do it. Transports take turns in each round, and so do baseline and session,
 * so that a busy machine slows all alike; the best round counts. A table goes to stderr; the last line of stdout is one JSON object:
 * messages per second and median milliseconds, `ratio` the session over the bare echo at 64 in flight over the first transport,
 * `toTcp` what is bare over the same of TCP.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createLibp2pNetwork } from '../src/network/libp2p.ts'
import { createSessions, type Sessions } from '../src/network/sessions.ts'
import { startNode } from '../src/node/libp2p.ts'
import { timers } from '../src/node/timers.ts'
import { openBare, sendBulk, serveBare } from './bare.ts'
import { better, measure, type Rate } from './rate.ts'

/** Where to listen, by the name of the transport. */
const TRANSPORTS: Readonly<Record<string, string>> = { tcp: '/ip4/127.0.0.1/tcp/0', ws: '/ip4/127.0.0.1/tcp/0/ws', 'quic-v1': '/ip4/127.0.0.1/udp/0/quic-v1' }
const INPUT_BYTES = 100
const WARM_UP = 2_000
const DEPTHS = { sequential: { inFlight: 1, count: 5_000 }, parallel: { inFlight: 64, count: 100_000 } }
type Depth = keyof typeof DEPTHS

interface LaneFigures {
  readonly session: Partial<Record<Depth, Rate>>
  readonly bare: Partial<Record<Depth, Rate>>
  bulkMBs: number
}

/** One transport: both ways to ask for an echo over a connection of its own, and the best figures so far. */
interface Lane extends AsyncDisposable {
  readonly name: string
  readonly figures: LaneFigures
  readonly ask: () => Promise<unknown>
  readonly bare: () => Promise<void>
  readonly bulk: () => Promise<number>
}

/** What the other process says of each transport: where it listens, or why not. */
type Places = Readonly<Record<string, { readonly address: string } | { readonly reason: string }>>

async function openLane (name: string, address: string): Promise<Lane> {
  const node = await startNode({ seed: randomBytes(32) })
  const network = createLibp2pNetwork({ node, timers })
  const sessions = createEcho(network)
  const peer = await sessions.connect(address, AbortSignal.timeout(10_000))
  const input = new Uint8Array(INPUT_BYTES)
  return {
    name,
    figures: { session: {}, bare: {}, bulkMBs: 0 },
    ask: () => sessions.request(peer, { kind: 'job', input }),
    bare: await openBare(node, address, INPUT_BYTES),
    bulk: () => sendBulk(node, address),
    async [Symbol.asyncDispose] () {
      await sessions.stop()
      await network.stop()
    }
  }
}

async function measureLane ({ figures, ask, bare, bulk }: Lane): Promise<void> {
  for (const [depth, { inFlight, count }] of Object.entries(DEPTHS) as [Depth, typeof DEPTHS.parallel][]) {
    figures.bare[depth] = better(figures.bare[depth], await measure(bare, inFlight, count))
    figures.session[depth] = better(figures.session[depth], await measure(ask, inFlight, count))
  }
  figures.bulkMBs = Math.max(figures.bulkMBs, Math.round(await bulk()))
}

async function bench (names: readonly string[], rounds: number): Promise<{ lanes: Lane[], missing: Record<string, string> }> {
  await using opened = new AsyncDisposableStack()
  const child = opened.adopt(fork(fileURLToPath(import.meta.url), ['serve', ...names]), child => { child.disconnect() })
  const lanes: Lane[] = []
  const missing: Record<string, string> = {}
  for (const [name, place] of Object.entries(await placesOf(child))) {
    if ('reason' in place) missing[name] = place.reason
    else lanes.push(opened.use(await openLane(name, place.address)))
  }
  for (const { ask, bare } of lanes) for (const echo of [ask, bare]) await measure(echo, 64, WARM_UP)
  for (let round = 0; round < rounds; round++) for (const lane of lanes) await measureLane(lane)
  return { lanes, missing }
}

function createEcho (network: Parameters<typeof createSessions>[0]['network']): Sessions {
  return createSessions({
    network,
    timers,
    hello: () => ({ profile: 'inos/1', net: 'bench', records: [] }),
    serve: { request: async (_peer, { input }) => ({ result: input as Uint8Array<ArrayBuffer> }), oneShot: async () => ({}) },
    blobs: { get: async () => null }
  })
}

async function placesOf (child: ChildProcess): Promise<Places> {
  const failed = once(child, 'exit').then(([code]) => { throw new Error(`the echo process ended with ${code}`) })
  const [places] = await Promise.race([once(child, 'message') as Promise<[Places]>, failed])
  failed.catch(() => {})
  return places
}

async function serve (names: readonly string[]): Promise<void> {
  const places: Record<string, Places[string]> = {}
  for (const name of names) {
    try {
      const node = await startNode({ seed: randomBytes(32), listen: [TRANSPORTS[name]!] })
      const network = createLibp2pNetwork({ node, timers })
      createEcho(network)
      await serveBare(node)
      places[name] = { address: network.addresses()[0]! }
    } catch (error) {
      // Heavy native parts are optional.
      places[name] = { reason: (error as Error).message }
    }
  }
  process.once('disconnect', () => { process.exit() })
  process.send!(places)
}

const round = (value: number): number => Number(value.toFixed(3))

/** What is bare, over the same of TCP. */
function toTcp ({ bare, bulkMBs }: LaneFigures, tcp: LaneFigures): Record<string, number> {
  return { latency: round(bare.sequential!.p50Ms / tcp.bare.sequential!.p50Ms), throughput: round(bare.parallel!.perSecond / tcp.bare.parallel!.perSecond), bulk: round(bulkMBs / tcp.bulkMBs) }
}

const { values, positionals: [mode, ...served] } = parseArgs({ allowPositionals: true, options: { transport: { type: 'string', default: Object.keys(TRANSPORTS).join() }, rounds: { type: 'string', default: '3' } } })
if (mode === 'serve') {
  await serve(served)
} else {
  const names = values.transport.split(',')
  for (const name of names) if (TRANSPORTS[name] === undefined) throw new Error(`"${name}" is none of ${Object.keys(TRANSPORTS).join(', ')}`)
  const { lanes, missing } = await bench(names, Number(values.rounds))
  const tcp = lanes.find(({ name }) => name === 'tcp')
  for (const { name, figures: { session, bare, bulkMBs } } of lanes) {
    for (const depth of ['sequential', 'parallel'] as const) {
      console.error(`${name.padEnd(8)} ${depth.padEnd(10)}  session ${session[depth]!.perSecond}/s, p50 ${session[depth]!.p50Ms} ms   bare ${bare[depth]!.perSecond}/s, p50 ${bare[depth]!.p50Ms} ms`)
    }
    console.error(`${name.padEnd(8)} bulk        ${bulkMBs} MB/s`)
  }
  for (const [name, reason] of Object.entries(missing)) console.error(`${name}: ${reason}`)
  const transports = Object.fromEntries(lanes.map(({ name, figures }) => [name, { ...figures, ...(tcp === undefined ? {} : { toTcp: toTcp(figures, tcp.figures) }) }]))
  const [first] = lanes
  console.log(JSON.stringify({ bench: 'wire', ratio: first === undefined ? null : round(first.figures.session.parallel!.perSecond / first.figures.bare.parallel!.perSecond), transports, missing }))
}
