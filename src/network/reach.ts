/**
 * Whether others can dial this node: asked of peers it has dialled, which dial it back at the host
 * from which they see it. Nobody can be made to dial a third one that way, so it works in a local network
 * and in a private mesh as well as on the internet.
 *
 * Canonical dag-cbor on a stream of `/inos/reach/1`: { ports: [4001] } → { seen: multiaddr | null, reached: [4001] }.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { StreamWire } from './libp2p-wire.ts'
import { Messages } from './messages.ts'
import type { Timers } from './network.ts'
import type { RelayLimits } from './relay.ts'
import type { DialBack } from './reachability.ts'

export const REACH_PROTOCOL = '/inos/reach/1'

/** Dials a new connection to a peer and closes it. @throws when it cannot be reached there */
export type DialOnce = (address: Multiaddr, signal: AbortSignal) => Promise<void>

const HOST = /^(\/ip[46]\/[^/]+)\/tcp\/\d+/
const PORT_MAX = 65_535

/** Answers those who ask to be dialled back, each now and then, a few at a time. */
export class DialBacks {
  readonly #timers: Timers
  readonly #dial: DialOnce
  readonly #limits: RelayLimits
  readonly #answered = new Map<string, number>()
  #busy = 0

  constructor (timers: Timers, dial: DialOnce, limits: RelayLimits = LIMITS.relay) {
    this.#timers = timers
    this.#dial = dial
    this.#limits = limits
  }

  take (stream: Stream, connection: Connection): void {
    const peer = connection.remotePeer.toString()
    const { dialBackMsMin, dialBacksMax } = this.#limits
    const now = this.#timers.now()
    for (const [other, at] of this.#answered) if (now - at >= dialBackMsMin) this.#answered.delete(other)
    if (this.#busy >= dialBacksMax || this.#answered.has(peer)) {
      stream.abort(new InosError('ERR_BUSY', 'This node dials back now and then only.'))
      return
    }
    this.#answered.set(peer, now)
    this.#busy++
    const cancel = this.#timers.after(2 * this.#limits.dialBackMsMax, () => { stream.abort(new InosError('ERR_PEER_LOST', 'A dial back took too long.')) })
    this.#answer(stream, connection).catch((error: Error) => { stream.abort(error) }).finally(() => {
      cancel()
      this.#busy--
    })
  }

  async #answer (stream: Stream, connection: Connection): Promise<void> {
    const { remoteAddr, remotePeer, direct } = connection
    const wire = new StreamWire(stream, connection, LIMITS.wire)
    const messages = new Messages(wire, 'a dial back')
    const { ports } = await messages.receive()
    if (!arePorts(ports, this.#limits)) throw new InosError('ERR_BAD_PACKET', 'A dial back is asked for a few ports.')
    const [seen, host] = (direct ? HOST.exec(remoteAddr.toString()) : null) ?? [null, null]
    const tries = host === null ? [] : ports.map(port => this.#isReached(multiaddr(`${host}/tcp/${port}/p2p/${remotePeer}`)))
    const reached = await Promise.all(tries)
    messages.send({ seen, reached: ports.filter((_port, i) => reached[i]) })
    await wire.end()
  }

  async #isReached (address: Multiaddr): Promise<boolean> {
    const late = new AbortController()
    const cancel = this.#timers.after(this.#limits.dialBackMsMax, () => { late.abort() })
    try {
      await this.#dial(address, late.signal)
      return true
    } catch {
      return false
    } finally {
      cancel()
    }
  }
}

/** Ask a peer to dial this node back. @throws {InosError} ERR_PEER_LOST, ERR_BAD_PACKET */
export async function askDialBack (connection: Connection, ports: readonly number[], signal: AbortSignal): Promise<DialBack> {
  const stream = await connection.newStream(REACH_PROTOCOL, { signal, runOnLimitedConnection: true })
  const abort = (): void => { stream.abort(new InosError('ERR_CANCELLED', 'The question was cancelled.')) }
  signal.addEventListener('abort', abort)
  try {
    const wire = new StreamWire(stream, connection, LIMITS.wire)
    const messages = new Messages(wire, 'a dial back')
    messages.send({ ports: ports.slice(0, LIMITS.relay.portsMax) })
    const { seen, reached } = await messages.receive()
    await wire.end()
    const host = typeof seen === 'string' && seen.length <= LIMITS.peers.addressCharsMax ? HOST.exec(seen) : null
    if ((seen !== null && host === null) || !arePorts(reached)) throw new InosError('ERR_BAD_PACKET', 'A dial back is answered with an address and ports.')
    return { seen: host?.[0] ?? null, reached: host === null ? [] : reached.filter(port => ports.includes(port)).map(port => `${host[1]}/tcp/${port}`) }
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function arePorts (value: unknown, { portsMax }: RelayLimits = LIMITS.relay): value is number[] {
  return Array.isArray(value) && value.length <= portsMax && value.every(port => Number.isSafeInteger(port) && port >= 1 && port <= PORT_MAX)
}
