/**
 * This platform's parts for the portable rooms: what `join()` opens and puts together. What was
 * opened is closed in the reverse order, also when a later part fails to start.
 */
import { availableParallelism } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import type { BlobShelf } from '../assembly/blob-shelf.ts'
import { calibrate } from '../assembly/calibrate.ts'
import { connectAll, creditsOptions, giveGrants, meshOf, once, redeem } from '../assembly/assemble.ts'
import { findMembership } from '../assembly/mesh.ts'
import { aboveKept, type TradeSettings } from '../assembly/trade.ts'
import { mapOf } from '../emergent/map.ts'
import { createCredits } from '../credits/credits.ts'
import type { Store } from '../credits/store.ts'
import { LIMITS } from '../packet/limits.ts'
import { createProcessor, type ProcessorParts } from '../processor/create.ts'
import type { Membership } from '../network/membership.ts'
import { openActors } from './actors.ts'
import { openBlobCache } from './blob-cache.ts'
import { type DataDirectory, openDataDirectory } from './data-dir.ts'
import { createExecutorPool, type ExecutorPool } from './executor-pool.ts'
import { openHistoryFile } from './history-file.ts'
import { lookAtMachine } from './machine.ts'
import type { Metrics } from './metrics.ts'
import type { JoinOptions, Node } from './node.ts'
import { openPeersFile } from './peers-file.ts'
import { createPlatform } from './platform.ts'
import { timers } from './timers.ts'
import { readSettings } from './settings.ts'
import { keptTrade } from './trade.ts'

/** The parts of a node on this platform, and how to close what they opened. */
export interface OpenParts {
  readonly parts: ProcessorParts
  readonly membership: Membership | null
  readonly metrics: Metrics | null
  readonly pool: ExecutorPool
  readonly blobs: BlobShelf
  readonly settings: TradeSettings
  readonly opened: AsyncDisposableStack
  readonly dataDir: string
}

/**
 * Open this platform's parts: data directory, books, blobs, executors, network.
 * @param between what lies between the books and their disk; a test puts a worse disk there
 * @throws {InosError} ERR_DATA_DIR, ERR_LISTEN, ERR_USAGE, ERR_INVITE, ERR_NOT_MEMBER, ERR_NOT_REACHABLE; nothing is left open then
 */
export async function openParts (options: JoinOptions = {}, between: (store: Store) => Store = store => store): Promise<OpenParts> {
  const { listen = [], peers = [], slots = availableParallelism(), resultCache = true } = options
  await using opened = new AsyncDisposableStack()
  const dir = opened.use(await openDataDirectory(options.dataDir))
  const platform = createPlatform(dir.seed)
  const membership = await findMembership(dir, platform, options.mesh)
  const net = membership?.net ?? null
  const charter = membership?.charter.payload ?? null
  const credits = await createCredits({ store: between(storeOf(dir.db)), ...platform, now: () => Math.floor(Date.now() / 1000) }, { ...creditsOptions(options), charter })
  membership?.on({ rules: () => { credits.setRules(membership.charter.payload) } })
  const settings = aboveKept(await readSettings(dir.path), options)
  const blobs = await openBlobCache(dir.blobsPath, { bytesMax: settings.current.blobCache ?? LIMITS.store.blobsBytesMax })
  const pool = createExecutorPool({ slots, share: settings.current.cpuPercent / 100, log: line => platform.log('executors', line) })
  opened.defer(() => pool.stop())
  const { known } = opened.use(await openPeersFile(dir.path, { self: platform.signer.id, timers }))
  const metrics = options.metrics === undefined ? null : opened.use(await (await import('./metrics.ts')).openMetrics(options.metrics))
  // Loaded only where it is used: libp2p is most of the start-up time.
  const network = options.network === false ? null : await (await import('./libp2p.ts')).createNetwork({
    seed: dir.seed, listen, bootstrap: peers, known, mdns: options.mdns === true ? {} : undefined, relay: options.relay, upnp: options.upnp, stun: options.stun, membership: membership ?? undefined, metrics: metrics?.libp2p
  })
  if (network !== null) opened.defer(() => network.stop())
  if (membership !== null) await redeem(membership, network, options.signal)
  const { history } = opened.use(await openHistoryFile(dir.path, timers))
  const { prices, buyers, relayPerMiB } = settings.current
  const market = { serve: options.serve ?? listen.length > 0, machine: lookAtMachine(dir.blobsPath), net, prices, buyers, relayPerMiB }
  return { parts: { platform, runtime: pool, credits, blobs, resultCache, network, known, history, timers, market }, membership, metrics, pool, blobs, settings, dataDir: dir.path, opened: opened.move() }
}

/**
 * Rows are looked up at once: nearly all are in memory, and a look by another thread takes many times as long to come back.
 * They are written when the event loop has done what is at hand, which is to send what they are about.
 */
function storeOf (db: DataDirectory['db']): Store {
  return { turn: async () => { await setImmediate() }, get: async key => db.getSync(key), batch: (ops, options) => db.batch(ops, options), iterator: range => db.iterator(range) }
}

/** Bring opened parts to life and connect to the peers that were named. */
export async function start ({ parts, membership, metrics, pool, blobs, settings, dataDir, opened: parents }: OpenParts, { peers = [], signal }: JoinOptions): Promise<Node> {
  await using opened = parents.move()
  const processor = createProcessor(parts)
  const { close, ...actors } = openActors(dataDir, processor, parts.platform)
  opened.defer(close)
  opened.defer(() => processor.stop())
  metrics?.watch(processor, parts.runtime)
  if (parts.market.serve) calibrate(pool).catch((error: unknown) => { parts.platform.log('measuring the speed of this machine', error) })
  if (membership?.isIssuer === true) giveGrants(membership, parts.platform, processor)
  await connectAll(processor, peers, signal)
  const resources = opened.move()
  const stop = once(() => resources.disposeAsync())
  return {
    ...processor,
    knownPeers: () => parts.known?.list() ?? [],
    forget: peer => parts.known?.forget(peer) ?? false,
    get slots () { return processor.slots },
    ...meshOf(membership, processor),
    ...keptTrade(dataDir, settings, pool, blobs, processor),
    stop,
    [Symbol.asyncDispose]: stop,
    metricsUrl: metrics?.url ?? null,
    map: mapOf(processor),
    ...actors
  }
}
