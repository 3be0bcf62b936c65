/**
 * WebRTC of this platform: an optional native module, loaded into this process when a peer is dialled by it, straight or after a relay. Listening for those
 * who come straight is left to a process of its own (`webrtc-listener.ts`).
 */
import type { Transport } from '@libp2p/interface'
import type { WebRTCDirectTransportComponents } from '@libp2p/webrtc'
import { base64url } from 'multiformats/bases/base64'
import { lateTransport } from '../network/late-transport.ts'
import { overOneChannel } from '../network/one-channel.ts'
import { lend } from '../network/punch.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createCertificate } from './certificate.ts'
import { timers } from './timers.ts'
import { WebRtcListener } from './webrtc-listener.ts'

type WebRtc = typeof import('@libp2p/webrtc')
type Direct = (components: WebRTCDirectTransportComponents) => Transport

const LISTEN = /^\/ip[46]\/[^/]+\/udp\/\d+\/webrtc-direct$/

/** Nodes of this process that use it, and how it ends what it holds. */
let users = 0
let cleanup = (): void => {}
let ending: NodeJS.Timeout | undefined

/** @throws {InosError} ERR_LISTEN when it is not installed, or not built for this machine */
export async function loadWebRtc (): Promise<WebRtc> {
  try {
    const [webRtc, native] = await Promise.all([import('@libp2p/webrtc'), import('node-datachannel')])
    cleanup = native.cleanup
    return webRtc
  } catch (cause) {
    throw new InosError('ERR_LISTEN', 'WebRTC needs the optional package node-datachannel, which is not installed here or has no build for this machine.', { cause, hint: 'npm install node-datachannel, or listen on /p2p-circuit instead of /webrtc, and on /ws instead of /webrtc-direct.' })
  }
}

export async function useWebRtc (): Promise<WebRtc> {
  const webRtc = await loadWebRtc()
  clearTimeout(ending)
  users++
  return webRtc
}

/**
 * A connection can leave something native behind (node-datachannel 0.33 waits for an event that does not always come), which would keep this process from ending
 * by itself. What else is done here goes on meanwhile: the native part is not good for use again right after it was cleaned up.
 */
export function releaseWebRtc (): void {
  if (--users === 0) ending = setTimeout(cleanup, LIMITS.webRtc.idleMs).unref()
}

/** Without anybody between; nobody else is asked for anything. The certificate is computed from the identity, so an address stays good. @param seed the node's identity */
export function directOf ({ webRTCDirect }: WebRtc, seed: Uint8Array): Direct {
  const { keyPem, certificatePem, hash } = createCertificate({ seed, use: 'webrtc/1' })
  const certificate = { privateKey: keyPem.toString(), pem: certificatePem.toString(), certhash: base64url.encode(hash) }
  return overOneChannel(webRTCDirect({ certificate, rtcConfiguration: { iceServers: [] }, maxEarlyStreams: 1 }), timers)
}

/** @param seed the node's identity */
export function webRtcDirect (seed: Uint8Array): Direct {
  const late = lateTransport<WebRTCDirectTransportComponents>({
    name: 'inos/webrtc-direct', dials: /\/webrtc-direct\/certhash\//, load: async () => directOf(await useWebRtc(), seed), release: releaseWebRtc
  })
  return components => lend(late(components), {
    listenFilter: addresses => addresses.filter(address => LISTEN.test(address.toString())),
    createListener: ({ upgrader }) => new WebRtcListener(components, upgrader, seed)
  })
}
