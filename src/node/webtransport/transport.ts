/**
 * WebTransport for browsers to dial: the transport that only listens, because Node has nothing to dial with and QUIC for
 * other nodes. Its address names the hashes of its certificates, so no authority and no name is needed.
 */
import { type Transport, serviceCapabilities, transportSymbol } from '@libp2p/interface'
import { Certificates } from './certificates.ts'
import { type Components, WebTransportListener } from './listener.ts'

const LISTEN = /^\/ip[46]\/[^/]+\/udp\/\d+\/quic-v1\/webtransport$/

/** @param seed the node's identity @param now in ms since 1970 */
export function webTransport (seed: Uint8Array, now: () => number): (components: Components) => Transport {
  return components => {
    const certificates = new Certificates(seed, now)
    return {
      [transportSymbol]: true,
      [Symbol.toStringTag]: 'inos/webtransport',
      [serviceCapabilities]: ['@libp2p/transport'],
      listenFilter: addresses => addresses.filter(address => LISTEN.test(address.toString())),
      dialFilter: () => [],
      dial: async () => { throw new Error('Node does not dial WebTransport') },
      createListener: ({ upgrader }) => new WebTransportListener(components, certificates, upgrader)
    }
  }
}
