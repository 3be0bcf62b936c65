/**
 * A link by which anyone joins a mesh with a browser tab: the address of a page that somebody hosts, and in its fragment, which browsers
 * send to nobody, an invite or addresses of one node. Whether anyone answers there is not looked at.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

/** What a link or a person names: an invite to a private mesh, or addresses in the open one, of which one is to answer. */
export type Joining = { readonly invite: string } | { readonly addresses: readonly string[] }

const INVITE = /^inos:[\w-]+$/
/** What a page can dial: straight by WebSocket, WebTransport or WebRTC, or through a relay that it can dial so. */
const DIALLED = /\/(wss?|webtransport|webrtc-direct)(\/|$)/
const PREFIX = '#join='

export function isForTabs (address: string): boolean { return DIALLED.test(address) }

/**
 * @param page address of the static page that `npm run build:tab` builds, as people open it
 * @throws {InosError} ERR_USAGE for what is no page's address, ERR_NOT_REACHABLE where no browser can dial any of the addresses
 */
export function tabLink (page: string, joining: Joining): string {
  const url = URL.parse(page)
  if (url === null || !['http:', 'https:'].includes(url.protocol)) throw new InosError('ERR_USAGE', `"${page.slice(0, 80)}" is no address of a page.`, { hint: 'It begins with https://, or http://localhost for a try.' })
  const words = 'invite' in joining ? [joining.invite] : joining.addresses.filter(isForTabs)
  if (words.length === 0) throw new InosError('ERR_NOT_REACHABLE', 'No browser can dial this node.', { hint: 'Let it listen for them: `inos up --listen /ip4/0.0.0.0/udp/4001/quic-v1/webtransport`, or /ip4/…/tcp/…/ws, or /ip4/…/udp/…/webrtc-direct.' })
  url.hash = `${PREFIX}${words.map(encodeURI).join(',')}`
  return url.href
}

/**
 * Read what a person pasted: such a link, an invite, or addresses between spaces or commas.
 * @throws {InosError} ERR_USAGE with what to paste instead
 */
export function readJoining (text: string): Joining {
  const at = text.indexOf(PREFIX)
  const words = decoded(at === -1 ? text : text.slice(at + PREFIX.length)).split(/[\s,]+/).filter(word => word !== '')
  const [first] = words
  if (first === undefined) throw new InosError('ERR_USAGE', 'There is no invite or address yet.', { hint: 'Paste one. Who runs a node finds it in its dashboard under Overview.' })
  if (text.length > 2 * LIMITS.mesh.inviteCharsMax) throw new InosError('ERR_USAGE', 'This is longer than an invite can be.')
  if (words.length === 1 && INVITE.test(first)) return { invite: first }
  if (!words.every(word => /^\/[\w-]+\/./.test(word))) throw new InosError('ERR_USAGE', 'This is neither an invite nor an address of a node.', { hint: 'An invite begins with inos: and an address with /ip4/, /ip6/ or /dns.' })
  const addresses = words.filter(isForTabs)
  if (addresses.length === 0) throw new InosError('ERR_NOT_REACHABLE', 'No browser can dial this address.', { hint: 'Ask for one with /ws, /webtransport or /webrtc-direct in it: its node has to listen for browsers.' })
  return { addresses }
}

/** What a link went through on its way may have escaped it; what is pasted by hand may be half of one. */
function decoded (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
