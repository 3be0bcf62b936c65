/** Dialling WebTransport: a script of its own, loaded with the first such address. */
export { webTransport } from '@libp2p/webtransport'
