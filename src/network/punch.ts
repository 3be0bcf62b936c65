/**
 * Hole punching: two nodes that meet through a relay dial each other at the same moment, each at the
 * address others see it under, so that both routers take the other's packets for answers (libp2p's DCUtR).
 * Whatever comes of it, the relayed connection stays; who uses it moves by itself.
 *
 * The protocol is libp2p's own service. It is lent parts that differ in three points: it tells the addresses
 * others saw this node under, which libp2p would keep to itself until strangers have confirmed them; a dial that
 * is refused is tried again, because the other side's packet may come a moment later; and it closes nothing.
 */
import { type DCUtRServiceComponents, dcutr, multicodec } from '@libp2p/dcutr'
import type { Connection, Startable } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../packet/limits.ts'
import type { Timers } from './network.ts'
import type { RelayLimits } from './relay.ts'

export const PUNCH_PROTOCOL = multicodec
export type PunchComponents = DCUtRServiceComponents

export class Puncher {
  readonly #timers: Timers
  readonly #limits: RelayLimits
  /** How others see this node where it has dialled them, the latest last. */
  #seen: string[] = []
  #service: Startable | null = null

  constructor (timers: Timers, limits: RelayLimits = LIMITS.relay) {
    this.#timers = timers
    this.#limits = limits
  }

  /** A peer this node has dialled sees it under this address. */
  seen (address: Multiaddr): void {
    const text = address.toString()
    this.#seen = [...this.#seen.filter(other => other !== text), text].slice(-this.#limits.seenMax)
  }

  attach (components: PunchComponents): void {
    const { punchMsMax, punchesMax } = this.#limits
    this.#service = dcutr({ timeout: punchMsMax, retries: punchesMax })(this.#lend(components)) as Startable
  }

  async start (): Promise<void> { await this.#service?.start() }
  async stop (): Promise<void> { await this.#service?.stop() }

  #lend ({ addressManager, connectionManager, registrar, peerStore, transportManager, logger }: PunchComponents): PunchComponents {
    return {
      peerStore,
      transportManager,
      logger,
      addressManager: lend(addressManager, { getAddresses: () => this.#seen.map(address => multiaddr(address)) }),
      connectionManager: lend(connectionManager, {
        openConnection: async (to, options) => await this.#dialUntilLate(addressesOf(to), options?.signal, async (address, signal) => {
          return await transportManager.dial(address, { signal, ...(options?.initiator === undefined ? {} : { initiator: options.initiator }) })
        })
      }),
      registrar: lend(registrar, {
        register: (protocol, topology) => registrar.register(protocol, {
          ...topology, onConnect: (peer, connection) => { topology.onConnect?.(peer, staying(connection)) }
        }),
        handle: (protocol, handler, options) => registrar.handle(protocol, (stream, connection) => handler(stream, staying(connection)), options)
      })
    }
  }

  /** Not by libp2p's queue of dials, which forgets on its way who is to begin. */
  async #dialUntilLate (addresses: readonly Multiaddr[], signal: AbortSignal | undefined, dial: (address: Multiaddr, signal: AbortSignal) => Promise<Connection>): Promise<Connection> {
    // A socket dies with the signal of its dial, also when it is long connected: this one ends with the dialling.
    const late = new AbortController()
    const end = (): void => { late.abort() }
    signal?.addEventListener('abort', end, { once: true })
    try {
      for (;;) {
        try {
          return await Promise.any(addresses.map(address => dial(address, late.signal)))
        } catch (error) {
          if (signal === undefined || signal.aborted) throw error
          await new Promise<void>(resolve => { this.#timers.after(this.#limits.redialMs, resolve) })
          if (signal.aborted) throw error
        }
      }
    } finally {
      signal?.removeEventListener('abort', end)
    }
  }
}

function addressesOf (to: Parameters<PunchComponents['connectionManager']['openConnection']>[0]): Multiaddr[] {
  return (Array.isArray(to) ? to : [to]).filter(address => 'getComponents' in address)
}

/** A connection that whoever has it cannot close. */
function staying (connection: Connection): Connection { return lend(connection, { close: async () => {} }) }

/** The same thing with some of its functions replaced. */
export function lend<T extends object> (whole: T, other: Partial<T>): T {
  return new Proxy(whole, {
    get (target, name) {
      if (Object.hasOwn(other, name)) return other[name as keyof T]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) as unknown : value
    }
  })
}
