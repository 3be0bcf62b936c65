/** WebRTC of a page: a script of its own, loaded with the first peer that needs it. */
export { webRTC } from '@libp2p/webrtc'
