/**
 * Puts the rooms together to one Processor: a job's two sides, money afterwards, and the views that
 * people look at. Opens nothing and closes what it was given, in the reverse order of the list.
 */
import { createAllowance } from '../credits/allowance.ts'
import type { Bundle } from '../credits/bundle.ts'
import type { Credits } from '../credits/credits.ts'
import type { Network, Timers } from '../network/network.ts'
import { createSessions, type SessionInfo, type Sessions } from '../network/sessions.ts'
import { unlessAborted } from '../network/talk.ts'
import { CID } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { PROFILE, type Runtime } from '../wasm/runtime.ts'
import { beFound, keepBooks, seek } from './discover.ts'
import { createEvents } from './events.ts'
import { describeJob, describeModule } from './job.ts'
import { createMarket, type MarketOptions } from './market.ts'
import { serveOneShot } from './one-shot.ts'
import { outcomeError } from './outcome.ts'
import type { ComputeOptions, Module, PeerView, Processor, ProcessorEvents, ReceiptView, Result } from './processor.ts'
import type { BlobStore, Platform, Rooms } from './rooms.ts'
import { type Running, serveJob } from './serve.ts'
import { createSettlement } from './settle.ts'
import { createShelf } from './shelf.ts'
import { type Finished, submitJob } from './submit.ts'

export interface ProcessorParts {
  readonly platform: Platform
  readonly runtime: Runtime
  readonly credits: Credits
  readonly blobs: BlobStore
  /** Null: a mesh of one. */
  readonly network: Network | null
  readonly timers: Timers
  readonly market: MarketOptions
}

/** The open mesh has no name. */
const NET = ''

export function createProcessor (parts: ProcessorParts): Processor {
  const { platform, runtime, credits, blobs, network, timers } = parts
  const events = createEvents<ProcessorEvents>()
  const market = createMarket(platform, parts.market)
  const shelf = createShelf(cid => blobs.get(cid))
  const running: Running = new Map()
  const stopping = new AbortController()
  let change = Promise.withResolvers<void>()

  const sessions: Sessions | null = network === null ? null : createSessions({
    network,
    timers,
    hello: () => ({ profile: PROFILE, net: NET, records: [market.offer()].filter(offer => offer !== null).map(offer => offer.bytes) }),
    serve: {
      request: (peer, packet, signal) => packet.kind === 'job' ? serveJob(node, running, peer, packet, signal) : node.settlement.answer(peer, packet),
      oneShot: (peer, packet, signal) => serveOneShot(node, peer, packet, signal)
    },
    blobs: shelf
  })

  const node: Rooms = {
    platform,
    runtime,
    credits,
    allowance: createAllowance(platform.now),
    blobs,
    market,
    shelf,
    get settlement () { return settlement },
    events,
    sessions () {
      if (sessions !== null) return sessions
      throw new InosError('ERR_NO_OFFER', 'This node works alone.', { hint: 'Join with a network to reach others.' })
    },
    changed () {
      change.resolve()
      change = Promise.withResolvers()
      events.emit('credits:change', credits.balance())
    },
    seek: (where, signal) => seek(node, network, where, signal),
    nextChange: signal => unlessAborted(change.promise, signal),
    announce (role, bundle) { events.emit('receipt', viewOf(role, bundle)) }
  }
  const settlement = createSettlement(node)
  if (sessions !== null) {
    sessions.on({
      open (peer, hello) {
        for (const record of hello.records) learn(peer, record)
        events.emit('peer:connect', { peer })
        void settlement.reconcile(peer)
      },
      close (peer) {
        market.forget(peer)
        node.changed()
        events.emit('peer:disconnect', { peer })
      },
      offer: learn
    })
  }

  function learn (peer: string, record: Uint8Array): void {
    try {
      market.learn(peer, record)
      node.changed()
    } catch (error) {
      platform.log(`reading the offer of ${peer}`, error)
    }
  }

  const describe = async (wasm: Uint8Array | Module): Promise<Module> => {
    if (!(wasm instanceof Uint8Array)) return wasm
    const { cid, bytes } = await describeModule(wasm, platform.digest)
    return { id: cid.toString(), bytes }
  }

  const submit = async (wasm: Uint8Array | Module, input: Uint8Array | string | undefined, options: ComputeOptions): Promise<Finished> => {
    if (stopping.signal.aborted) throw new InosError('ERR_CANCELLED', 'This node has stopped.')
    const signal = options.signal === undefined ? stopping.signal : AbortSignal.any([options.signal, stopping.signal])
    const { id, bytes } = await describe(wasm)
    const job = await describeJob({ cid: CID.parse(id), bytes }, input, options, platform.digest)
    const observed: ComputeOptions = {
      ...options,
      signal,
      onProgress (state) {
        events.emit('job:state', { job: job.spec.id.toString(), role: 'buyer', state: state.state, ...('peer' in state ? { peer: state.peer } : {}) })
        options.onProgress?.(state)
      }
    }
    return await submitJob(node, job, observed)
  }

  const offering = sessions === null || network === null ? Promise.resolve() : beFound(node, network, stopping.signal)
  const upkeep = keepBooks(node, stopping.signal)

  const processor: Processor = {
    id: platform.signer.id,
    addresses: () => network?.addresses() ?? [],
    load: describe,
    async compute (wasm, input, options = {}) {
      const result = await submit(wasm, input, options)
      const failure = outcomeError(result)
      if (failure !== null) throw failure
      return withHelpers(result)
    },
    async run (wasm, input, options = {}) { return withHelpers(await submit(wasm, input, options)) },
    credits: () => credits.balance(),
    async settle () { await Promise.all(creditors(node, sessions).map(peer => settlement.pay(peer))) },
    history: () => credits.history(),
    audit: () => credits.audit(),
    receipts: () => credits.receipts(),
    receipt: id => credits.bundle(id),
    peers: () => sessions === null ? [] : sessions.list().map(peer => peerView(node, peer)),
    connect: (address, signal = stopping.signal) => node.sessions().connect(address, signal),
    on: (event, listener) => events.on(event, listener),
    async stop () {
      if (stopping.signal.aborted) return
      stopping.abort(new InosError('ERR_CANCELLED', 'This node has stopped.'))
      await leave(node, sessions)
      await Promise.all([offering, upkeep])
      await sessions?.stop()
      await network?.stop()
      await runtime.stop()
      await credits.close()
    },
    [Symbol.asyncDispose]: () => processor.stop()
  }
  return processor
}

/** Pay what is owed where a session is open; what is not acknowledged in time goes out at the next contact. */
async function leave (node: Rooms, sessions: Sessions | null): Promise<void> {
  const unpaid = creditors(node, sessions)
  if (unpaid.length === 0) return
  const timeout = new AbortController()
  const paid = Promise.all(unpaid.map(peer => node.settlement.reconcile(peer)))
  await Promise.race([paid, node.platform.sleep(LIMITS.credits.leaveMsMax, timeout.signal)])
  timeout.abort()
}

/** Connected peers that wait for a cheque, or have not acknowledged one. */
function creditors (node: Rooms, sessions: Sessions | null): string[] {
  const open = new Set(sessions?.list().map(({ id }) => id))
  return node.credits.creditors().filter(peer => open.has(peer))
}

function withHelpers (result: Finished): Result {
  return {
    ...result,
    text: () => new TextDecoder().decode(result.bytes),
    json: () => JSON.parse(new TextDecoder().decode(result.bytes))
  }
}

function peerView (node: Rooms, { id, addresses, direction, inFlight }: SessionInfo): PeerView {
  const offer = node.market.offerBy(id)
  return {
    id,
    addresses,
    direction,
    inFlight,
    offer: offer === null ? null : { slots: offer.payload.slots, perMFuel: offer.payload.perMFuel, profile: offer.payload.profile, expires: offer.payload.expires },
    line: node.credits.line(id)
  }
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
    paid: role === 'own'
  }
}
