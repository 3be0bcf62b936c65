/**
 * The libp2p node of a tab, as a `Network`: it dials WebSockets, WebTransport, WebRTC and relays, and can be dialled through relays alone. There is no
 * DHT in it: a client of it would be a quarter of what a page loads, and the peers it has met tell it of others.
 */
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { noise } from '@libp2p/noise'
import { webSockets } from '@libp2p/websockets'
import type { WebRTCDirectTransportComponents } from '@libp2p/webrtc'
import type { WebTransportComponents } from '@libp2p/webtransport'
import { createLibp2p } from 'libp2p'
import { Access } from '../network/access.ts'
import { Admission } from '../network/admission.ts'
import { keepCompany } from '../network/company.ts'
import type { KnownPeers } from '../network/known-peers.ts'
import { lateTransport } from '../network/late-transport.ts'
import { createLibp2pNetwork, parseAddress } from '../network/libp2p.ts'
import { commonOptions } from '../network/libp2p-options.ts'
import type { Membership } from '../network/membership.ts'
import type { Network } from '../network/network.ts'
import { announced } from '../network/places.ts'
import { CIRCUIT, isAtRelays, WEBRTC } from '../network/shelter.ts'
import { signalled } from '../network/signalled.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { timers } from './platform.ts'

export interface NetworkOptions {
  /** Ed25519 seed, 32 bytes. */
  readonly seed: Uint8Array
  /** `/webrtc`, `/p2p-circuit` or nothing: a page can listen at relays alone. */
  readonly listen: readonly string[]
  /** Multiaddrs of nodes to connect to, also later while this node has dialled too few. */
  readonly bootstrap: readonly string[]
  readonly known: KnownPeers
  readonly membership: Membership | undefined
  /** STUN servers, such as "stun:192.0.2.1:3478". */
  readonly stun: readonly string[]
}

const webTransport = lateTransport<WebTransportComponents>({
  name: 'inos/webtransport', dials: /\/quic-v1\/webtransport\/certhash\//, load: async () => (await import('./webtransport.ts')).webTransport()
})

const webRtcDirect = lateTransport<WebRTCDirectTransportComponents>({
  name: 'inos/webrtc-direct', dials: /\/webrtc-direct\/certhash\//, load: async () => (await import('./webrtc.ts')).dialDirect
})

/** @throws {InosError} ERR_USAGE for a bad address, ERR_LISTEN for one that no page can listen on */
export async function createNetwork ({ seed, listen, bootstrap, known, membership, stun }: NetworkOptions): Promise<Network> {
  for (const address of bootstrap) parseAddress(address)
  for (const address of listen) if (!isAtRelays(address)) throw new InosError('ERR_LISTEN', `A page cannot listen on ${address}.`, { hint: `It can be reached through relays: ${WEBRTC}, or ${CIRCUIT} without WebRTC.` })
  const admission = membership === undefined ? undefined : new Admission(membership, timers)
  const access = new Access({ listen, relay: false, timers })
  const { heldPerPeerMax } = LIMITS.relay
  const node = await createLibp2p({
    ...commonOptions({ timers, access, admission }),
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
    addresses: { announceFilter: announced },
    transports: [webTransport, webRtcDirect, signalled({ timers, load: async () => (await import('./webrtc.ts')).webRTC, answers: listen.includes(WEBRTC), stun }), webSockets(), circuitRelayTransport({ maxInboundStopStreams: heldPerPeerMax, maxOutboundStopStreams: heldPerPeerMax })],
    connectionEncrypters: [noise()]
  })
  await access.begin(node)
  const network = createLibp2pNetwork({ node, timers, admission, access })
  const leave = keepCompany({ network, timers, random: Math.random, known, given: bootstrap, membership, givenMs: LIMITS.wire.bootstrapMs })
  const stop = network.stop.bind(network)
  network.stop = async () => {
    leave()
    await stop()
  }
  return network
}
