/**
 * What a session costs above a bare libp2p stream: echoes of 100 bytes between two processes over
 * loopback TCP, one at a time and 64 in flight. The baseline sends the same frames at the same depth
 * over a stream of its own, with no packet decoded and no id matched.
 *
 *   node bench/wire.ts
 *
 * The last line of stdout is one JSON object: messages per second and median milliseconds.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { createLibp2pNetwork } from '../src/network/libp2p.ts'
import { createSessions, type Sessions } from '../src/network/sessions.ts'
import { startNode } from '../src/node/libp2p.ts'
import { timers } from '../src/node/timers.ts'
import { openBare, serveBare } from './bare.ts'
import { better, measure, type Rate } from './rate.ts'

const INPUT_BYTES = 100
const WARM_UP = 2_000
const DEPTHS = { sequential: { inFlight: 1, count: 5_000 }, parallel: { inFlight: 64, count: 100_000 } }
const ROUNDS = 3

export interface WireFigures {
  session: Record<keyof typeof DEPTHS, Rate>
  bare: Record<keyof typeof DEPTHS, Rate>
  /** Session over bare at 64 in flight. */
  ratio: number
}

/** Run the whole comparison; rounds alternate, so that a busy machine slows both alike, and the best round counts. */
export async function benchWire (): Promise<WireFigures> {
  const child = fork(fileURLToPath(import.meta.url), ['serve'])
  const node = await startNode({ seed: randomBytes(32) })
  const network = createLibp2pNetwork({ node, timers })
  const sessions = createEcho(network)
  try {
    const address = await addressOf(child)
    const peer = await sessions.connect(address, AbortSignal.timeout(10_000))
    const bare = await openBare(node, address, INPUT_BYTES)
    const ask = (): Promise<unknown> => sessions.request(peer, { kind: 'job', input })
    const input = new Uint8Array(INPUT_BYTES)
    const figures = { session: {}, bare: {} } as WireFigures
    await measure(ask, 64, WARM_UP)
    await measure(bare, 64, WARM_UP)
    for (let round = 0; round < ROUNDS; round++) {
      for (const [depth, { inFlight, count }] of Object.entries(DEPTHS) as Array<[keyof typeof DEPTHS, typeof DEPTHS.parallel]>) {
        figures.bare[depth] = better(figures.bare[depth], await measure(bare, inFlight, count))
        figures.session[depth] = better(figures.session[depth], await measure(ask, inFlight, count))
      }
    }
    figures.ratio = Number((figures.session.parallel.perSecond / figures.bare.parallel.perSecond).toFixed(3))
    return figures
  } finally {
    await sessions.stop()
    await network.stop()
    child.disconnect()
  }
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

function addressOf (child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('message', address => { resolve(String(address)) })
    child.once('exit', code => { reject(new Error(`the echo process ended with ${code}`)) })
  })
}

async function serve (): Promise<void> {
  const node = await startNode({ seed: randomBytes(32), listen: ['/ip4/127.0.0.1/tcp/0'] })
  const network = createLibp2pNetwork({ node, timers })
  createEcho(network)
  await serveBare(node)
  process.once('disconnect', () => { process.exit() })
  process.send!(network.addresses()[0])
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === 'serve') {
    await serve()
  } else {
    const { session, bare, ratio } = await benchWire()
    for (const depth of ['sequential', 'parallel'] as const) {
      console.log(`${depth.padEnd(10)}  session ${session[depth].perSecond}/s, p50 ${session[depth].p50Ms} ms   bare ${bare[depth].perSecond}/s, p50 ${bare[depth].p50Ms} ms`)
    }
    console.log(JSON.stringify({ bench: 'wire', session, bare, ratio }))
  }
}
