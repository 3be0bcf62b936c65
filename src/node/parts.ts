/**
 * This platform's parts for the portable rooms: what `join()` opens and puts together. What was
 * opened is closed in the reverse order, also when a later part fails to start.
 */
import { availableParallelism } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { mapOf } from '../emergent/map.ts'
import { createCredits } from '../credits/credits.ts'
import type { Store } from '../credits/store.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createProcessor, type ProcessorParts } from '../processor/create.ts'
import type { Processor } from '../processor/processor.ts'
import type { Membership } from '../network/membership.ts'
import type { Network } from '../network/network.ts'
import { openActors } from './actors.ts'
import { type BlobCache, openBlobCache } from './blob-cache.ts'
import { type DataDirectory, openDataDirectory } from './data-dir.ts'
import { createExecutorPool, type ExecutorPool } from './executor-pool.ts'
import { openHistoryFile } from './history-file.ts'
import type { JoinOptions, Node } from './join.ts'
import { calibrate, lookAtMachine } from './machine.ts'
import { amountOf, beLetIn, findMembership, rulesOf, termsOf, viewOf } from './mesh.ts'
import type { Metrics } from './metrics.ts'
import { openPeersFile } from './peers-file.ts'
import { createPlatform } from './platform.ts'
import { timers } from './timers.ts'
import { openTrade, type TradeSettings, tradeOf } from './trade.ts'

/** The parts of a node on this platform, and how to close what they opened. */
export interface OpenParts {
  readonly parts: ProcessorParts
  readonly membership: Membership | null
  readonly metrics: Metrics | null
  readonly pool: ExecutorPool
  readonly blobs: BlobCache
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
  const settings = await openTrade(dir.path, options)
  const blobs = await openBlobCache(dir.blobsPath, { bytesMax: settings.current.blobCache ?? LIMITS.store.blobsBytesMax })
  const pool = createExecutorPool({ slots, share: settings.current.cpuPercent / 100, log: line => platform.log('executors', line) })
  opened.defer(() => pool.stop())
  const { known } = opened.use(await openPeersFile(dir.path, { self: platform.signer.id, timers }))
  const metrics = options.metrics === undefined ? null : opened.use(await (await import('./metrics.ts')).openMetrics(options.metrics))
  // Loaded only where it is used: libp2p is most of the start-up time.
  const network = options.network === false ? null : await (await import('./libp2p.ts')).createNetwork({
    seed: dir.seed, listen, bootstrap: peers, known, mdns: options.mdns === true ? {} : undefined, relay: options.relay, upnp: options.upnp, membership: membership ?? undefined, metrics: metrics?.libp2p
  })
  if (network !== null) opened.defer(() => network.stop())
  if (membership?.isPending === true) await redeem(membership, network, options.signal)
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

async function redeem (membership: Membership, network: Network | null, signal: AbortSignal | undefined): Promise<void> {
  if (network === null) throw new InosError('ERR_USAGE', 'An invite is redeemed over the network, and this node has none.')
  await beLetIn(membership, network, signal)
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
  if (membership?.isIssuer === true) giveGrants(membership, parts, processor)
  await Promise.all(peers.map(address => connect(processor, address, signal)))
  const resources = opened.move()
  const stop = once(() => resources.disposeAsync())
  return {
    ...processor,
    knownPeers: () => parts.known?.list() ?? [],
    forget: peer => parts.known?.forget(peer) ?? false,
    get slots () { return processor.slots },
    ...meshOf(membership, processor),
    ...tradeOf(settings, pool, blobs, processor),
    stop,
    [Symbol.asyncDispose]: stop,
    metricsUrl: metrics?.url ?? null,
    map: mapOf(processor),
    ...actors
  }
}

/** A member gets what its certificate promises when it is met; what was given before is not given again. */
function giveGrants (membership: Membership, { platform }: ProcessorParts, processor: Processor): void {
  processor.on('peer:connect', ({ peer }) => {
    const certificate = membership.certificateOf(peer)
    if (certificate === null) return
    processor.giveGrant(peer, certificate.payload.grant, certificate.id.toString()).catch((error: unknown) => { platform.log(`giving ${peer} its grant`, error) })
  })
}

function meshOf (membership: Membership | null, processor: Processor): Pick<Node, 'mesh' | 'amend' | 'invite' | 'members' | 'grant' | 'revoke'> {
  const member = (): Membership => {
    if (membership !== null) return membership
    throw new InosError('ERR_NOT_MEMBER', 'This node belongs to no private mesh.', { hint: 'Found one with `inos mesh create`, or join one with `inos mesh join INVITE`.' })
  }
  return {
    mesh: () => membership === null ? null : viewOf(membership),
    amend: async changes => {
      await member().amend(rulesOf(changes))
      return viewOf(member())
    },
    invite: async (options = {}) => member().inviteText(termsOf(options), options.routes?.length ? options.routes : processor.addresses()),
    members: () => member().members().map(view => ({ ...view, account: member().isIssuer && !view.issuer ? processor.accountOf(view.id) : null })),
    grant: async (peer, amount) => {
      const { id, payload: { grant } } = member().promise(peer, amountOf(amount))
      await processor.giveGrant(peer, grant, id.toString())
    },
    revoke: async peer => { await member().revoke(peer) }
  }
}

async function connect (processor: Processor, address: string, signal: AbortSignal | undefined): Promise<void> {
  const late = AbortSignal.timeout(LIMITS.wire.dialMsMax)
  try {
    await processor.connect(address, signal === undefined ? late : AbortSignal.any([late, signal]))
  } catch (error) {
    if (!late.aborted || signal?.aborted === true) throw error
    throw new InosError('ERR_NOT_REACHABLE', `${address} was not reached within ${LIMITS.wire.dialMsMax / 1000} s.`, { cause: error })
  }
}

function creditsOptions ({ lineMax, poolMax, sellerPoolMax }: JoinOptions): Pick<JoinOptions, 'lineMax' | 'poolMax' | 'sellerPoolMax'> {
  return { ...(lineMax === undefined ? {} : { lineMax }), ...(poolMax === undefined ? {} : { poolMax }), ...(sellerPoolMax === undefined ? {} : { sellerPoolMax }) }
}

function once<T> (make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => made ??= make()
}
