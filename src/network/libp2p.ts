/**
 * libp2p as a `Network`: streams of `/inos/packet/1` as wires, capabilities as provider records
 * of its DHT. Which transports the node has, and how it starts, is the platform's choice.
 */
import type { Connection, Libp2p, PeerId, Stream, StreamMiddleware } from '@libp2p/interface'
import type { Ping } from '@libp2p/ping'
import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { type CID, rawCid } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { toHex } from '../packet/identity.ts'
import { type Access, bestOf } from './access.ts'
import type { Admission } from './admission.ts'
import type { WireLimits } from './framing.ts'
import { StreamWire } from './libp2p-wire.ts'
import type { Network, NetworkEvents, PeerInfo, Timers, Wire } from './network.ts'
import { MEMBER_PROTOCOL } from './papers.ts'
import { bareAddress, originOf } from './places.ts'
import type { Passage } from './passage.ts'
import { Pulse } from './pulse.ts'

export const PACKET_PROTOCOL = '/inos/packet/1'
export const DHT_PROTOCOL = '/inos/kad/1.0.0'

export interface Libp2pNetworkOptions {
  /** Started, with a DHT among its services, and without a connection monitor that aborts. */
  node: Libp2p<{ ping: Ping }>
  timers: Timers
  limits?: WireLimits
  /** The door of a private mesh, which guards `node` already; none: the open mesh. */
  admission?: Admission | undefined
  /** How others get to `node`, which it is part of already. */
  access?: Access | undefined
}

/** The DHT's protocol: each private mesh has one of its own. */
export function dhtProtocol (net: Uint8Array | null): string {
  return net === null ? DHT_PROTOCOL : `${DHT_PROTOCOL}/${toHex(net)}`
}

/**
 * Let no stream of any protocol but that of the certificates, and what `passage` lets a relay do, through before `admission` does, in
 * either direction and over every transport, and let `access` count what is relayed: libp2p asks its registrar for the middleware of each
 * stream it has negotiated. Its own list by protocol would leave out what nobody thought of, and
 * libp2p 3.3 appends the handler of each incoming stream to that list, so it is answered here.
 */
export function guard (registrar: { getMiddleware (protocol: string): StreamMiddleware[] }, admission: Admission | undefined, passage: Passage | undefined, access: Access): void {
  const check: StreamMiddleware = async (stream, connection, next) => {
    await admission?.pass(connection.remotePeer.toString())
    next(stream, connection)
  }
  const door = (protocol: string): StreamMiddleware[] => admission === undefined ? [] : passage !== undefined && protocol === RELAY_V2_HOP_CODEC ? [passage.middleware] : [check]
  registrar.getMiddleware = protocol => protocol === MEMBER_PROTOCOL ? [] : [...door(protocol), ...access.relay.middleware(protocol)]
}

/** The key under which the DHT lists who offers a capability. */
export function capabilityCid (capability: string): CID {
  return rawCid(new TextEncoder().encode(`inos/capability/${capability}`))
}

/** @returns a network that owns `node`: stopping it stops the node */
export function createLibp2pNetwork (options: Libp2pNetworkOptions): Network {
  return new Libp2pNetwork(options)
}

class Libp2pNetwork implements Network {
  readonly id: string
  readonly #node: Libp2p<{ ping: Ping }>
  readonly #timers: Timers
  readonly #limits: WireLimits
  readonly #announcements = new Map<string, Announcement>()
  readonly #pulse: Pulse
  readonly #admission: Admission | undefined
  readonly #listeners: NetworkEvents[] = []
  readonly access: Access | undefined

  constructor ({ node, timers, limits = LIMITS.wire, admission, access }: Libp2pNetworkOptions) {
    this.access = access
    this.#admission = admission
    this.#node = node
    this.#timers = timers
    this.#limits = limits
    this.id = node.peerId.toString()
    this.#pulse = new Pulse({
      timers,
      limits,
      peers: () => node.getPeers().map(String),
      ping: (peer, signal) => node.services.ping.ping(peerIdFromString(peer), { signal }),
      cut: peer => {
        const gone = new InosError('ERR_PEER_LOST', `${peer} is silent.`)
        for (const connection of node.getConnections(peerIdFromString(peer))) connection.abort(gone)
      }
    })
    // Others find it where it says it is.
    node.addEventListener('self:peer:update', () => { for (const announcement of this.#announcements.values()) announcement.hurry() })
    node.addEventListener('connection:open', ({ detail }) => { this.#opened(detail) })
    access?.join(this)
    if (admission === undefined) this.#watch()
    else this.#beGuarded(admission)
  }

  /** Whoever has a relayed connection as well moves over; then that one is closed. */
  #opened ({ direct, remotePeer }: Connection): void {
    const relayed = this.#node.getConnections(remotePeer).filter(({ direct }) => !direct)
    if (!direct || relayed.length === 0) return
    for (const { direct } of this.#listeners) direct?.(remotePeer.toString())
    for (const connection of relayed) this.#drain(connection)
  }

  #drain (connection: Connection): void {
    this.#timers.after(LIMITS.relay.drainMs, () => {
      if (connection.status !== 'open' || !this.#node.getConnections(connection.remotePeer).some(({ direct }) => direct)) return
      if (connection.streams.some(({ protocol }) => protocol === PACKET_PROTOCOL)) this.#drain(connection)
      else connection.close().catch(() => {})
    })
  }

  #watch (): void {
    this.#node.addEventListener('peer:connect', ({ detail }) => { this.#came(detail.toString()) })
    this.#node.addEventListener('peer:disconnect', ({ detail }) => { this.#left(detail.toString()) })
  }

  #beGuarded (admission: Admission): void {
    const node = this.#node
    admission.attach({
      open: async (peer, signal) => await this.#openExchange(peer, signal),
      cut: (peer, reason) => { for (const connection of node.getConnections(peerIdFromString(peer))) connection.abort(reason) },
      addresses: () => this.addresses(),
      entered: peer => { this.#came(peer) },
      left: peer => { this.#left(peer) }
    })
    node.addEventListener('connection:open', ({ detail }) => { admission.opened(detail.remotePeer.toString(), detail.direction === 'outbound' ? null : originOf(detail.remoteAddr.toString())) })
    node.addEventListener('peer:disconnect', ({ detail }) => { admission.closed(detail.toString()) })
    void node.handle(MEMBER_PROTOCOL, (stream: Stream, connection: Connection) => {
      admission.take(new StreamWire(stream, connection, this.#limits))
    }, { maxInboundStreams: LIMITS.mesh.strangerStreamsMax, runOnLimitedConnection: true })
  }

  async #openExchange (peer: string, signal: AbortSignal): Promise<Wire> {
    const connection = bestOf(this.#node.getConnections(peerIdFromString(peer)))
    if (connection === undefined) throw new InosError('ERR_PEER_LOST', `The connection to ${peer} was lost.`)
    try {
      return new StreamWire(await connection.newStream(MEMBER_PROTOCOL, { signal, runOnLimitedConnection: true }), connection, this.#limits)
    } catch (cause) {
      if (!isForeign(cause)) throw new InosError('ERR_PEER_LOST', `The connection to ${peer} was lost.`, { cause })
      throw new InosError('ERR_NOT_MEMBER', `${peer} belongs to no private mesh.`, { cause, hint: 'Only members of this node’s mesh can work with it.' })
    }
  }

  #came (peer: string): void {
    this.#pulse.measure(peer)
    for (const announcement of this.#announcements.values()) announcement.hurry()
    for (const { connect } of this.#listeners) connect(peer)
  }

  #left (peer: string): void {
    for (const { disconnect } of this.#listeners) disconnect(peer)
  }

  addresses (): string[] {
    return this.#node.getMultiaddrs().map(String)
  }

  async dial (address: string, signal: AbortSignal): Promise<string> {
    // Whom a relay leads to is met there; WebRTC follows by itself (`signalled.ts`).
    const target = parseAddress(address.replace('/p2p-circuit/webrtc', '/p2p-circuit'))
    try {
      const peer = (await this.#node.dial(target, { signal })).remotePeer.toString()
      await this.#admission?.settled(peer, signal)
      return peer
    } catch (error) {
      throw notReachable(address, error, signal)
    }
  }

  async open (peer: string, signal: AbortSignal): Promise<Wire> {
    const id = parsePeerId(peer)
    try {
      // libp2p would dial anew where it has a connection through a relay that limits it.
      const connection = bestOf(this.#node.getConnections(id)) ?? await this.#node.dial(id, { signal })
      // The protocol is not even named to a peer that has not shown its certificate.
      await this.#admission?.settled(peer, signal)
      const stream = await connection.newStream(PACKET_PROTOCOL, {
        signal,
        maxOutboundStreams: this.#limits.streamsPerPeerMax,
        runOnLimitedConnection: true
      })
      return this.#wire(stream, connection)
    } catch (error) {
      throw notReachable(peer, error, signal)
    }
  }

  handle (handler: (wire: Wire) => void): void {
    void this.#node.handle(PACKET_PROTOCOL, (stream: Stream, connection: Connection) => {
      handler(this.#wire(stream, connection))
    }, { maxInboundStreams: this.#limits.streamsPerPeerMax, maxOutboundStreams: this.#limits.streamsPerPeerMax, runOnLimitedConnection: true })
  }

  peers (): PeerInfo[] {
    const inside = this.#node.getPeers().filter(id => this.#admission?.isInside(id.toString()) ?? true)
    return inside.map(id => {
      const connections = this.#node.getConnections(id).sort((a, b) => Number(b.direct) - Number(a.direct))
      return {
        id: id.toString(),
        addresses: connections.map(({ remoteAddr }) => remoteAddr.toString()),
        direction: connections.every(({ direction }) => direction === 'inbound') ? 'in' : 'out',
        latencyMs: this.#pulse.latencyMs(id.toString())
      }
    })
  }

  async routesTo (peer: string): Promise<string[]> {
    const id = parsePeerId(peer)
    const dialled = this.#node.getConnections(id).filter(({ direction }) => direction === 'outbound').map(({ remoteAddr }) => remoteAddr.toString())
    // What it has told by identify; a peer that has told nothing yet is not in the store.
    const told = await this.#node.peerStore.get(id).then(({ addresses }) => addresses.map(({ multiaddr }) => multiaddr.toString()), () => [])
    return [...new Set([...dialled, ...told].map(bareAddress))]
  }

  on (events: NetworkEvents): void {
    this.#listeners.push(events)
  }

  async provide (capability: string, signal: AbortSignal): Promise<void> {
    const cid = capabilityCid(capability)
    const announce = (until: AbortSignal): Promise<void> => Promise.resolve(this.#node.contentRouting.provide(cid, { signal: until }))
    this.#announcements.get(capability)?.stop()
    this.#announcements.set(capability, new Announcement(announce, this.#timers, this.#limits))
    try {
      await announce(signal)
    } catch (cause) {
      if (signal.aborted) throw new InosError('ERR_CANCELLED', 'The announcement was cancelled; it will be tried again.', { cause })
      // Nobody to tell yet: the announcement is made when the next peer comes.
    }
  }

  withdraw (capability: string): void {
    this.#announcements.get(capability)?.stop()
    this.#announcements.delete(capability)
    // What the DHT keeps of it here is dropped; it is not fetched anew by those who keep it.
    void Promise.resolve(this.#node.contentRouting.cancelReprovide(capabilityCid(capability))).catch(() => {})
  }

  async * find (capability: string, signal: AbortSignal): AsyncIterable<string> {
    const seen = new Set([this.id])
    if (!await this.#hasGuides()) return
    try {
      for await (const { id, multiaddrs } of this.#node.contentRouting.findProviders(capabilityCid(capability), { signal })) {
        const peer = id.toString()
        if (seen.has(peer)) continue
        seen.add(peer)
        // So that `open` can dial it; the handshake proves who answers there.
        if (multiaddrs.length > 0) await this.#node.peerStore.merge(id, { multiaddrs })
        yield peer
      }
    } catch {
      // A search that breaks off has found what it has found: the DHT is a hint.
    }
  }

  /** Whether a neighbour can be asked for others, or in a moment: with nobody in its table the DHT waits for somebody to come. */
  async #hasGuides (): Promise<boolean> {
    const dht = dhtProtocol(this.#admission?.membership.net ?? null)
    for (const { id } of this.peers()) {
      const protocols = await this.#node.peerStore.get(parsePeerId(id)).then(({ protocols }) => protocols, (): string[] => [])
      // Who has not said yet what it speaks may speak it.
      if (protocols.length === 0 || protocols.includes(dht)) return true
    }
    return false
  }

  async hangUp (peer: string): Promise<void> {
    await this.#node.hangUp(parsePeerId(peer))
  }

  async stop (): Promise<void> {
    this.#pulse.stop()
    this.#admission?.stop()
    for (const announcement of this.#announcements.values()) announcement.stop()
    await this.#node.stop()
  }

  #wire (stream: Stream, connection: Connection): Wire {
    const peer = connection.remotePeer.toString()
    const heard = (): void => { this.#pulse.heard(peer) }
    stream.addEventListener('message', heard)
    stream.addEventListener('drain', heard)
    return new StreamWire(stream, connection, this.#limits)
  }
}

/** One capability, announced anew now and then, and soon after a new peer has come. */
class Announcement {
  readonly #announce: (signal: AbortSignal) => Promise<void>
  readonly #timers: Timers
  readonly #limits: WireLimits
  readonly #stopped = new AbortController()
  /** Shortest wait after a new peer; doubles, so that many newcomers cost little. */
  #settleMs: number
  #dueAt: number
  #cancel: () => void = () => {}

  constructor (announce: (signal: AbortSignal) => Promise<void>, timers: Timers, limits: WireLimits) {
    this.#announce = announce
    this.#timers = timers
    this.#limits = limits
    this.#settleMs = limits.provideSettleMs
    this.#dueAt = Infinity
    this.#plan(limits.provideMs)
  }

  hurry (): void {
    if (this.#timers.now() + this.#settleMs >= this.#dueAt) return
    this.#plan(this.#settleMs)
    this.#settleMs = Math.min(this.#settleMs * 2, this.#limits.provideMs)
  }

  stop (): void {
    this.#stopped.abort()
    this.#cancel()
  }

  #plan (ms: number): void {
    this.#cancel()
    // Addresses change also while a node stops.
    if (this.#stopped.signal.aborted) return
    this.#dueAt = this.#timers.now() + ms
    this.#cancel = this.#timers.after(ms, () => { void this.#run() })
  }

  async #run (): Promise<void> {
    this.#plan(this.#limits.provideMs)
    const late = new AbortController()
    const cancel = this.#timers.after(this.#limits.provideMs, () => { late.abort() })
    try {
      await this.#announce(AbortSignal.any([late.signal, this.#stopped.signal]))
    } catch {
      // Next time.
    } finally {
      cancel()
    }
  }
}

/** @throws {InosError} ERR_USAGE */
export function parseAddress (address: string): Multiaddr {
  try {
    return multiaddr(address)
  } catch (cause) {
    throw new InosError('ERR_USAGE', `"${address.slice(0, 120)}" is not a multiaddr.`, {
      cause, hint: 'An address looks like /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW….'
    })
  }
}

function parsePeerId (peer: string): PeerId {
  try {
    return peerIdFromString(peer)
  } catch (cause) {
    throw new InosError('ERR_USAGE', `"${peer.slice(0, 80)}" is not a PeerId.`, { cause })
  }
}

function notReachable (target: string, cause: unknown, signal: AbortSignal): InosError {
  if (signal.aborted) return new InosError('ERR_CANCELLED', 'The dial was cancelled.', { cause })
  // What the door of a private mesh says needs no other words.
  if (cause instanceof InosError) return cause
  // Nothing else is denied: see `commonOptions`.
  if (cause instanceof Error && cause.name === 'DialDeniedError') return new InosError('ERR_NOT_MEMBER', `${target} was revoked from this mesh.`, { cause })
  const foreign = isForeign(cause)
  return new InosError('ERR_NOT_REACHABLE', foreign ? `${target} does not speak ${PACKET_PROTOCOL}.` : `${target} cannot be reached.`, {
    cause, hint: foreign ? 'It is a libp2p node, but not of this mesh.' : 'Check that it runs, and that its address and port are right.'
  })
}

function isForeign (error: unknown): boolean { return error instanceof Error && error.name === 'UnsupportedProtocolError' }
