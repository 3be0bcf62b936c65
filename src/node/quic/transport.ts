/**
 * QUIC between nodes, as other programs of libp2p speak it: both sides show in the handshake who they are, and each
 * stream of QUIC is one of libp2p's. https://github.com/libp2p/specs/tree/master/quic
 */
import { type Connection, type DialTransportOptions, serviceCapabilities, type Transport, transportSymbol } from '@libp2p/interface'
import { getNetConfig } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { raceSignal } from 'race-signal'
import { bareAddress } from '../../network/places.ts'
import { LIMITS } from '../../packet/limits.ts'
import type { Certificate } from '../certificate.ts'
import type { Application } from './application.ts'
import { createNodeCertificate, readNodeCertificate } from './certificate.ts'
import { connect } from './connect.ts'
import type { LinkEvents } from './link.ts'
import { type Components, QuicListener, type Service } from './listener.ts'
import { loadQuiche } from './native.ts'
import { type Ground, LinkConnection, Streams } from './streams.ts'

const NAME = 'inos/quic'
const PATH = '/quic-v1'
const ADDRESS = /^\/(?:ip[46]|dns[46]?)\/[^/]+\/udp\/\d+\/quic-v1$/
/** libp2p gives the codes no meaning. */
const CODES = { end: 0, late: 0, refused: 0, givenUp: 0 }

/** @param seed the node's identity @param now in ms since 1970 */
export function quic (seed: Uint8Array, now: () => number): (components: Components) => Transport {
  return components => {
    let certificate: Certificate | null = null
    // Made when somebody first listens or dials: most nodes do neither.
    const application: Application = { protocol: 'libp2p', certificate: () => certificate ??= createNodeCertificate(seed), isMutual: true, oneWayStreamsMax: 0, hasDatagrams: false, codes: CODES }
    const service: Service = {
      name: NAME,
      application,
      path: PATH,
      told: () => PATH,
      greet: async (ground, connection, signal) => {
        const streams = streamsOf(ground)
        const established = Promise.withResolvers<void>()
        ground.link.begin(eventsOf(streams, connection, established.resolve))
        await raceSignal(established.promise, signal)
        return { remotePeer: await readNodeCertificate(ground.link.certificate, now()), muxerFactory: streams.factory }
      }
    }
    return {
      [transportSymbol]: true,
      [Symbol.toStringTag]: NAME,
      [serviceCapabilities]: ['@libp2p/transport'],
      listenFilter: ours,
      dialFilter: ours,
      dial: async (address, options) => await dial(components, application, address, options, now),
      createListener: ({ upgrader }) => new QuicListener(components, service, upgrader)
    }
  }
}

function ours (addresses: Multiaddr[]): Multiaddr[] { return addresses.filter(address => ADDRESS.test(bareAddress(address.toString()))) }

async function dial ({ logger }: Components, application: Application, address: Multiaddr, options: DialTransportOptions, now: () => number): Promise<Connection> {
  const { type, host, port = 0 } = getNetConfig(address)
  let connection: LinkConnection | undefined
  let streams: Streams | undefined
  const link = await connect(await loadQuiche(), application, { host, port }, type.endsWith('6') ? 6 : 4, link => {
    const ground = { link, log: logger.forComponent(NAME), codes: CODES }
    connection = new LinkConnection(ground, address, 'outbound')
    streams = streamsOf(ground)
    return eventsOf(streams, connection, () => {})
  }, options.signal)
  try {
    const remotePeer = await readNodeCertificate(link.certificate, now())
    const wanted = address.getComponents().findLast(({ name }) => name === 'p2p')?.value
    if (wanted !== undefined && wanted !== remotePeer.toString()) throw new Error(`there is ${remotePeer}, not ${wanted}`)
    return await options.upgrader.upgradeOutbound(connection!, { ...options, remotePeer, muxerFactory: streams!.factory, skipEncryption: true, skipProtection: true })
  } catch (error) {
    link.close(CODES.end)
    throw error
  }
}

/** As many may wait as the peer may open. */
function streamsOf (ground: Ground): Streams { return new Streams(ground, { name: PATH, earlyMax: LIMITS.wire.muxerStreamsMax }) }

function eventsOf (streams: Streams, connection: LinkConnection, established: () => void): LinkEvents {
  return {
    established,
    accept: stream => {
      const channel = streams.accept(stream)
      streams.add(channel)
      return channel
    },
    closed: () => { connection.onTransportClosed() }
  }
}
