/** A UDP port as libp2p knows listeners; what is spoken there decides whom each newcomer turns out to be. */
import { type ComponentLogger, type Listener, type ListenerEvents, type PeerId, type PrivateKey, type StreamMuxerFactory, TypedEventEmitter, type Upgrader } from '@libp2p/interface'
import { getNetConfig, getThinWaistAddresses } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../../packet/limits.ts'
import type { Application } from './application.ts'
import { type Arrival, Endpoint } from './endpoint.ts'
import { loadQuiche } from './native.ts'
import { addressOf, type Ground, LinkConnection } from './streams.ts'

export interface Components { readonly peerId: PeerId, readonly privateKey: PrivateKey, readonly logger: ComponentLogger, readonly upgrader: Upgrader }

/** Who has come, and its streams. */
export interface Newcomer { readonly remotePeer: PeerId, readonly muxerFactory: StreamMuxerFactory }

export interface Service {
  readonly name: string
  readonly application: Application
  /** What comes behind the port in the addresses of those who come. */
  readonly path: string
  /** What comes behind the port in the address that is told: it may change. */
  told (): string
  /** ms until another address is told. @default never */
  untilNext? (): number
  /** Begins what is spoken over a connection, which is told when that has ended. */
  greet (ground: Ground, connection: LinkConnection, signal: AbortSignal): Promise<Newcomer>
}

export class QuicListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #components: Components
  readonly #service: Service
  readonly #upgrader: Upgrader
  readonly #stopped = new AbortController()
  #endpoint: Endpoint | null = null
  #asked: Multiaddr | null = null
  #rotation: NodeJS.Timeout | undefined

  constructor (components: Components, service: Service, upgrader: Upgrader) {
    super()
    this.#components = components
    this.#service = service
    this.#upgrader = upgrader
  }

  /** @throws {InosError} ERR_LISTEN without the native part; what the socket throws */
  async listen (address: Multiaddr): Promise<void> {
    const { type, host, port = 0 } = getNetConfig(address)
    const endpoint = new Endpoint(await loadQuiche(), type === 'ip6' ? 6 : 4, this.#service.application, arrival => { this.#arrived(arrival) })
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
    return getThinWaistAddresses(this.#asked, this.#endpoint.port).map(place => multiaddr(`${place}${this.#service.told()}`))
  }

  updateAnnounceAddrs (): void {}

  #rotate (): void {
    if (this.#service.untilNext === undefined) return
    this.#rotation = setTimeout(() => {
      this.safeDispatchEvent('listening')
      this.#rotate()
    }, this.#service.untilNext())
    this.#rotation.unref()
  }

  #arrived ({ link, from, settle }: Arrival): void {
    const { name, path, application: { codes } } = this.#service
    const log = this.#components.logger.forComponent(name)
    const ground = { link, log, codes }
    this.#admit(ground, new LinkConnection(ground, addressOf(from, path), 'inbound')).then(settle, (error: unknown) => {
      log('a newcomer was not let in - %e', error)
      link.close(codes.refused)
    })
  }

  async #admit (ground: Ground, connection: LinkConnection): Promise<void> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(LIMITS.wire.dialMsMax)])
    const newcomer = await this.#service.greet(ground, connection, signal)
    await this.#upgrader.upgradeInbound(connection, { ...newcomer, skipEncryption: true, skipProtection: true, signal })
  }
}
