/**
 * The libp2p node of this platform: TCP, Noise, Yamux and the DHT, as a `Network`. It holds the
 * identity and the sockets; what is said over them belongs to the network room.
 */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { type Identify, identify } from '@libp2p/identify'
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p, type Libp2pOptions } from 'libp2p'
import { createLibp2pNetwork, DHT_PROTOCOL, parseAddress } from '../network/libp2p.ts'
import type { Network, Timers } from '../network/network.ts'
import type { WireLimits } from '../network/framing.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { timers as platformTimers } from './timers.ts'

export interface NetworkOptions {
  /** Ed25519 seed, 32 bytes: the key that also signs this node's records. */
  seed: Uint8Array
  /** Multiaddrs to listen on, such as /ip4/0.0.0.0/tcp/4001; none: this node only dials. */
  listen?: readonly string[]
  /** Multiaddrs of nodes to connect to whenever no peer is connected. */
  bootstrap?: readonly string[]
  timers?: Timers
  limits?: WireLimits
}

/**
 * Start a node.
 * @throws {InosError} ERR_USAGE for a bad address or seed, ERR_LISTEN when an address cannot be listened on;
 * nothing is left running then
 */
export async function createNetwork (options: NetworkOptions): Promise<Network> {
  const { bootstrap = [], timers = platformTimers, limits = LIMITS.wire } = options
  for (const address of bootstrap) parseAddress(address)
  const node = await startNode(options)
  const network = createLibp2pNetwork({ node, timers, limits })
  const stopLooking = stayConnected(network, bootstrap, timers, limits)
  const stop = network.stop.bind(network)
  network.stop = async () => {
    stopLooking()
    await stop()
  }
  return network
}

type Services = { identify: Identify, ping: Ping, dht: KadDHT }

/** The started libp2p node alone, for those who measure it. @throws {InosError} ERR_USAGE, ERR_LISTEN */
export async function startNode ({ seed, listen = [], limits = LIMITS.wire }: NetworkOptions): Promise<Libp2p<Services>> {
  for (const address of listen) parseAddress(address)
  if (seed.length !== 32) throw new InosError('ERR_USAGE', `An identity is a seed of 32 bytes, not ${seed.length}.`)
  const node = await createLibp2p({ ...await configure(seed, listen, limits), start: false })
  try {
    await node.start()
  } catch (cause) {
    throw notListening(listen, cause)
  }
  return node
}

async function configure (seed: Uint8Array, listen: readonly string[], limits: WireLimits): Promise<Libp2pOptions<Services>> {
  return {
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
    nodeInfo: { name: 'inos' },
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({
      maxInboundStreams: limits.muxerStreamsMax,
      // A paused stream buffers what its window let through, so the buffer must hold a window.
      streamOptions: { maxStreamWindowSize: limits.streamWindowBytesMax, maxReadBufferLength: 2 * limits.streamWindowBytesMax }
    })],
    // Meshes live on loopback and in private networks too.
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: {
      maxConnections: limits.connectionsMax,
      inboundConnectionThreshold: limits.connectionsPerSecondMax,
      maxIncomingPendingConnections: limits.connectionsPerSecondMax,
      dialTimeout: limits.dialMsMax
    },
    // Its ping waits behind bulk data and would take a busy connection for a dead one.
    connectionMonitor: { abortConnectionOnPingFailure: false },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: DHT_PROTOCOL,
        peerInfoMapper: passthroughMapper,
        clientMode: listen.length === 0,
        initialQuerySelfInterval: limits.provideSettleMs / 10
      })
    }
  }
}

function notListening (listen: readonly string[], cause: unknown): InosError {
  const text = cause instanceof Error ? cause.message : ''
  const where = listen.join(', ')
  if (text.includes('EADDRINUSE')) {
    return new InosError('ERR_LISTEN', `The port of ${where} is in use by another program.`, {
      cause, hint: 'Stop that program, or choose another port; /tcp/0 takes any free one.'
    })
  }
  return new InosError('ERR_LISTEN', `This node cannot listen on ${where}.`, {
    cause, hint: 'Check that the address belongs to this machine and that the port is allowed.'
  })
}

/** Dial the bootstrap nodes now, and again whenever nobody is connected. @returns what stops it */
function stayConnected (network: Network, bootstrap: readonly string[], timers: Timers, limits: WireLimits): () => void {
  const stopped = new AbortController()
  let cancel: () => void = () => {}
  const look = (): void => {
    if (network.peers().length === 0) {
      // One that cannot be reached now is tried again; whoever must know dials by itself.
      for (const address of bootstrap) network.dial(address, stopped.signal).catch(() => {})
    }
    cancel = timers.after(limits.bootstrapMs, look)
  }
  if (bootstrap.length > 0) look()
  return () => {
    stopped.abort()
    cancel()
  }
}
