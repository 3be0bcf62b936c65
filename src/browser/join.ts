/**
 * `join()` in a browser: how a page becomes a node. The rooms are those of every node; what they stand on here is an IndexedDB
 * of the page's origin, Web Workers, WebSockets.
 */
import { connectAll, creditsOptions, meshOf, once, redeem } from '../assembly/assemble.ts'
import { calibrate } from '../assembly/calibrate.ts'
import { findMembership } from '../assembly/mesh.ts'
import type { SettingsChange } from '../assembly/settings.ts'
import { aboveKept, type NodeTrade, tradeOf } from '../assembly/trade.ts'
import { createCredits } from '../credits/credits.ts'
import { actorsOf } from '../emergent/actors.ts'
import { mapOf } from '../emergent/map.ts'
import { LIMITS } from '../packet/limits.ts'
import { createProcessor } from '../processor/create.ts'
import { CAN_SUSPEND } from '../wasm/suspending.ts'
import { openBlobs } from './blobs.ts'
import { type Database, openDatabase } from './database.ts'
import { ExecutorPool } from './executor-pool.ts'
import { startExecutor } from './executor-script.ts'
import { keepSettings, loadIdentity, openKeeping, readSettings } from './keeping.ts'
import { createNetwork } from './libp2p.ts'
import type { JoinOptions, Node } from './node.ts'
import { createPlatform, timers } from './platform.ts'
import { createServing, type PauseOptions, type Work } from './serving.ts'

export type { JoinOptions, Node, NodeTrade, PauseOptions, SettingsChange, Work }

/**
 * Become part of the mesh. A tab buys; it works for others only after `serve(true)`, which is to follow a yes of its user.
 * @throws {InosError} ERR_DATA_DIR where another tab has this identity, ERR_STORE where what is kept cannot be used, ERR_LISTEN, ERR_NOT_REACHABLE, ERR_USAGE, ERR_INVITE, ERR_NOT_MEMBER; nothing is left open then
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
  const credits = await createCredits({ store: books, ...platform, now: () => Math.floor(Date.now() / 1000) }, { ...creditsOptions(options), charter })
  membership?.on({ rules: () => { credits.setRules(membership.charter.payload) } })
  const settings = aboveKept(await readSettings(database), options)
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
