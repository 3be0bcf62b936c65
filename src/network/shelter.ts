/**
 * Reservations at relays, for a node that nobody can dial: libp2p keeps as many as are listened for, this
 * shows it relays it can use, those it is connected to and those that the DHT names. When is `access.ts`'s to say.
 */
import { type circuitRelayServer, RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { dcutr } from '@libp2p/dcutr'
import type { Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../packet/limits.ts'
import type { Network, Timers } from './network.ts'
import { isRelayed, relayOf } from './places.ts'
import type { RelayLimits } from './relay.ts'

/** Listen wherever a relay gives a reservation. */
export const CIRCUIT = '/p2p-circuit'
/** The same, and let those who come by a relay look for a direct way (`signalled.ts`). */
export const WEBRTC = '/webrtc'

/** Whether an address to listen on is at relays. */
export function isAtRelays (address: string): boolean { return address === CIRCUIT || address === WEBRTC }
/** What nodes that relay announce. */
export const ROUTER = 'router'

export type ShelterComponents = Pick<Parameters<ReturnType<typeof circuitRelayServer>>[0], 'registrar' | 'connectionManager'> & Pick<Parameters<ReturnType<typeof dcutr>>[0], 'transportManager'>
type Node = Pick<Libp2p, 'getConnections' | 'getMultiaddrs' | 'peerStore'>

/** PeerIds of the relays that addresses lead through. */
export function relaysOf (addresses: readonly string[]): string[] { return [...new Set(addresses.map(relayOf).filter(relay => relay !== null))] }

export class Shelter {
  readonly #timers: Timers
  readonly #limits: RelayLimits
  readonly #stopped = new AbortController()
  #components: ShelterComponents | null = null
  #network: Pick<Network, 'find'> | null = null
  #wanted = false
  #foundAt = -Infinity

  constructor (timers: Timers, limits: RelayLimits = LIMITS.relay) {
    this.#timers = timers
    this.#limits = limits
  }

  attach (components: ShelterComponents): void { this.#components = components }
  join (network: Pick<Network, 'find'>): void { this.#network = network }
  stop (): void { this.#stopped.abort() }

  /** From now on relays are wanted. */
  async seek (node: Node): Promise<void> {
    if (this.#wanted) return
    this.#wanted = true
    await this.#components!.transportManager.listen(Array.from({ length: this.#limits.relaysMin }, () => multiaddr(CIRCUIT)))
    await this.look(node)
  }

  /** libp2p looks for relays once; those that were busy, or began to relay later, are shown to it again. */
  async look (node: Node): Promise<void> {
    const relays = relaysOf(node.getMultiaddrs().map(String))
    if (!this.#wanted || relays.length >= this.#limits.relaysMin) return
    for (const connection of node.getConnections()) {
      const { remotePeer, remoteAddr, direct, direction } = connection
      // The address of a connection that came in is not one at which others get to the relay.
      if (!direct || isRelayed(remoteAddr.toString()) || direction !== 'outbound' || relays.includes(remotePeer.toString())) continue
      const { protocols } = await node.peerStore.get(remotePeer)
      if (!protocols.includes(RELAY_V2_HOP_CODEC)) continue
      for (const { onConnect } of this.#components!.registrar.getTopologies(RELAY_V2_HOP_CODEC)) onConnect?.(remotePeer, connection)
    }
    await this.#find()
  }

  /** Connect to nodes that are said to relay; what they are then is seen by their protocols. */
  async #find (): Promise<void> {
    if (this.#network === null || this.#timers.now() - this.#foundAt < this.#limits.retryMs) return
    this.#foundAt = this.#timers.now()
    const late = new AbortController()
    const cancel = this.#timers.after(this.#limits.reserveMsMax, () => { late.abort() })
    const signal = AbortSignal.any([late.signal, this.#stopped.signal])
    try {
      let left: number = LIMITS.market.discoveredMax
      for await (const peer of this.#network.find(ROUTER, signal)) {
        await this.#components!.connectionManager.openConnection(peerIdFromString(peer), { signal }).catch(() => {})
        if (--left === 0) return
      }
    } finally {
      cancel()
    }
  }
}
