/**
 * WebRTC between two peers that met through a relay: whoever dialled the relayed connection says over it where it can be found, and a direct one comes
 * to be beside it. Whatever comes of that, the relayed connection stays; who uses it moves by itself. Servers that tell a
 * browser its own address (STUN) are asked only where somebody has named some.
 */
import type { Connection, Startable, Transport } from '@libp2p/interface'
import type { WebRTCTransportComponents, WebRTCTransportInit } from '@libp2p/webrtc'
import { multiaddr } from '@multiformats/multiaddr'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { lateTransport } from './late-transport.ts'
import type { Timers } from './network.ts'
import { overOneChannel } from './one-channel.ts'
import { lend } from './punch.ts'

/** https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md */
const SIGNALLING = '/webrtc-signaling/0.0.1'
const NAME = 'inos/webrtc'

export interface SignalledOptions {
  readonly timers: Timers
  /** The platform's program. */
  load (): Promise<(init: WebRTCTransportInit) => (components: WebRTCTransportComponents) => Transport>
  /** Called when a node that has loaded it has stopped, and all its connections with it. @default nothing is left to do */
  readonly release?: () => void
  /** Whether peers may ask for it; it always asks those that let themselves be asked. */
  readonly answers: boolean
  /** Of STUN servers, such as "stun:192.0.2.1:3478". */
  readonly stun: readonly string[]
}

/** RFC 7064. */
const STUN = /^stuns?:(\[[\da-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?$/

/** @throws {InosError} ERR_USAGE for what is no STUN server */
export function signalled ({ timers, load, release, answers, stun }: SignalledOptions): (components: WebRTCTransportComponents) => Transport & Startable {
  const wrong = stun.find(server => !STUN.test(server))
  if (wrong !== undefined) throw new InosError('ERR_USAGE', `"${wrong.slice(0, 80)}" is no STUN server.`, { hint: 'One looks like stun:192.0.2.1:3478.' })
  return components => {
    // A channel for the handshake, and the one that stays.
    const init: WebRTCTransportInit = { rtcConfiguration: { iceServers: stun.map(urls => ({ urls })) }, maxEarlyStreams: 2 }
    const late = lateTransport<WebRTCTransportComponents>({
      name: NAME, dials: /\/p2p-circuit\/webrtc\/p2p\/[^/]+$/, load: async () => overOneChannel((await load())(init), timers), release
    })(behindRelays(components, answers))
    const rise = new Rise(components, timers)
    return lend(late, {
      async start () {
        if (answers) await late.load()
        await rise.start()
      },
      async stop () {
        rise.stop()
        await late.stop()
      }
    })
  }
}

/** It answers one peer at a time on each relayed connection, and nobody else. */
function behindRelays (components: WebRTCTransportComponents, answers: boolean): WebRTCTransportComponents {
  const { registrar } = components
  return lend(components, {
    registrar: lend(registrar, {
      async handle (protocol, handler, options) {
        if (!answers) return
        await registrar.handle(protocol, (stream, connection) => {
          if (connection.direct) stream.abort(new InosError('ERR_POLICY', 'These two have a direct connection.'))
          else return handler(stream, connection)
        }, { ...options, maxInboundStreams: 1 })
      }
    })
  })
}

/** From relayed connections up to direct ones. */
class Rise {
  readonly #components: WebRTCTransportComponents
  readonly #timers: Timers
  readonly #stopped = new AbortController()
  readonly #rising = new Set<string>()
  #id: string | null = null

  constructor (components: WebRTCTransportComponents, timers: Timers) {
    this.#components = components
    this.#timers = timers
  }

  async start (): Promise<void> {
    this.#id = await this.#components.registrar.register(SIGNALLING, { notifyOnLimitedConnection: true, onConnect: (_peer, connection) => { void this.#try(connection) } })
  }

  stop (): void {
    this.#stopped.abort()
    if (this.#id !== null) this.#components.registrar.unregister(this.#id)
  }

  /** For each relayed connection that this side has dialled; where nothing comes of it they stay where they met. */
  async #try (connection: Connection): Promise<void> {
    const peer = connection.remotePeer.toString()
    if (connection.direct || connection.direction !== 'outbound' || this.#rising.has(peer)) return
    this.#rising.add(peer)
    for (let left: number = LIMITS.webRtc.risesMax; left > 0 && this.#isWanted(connection); left--) {
      if (!await this.#dial(connection)) await new Promise<void>(resolve => { this.#timers.after(LIMITS.webRtc.againMs, resolve) })
    }
    this.#rising.delete(peer)
  }

  #isWanted ({ remotePeer, status }: Connection): boolean {
    return status === 'open' && !this.#stopped.signal.aborted && !this.#components.connectionManager.getConnections(remotePeer).some(({ direct }) => direct)
  }

  /** @returns whether there is a direct connection now */
  async #dial ({ remotePeer, remoteAddr }: Connection): Promise<boolean> {
    const late = new AbortController()
    const cancel = this.#timers.after(LIMITS.webRtc.riseMsMax, () => { late.abort() })
    try {
      const relay = remoteAddr.toString().replace(/\/p2p-circuit.*/, '')
      await this.#components.transportManager.dial(multiaddr(`${relay}/p2p-circuit/webrtc/p2p/${remotePeer}`), { signal: AbortSignal.any([late.signal, this.#stopped.signal]) })
      return true
    } catch {
      return false
    } finally {
      cancel()
    }
  }
}
