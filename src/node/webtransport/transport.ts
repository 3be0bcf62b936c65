/**
 * WebTransport for browsers to dial: the transport that only listens, because Node has nothing to dial with and QUIC for
 * other nodes. Its address names the hashes of its certificates, so no authority and no name is needed. Whoever dials proves
 * in a Noise handshake on the first stream who it is, and learns there which certificates are this node's; then each stream
 * is one of libp2p's.
 */
import { type Transport, serviceCapabilities, transportSymbol } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { base64url } from 'multiformats/bases/base64'
import { raceSignal } from 'race-signal'
import { LIMITS } from '../../packet/limits.ts'
import type { Channel } from '../quic/channel.ts'
import { type Components, type Newcomer, QuicListener, type Service } from '../quic/listener.ts'
import { type Ground, type LinkConnection, Streams } from '../quic/streams.ts'
import { Certificates } from './certificates.ts'
import { H3 } from './codes.ts'
import { Session } from './session.ts'

const NAME = 'inos/webtransport'
const PATH = '/quic-v1/webtransport'
const LISTEN = /^\/ip[46]\/[^/]+\/udp\/\d+\/quic-v1\/webtransport$/
/** A stream is given up with code 0 of WebTransport among HTTP/3's (draft-ietf-webtrans-http3, section 4.4). */
const CODES = { end: H3.noError, late: H3.excessiveLoad, refused: H3.rejected, givenUp: 0x52e4a40fa8db }

/** @param seed the node's identity @param now in ms since 1970 */
export function webTransport (seed: Uint8Array, now: () => number): (components: Components) => Transport {
  return components => {
    const certificates = new Certificates(seed, now)
    const service: Service = {
      name: NAME,
      application: {
        protocol: 'h3',
        certificate: () => certificates.current(),
        isMutual: false,
        oneWayStreamsMax: LIMITS.webTransport.controlStreamsMax,
        // The drafts of WebTransport ask for it.
        hasDatagrams: true,
        codes: CODES
      },
      path: PATH,
      told: () => PATH + certificates.told().map(hash => `/certhash/${base64url.encode(hash)}`).join(''),
      untilNext: () => certificates.untilNext(),
      greet: async (ground, connection, signal) => await greet(components, certificates, ground, connection, signal)
    }
    return {
      [transportSymbol]: true,
      [Symbol.toStringTag]: NAME,
      [serviceCapabilities]: ['@libp2p/transport'],
      listenFilter: addresses => addresses.filter(address => LISTEN.test(address.toString())),
      dialFilter: () => [],
      dial: async () => { throw new Error('Node does not dial WebTransport') },
      createListener: ({ upgrader }) => new QuicListener(components, service, upgrader)
    }
  }
}

async function greet (components: Components, certificates: Certificates, ground: Ground, connection: LinkConnection, signal: AbortSignal): Promise<Newcomer> {
  const { link } = ground
  const first = Promise.withResolvers<Channel>()
  let count = 0
  const streams = new Streams(ground, { name: '/webtransport', earlyMax: LIMITS.webTransport.earlyStreamsMax, head: () => session.head() })
  const session = new Session(link, {
    stream: (stream, head) => {
      const channel = streams.accept(stream)
      if (head.length > 0) channel.take(head)
      if (count++ === 0) first.resolve(channel)
      else streams.add(channel)
    }
  })
  link.begin({
    established: () => { session.begin() },
    accept: stream => session.accept(stream),
    closed: () => { connection.onTransportClosed() }
  })
  const encrypter = noise({ extensions: { webtransportCerthashes: certificates.known() } })(components)
  const { remotePeer } = await encrypter.secureInbound(await raceSignal(first.promise, signal), { signal, skipStreamMuxerNegotiation: true })
  return { remotePeer, muxerFactory: streams.factory }
}
