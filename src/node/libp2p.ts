/**
 * The libp2p node of this platform: TCP, WebSocket, QUIC, WebTransport, WebRTC, Noise, Yamux and the DHT, as a `Network`. It holds the
 * identity and the sockets; what is said over them belongs to the network room.
 */
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import type { Startable } from '@libp2p/interface'
import { createLibp2p, type Libp2p, type Libp2pOptions } from 'libp2p'
import { Access } from '../network/access.ts'
import { Admission } from '../network/admission.ts'
import { keepCompany } from '../network/company.ts'
import { KnownPeers } from '../network/known-peers.ts'
import { createLibp2pNetwork, dhtProtocol, parseAddress } from '../network/libp2p.ts'
import { commonOptions, type CommonServices } from '../network/libp2p-options.ts'
import type { Membership } from '../network/membership.ts'
import type { Network, Timers } from '../network/network.ts'
import { announced, staysHere } from '../network/places.ts'
import type { RelayLimits } from '../network/relay.ts'
import { isAtRelays, WEBRTC } from '../network/shelter.ts'
import { signalled } from '../network/signalled.ts'
import type { WireLimits } from '../network/framing.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createSigner } from './keys.ts'
import type { MdnsOptions } from './mdns.ts'
import type { Libp2pMetrics } from './metrics.ts'
import { noiseInOneWrite } from './noise.ts'
import { tcpFromOnePort } from './one-port.ts'
import { timers as platformTimers } from './timers.ts'
import { PortForwarder } from './upnp.ts'
import { quic } from './quic/transport.ts'
import { releaseWebRtc, useWebRtc, webRtcDirect } from './webrtc.ts'
import { webSocket } from './websocket.ts'
import { webTransport } from './webtransport/transport.ts'

export interface NetworkOptions {
  /** Ed25519 seed, 32 bytes: the key that also signs this node's records. */
  seed: Uint8Array
  /** Multiaddrs to listen on, such as /ip4/0.0.0.0/tcp/4001, or /p2p-circuit: at relays, /webrtc: at relays with a direct way by WebRTC; none: this node only dials. */
  listen?: readonly string[]
  /** Multiaddrs of nodes to connect to, also later while this node has dialled too few. */
  bootstrap?: readonly string[]
  /** Peers to dial besides, which the processor adds to. @default none, and what is learnt is forgotten at the end */
  known?: KnownPeers | undefined
  /** STUN servers, such as "stun:192.0.2.1:3478", which tell a node behind a router its address. @default nobody is asked */
  stun?: readonly string[] | undefined
  /** Of a private mesh: only its members are served, and some of them kept connected. @default none, the open mesh */
  membership?: Membership | undefined
  /** Counts what libp2p does. @default none */
  metrics?: Libp2pMetrics | undefined
  /** Look for nodes of the local network, and answer those that look. @default not at all */
  mdns?: MdnsOptions | undefined
  /** Whether to relay for nodes nobody can dial. @default where somebody could dial this node */
  relay?: boolean | undefined
  /** Ask the router to forward the ports listened on. @default where that is beyond this machine */
  upnp?: boolean | undefined
  timers?: Timers
  limits?: WireLimits
  relayLimits?: RelayLimits
}

/**
 * Start a node.
 * @throws {InosError} ERR_USAGE for a bad address or seed, ERR_LISTEN when an address cannot be listened on;
 * nothing is left running then
 */
export async function createNetwork (options: NetworkOptions): Promise<Network> {
  const { seed, bootstrap = [], membership, timers = platformTimers, limits = LIMITS.wire } = options
  checkOptions(options)
  const admission = membership === undefined ? undefined : new Admission(membership, timers)
  const { known = new KnownPeers({ self: createSigner(seed).id, now: () => Math.floor(Date.now() / 1000) }) } = options
  const access = accessOf(options)
  const node = await startNode(options, admission, known, access)
  const network = createLibp2pNetwork({ node, timers, limits, admission, access })
  const leave = keepCompany({ network, timers, random: Math.random, known, given: bootstrap, membership, givenMs: limits.bootstrapMs })
  const stop = network.stop.bind(network)
  network.stop = async () => {
    leave()
    await stop()
  }
  return network
}

/** Where nobody looks around. */
const NOBODY: Startable = { start () {}, stop () {} }

type Services = CommonServices & { dht: KadDHT, neighbours: Startable, router: Startable }

function accessOf ({ listen = [], relay, timers = platformTimers, relayLimits }: NetworkOptions): Access {
  return new Access({ listen, relay, timers, limits: relayLimits })
}

/** The started libp2p node alone, for those who measure it. @throws {InosError} ERR_USAGE, ERR_LISTEN */
export async function startNode (options: NetworkOptions, admission?: Admission, known?: KnownPeers, access = accessOf(options)): Promise<Libp2p<Services>> {
  const { listen = [], metrics } = options
  checkOptions(options)
  const router = routerOf(options, access)
  const node = await createLibp2p({ ...await configure(options, access, router, admission, known), ...(metrics === undefined ? {} : { metrics }), start: false })
  try {
    await node.start()
    await access.begin(node)
    await router.start()
  } catch (cause) {
    throw notListening(listen, cause)
  }
  return node
}

function checkOptions ({ seed, listen = [], bootstrap = [] }: NetworkOptions): void {
  for (const address of [...listen, ...bootstrap]) parseAddress(address)
  if (seed.length !== 32) throw new InosError('ERR_USAGE', `An identity is a seed of 32 bytes, not ${seed.length}.`)
}

/** Asks the router for ports, where others could come in by them. */
function routerOf ({ listen = [], upnp, timers = platformTimers }: NetworkOptions, access: Access): Startable {
  const isAsked = upnp ?? !listen.every(place => isAtRelays(place) || staysHere(place))
  return isAsked ? new PortForwarder({ timers, ports: () => access.ports(), tell: (ports, problem) => { access.forwarded(ports, problem) } }) : NOBODY
}

async function configure ({ seed, listen: places = [], stun = [], mdns, timers = platformTimers, limits = LIMITS.wire, relayLimits = LIMITS.relay }: NetworkOptions, access: Access, router: Startable, admission?: Admission, known?: KnownPeers): Promise<Libp2pOptions<Services>> {
  const net = admission?.membership.net ?? null
  const common = commonOptions({ timers, limits, access, admission })
  // Relays are listened at by `access`, once it is known which there are.
  const listen = places.filter(place => !isAtRelays(place))
  const neighbours = mdns === undefined || known === undefined ? () => NOBODY : (await import('./mdns.ts')).lookAround({ ...mdns, net, known })
  return {
    ...common,
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
    addresses: { listen, announceFilter: announced },
    // How many connections are relayed to one peer, and through one relay to this node.
    transports: [tcpFromOnePort(), webSocket(), quic(seed, Date.now), webTransport(seed, Date.now), webRtcDirect(seed), signalled({ timers, load: async () => (await useWebRtc()).webRTC, release: releaseWebRtc, answers: places.includes(WEBRTC), stun }), circuitRelayTransport({ maxInboundStopStreams: relayLimits.heldPerPeerMax, maxOutboundStopStreams: relayLimits.heldPerPeerMax })],
    connectionEncrypters: [noiseInOneWrite()],
    services: {
      ...common.services,
      dht: kadDHT({
        protocol: dhtProtocol(net),
        peerInfoMapper: passthroughMapper,
        clientMode: listen.length === 0,
        initialQuerySelfInterval: limits.provideSettleMs / 10
      }),
      neighbours,
      // It is asked when it is known which ports there are.
      router: () => ({ start () {}, stop: () => router.stop() })
    }
  }
}

/** What libp2p says of each address that failed: the address, the name of an error, its words. */
const FAILURE = /^ {2}(\/\S+): \w+: (.+)$/gm
const PACKAGE = /optional package ([^\s,]+)/

function notListening (listen: readonly string[], cause: unknown): InosError {
  if (cause instanceof InosError) return cause
  const text = cause instanceof Error ? cause.message : ''
  const failures = [...text.matchAll(FAILURE)].map(([, address = '', reason = '']) => ({ address, reason }))
  const where = failures.length === 0 ? listen.join(', ') : failures.map(({ address }) => address).join(', ')
  const wants = PACKAGE.exec(text)?.[1]
  if (wants !== undefined) return new InosError('ERR_LISTEN', `This node cannot listen on ${where}: it needs the optional package ${wants}, which is not installed here or has no build for this machine.`, { cause, hint: `npm install ${wants}, or listen on /ip4/0.0.0.0/tcp/4001 instead, and on /ip4/0.0.0.0/tcp/4002/ws for browsers. \`inos doctor\` tells what can be listened on.` })
  if (text.includes('EADDRINUSE')) {
    return new InosError('ERR_LISTEN', `The port of ${where} is in use by another program.`, {
      cause, hint: 'Stop that program, or choose another port; 0 takes any free one.'
    })
  }
  if (failures.some(({ reason }) => reason.startsWith('No transport'))) {
    return new InosError('ERR_LISTEN', `This node cannot listen on ${where}: no transport of it listens on such an address.`, {
      cause, hint: 'An address to listen on ends with /tcp/PORT, /tcp/PORT/ws, /udp/PORT/quic-v1, /udp/PORT/quic-v1/webtransport or /udp/PORT/webrtc-direct; /p2p-circuit and /webrtc are at relays.'
    })
  }
  return new InosError('ERR_LISTEN', `This node cannot listen on ${where}.`, {
    cause, hint: 'Check that the address belongs to this machine and that the port is allowed.'
  })
}
