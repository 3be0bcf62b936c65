/**
 * WebRTC with one data channel, and in it the muxer that every other connection has. A channel for each stream, as libp2p has it, tells its
 * sender nothing of a reader that does not keep up, and a stream that overflows is lost; the muxer's windows hold its sender back, and all
 * limits on streams are its own. Who is at the other end has been shown before, by Noise or by the relay's connection.
 */
import type { AbortOptions, MultiaddrConnection, Stream, StreamMuxer, StreamMuxerFactory, Transport, Upgrader, UpgraderWithoutEncryptionOptions } from '@libp2p/interface'
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
    upgradeOutbound: (connection, options) => upgrade(upgrader.upgradeOutbound.bind(upgrader), connection, options as Options, timers, factory => factory.createStreamMuxer(connection).createStream()),
    upgradeInbound: (connection, options) => upgrade(upgrader.upgradeInbound.bind(upgrader), connection, options as Options, timers, async (factory, signal) => {
      await hasCome(factory as StreamMuxerFactory & Inside, signal)
      return await firstOf(factory.createStreamMuxer(connection), signal)
    })
  })
}

async function upgrade<T> (finish: Upgrade<T>, connection: MultiaddrConnection, { muxerFactory, ...options }: Options, timers: Timers, open: (factory: StreamMuxerFactory, signal: AbortSignal) => Stream | Promise<Stream>): Promise<T> {
  try {
    const channel = await open(muxerFactory!, options.signal)
    return await finish(new ChannelConnection(connection, channel, timers), options)
  } catch (error) {
    connection.abort(error as Error)
    throw error
  }
}

/** What libp2p's muxer of channels is made of. */
interface Inside {
  readonly peerConnection: Pick<EventTarget, 'addEventListener' | 'removeEventListener'>
  readonly earlyDataChannels: readonly { readonly channel: { readonly label: string } }[]
}

/** The channel of the handshake. */
const INIT = 'init'

/**
 * Wait for the channel the other side opens when the handshake is over for it, too: libp2p's muxer would close that of the handshake at once, and where that comes before
 * the other side has seen it open, it waits for that in vain.
 */
async function hasCome ({ peerConnection, earlyDataChannels }: Inside, signal: AbortSignal): Promise<void> {
  const isHere = (): boolean => earlyDataChannels.some(({ channel }) => channel.label !== INIT)
  let look = (): void => {}
  const come = new Promise<void>(resolve => {
    look = () => { if (isHere()) resolve() }
    look()
    peerConnection.addEventListener('datachannel', look)
  })
  try {
    await orAborted(come, signal)
  } finally {
    peerConnection.removeEventListener('datachannel', look)
  }
}

/** The channel the other side opens; any more are closed. */
async function firstOf (muxer: StreamMuxer, signal: AbortSignal): Promise<Stream> {
  const { promise, resolve } = Promise.withResolvers<Stream>()
  let isOpen = false
  muxer.addEventListener('stream', ({ detail }) => {
    if (isOpen) detail.abort(new Error('one channel is enough'))
    isOpen = true
    resolve(detail)
  })
  return await orAborted(promise, signal)
}

async function orAborted<T> (promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const late = Promise.withResolvers<never>()
  const giveUp = (): void => { late.reject(signal.reason) }
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([promise, late.promise])
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
