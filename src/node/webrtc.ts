/** WebRTC of this platform: the optional native module, loaded when a peer that a relay led to can be asked for a direct way. */
import { InosError } from '../packet/errors.ts'

/** @throws {InosError} ERR_LISTEN when it is not installed, or not built for this machine */
export async function loadWebRtc (): Promise<typeof import('@libp2p/webrtc')> {
  try {
    return await import('@libp2p/webrtc')
  } catch (cause) {
    throw new InosError('ERR_LISTEN', 'WebRTC needs the optional package node-datachannel, which is not installed here or has no build for this machine.', { cause, hint: 'npm install node-datachannel, or listen on /p2p-circuit instead of /webrtc.' })
  }
}
