/**
 * Nodes of the same local network, found by multicast DNS; only where the owner asks for it, since it tells
 * the whole network that a node is here. What is found is a rumour like any other: an address to dial,
 * behind which the handshake, and in a private mesh a certificate, says who is there.
 */
import { createHash } from 'node:crypto'
import { mdns } from '@libp2p/mdns'
import type { PeerInfo, Startable } from '@libp2p/interface'
import type { KnownPeers } from '../network/known-peers.ts'
import { isShared, scopeOf } from '../network/places.ts'
import { LIMITS } from '../packet/limits.ts'

export interface MdnsOptions {
  /** UDP port. @default 5353, that of multicast DNS */
  readonly port?: number
}

export interface NeighbourOptions extends MdnsOptions {
  /** Only nodes of this mesh are found, and find this one; null: of the open mesh. */
  readonly net: Uint8Array | null
  readonly known: KnownPeers
}

/** What a service of libp2p is given, as far as this one needs it. */
type Components = Parameters<ReturnType<typeof mdns>>[0]

/**
 * The name under which nodes of a mesh look for each other. That of a private mesh is a hash: it shows which
 * nodes belong together to those who listen, but neither the mesh's own hash nor a way in.
 */
export function serviceTag (net: Uint8Array | null): string {
  if (net === null) return '_inos._udp.local'
  return `_inos-${createHash('sha256').update('inos/mdns/1').update(net).digest('hex').slice(0, 16)}._udp.local`
}

/**
 * A service of libp2p that asks and answers while the node runs. Not one of its peer discoveries: those
 * would put every address that is shouted into the network among the peers libp2p keeps.
 */
export function lookAround ({ port, net, known }: NeighbourOptions): (components: Components) => Startable {
  const create = mdns({ serviceTag: serviceTag(net), interval: LIMITS.peers.mdnsMs, ...(port === undefined ? {} : { port }) })
  return components => {
    const discovery = create(components) as ReturnType<typeof create> & Startable
    discovery.addEventListener('peer', ({ detail }: CustomEvent<PeerInfo>) => {
      const own = components.addressManager.getAddresses().map(address => scopeOf(address.toString()))
      // Who listens on this machine only can find only those on it; else such addresses are a trick, or of no use.
      const scope = own.length > 0 && own.every(scope => scope === 'machine') ? 'machine' : 'local'
      known.hear(detail.id.toString(), detail.multiaddrs.map(String).filter(address => isShared(address, scope)))
    })
    return { start: () => discovery.start(), stop: () => discovery.stop() }
  }
}
