/** A connection and its streams as libp2p knows them. Streams that come before it is known whose they are wait, unread. */
import type { Logger, MessageStream, MessageStreamDirection, StreamMuxerFactory } from '@libp2p/interface'
import { AbstractMultiaddrConnection, AbstractStreamMuxer } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Application } from './application.ts'
import { Channel } from './channel.ts'
import { type Link, type Place, withoutZone } from './link.ts'

/** What is under a connection of the application. */
export interface Ground { readonly link: Link, readonly log: Logger, readonly codes: Application['codes'] }

export class LinkConnection extends AbstractMultiaddrConnection {
  readonly #link: Link
  readonly #end: number

  constructor ({ link, log, codes }: Ground, remoteAddr: Multiaddr, direction: MessageStreamDirection) {
    super({ remoteAddr, direction, log })
    this.#link = link
    this.#end = codes.end
  }

  sendData (): never { throw new Error('bytes go over streams') }
  sendReset (): void { this.#link.close(this.#end) }
  async sendClose (): Promise<void> { this.#link.close(this.#end) }
  sendPause (): void {}
  sendResume (): void {}
}

/** @param path what comes behind the port */
export function addressOf (place: Place, path: string): Multiaddr {
  const { host, port } = withoutZone(place)
  return multiaddr(`/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/udp/${port}${path}`)
}

export interface StreamsOptions {
  readonly name: string
  /** Streams that may wait. */
  readonly earlyMax: number
  /** What a stream of this side begins with. @default nothing */
  head? (): Uint8Array
}

export class Streams {
  readonly #ground: Ground
  readonly #options: StreamsOptions
  #waiting: Channel[] = []
  #muxer: Muxer | null = null

  constructor (ground: Ground, options: StreamsOptions) {
    this.#ground = ground
    this.#options = options
  }

  get factory (): StreamMuxerFactory {
    const { name, earlyMax } = this.#options
    return {
      protocol: name,
      createStreamMuxer: connection => {
        const muxer = new Muxer(connection, name, earlyMax, () => this.#open())
        this.#muxer = muxer
        for (const channel of this.#waiting.splice(0)) muxer.onRemoteStream(channel)
        return muxer
      }
    }
  }

  /** A stream of the peer, which `add` hands to whoever handles its protocol. */
  accept (stream: number): Channel {
    const { link, log, codes } = this.#ground
    return new Channel(link, stream, 'inbound', codes.givenUp, log)
  }

  add (channel: Channel): void {
    if (this.#muxer !== null) this.#muxer.onRemoteStream(channel)
    else if (this.#waiting.length < this.#options.earlyMax) this.#waiting.push(channel)
    else channel.abort(new Error('too many streams before the handshake'))
  }

  #open (): Channel {
    const { link, log, codes } = this.#ground
    const stream = link.open()
    if (stream === null) throw new Error('the peer lets no more streams be opened')
    const channel = new Channel(link, stream, 'outbound', codes.givenUp, log)
    const head = this.#options.head?.()
    if (head !== undefined) channel.send(head)
    return channel
  }
}

class Muxer extends AbstractStreamMuxer<Channel> {
  readonly #open: () => Channel

  constructor (connection: MessageStream, protocol: string, maxEarlyStreams: number, open: () => Channel) {
    super(connection, { protocol, name: 'muxer', maxEarlyStreams })
    this.#open = open
  }

  onCreateStream (): Channel { return this.#open() }
  onData (): void {}
}
