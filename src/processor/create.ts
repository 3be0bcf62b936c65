/**
 * Puts the rooms together to one Processor: a job's two sides, money afterwards, and the views that
 * people look at. Opens nothing and closes what it was given, in the reverse order of the list.
 */
import { type AllowanceLimits, createAllowance } from '../credits/allowance.ts'
import type { Bundle } from '../credits/bundle.ts'
import type { Credits } from '../credits/credits.ts'
import { KnownPeers } from '../network/known-peers.ts'
import type { Network, Timers } from '../network/network.ts'
import { relayOf, transportOf } from '../network/places.ts'
import { createSessions, type SessionInfo, type Sessions } from '../network/sessions.ts'
import { unlessAborted } from '../network/talk.ts'
import { CID, parseCid } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { keyOfPeerId, peerIdOfKey, toHex } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Offer } from '../packet/records.ts'
import { PROFILE, type Runtime } from '../wasm/runtime.ts'
import { createDesk } from './desk.ts'
import { beFound, beForgotten, keepBooks, meetIssuer, seek, tellOffer } from './discover.ts'
import { telling } from './ends.ts'
import { createEvents } from './events.ts'
import { createHistory, type History } from './history.ts'
import { type Blob, describeJob, describeModule, type Job } from './job.ts'
import { createJobs } from './jobs.ts'
import { createMingling } from './mingle.ts'
import { createMarket, type MarketOptions } from './market.ts'
import { serveOneShot } from './one-shot.ts'
import type { Modules } from './kin.ts'
import { wholeReceipt } from './kept.ts'
import { outcomeError } from '../packet/outcome.ts'
import { checkKey } from './keyed.ts'
import type { ComputeOptions, Module, PeerView, Processor, ProcessorEvents, ReceiptView, Result, Where } from './processor.ts'
import type { BlobRef } from './blob-views.ts'
import { createFetching } from './blob-fetch.ts'
import { createBlobs, createNews } from './blobs.ts'
import { createGiving } from './giving.ts'
import { createManifests } from './manifests.ts'
import type { Platform, Rooms } from './rooms.ts'
import type { BlobStore } from './store.ts'
import { createResultCache } from './result-cache.ts'
import { Rounds } from './rounds.ts'
import { serveJob } from './serve.ts'
import { quote } from './quote.ts'
import { createSettlement, keepersOf } from './settle.ts'
import { createShelf } from './shelf.ts'
import { createStateCache } from './states.ts'
import { type Finished, submitJob } from './submit.ts'
import { createTolls, NO_TOLLS } from './tolls.ts'

export interface ProcessorParts {
  readonly platform: Platform
  readonly runtime: Runtime
  readonly credits: Credits
  readonly blobs: BlobStore
  /** Null: a mesh of one. */
  readonly network: Network | null
  /** Where peers that are met and learnt of are kept, for whoever dials them. @default a list that nobody dials */
  readonly known?: KnownPeers
  readonly timers: Timers
  readonly market: MarketOptions
  /** What was seen of others before. @default nothing */
  readonly history?: History
  /** What peers of four fields get for free. @default LIMITS.credits */
  readonly allowance?: AllowanceLimits
  /** False: every job is run, also one that ran here before. @default true */
  readonly resultCache?: boolean
}

/** Every other place is a PeerId. */
const PLACES: readonly Where[] = ['any', 'local', 'remote']

export function createProcessor (parts: ProcessorParts): Processor {
  const { platform, runtime, credits, blobs, network, timers } = parts
  const known = parts.known ?? new KnownPeers({ self: platform.signer.id, now: () => Math.floor(platform.now() / 1000) })
  // Nobody dials those of a list that was not handed in.
  const hasFriends = (): boolean => parts.known !== undefined && parts.known.list().length > 0
  // The open mesh has no name.
  const net = parts.market.net ? toHex(parts.market.net) : ''
  const events = createEvents<ProcessorEvents>()
  const market = createMarket(platform, runtime, parts.market)
  const history = parts.history ?? createHistory(platform.now)
  const shelf = createShelf(cid => blobs.get(cid))
  const manifests = createManifests(blobs)
  const stopping = new AbortController()
  const news = createNews(network, blobs, stopping.signal)
  const open = new Set<string>()
  /** The last offer of each peer that came too soon after another. */
  const earlyOffers = new Map<string, Uint8Array>()
  /** Jobs of this node's own callers that are not over. */
  const atWork = new Set<Promise<unknown>>()
  const jobs = createJobs(platform.now, platform.signer.id, (id, state) => {
    events.emit('job:state', () => ({ job: id, role: 'buyer', state: state.state, ...('peer' in state ? { peer: state.peer } : {}) }))
  })
  const seeking = new Map<Where, Promise<boolean>>()
  let change = Promise.withResolvers<void>()

  const giving = network === null ? null : createGiving({ store: blobs, manifests, network, now: platform.now, isSetOut: shelf.has, hasPaid: peer => credits.line(peer).earned > 0n, news })
  const sessions: Sessions | null = network === null ? null : createSessions({
    network,
    timers,
    hello: () => ({ profile: PROFILE, net, records: [market.offer()].filter(offer => offer !== null).map(offer => offer.bytes) }),
    serve: {
      request (peer, packet, signal) {
        if (packet.kind === 'job') return serveJob(node, peer, packet, signal)
        if (packet.kind === 'toll' || packet.kind === 'relay') return tolls.answer(peer, packet)
        return packet.kind === 'peers' ? mingling!.answer(peer) : node.settlement.answer(peer, packet)
      },
      oneShot: (peer, packet, signal) => serveOneShot(node, peer, packet, signal)
    },
    blobs: {
      get: async (peer, cid) => await shelf.get(peer, cid) ?? (blobs.label(cid).shared ? await blobs.get(cid) : null),
      ...(giving === null ? {} : { giver: giving })
    }
  })

  const node: Rooms = {
    platform,
    runtime,
    credits,
    allowance: createAllowance(platform.now, parts.allowance),
    blobs,
    states: createStateCache(),
    results: parts.resultCache === false ? null : createResultCache(),
    market,
    history,
    shelf,
    desk: createDesk(),
    rounds: new Rounds(platform, stopping.signal),
    atKeys: new Map(),
    bring: (cid, options) => bring(cid, options),
    submit: (job, options, entry, kinship) => submitJob(node, job, options, entry, kinship),
    stopping: stopping.signal,
    isOpen: peer => open.has(peer),
    get settlement () { return settlement },
    events,
    sessions () {
      if (sessions !== null) return sessions
      throw new InosError('ERR_NO_OFFER', 'This node works alone.', { hint: 'Join with a network to reach others.' })
    },
    changed () {
      change.resolve()
      change = Promise.withResolvers()
      events.emit('credits:change', () => credits.balance())
    },
    change: () => change.promise,
    // Many jobs that find nobody search once.
    seek (where, signal) {
      const search = seeking.get(where) ?? seek(node, network, hasFriends, where, stopping.signal).finally(() => { seeking.delete(where) })
      seeking.set(where, search)
      return unlessAborted(search, signal)
    },
    announce (role, bundle) { events.emit('receipt', () => viewOf(role, bundle)) }
  }
  void credits.broken.then(error => {
    platform.log('writing the books', error)
    events.emit('credits:broken', () => ({ code: error.code, message: error.message, hint: error.hint ?? null }))
  })
  const settlement = createSettlement(node)
  const bring = createFetching({
    platform, store: blobs, manifests, timers, network, sessions: node.sessions, stopping: stopping.signal,
    async onShared (cid, complete) {
      if (complete) news.add(cid)
      else await blobs.setLabel(cid, { ...blobs.label(cid), shared: true })
    }
  })
  const mingling = network === null ? null : createMingling(node, { network, known, timers, net: parts.market.net ?? null })
  network?.access?.onChange(view => { events.emit('reach:change', () => view) })
  const tolls = network?.access === undefined ? NO_TOLLS : createTolls(node, network.access, parts.market.net ?? null)
  if (sessions !== null) {
    sessions.on({
      open (peer, hello) {
        open.add(peer)
        mingling?.opened()
        for (const record of hello.records) learn(peer, record)
        events.emit('peer:connect', () => ({ peer }))
        void settlement.reconcile(peer).then(() => credits.account()?.issuer === peer ? settlement.remind() : undefined)
      },
      close (peer) {
        open.delete(peer)
        earlyOffers.delete(peer)
        mingling?.closed(peer)
        market.forget(peer)
        node.changed()
        events.emit('peer:disconnect', () => ({ peer }))
      },
      offer: learn
    })
  }

  function learn (peer: string, record: Uint8Array): void {
    try {
      const early = market.learn(peer, record)
      if (early > 0) postpone(peer, record, early)
      else node.changed()
    } catch (error) {
      platform.log(`reading the offer of ${peer}`, error)
    }
  }

  /** What a peer says last counts, be it that it takes no work any more. */
  function postpone (peer: string, record: Uint8Array, ms: number): void {
    const isWaiting = earlyOffers.has(peer)
    earlyOffers.set(peer, record.slice())
    if (isWaiting) return
    void platform.sleep(ms, stopping.signal).then(() => {
      const last = earlyOffers.get(peer)
      earlyOffers.delete(peer)
      if (last !== undefined) learn(peer, last)
    }, () => {})
  }

  const describe = async (wasm: Uint8Array | Module): Promise<Module> => {
    if (!(wasm instanceof Uint8Array)) {
      if (!(wasm?.bytes instanceof Uint8Array)) throw new InosError('ERR_USAGE', 'A module is given as its bytes, or as what `load` made of them.')
      return wasm
    }
    const { cid, bytes } = await describeModule(wasm, platform.digest)
    return { id: cid.toString(), bytes }
  }

  const moduleOf = async (wasm: Uint8Array | Module): Promise<Blob> => {
    const { id, bytes } = await describe(wasm)
    return { cid: CID.parse(id), bytes }
  }

  const prepare = async (wasm: Uint8Array | Module | BlobRef, input: Uint8Array | string | BlobRef | undefined, options: ComputeOptions): Promise<Job> => {
    stopping.signal.throwIfAborted()
    const { where = 'any' } = options
    if (!PLACES.includes(where)) keyOfPeerId(where)
    checkKey(options.key)
    if (input !== undefined && typeof input !== 'string' && !(input instanceof Uint8Array) && !isRef(input)) throw new InosError('ERR_USAGE', 'An input is bytes, text, or a blob as { cid }.')
    return await describeJob(isRef(wasm) ? { cid: parseCid(wasm.cid), bytes: null } : await moduleOf(wasm), input, options, platform.digest)
  }

  const either = (signal: AbortSignal | undefined): AbortSignal => signal === undefined ? stopping.signal : AbortSignal.any([signal, stopping.signal])

  const begin = async (wasm: Uint8Array | Module | BlobRef, input: Uint8Array | string | BlobRef | undefined, options: ComputeOptions): Promise<Finished & { readonly job: string }> => {
    const job = await prepare(wasm, input, options)
    const kinship = { modules: await handedOver(options.modules ?? [], platform.digest), parent: undefined, payer: platform.signer.id }
    stopping.signal.throwIfAborted()
    const entry = jobs.begin(job, options)
    return { ...await submitJob(node, job, options, entry, kinship), job: entry.id }
  }

  const submit = (wasm: Uint8Array | Module | BlobRef, input: Uint8Array | string | BlobRef | undefined, options: ComputeOptions): ReturnType<typeof begin> => {
    const work = telling(node, 'buyer', () => begin(wasm, input, options)).finally(() => { atWork.delete(work) })
    atWork.add(work)
    return work
  }

  let unserve = new AbortController()
  const offer = (): Promise<void> => network === null ? Promise.resolve() : beFound(node, network, AbortSignal.any([stopping.signal, unserve.signal]))
  let offering = offer()
  const serve = (on: boolean): void => {
    if (market.view().serving === on) return
    market.setServing(on)
    unserve.abort()
    if (on) {
      unserve = new AbortController()
      const before = offering
      offering = before.then(offer)
    } else if (network !== null) beForgotten(node, network)
  }
  const upkeep = Promise.all([keepBooks(node, stopping.signal), sessions === null ? null : meetIssuer(node, stopping.signal), mingling?.run(stopping.signal)])

  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    await using parts = new AsyncDisposableStack()
    // Called from the last to the first, each whatever became of the others.
    parts.defer(() => credits.close())
    parts.defer(async () => { await Promise.all([offering, upkeep, node.desk.idle(), tolls.idle(), settlement.idle()]) })
    parts.defer(() => runtime.stop())
    parts.defer(async () => { await network?.stop() })
    parts.defer(async () => { await sessions?.stop() })
    parts.defer(async () => { await mingling?.leave() })
    stopping.abort(new InosError('ERR_CANCELLED', 'This node has stopped.'))
    jobs.stop(stopping.signal.reason)
    await Promise.allSettled(atWork)
    await leave(node, sessions)
  }

  const processor: Processor = {
    id: platform.signer.id,
    blobs: createBlobs({ platform, store: blobs, manifests, bring, news, giving }),
    get slots () { return runtime.load().slots },
    clock: { now: () => platform.now(), sleep: (ms, signal) => platform.sleep(ms, signal) },
    addresses: () => network?.addresses() ?? [],
    load: describe,
    async compute (wasm, input, options = {}) {
      const result = await submit(wasm, input, options)
      const failure = outcomeError(result)
      if (failure !== null) throw failure
      return withHelpers(result)
    },
    async run (wasm, input, options = {}) { return withHelpers(await submit(wasm, input, options)) },
    async quote (wasm, input, options = {}) { return await quote(node, await prepare(wasm, input, options), options, either(options.signal)) },
    credits: () => credits.balance(),
    account: () => credits.account(),
    accountOf: peer => credits.accountOf(peer),
    async refund (order, amount) {
      const refund = await credits.refund(order, amount)
      node.changed()
      if (open.has(refund.peer)) await settlement.pay(refund.peer)
      return refund
    },
    async giveGrant (peer, amount, certificate) {
      await credits.grant(peer, CID.parse(certificate), amount)
      node.changed()
      if (open.has(peer)) await settlement.pay(peer)
    },
    async settle () { await Promise.all(creditors(node, sessions).map(peer => settlement.pay(peer))) },
    history: () => credits.history(),
    explainLine: peer => credits.explain(peer),
    jobs: () => jobs.list(),
    explain: job => jobs.report(job),
    cancel: job => { jobs.cancel(job) },
    frauds: () => credits.frauds(),
    dump: () => credits.dump(),
    audit: () => credits.audit(),
    receipts: () => credits.receipts(),
    receipt: id => wholeReceipt(node, id),
    trade: () => market.view(),
    serve,
    setTariff (tariff) {
      market.setTariff(tariff)
      if (sessions !== null) tellOffer(node)
    },
    peers: () => sessions === null ? [] : sessions.list().map(peer => peerView(node, peer)),
    reachability: () => network?.access?.view() ?? null,
    async testReach (peer, signal = stopping.signal) {
      if (network?.access !== undefined) return await network.access.test(peer, signal)
      throw new InosError('ERR_NO_OFFER', 'This node has no network to be tested.')
    },
    async connect (address, signal = stopping.signal) { return await node.sessions().connect(address, signal) },
    on: (event, listener) => events.on(event, listener),
    stop: () => stopped ??= stop(),
    [Symbol.asyncDispose]: () => processor.stop()
  }
  return processor
}

/** Modules that a caller gives for its guest to name. @throws {InosError} ERR_USAGE, ERR_INVALID_MODULE */
async function handedOver (modules: readonly Uint8Array[], digest: Platform['digest']): Promise<Modules> {
  if (!Array.isArray(modules) || !modules.every(each => each instanceof Uint8Array)) throw new InosError('ERR_USAGE', 'Modules are given as a list of their bytes.')
  const found = new Map<string, Uint8Array>()
  for (const each of modules) {
    const { cid, bytes } = await describeModule(each, digest)
    found.set(cid.toString(), bytes)
  }
  return async cid => {
    const bytes = found.get(cid)
    if (bytes !== undefined) return bytes
    throw new InosError('ERR_GONE', `The module ${cid}, which the guest wants computed, was not handed over.`, { hint: 'Give it with the option modules, `--module FILE` on the command line.' })
  }
}

/** Pay what is owed where a session is open, and hand out replicas; what is not acknowledged in time goes out at the next contact. */
async function leave (node: Rooms, sessions: Sessions | null): Promise<void> {
  const unpaid = creditors(node, sessions)
  const keepers = sessions === null ? [] : keepersOf(node)
  if (unpaid.length + keepers.length === 0) return
  const timeout = new AbortController()
  const paid = Promise.all([...new Set([...unpaid, ...keepers])].map(peer => node.settlement.reconcile(peer)))
  await Promise.race([paid, node.platform.sleep(LIMITS.credits.leaveMsMax, timeout.signal)])
  timeout.abort()
}

/** Connected peers that wait for a cheque, or have not acknowledged one. */
function creditors (node: Rooms, sessions: Sessions | null): string[] {
  const open = new Set(sessions?.list().map(({ id }) => id))
  return node.credits.creditors().filter(peer => open.has(peer))
}

function isRef (value: object | string): value is BlobRef { return typeof value === 'object' && 'cid' in value && typeof value.cid === 'string' }

/** What a caller sees; the parts of its receipt are for this room. */
function withHelpers ({ bundle: _bundle, below: _below, ...result }: Finished & { readonly job: string }): Result {
  return {
    ...result,
    text: () => new TextDecoder().decode(result.bytes),
    json: () => JSON.parse(new TextDecoder().decode(result.bytes))
  }
}

function peerView (node: Rooms, { id, addresses, direction, latencyMs, inFlight }: SessionInfo): PeerView {
  const offer = node.market.offerBy(id)
  return {
    id,
    addresses,
    direction,
    transport: transportOf(addresses[0] ?? ''),
    via: relayOf(addresses[0] ?? ''),
    latencyMs: latencyMs === null ? null : Math.round(latencyMs * 10) / 10,
    inFlight,
    offer: offer === null ? null : offerView(offer.payload),
    history: node.history.of(id),
    line: node.credits.line(id)
  }
}

function offerView ({ slots, idle, fuelPerSec, perMFuel, profile, expires }: Offer): NonNullable<PeerView['offer']> {
  return { slots, idle, fuelPerSec, perMFuel, profile, expires }
}

function viewOf (role: ReceiptView['role'], { receipt, order }: Bundle): ReceiptView {
  const { payload } = receipt
  return {
    id: receipt.id.toString(),
    order: order.id.toString(),
    role,
    peer: peerIdOfKey(role === 'sold' ? payload.payer : payload.executor),
    module: payload.module.toString(),
    outcome: payload.outcome,
    exitCode: payload.exitCode,
    fuel: payload.fuel,
    charge: payload.charge,
    paid: role === 'own',
    givenUp: false
  }
}
