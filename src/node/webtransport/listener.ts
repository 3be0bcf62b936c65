/**
 * A listener for WebTransport as libp2p knows listeners. Whoever dials proves in a Noise handshake on the first stream
 * who it is, and learns there which certificates are this node's; then each stream is one of libp2p's.
 */
import { type ComponentLogger, type Listener, type ListenerEvents, type Logger, type MessageStream, type MultiaddrConnection, type PeerId, type PrivateKey, type StreamMuxerFactory, TypedEventEmitter, type Upgrader } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { AbstractMultiaddrConnection, AbstractStreamMuxer, getNetConfig, getThinWaistAddresses } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { base64url } from 'multiformats/bases/base64'
import { LIMITS } from '../../packet/limits.ts'
import type { Certificates } from './certificates.ts'
import { Channel } from './channel.ts'
import { type Arrival, Endpoint } from './endpoint.ts'
import { H3, type Link } from './link.ts'
import { loadQuiche } from './native.ts'
import { Session } from './session.ts'

export interface Components { readonly peerId: PeerId, readonly privateKey: PrivateKey, readonly logger: ComponentLogger, readonly upgrader: Upgrader }

export class WebTransportListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #components: Components
  readonly #certificates: Certificates
  readonly #upgrader: Upgrader
  readonly #stopped = new AbortController()
  #endpoint: Endpoint | null = null
  #asked: Multiaddr | null = null
  #rotation: NodeJS.Timeout | undefined

  constructor (components: Components, certificates: Certificates, upgrader: Upgrader) {
    super()
    this.#components = components
    this.#certificates = certificates
    this.#upgrader = upgrader
  }

  /** @throws {InosError} ERR_LISTEN without the native part; what the socket throws */
  async listen (address: Multiaddr): Promise<void> {
    const { type, host, port = 0 } = getNetConfig(address)
    const endpoint = new Endpoint(await loadQuiche(), type === 'ip6' ? 6 : 4, this.#certificates, arrival => { this.#arrived(arrival) })
    await endpoint.listen(host, port)
    this.#endpoint = endpoint
    this.#asked = address
    this.#rotate()
    this.safeDispatchEvent('listening')
  }

  async close (): Promise<void> {
    clearTimeout(this.#rotation)
    this.#stopped.abort()
    await this.#endpoint?.close()
    this.#endpoint = null
    this.safeDispatchEvent('close')
  }

  getAddrs (): Multiaddr[] {
    if (this.#endpoint === null || this.#asked === null) return []
    const hashes = this.#certificates.told().map(hash => `/certhash/${base64url.encode(hash)}`).join('')
    return getThinWaistAddresses(this.#asked, this.#endpoint.port).map(place => multiaddr(`${place}/quic-v1/webtransport${hashes}`))
  }

  updateAnnounceAddrs (): void {}

  /** With each period the address is another one. */
  #rotate (): void {
    this.#rotation = setTimeout(() => {
      this.safeDispatchEvent('listening')
      this.#rotate()
    }, this.#certificates.untilNext())
    this.#rotation.unref()
  }

  #arrived ({ link, from, settle }: Arrival): void {
    const log = this.#components.logger.forComponent('inos:webtransport')
    const family = from.host.includes(':') ? 'ip6' : 'ip4'
    const connection = new WebTransportConnection(link, multiaddr(`/${family}/${from.host.replace(/%.*/, '')}/udp/${from.port}/quic-v1/webtransport`), log)
    const streams = new Streams(link, log)
    const session = new Session(link, {
      opened: () => { streams.begin(session.head()) },
      stream: (stream, head) => { streams.add(stream, head) }
    })
    link.begin({
      established: () => { session.begin() },
      accept: stream => session.accept(stream),
      closed: () => { connection.onTransportClosed() }
    })
    this.#upgrade(connection, streams).then(settle, () => { link.close(H3.rejected) })
  }

  async #upgrade (connection: MultiaddrConnection, streams: Streams): Promise<void> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(LIMITS.wire.dialMsMax)])
    const first = await streams.first(signal)
    const encrypter = noise({ extensions: { webtransportCerthashes: this.#certificates.known() } })(this.#components)
    const { remotePeer } = await encrypter.secureInbound(first, { signal, skipStreamMuxerNegotiation: true })
    await this.#upgrader.upgradeInbound(connection, { skipEncryption: true, skipProtection: true, remotePeer, muxerFactory: streams.factory, signal })
  }
}

class WebTransportConnection extends AbstractMultiaddrConnection {
  readonly #link: Link

  constructor (link: Link, remoteAddr: Multiaddr, log: Logger) {
    super({ remoteAddr, direction: 'inbound', log })
    this.#link = link
  }

  sendData (): never { throw new Error('bytes go over streams') }
  sendReset (): void { this.#link.close(H3.noError) }
  async sendClose (): Promise<void> { this.#link.close(H3.noError) }
  sendPause (): void {}
  sendResume (): void {}
}

/** The streams of one session: the first is for the handshake, those that come before it is over wait, a few of them, unread. */
class Streams {
  readonly #link: Link
  readonly #log: Logger
  readonly #first = Promise.withResolvers<Channel>()
  #head: Uint8Array | null = null
  #count = 0
  #waiting: Channel[] = []
  #muxer: Muxer | null = null

  constructor (link: Link, log: Logger) {
    this.#link = link
    this.#log = log
  }

  readonly factory: StreamMuxerFactory = {
    protocol: PROTOCOL,
    createStreamMuxer: connection => {
      const muxer = new Muxer(connection, () => this.#open())
      this.#muxer = muxer
      for (const channel of this.#waiting.splice(0)) muxer.onRemoteStream(channel)
      return muxer
    }
  }

  begin (head: Uint8Array): void { this.#head = head }

  add (stream: number, head: Uint8Array): void {
    const channel = new Channel(this.#link, stream, 'inbound', this.#log)
    if (head.length > 0) channel.take(head)
    if (this.#count++ === 0) this.#first.resolve(channel)
    else if (this.#muxer !== null) this.#muxer.onRemoteStream(channel)
    else if (this.#waiting.length < LIMITS.webTransport.earlyStreamsMax) this.#waiting.push(channel)
    else channel.abort(new Error('too many streams before the handshake'))
  }

  async first (signal: AbortSignal): Promise<Channel> {
    const late = Promise.withResolvers<never>()
    const giveUp = (): void => { late.reject(signal.reason) }
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      return await Promise.race([this.#first.promise, late.promise])
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  #open (): Channel {
    const stream = this.#link.open()
    if (stream === null || this.#head === null) throw new Error('the peer lets no more streams be opened')
    const channel = new Channel(this.#link, stream, 'outbound', this.#log)
    this.#link.write(stream, this.#head)
    return channel
  }
}

const PROTOCOL = '/webtransport'

class Muxer extends AbstractStreamMuxer<Channel> {
  readonly #open: () => Channel

  constructor (connection: MessageStream, open: () => Channel) {
    super(connection, { protocol: PROTOCOL, name: 'muxer', maxEarlyStreams: LIMITS.webTransport.earlyStreamsMax })
    this.#open = open
  }

  onCreateStream (): Channel { return this.#open() }
  onData (): void {}
}
