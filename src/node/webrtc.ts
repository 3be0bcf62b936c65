/** WebRTC of this platform: the optional native module, loaded when a peer that a relay led to can be asked for a direct way. */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

type WebRtc = typeof import('@libp2p/webrtc')

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
    throw new InosError('ERR_LISTEN', 'WebRTC needs the optional package node-datachannel, which is not installed here or has no build for this machine.', { cause, hint: 'npm install node-datachannel, or listen on /p2p-circuit instead of /webrtc.' })
  }
}

export async function useWebRtc (): Promise<WebRtc['webRTC']> {
  const { webRTC } = await loadWebRtc()
  clearTimeout(ending)
  users++
  return webRTC
}

/**
 * A connection can leave something native behind (node-datachannel 0.33 waits for an event that does not always come), which would keep this process from ending
 * by itself. What else is done here goes on meanwhile: the native part is not good for use again right after it was cleaned up.
 */
export function releaseWebRtc (): void {
  if (--users === 0) ending = setTimeout(cleanup, LIMITS.webRtc.idleMs).unref()
}
