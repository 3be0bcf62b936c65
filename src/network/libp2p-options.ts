/**
 * What every libp2p node of ours is configured with, on whatever platform: limits, the door, what is relayed. Transports, encryption
 * and where to listen are the platform's choice.
 */
import { identify, type Identify, identifyPush, type IdentifyPush } from '@libp2p/identify'
import type { Startable } from '@libp2p/interface'
import { ping, type Ping } from '@libp2p/ping'
import { yamux } from '@libp2p/yamux'
import type { Libp2pOptions } from 'libp2p'
import { LIMITS } from '../packet/limits.ts'
import type { Access } from './access.ts'
import type { Admission } from './admission.ts'
import type { WireLimits } from './framing.ts'
import { guard } from './libp2p.ts'
import { Passage } from './passage.ts'
import { byDialOrder } from './places.ts'
import type { Timers } from './network.ts'

export type CommonServices = { identify: Identify, news: IdentifyPush, ping: Ping, access: Startable }

export interface CommonOptions {
  readonly timers: Timers
  readonly limits?: WireLimits | undefined
  /** How others get here. */
  readonly access: Access
  /** The door of a private mesh. @default none, the open mesh */
  readonly admission?: Admission | undefined
}

type Common = Required<Pick<Libp2pOptions<CommonServices>, 'nodeInfo' | 'streamMuxers' | 'connectionGater' | 'connectionManager' | 'connectionMonitor'>> & {
  services: Required<Libp2pOptions<CommonServices>>['services']
}

export function commonOptions ({ timers, limits = LIMITS.wire, access, admission }: CommonOptions): Common {
  const passage = admission === undefined ? undefined : new Passage(admission, timers)
  return {
    nodeInfo: { name: 'inos' },
    streamMuxers: [yamux({
      maxInboundStreams: limits.muxerStreamsMax,
      // A paused stream buffers what its window let through, so the buffer must hold a window.
      streamOptions: { maxStreamWindowSize: limits.streamWindowBytesMax, maxReadBufferLength: 2 * limits.streamWindowBytesMax }
    })],
    // Meshes live on loopback and in private networks too, which browsers are denied by default.
    connectionGater: {
      denyDialMultiaddr: () => false,
      denyDialPeer: peer => admission?.isShunned(peer.toString()) === true,
      denyOutboundRelayedConnection: (from, to) => access.relay.refuses(to.toString()) || passage?.denies(from.toString(), to.toString()) === true,
      denyInboundRelayReservation: from => admission?.isInside(from.toString()) === false
    },
    connectionManager: {
      maxConnections: limits.connectionsMax,
      inboundConnectionThreshold: limits.connectionsPerSecondMax,
      maxIncomingPendingConnections: limits.connectionsPerSecondMax,
      dialTimeout: limits.dialMsMax,
      addressSorter: byDialOrder
    },
    // Its ping waits behind bulk data and would take a busy connection for a dead one.
    connectionMonitor: { abortConnectionOnPingFailure: false },
    services: {
      // Any service is given the parts of the node; this one is the first, before a handler is there.
      identify: components => {
        guard(components.registrar, admission, passage, access)
        return identify()(components)
      },
      // Who begins to relay, or learns where it can be dialled, says so to those it has met before.
      news: identifyPush(),
      // The DHT pings whom it takes up, this node whom it meets; by libp2p's default of one at a time the second fails, and the peer is left out.
      ping: ping({ maxInboundStreams: limits.pingsMax, maxOutboundStreams: limits.pingsMax }),
      access: components => {
        access.attach(components)
        return { start () {}, stop: () => access.stop() }
      }
    }
  }
}
