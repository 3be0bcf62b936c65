/** WebRTC of a page: a script of its own, loaded with the first address or peer that needs it. */
import type { Transport } from '@libp2p/interface'
import { webRTCDirect, type WebRTCDirectTransportComponents } from '@libp2p/webrtc'
import { overOneChannel } from '../network/one-channel.ts'
import { timers } from './platform.ts'

export { webRTC } from '@libp2p/webrtc'

/** Nobody is asked where this page is: the other end has an address. */
export const dialDirect: (components: WebRTCDirectTransportComponents) => Transport = overOneChannel(webRTCDirect({ rtcConfiguration: { iceServers: [] }, maxEarlyStreams: 1 }), timers)
