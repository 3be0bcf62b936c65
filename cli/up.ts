/** `inos up`: a node that stays, serves others and every command of its data directory. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { addData, addJson, addListen, addPeers, type CommonOptions, type Context, examples, read } from './command.ts'
import { parseCount } from '../src/packet/amounts.ts'
import { InosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { tabLink } from '../src/assembly/tab-link.ts'
import type { Dashboard, DashboardOptions } from '../src/node/dashboard.ts'
import type { Node } from '../src/node/join.ts'
import type { OpenOptions } from './open.ts'
import type { Output } from './output.ts'
import { collectPrices, parseBuyers, parsePercent, type Prices } from './price-words.ts'
import { parseBytes } from './units.ts'

interface UpOptions extends CommonOptions { listen: string[], peer: string[], slots?: number, mesh?: string, mdns?: boolean, relay?: boolean, upnp?: boolean, stun: string[], metrics?: number | true, ui?: number | true, page?: string, price: Prices, buyers?: readonly string[] | null, cpu?: number, blobCache?: number, cache: boolean }

/** Loopback, any free port: nobody outside this machine can connect unless asked for. */
const LISTEN_DEFAULT = '/ip4/127.0.0.1/tcp/0'
const SLOTS_MAX = 1_024n
const PORT_MAX = 65_535n

export function addUp (program: Command, context: Context): void {
  const command = program.command('up').description('run a node: it serves jobs, earns credits, and answers the other commands')
    .option('--slots <n>', 'jobs that run at once (default: the number of cores)', read(parseSlots))
    .option('--mdns', 'find other nodes of the local network, and be found')
    .option('--relay', 'carry connections for nodes that nobody can dial (default: where another machine could dial this one)')
    .option('--no-relay', 'never do')
    .option('--upnp', 'ask the router to forward the ports of this node (default: where it listens beyond this machine)')
    .option('--no-upnp', 'never do')
    .option('--stun <server>', 'ask this server for the address outside, for WebRTC behind a router, such as stun:192.0.2.1:3478; may be given several times', (server: string, others: string[]) => [...others, server], [])
    .option('--price <name=amount>', 'take this price while it runs, such as perMFuel=500ucr; may be given several times', collectPrices, {})
    .option('--cpu <percent>', 'part of all cores that jobs may have, such as 50%', read(parsePercent))
    .option('--blob-cache <size>', 'room for all blobs on the disk, such as 5GiB (default: what `inos price set blobs=SIZE` has kept, 2GiB at first)', read(text => Number(parseBytes(text))))
    .option('--buyers <who>', 'work for anyone, or for these PeerIds only, with commas between', read(parseBuyers))
    .option('--no-cache', 'run every job, also one that ran here before; else that is answered from memory at the base price')
    .option('--mesh <invite>', 'belong to a private mesh; waits until its issuer can be reached')
    .option('--metrics [port]', `tell Prometheus of this node on 127.0.0.1, 0: any free port (default port: ${LIMITS.metrics.port})`, read(parsePort))
    .option('--ui [port]', `serve the dashboard to a browser on this machine, 0: any free port (default port: ${LIMITS.dashboard.port})`, read(parsePort))
    .option('--page <url>', 'print a link by which browser tabs join, to the page of `npm run build:tab` that somebody hosts there')
  addJson(addData(addPeers(addListen(command))), 'JSON lines: ready, peers that come and go, reachability, stopped')
  examples(command, [
    ['inos up', 'serve on this machine'],
    ['inos up --listen /ip4/0.0.0.0/tcp/4001 --data ./a', 'serve on the network'],
    ['inos up --cpu 50% --price perMFuel=500ucr', 'half of the cores, at a price of your own; `inos price` shows all'],
    ['inos up --peer /ip4/10.0.0.7/tcp/4001', 'join others'],
    ['inos up --metrics', `serve http://127.0.0.1:${LIMITS.metrics.port}/metrics besides`],
    ['inos up --ui', 'with a dashboard; the link it prints holds its token'],
    ['inos up --listen /ip4/0.0.0.0/udp/4001/quic-v1/webtransport --page https://example.org/inos/', 'with a link for browser tabs'],
    ['inos up --mdns --listen /ip4/0.0.0.0/tcp/0', 'join whoever does the same in this local network'],
    ['inos up --mesh inos:…', 'serve the members of a private mesh']
  ])
  command.action(async (options: UpOptions) => { context.finish(await serve(options, context)) })
}

function parseSlots (text: string): number {
  return Math.max(1, Number(parseCount(text, SLOTS_MAX)))
}

function parsePort (text: string): number { return Number(parseCount(text, PORT_MAX)) }

async function serve (options: UpOptions, { output, signal }: Context): Promise<number> {
  const { connectPeers } = await import('./open.ts')
  const { serveControl } = await import('../src/node/control-server.ts')
  const { operatorOf } = await import('../src/node/operator.ts')
  const listen = options.listen.length > 0 ? options.listen : [LISTEN_DEFAULT]
  const { slots, mesh, mdns = false, stun, relay, upnp, buyers, cpu, blobCache, cache } = options
  const metrics = options.metrics === true ? LIMITS.metrics.port : options.metrics
  const join = {
    listen, serve: true, mdns, stun, resultCache: cache, prices: options.price, ...(slots === undefined ? {} : { slots }), ...(mesh === undefined ? {} : { mesh }), ...(relay === undefined ? {} : { relay }), ...(upnp === undefined ? {} : { upnp }), ...(metrics === undefined ? {} : { metrics }), ...(buyers === undefined ? {} : { buyers }), ...(cpu === undefined ? {} : { cpuPercent: cpu }), ...(blobCache === undefined ? {} : { blobCache })
  }
  const { node, dataDir } = await openPatiently({ data: options.data, join, output, signal })
  await using stack = new AsyncDisposableStack()
  stack.use(node)
  const operator = operatorOf(node)
  const control = await serveControl(dataDir, operator)
  stack.defer(() => control.stop())
  const ended = new AbortController()
  const ui = options.ui === undefined ? null : await openDashboard(options.ui, { dataDir, operator, node, stop: () => { ended.abort() } })
  if (ui !== null) stack.defer(() => ui.stop())
  await connectPeers(operator, options.peer, { output, signal })
  const tell = createTeller(output, options.json === true)
  stack.defer(node.on('peer:connect', ({ peer }) => tell('peer:connect', { peer }, `${peer} has connected`)))
  stack.defer(node.on('reach:change', ({ status, reason, next, addresses }) => tell('reachability', { status, reason, next, addresses }, [`${status}: ${reason}`, ...(next === null ? [] : [next])].join('\n'))))
  stack.defer(node.on('peer:disconnect', ({ peer }) => tell('peer:disconnect', { peer }, `${peer} has left`)))
  const broken = Promise.withResolvers<InosError>()
  stack.defer(node.on('credits:broken', ({ code, message, hint }) => {
    tell('credits:broken', { code, message, hint }, message)
    broken.resolve(new InosError(code, message, hint === null ? {} : { hint }))
  }))
  const { metricsUrl } = node
  const tab = options.page === undefined ? null : tabLink(options.page, { addresses: node.addresses() })
  tell('ready', { id: node.id, addresses: node.addresses(), ...(metricsUrl === null ? {} : { metrics: metricsUrl }), ...(ui === null ? {} : { ui: ui.url }), ...(tab === null ? {} : { tab }) }, describeReady(node, dataDir, ui, tab))
  const failure = await Promise.race([interrupted(AbortSignal.any([signal, ended.signal])), broken.promise])
  output.say('stopping')
  // What cannot be written makes the stop fail as well; that it failed is said below.
  await stack.disposeAsync().catch((error: unknown) => { if (failure === null) throw error })
  tell('stopped', { id: node.id }, 'stopped')
  if (failure !== null) throw failure
  return 0
}

async function openDashboard (port: number | true, options: Omit<DashboardOptions, 'port'>): Promise<Dashboard> {
  const { serveDashboard } = await import('../src/node/dashboard.ts')
  return await serveDashboard({ ...options, port: port === true ? LIMITS.dashboard.port : port })
}

/** While the issuer of a mesh that this node wants to join is away, wait and say so. */
async function openPatiently (options: OpenOptions): Promise<{ node: Node, dataDir: string }> {
  const { openOwner } = await import('./open.ts')
  const { output, signal, join } = options
  for (let tries = 1; ; tries++) {
    try {
      const opened = await openOwner(options)
      output.status(null)
      return opened
    } catch (error) {
      if (join.mesh === undefined || !(error instanceof InosError) || error.code !== 'ERR_NOT_REACHABLE') throw error
      if (tries === 1) output.say(`${error.message} Waiting for it.`)
    }
    output.status('waiting for the issuer of the mesh, which lets this node in')
    await sleep(LIMITS.mesh.retryMs, undefined, { signal })
  }
}

type Tell = (event: string, detail: object, words: string) => void

function createTeller (output: Output, json: boolean): Tell {
  let waiting = 0
  return (event, detail, words) => {
    if (!json) output.say(words)
    else if (waiting < LIMITS.control.eventsMax) {
      waiting++
      // A reader that fails or does not read is no reason for the node to stop.
      output.json({ event, ...detail }).catch(() => {}).finally(() => { waiting-- })
    }
  }
}

function describeReady (node: Node, dataDir: string, ui: Dashboard | null, tab: string | null): string {
  const { id, metricsUrl } = node
  const addresses = node.addresses()
  const where = [...addresses, ...(metricsUrl === null ? [] : [metricsUrl]), ...(ui === null ? [] : [ui.url])].map(address => `  ${address}`).join('\n')
  return `node ${id} serves, data in ${dataDir}\n${where}\nElsewhere: inos run FILE.wasm --where remote --peer ${addresses[0] ?? 'ADDR'}${tab === null ? '' : `\nBrowser tabs: ${tab}`}`
}

/** An interrupt is how a node ends; its exit code is 0. */
async function interrupted (signal: AbortSignal): Promise<null> {
  const { promise, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve(), { once: true })
  if (!signal.aborted) await promise
  return null
}
