/**
 * `join()` in a browser: how a page becomes a node. The rooms are those of every node; what they stand on here is an IndexedDB
 * of the page's origin, Web Workers, WebSockets.
 */
import { connectAll, meshOf, once, redeem } from '../assembly/assemble.ts'
import { calibrate } from '../assembly/calibrate.ts'
import type { MeshMethods } from '../assembly/mesh-methods.ts'
import { findMembership } from '../assembly/mesh.ts'
import { applyChange, type SettingsChange } from '../assembly/settings.ts'
import { aboveKept, type NodeTrade, tradeOf } from '../assembly/trade.ts'
import { createCredits } from '../credits/credits.ts'
import { type ActorMethods, actorsOf } from '../emergent/actors.ts'
import { type MapMethod, mapOf } from '../emergent/map.ts'
import type { KnownPeer } from '../network/known-peers.ts'
import { LIMITS, type PriceList } from '../packet/limits.ts'
import { createProcessor } from '../processor/create.ts'
import type { Processor } from '../processor/processor.ts'
import { CAN_SUSPEND } from '../wasm/suspending.ts'
import { openBlobs } from './blobs.ts'
import { type Database, openDatabase } from './database.ts'
import { ExecutorPool } from './executor-pool.ts'
import { startExecutor } from './executor-script.ts'
import { keepSettings, loadIdentity, openKeeping, readSettings } from './keeping.ts'
import { createNetwork } from './libp2p.ts'
import { createPlatform, timers } from './platform.ts'
import { createServing, type PauseOptions, type Work } from './serving.ts'

export type { NodeTrade, PauseOptions, SettingsChange, Work }

export interface JoinOptions {
  /** Name under which this origin keeps identity, ledger and caches; one page at a time has it. @default "inos" */
  dataDir?: string
  /** `['/webrtc']`: be reachable through relays, and directly where the two browsers find a way; `['/p2p-circuit']`: through relays alone; none: others can't dial this tab. @default none */
  listen?: readonly string[]
  /** STUN servers, such as "stun:192.0.2.1:3478", which tell a browser behind a router its address. @default nobody is asked */
  stun?: readonly string[]
  /** Multiaddrs of nodes to connect to. One that can't be reached fails the join. */
  peers?: readonly string[]
  /** An invite, by which this identity becomes a member of a private mesh; one that is a member already needs none. @default none */
  mesh?: string
  /** False: no network at all, a mesh of one. @default true */
  network?: boolean
  /** True only where the user of this page has said so: then it works for others from the start. @default false */
  serve?: boolean
  /** What pauses that work. @default nothing */
  pause?: PauseOptions
  /** Jobs that run at once. @default the number of cores */
  slots?: number
  /** Prices to take, µcr; those not named move with the load around DEFAULT_PRICES. @default what `setTrade` has kept, none at first */
  prices?: Partial<PriceList>
  /** PeerIds that may buy; null: anyone. @default what `setTrade` has kept, anyone at first */
  buyers?: readonly string[] | null
  /** Part of all cores that jobs may have on average, 1 to 100. @default what `setTrade` has kept, 100 at first */
  cpuPercent?: number
  /** Bytes that all blobs may take. @default what `setTrade` has kept, LIMITS.browser.blobsBytesMax at first */
  blobCache?: number
  /** False: every job is run. @default true */
  resultCache?: boolean
  /** What one peer may owe this node, and all strangers together, µcr. */
  lineMax?: bigint
  poolMax?: bigint
  sellerPoolMax?: bigint
  /** Where the script of executors is served, for pages whose policy allows no workers from blob:. @default the one in the bundle */
  executor?: string | URL
  /** Takes one line about each fault of the background. @default nobody */
  log?: (line: string) => void
  signal?: AbortSignal
}

/** A processor with the layers that grow on it. */
export interface Node extends Processor, ActorMethods, MeshMethods {
  readonly map: MapMethod
  /** Whether it works for others, which it does as long as `serve(true)` holds and nothing pauses it. */
  work (): Work
  /** Called when that changes. @returns ends it */
  onWork (listener: (work: Work) => void): () => void
  /** Choose anew what pauses that work. */
  pause (options: PauseOptions): void
  trade (): NodeTrade
  /** Change prices, buyers, the share of the CPU or the room for blobs from now on, and keep that. @throws {InosError} ERR_USAGE, ERR_STORE */
  setTrade (change: SettingsChange): Promise<NodeTrade>
  /** Whether the browser has promised to keep what this node keeps; else it may clear it when room gets short. */
  readonly persistent: boolean
  /** What this browser lacks, one sentence each. */
  readonly lacks: readonly string[]
  knownPeers (): KnownPeer[]
  forget (peer: string): boolean
}

/**
 * Become part of the mesh. A tab buys; it works for others only after `serve(true)`, which is to follow a yes of its user.
 * @throws {InosError} ERR_DATA_DIR where another tab has this identity, ERR_LISTEN, ERR_NOT_REACHABLE, ERR_USAGE, ERR_INVITE, ERR_NOT_MEMBER; nothing is left open then
 */
export async function join (options: JoinOptions = {}): Promise<Node> {
  const { peers = [], signal, serve = false, pause = {} } = options
  await using opened = new AsyncDisposableStack()
  const database = opened.use(await openDatabase(options.dataDir ?? 'inos'))
  const persistent = await navigator.storage.persist().catch(() => false)
  const { parts, membership, settings } = await openParts(options, database, opened)
  const processor = createProcessor(parts)
  opened.defer(() => processor.stop())
  await connectAll(processor, peers, signal)
  const listeners = new Set<(work: Work) => void>()
  const serving = createServing(processor.serve, pause, () => { for (const listener of listeners) listener(serving.view()) })
  opened.defer(() => { serving.close() })
  const measured = once(() => calibrate(parts.runtime).catch((error: unknown) => { parts.platform.log('measuring the speed of this machine', error) }))
  const resources = opened.move()
  const stop = once(() => resources.disposeAsync())
  const node: Node = {
    ...processor,
    ...meshOf(membership, processor),
    ...actorsOf({ processor, store: async () => database.rows('actors'), digest: parts.platform.digest, randomBytes: parts.platform.randomBytes }),
    get slots () { return processor.slots },
    map: mapOf(processor),
    serve (on) {
      if (on) void measured()
      serving.allow(on)
    },
    work: serving.view,
    onWork (listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    persistent,
    lacks: CAN_SUSPEND ? [] : ['This browser cannot suspend a guest (JSPI): jobs whose guests have other WASM computed end here as a fault of this host, and are tried elsewhere.'],
    pause: serving.pause,
    ...tradeOf(settings, processor, {
      keep: kept => keepSettings(database, kept),
      hold: ({ cpuPercent, blobCache = LIMITS.browser.blobsBytesMax }) => {
        parts.runtime.share = cpuPercent / 100
        parts.blobs.bytesMax = blobCache
      }
    }),
    knownPeers: () => parts.known.list(),
    forget: peer => parts.known.forget(peer),
    stop,
    [Symbol.asyncDispose]: stop
  }
  if (serve) node.serve(true)
  return node
}

/** Books, blobs, executors, network: what is opened is closed by `opened`. */
async function openParts (options: JoinOptions, database: Database, opened: AsyncDisposableStack) {
  const { listen = [], stun = [], peers = [], slots, resultCache = true, log = () => {} } = options
  const seed = await loadIdentity(database)
  const platform = createPlatform(seed, log)
  const books = database.rows('books')
  const membership = await findMembership({ path: database.name, db: books }, platform, options.mesh)
  const charter = membership?.charter.payload ?? null
  const { lineMax, poolMax, sellerPoolMax } = options
  const credits = await createCredits({ store: books, ...platform, now: () => Math.floor(Date.now() / 1000) }, {
    charter, ...(lineMax === undefined ? {} : { lineMax }), ...(poolMax === undefined ? {} : { poolMax }), ...(sellerPoolMax === undefined ? {} : { sellerPoolMax })
  })
  membership?.on({ rules: () => { credits.setRules(membership.charter.payload) } })
  const kept = await readSettings(database)
  const settings = { kept, current: applyChange(kept, aboveKept(options)) }
  const { prices, buyers, cpuPercent, blobCache = LIMITS.browser.blobsBytesMax } = settings.current
  const blobs = await openBlobs(database, blobCache)
  const { known, history } = opened.use(await openKeeping(database, platform.signer.id, timers, platform.log))
  const runtime = new ExecutorPool({ slots, start: () => startExecutor(options.executor), log: line => { platform.log('executors', line) } })
  runtime.share = cpuPercent / 100
  opened.defer(() => runtime.stop())
  const network = options.network === false ? null : await createNetwork({ seed, listen, bootstrap: peers, known, membership: membership ?? undefined, stun })
  if (network !== null) opened.defer(() => network.stop())
  if (membership !== null) await redeem(membership, network, options.signal)
  const machine = { memoryPagesMax: LIMITS.browser.memoryPagesMax, gpu: null, diskBytes: () => Math.max(0, blobs.bytesMax - blobs.bytes) }
  const market = { serve: false, machine, net: membership?.net ?? null, prices, buyers }
  return { parts: { platform, runtime, credits, blobs, resultCache, network, known, history, timers, market }, membership, settings }
}
