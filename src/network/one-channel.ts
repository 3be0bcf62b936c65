/**
 * WebRTC with one data channel, and in it the muxer that every other connection has. A channel for each stream, as libp2p has it, tells its
 * sender nothing of a reader that does not keep up, and a stream that overflows is lost; the muxer's windows hold its sender back, and all
 * limits on streams are its own. Who is at the other end has been shown before, by Noise or by the relay's connection.
 */
import type { AbortOptions, MultiaddrConnection, Stream, StreamMuxer, Transport, Upgrader, UpgraderWithoutEncryptionOptions } from '@libp2p/interface'
import { AbstractMultiaddrConnection } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import { LIMITS } from '../packet/limits.ts'
import type { Timers } from './network.ts'
import { lend } from './punch.ts'

/** WebRTC has encryption of its own. */
type Options = UpgraderWithoutEncryptionOptions
type Upgrade<T> = (connection: MultiaddrConnection, options: Options) => Promise<T>

/** @param create makes libp2p's transport with the parts of a node */
export function overOneChannel<Components extends { readonly upgrader: Upgrader }> (create: (components: Components) => Transport, timers: Timers): (components: Components) => Transport {
  const withOneChannel = (upgrader: Upgrader): Upgrader => lendUpgrader(upgrader, timers)
  return components => {
    const lent = <T extends Components>(components: T): T => lend(components, { upgrader: withOneChannel(components.upgrader) } as Partial<T>)
    const transport = create(lent(components))
    return lend(transport, {
      dial: (address, options) => transport.dial(address, { ...options, upgrader: withOneChannel(options.upgrader) }),
      createListener: options => transport.createListener({ ...options, upgrader: withOneChannel(options.upgrader) })
    })
  }
}

function lendUpgrader (upgrader: Upgrader, timers: Timers): Upgrader {
  return lend(upgrader, {
    upgradeOutbound: (connection, options) => upgrade(upgrader.upgradeOutbound.bind(upgrader), connection, options as Options, timers, muxer => muxer.createStream()),
    upgradeInbound: (connection, options) => upgrade(upgrader.upgradeInbound.bind(upgrader), connection, options as Options, timers, firstOf)
  })
}

async function upgrade<T> (finish: Upgrade<T>, connection: MultiaddrConnection, { muxerFactory, ...options }: Options, timers: Timers, open: (muxer: StreamMuxer, signal: AbortSignal) => Stream | Promise<Stream>): Promise<T> {
  try {
    const channel = await open(muxerFactory!.createStreamMuxer(connection), options.signal)
    return await finish(new ChannelConnection(connection, channel, timers), options)
  } catch (error) {
    connection.abort(error as Error)
    throw error
  }
}

/** The channel the other side opens; any more are closed. */
async function firstOf (muxer: StreamMuxer, signal: AbortSignal): Promise<Stream> {
  const { promise, resolve, reject } = Promise.withResolvers<Stream>()
  let isOpen = false
  muxer.addEventListener('stream', ({ detail }) => {
    if (isOpen) detail.abort(new Error('one channel is enough'))
    isOpen = true
    resolve(detail)
  })
  const giveUp = (): void => { reject(signal.reason) }
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

class ChannelConnection extends AbstractMultiaddrConnection {
  readonly #connection: MultiaddrConnection
  readonly #channel: Stream
  readonly #timers: Timers

  constructor (connection: MultiaddrConnection, channel: Stream, timers: Timers) {
    super({ remoteAddr: connection.remoteAddr, direction: connection.direction, log: connection.log })
    this.#connection = connection
    this.#channel = channel
    this.#timers = timers
    channel.addEventListener('message', ({ data }) => { this.onData(data) })
    channel.addEventListener('drain', () => { this.safeDispatchEvent('drain') })
    channel.addEventListener('remoteCloseWrite', () => { this.#ended() })
    channel.addEventListener('close', ({ error }) => { this.#ended(error) })
    connection.addEventListener('close', ({ error }) => { this.#ended(error) })
  }

  sendData (data: Uint8ArrayList): { sentBytes: number, canSendMore: boolean } {
    // What is given may be changed by whoever gives it, and the channel keeps what it cannot send yet.
    return { sentBytes: data.byteLength, canSendMore: this.#channel.send(data.sublist()) }
  }

  sendReset (reason: Error): void { this.#connection.abort(reason) }

  /** The other side acknowledges an end of the channel when it has all that was sent. */
  async sendClose (options?: AbortOptions): Promise<void> {
    const late = new AbortController()
    const cancel = this.#timers.after(LIMITS.webRtc.closeMsMax, () => { late.abort() })
    await this.#channel.close({ signal: AbortSignal.any([late.signal, ...(options?.signal === undefined ? [] : [options.signal])]) }).catch(() => {})
    cancel()
    await this.#connection.close(options)
  }

  // The muxer's windows limit what comes.
  sendPause (): void {}
  sendResume (): void {}

  #ended (error?: Error): void {
    this.onTransportClosed(error)
    this.#connection.close().catch((reason: Error) => { this.#connection.abort(reason) })
  }
}
