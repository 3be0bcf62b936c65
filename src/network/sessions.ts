/**
 * All talk with peers: one session each, opened on demand; blobs and jobs of four fields on
 * streams of their own. An incoming stream is what its first packet says it is.
 *
 * What a request means, who may have a blob and what an offer is worth is decided by those who
 * hand in `serve` and `blobs` and listen to the events.
 */
import { parseCid } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { type FetchOptions, refuseBlob, serveBlob } from './blobs.ts'
import { ChunkService, ChunkTap, type Giver, wantsChunk } from './chunks.ts'
import { Fetches } from './fetches.ts'
import { Frames } from './frames.ts'
import { badPacket, encodePacket, refusalOf, type WireLimits } from './framing.ts'
import type { Greeting, Hello } from './hello.ts'
import { Line } from './line.ts'
import type { Network, Timers, Wire } from './network.ts'
import { isFourFields, OneShot } from './one-shot.ts'
import { converse, unlessAborted, type Talk } from './talk.ts'
import { Pace } from './watch.ts'

/** What answers peers. An `InosError` becomes a refusal with its code and text; of anything else nothing leaks. */
export interface Serve {
  /**
   * @param packet fields are views of what arrived: copy what is kept
   * @param signal aborts when the peer cancels or is lost
   * @returns the answer; its kind is answer, ack or refusal, and answer if left out
   */
  request (peer: string, packet: Packet, signal: AbortSignal): Promise<Partial<Packet>>
  /** A job of a peer that speaks four fields; of the answer only result and cost are sent. */
  oneShot (peer: string, packet: Packet, signal: AbortSignal): Promise<Partial<Packet>>
}

export interface Blobs {
  /** The blob if this peer may have it, else null. */
  get (peer: string, cid: string): Promise<Uint8Array | null>
  /** Chunks of blobs that have a manifest. @default nobody gets any */
  giver?: Giver
}

export interface SessionEvents {
  open? (peer: string, hello: Hello): void
  close? (peer: string): void
  /** The peer's offer has changed; a signed envelope nobody has checked. The first one rides in the hello. */
  offer? (peer: string, offer: Uint8Array): void
}

export interface SessionInfo {
  readonly id: string
  /** How long the session has been open. */
  readonly openMs: number
  readonly profile: string
  readonly net: string
  readonly offer: Uint8Array | null
  /** What the peer takes in flight. */
  readonly window: { readonly packets: number, readonly bytes: number }
  /** Requests of this node it has not answered. */
  readonly inFlight: number
  readonly direction: 'in' | 'out'
  readonly addresses: readonly string[]
  /** Of the last ping; null: not measured. */
  readonly latencyMs: number | null
}

export interface SessionsOptions {
  network: Network
  /** Asked anew for each session, so that it carries the offer of the moment. */
  hello (): Greeting
  serve: Serve
  blobs: Blobs
  timers: Timers
  limits?: WireLimits
}

export interface Sessions {
  /**
   * Ask a peer, over the one session with it.
   * @returns its answer or refusal; fields are views of what arrived
   * @throws {InosError} ERR_NOT_REACHABLE, ERR_PEER_LOST, ERR_CANCELLED, ERR_INPUT_TOO_LARGE, ERR_BUSY
   */
  request (peer: string, packet: Partial<Packet>, options?: { signal?: AbortSignal | undefined }): Promise<Packet>
  /** Tell a peer with which a session is open; best effort. @returns whether it was sent */
  notify (peer: string, packet: Partial<Packet>): boolean
  /**
   * Get a blob; fetches of one CID from one peer share one stream and one array.
   * @throws {InosError} ERR_VERIFICATION when the bytes are not the blob's, ERR_INPUT_TOO_LARGE above
   * `bytesMax`, ERR_GONE, ERR_BUSY, ERR_BAD_PACKET, ERR_NOT_REACHABLE, ERR_PEER_LOST, ERR_CANCELLED, ERR_USAGE
   */
  fetch (peer: string, cid: string, options: FetchOptions): Promise<Uint8Array>
  /**
   * Open a stream for chunks of a blob that has a manifest; whoever opens it closes it.
   * @throws {InosError} ERR_NOT_REACHABLE, ERR_PEER_LOST, ERR_CANCELLED, ERR_USAGE
   */
  tap (peer: string, cid: string, signal: AbortSignal): Promise<ChunkTap>
  /**
   * Connect to a multiaddr or a PeerId and open a session; a peer of four fields is connected without.
   * @returns its PeerId
   * @throws {InosError} ERR_NOT_REACHABLE, ERR_PEER_LOST, ERR_CANCELLED, ERR_USAGE
   */
  connect (target: string, signal: AbortSignal): Promise<string>
  list (): SessionInfo[]
  on (events: SessionEvents): void
  /** Close all; sessions finish their writes within `closeMsMax`. The network stays. */
  stop (): Promise<void>
}

/** All that this node has with one peer. */
interface Peer {
  readonly id: string
  readonly line: Line
  readonly pace: Pace
  readonly fetches: Fetches
  readonly oneShots: Set<OneShot>
  /** Open streams, of which incoming; blobs on their way out. */
  readonly streams: Set<Frames>
  incoming: number
  serving: number
}

export function createSessions (options: SessionsOptions): Sessions {
  return new Switchboard(options)
}

class Switchboard implements Sessions {
  readonly #options: SessionsOptions
  readonly #limits: WireLimits
  readonly #peers = new Map<string, Peer>()
  readonly #listeners: SessionEvents[] = []
  #blobsServed = 0
  #oneShots = 0
  #stopped = false

  constructor (options: SessionsOptions) {
    this.#options = options
    this.#limits = options.limits ?? LIMITS.wire
    options.network.handle(wire => { this.#incoming(wire) })
    options.network.on({
      connect: () => {},
      disconnect: peer => { this.#disconnected(peer) },
      direct: peer => { this.#peers.get(peer)?.line.move() }
    })
  }

  async request (peer: string, packet: Partial<Packet>, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Packet> {
    // Without a wait where a session is open: every turn of the event queue counts at many requests a second.
    const open = this.#peers.get(peer)?.line.live?.session
    if (open?.relayed === false) return open.request(packet, signal)
    const { line } = this.#peer(peer)
    const session = await line.reach(signal)
    try {
      return await session.request(packet, signal)
    } catch (error) {
      // It has moved, and the relay is gone: what is asked twice is done once.
      const moved = line.live?.session
      if (!session.relayed || moved === undefined || moved === session || !isLost(error)) throw error
      return moved.request(packet, signal)
    }
  }

  notify (peer: string, packet: Partial<Packet>): boolean {
    return this.#peers.get(peer)?.line.live?.session.notify(packet) ?? false
  }

  async fetch (peer: string, cid: string, options: FetchOptions): Promise<Uint8Array> {
    return this.#peer(peer).fetches.fetch(parseCid(cid), options)
  }

  async tap (peer: string, cid: string, signal: AbortSignal): Promise<ChunkTap> {
    const { timers } = this.#options
    const late = new AbortController()
    const cancel = timers.after(this.#limits.dialMsMax, () => { late.abort() })
    try {
      const name = parseCid(cid)
      const frames = await this.#open(this.#peer(peer), AbortSignal.any([signal, late.signal]))
      const tap = new ChunkTap(name, frames)
      converse(frames, tap)
      return tap
    } finally {
      cancel()
    }
  }

  async connect (target: string, signal: AbortSignal): Promise<string> {
    const { network } = this.#options
    const id = target.startsWith('/') ? await unlessAborted(network.dial(target, signal), signal) : target
    const { line } = this.#peer(id)
    try {
      await line.reach(signal)
    } catch (error) {
      if (!line.fourFields) throw error
    }
    return id
  }

  list (): SessionInfo[] {
    const { network, timers } = this.#options
    const peers = new Map(network.peers().map(peer => [peer.id, peer]))
    return [...this.#peers.values()].flatMap(({ id, line: { live } }) => live === null ? [] : [{
      id,
      openMs: timers.now() - live.at,
      profile: live.hello.profile,
      net: live.hello.net,
      offer: live.session.offer,
      window: { packets: live.hello.windowPackets, bytes: live.hello.windowBytes },
      inFlight: live.session.inFlight,
      direction: live.session.direction,
      addresses: peers.get(id)?.addresses ?? [],
      latencyMs: peers.get(id)?.latencyMs ?? null
    }])
  }

  on (events: SessionEvents): void {
    this.#listeners.push(events)
  }

  async stop (): Promise<void> {
    this.#stopped = true
    const leaving = new InosError('ERR_PEER_LOST', 'This node is leaving.')
    await Promise.all([...this.#peers.values()].map(async peer => {
      peer.fetches.fail(leaving)
      for (const shot of peer.oneShots) shot.lost(leaving)
      await peer.line.close()
      for (const frames of peer.streams) frames.abort(leaving)
    }))
  }

  #peer (id: string): Peer {
    if (this.#stopped) throw new InosError('ERR_PEER_LOST', 'This node is leaving.')
    const known = this.#peers.get(id)
    if (known !== undefined) return known
    const { timers, network, serve, hello } = this.#options
    const peer: Peer = {
      id,
      pace: new Pace(this.#limits.packetsPerSecondMax, timers),
      fetches: new Fetches({ peer: id, timers, limits: this.#limits, open: signal => this.#open(peer, signal), onIdle: () => { this.#tidy(peer) } }),
      oneShots: new Set(),
      streams: new Set(),
      incoming: 0,
      serving: 0,
      line: new Line({
        self: network.id,
        peer: id,
        timers,
        limits: this.#limits,
        open: signal => this.#open(peer, signal),
        greeting: hello,
        serve: (packet, signal) => serve.request(id, packet, signal),
        onOpen: greeting => { this.#tell(listener => listener.open?.(id, greeting)) },
        onClose: () => { this.#tell(listener => listener.close?.(id)) },
        onIdle: () => { this.#tidy(peer) },
        onOffer: offer => { this.#tell(listener => listener.offer?.(id, offer)) }
      })
    }
    this.#peers.set(id, peer)
    return peer
  }

  #tell (event: (listener: SessionEvents) => void): void {
    for (const listener of this.#listeners) event(listener)
  }

  async #open (peer: Peer, signal: AbortSignal): Promise<Frames> {
    const wire = await this.#options.network.open(peer.id, signal)
    const frames = this.#frames(peer, wire)
    if (this.#stopped) frames.abort(new InosError('ERR_PEER_LOST', 'This node is leaving.'))
    return frames
  }

  #frames (peer: Peer, wire: Wire): Frames {
    const frames = new Frames(wire, { timers: this.#options.timers, limits: this.#limits, pace: peer.pace })
    peer.streams.add(frames)
    void frames.closed.then(() => {
      peer.streams.delete(frames)
      this.#tidy(peer)
    })
    return frames
  }

  #incoming (wire: Wire): void {
    if (this.#stopped) {
      wire.abort(new InosError('ERR_PEER_LOST', 'This node is leaving.'))
      return
    }
    const peer = this.#peer(wire.peer)
    if (peer.incoming >= this.#limits.streamsPerPeerMax) {
      wire.abort(badPacket(`A peer has ${this.#limits.streamsPerPeerMax} streams open already.`))
      return
    }
    const frames = this.#frames(peer, wire)
    peer.incoming++
    void frames.closed.then(() => { peer.incoming-- })
    let talk: Talk | null = null
    converse(frames, {
      take: (packet, bytes) => {
        if (talk === null) talk = this.#route(peer, frames, packet, bytes)
        else talk.take(packet, bytes)
      },
      end: cause => {
        if (talk === null) void frames.close()
        else talk.end(cause)
      }
    })
  }

  /** What a stream is for, by its first packet. */
  #route (peer: Peer, frames: Frames, packet: Packet, bytes: number): Talk {
    if (packet.kind === 'hello') return peer.line.accept(frames, packet, bytes)
    if (packet.kind === 'want') return this.#serveBlob(peer, frames, packet)
    if (isFourFields(packet)) return this.#serveOneShot(peer, frames, packet)
    throw badPacket(packet.kind === '' ? 'A first packet has no kind, but more than a job of four fields.' : `A stream cannot begin with a packet of kind "${packet.kind}".`)
  }

  #serveBlob (peer: Peer, frames: Frames, want: Packet): Talk {
    const { giver } = this.#options.blobs
    const chunks = wantsChunk(want) && giver !== undefined
    if (peer.serving >= this.#limits.blobsPerPeerMax || this.#blobsServed >= this.#limits.blobsServedMax) {
      refuseBlob(frames, new InosError('ERR_BUSY', 'This node sends too many blobs at once already.'))
    } else {
      peer.serving++
      this.#blobsServed++
      const done = (): void => {
        peer.serving--
        this.#blobsServed--
      }
      if (chunks) {
        void frames.closed.then(done)
        const service = new ChunkService(frames, giver)
        service.take(want)
        return service
      }
      void serveBlob(frames, want, cid => this.#options.blobs.get(peer.id, cid)).finally(done)
    }
    return { take: () => { throw badPacket('A stream asks for one blob.') }, end: () => {} }
  }

  #serveOneShot (peer: Peer, frames: Frames, job: Packet): Talk {
    if (peer.oneShots.size >= this.#limits.oneShotsPerPeerMax || this.#oneShots >= this.#limits.oneShotsMax) {
      frames.send(encodePacket(refusalOf(new InosError('ERR_BUSY', 'This node has too many jobs of four fields at once already.')), this.#limits))
      void frames.close()
      return { take: () => {}, end: () => {} }
    }
    const { serve } = this.#options
    const shot = new OneShot(frames, job, (packet, signal) => serve.oneShot(peer.id, packet, signal), () => {
      peer.oneShots.delete(shot)
      this.#oneShots--
    })
    peer.oneShots.add(shot)
    this.#oneShots++
    return shot
  }

  #disconnected (id: string): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    for (const shot of peer.oneShots) shot.lost(new InosError('ERR_PEER_LOST', `${id} has disconnected.`))
    this.#tidy(peer)
  }

  /** Forget a peer with which nothing is left. */
  #tidy (peer: Peer): void {
    if (peer.line.idle && peer.streams.size === 0 && peer.fetches.idle && this.#peers.get(peer.id) === peer) {
      this.#peers.delete(peer.id)
    }
  }
}

function isLost (error: unknown): boolean { return error instanceof InosError && error.code === 'ERR_PEER_LOST' }
