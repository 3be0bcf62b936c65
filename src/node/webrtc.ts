/** WebRTC of this platform: the optional native module, loaded when a peer that a relay led to can be asked for a direct way. */
import { InosError } from '../packet/errors.ts'

type WebRtc = typeof import('@libp2p/webrtc')

/** Nodes of this process that use it, and how it ends what it holds. */
let users = 0
let cleanup = (): void => {}

/** @throws {InosError} ERR_LISTEN when it is not installed, or not built for this machine */
export async function loadWebRtc (): Promise<WebRtc> {
  try {
    const [webRtc, native] = await Promise.all([import('@libp2p/webrtc'), import('node-datachannel')])
    cleanup = native.cleanup
    return webRtc
  } catch (cause) {
    throw new InosError('ERR_LISTEN', 'WebRTC needs the optional package node-datachannel, which is not installed here or has no build for this machine.', { cause, hint: 'npm install node-datachannel, or listen on /p2p-circuit instead of /webrtc.' })
  }
}

export async function useWebRtc (): Promise<WebRtc['webRTC']> {
  const { webRTC } = await loadWebRtc()
  users++
  return webRTC
}

/** A handshake that was given up can leave something native behind, which would keep this process from ending by itself. */
export function releaseWebRtc (): void { if (--users === 0) cleanup() }
