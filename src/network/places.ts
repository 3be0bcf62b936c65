/**
 * Where a multiaddr leads: into this machine, into a local network, or anywhere. Peers tell each
 * other only addresses that can mean the same to both, so that nobody can make a node dial the
 * services of its own machine or network by naming them. Whether anyone answers there is not
 * looked at.
 */

/** From the widest to the narrowest. */
const SCOPES = ['public', 'local', 'machine'] as const
export type Scope = typeof SCOPES[number]

const MEMORY = /^\/memory\/[^/]+$/
const TCP = /^\/(ip4|ip6)\/([0-9a-f.:]+)\/tcp\/(\d{1,5})$/
/** What a host's port speaks; certificates that browsers accept without an authority are named by their hashes. */
const HOST = /^\/(ip4|ip6)\/([0-9a-f.:]+)\/(?:tcp\/(\d{1,5})(?:\/ws)?|udp\/(\d{1,5})\/(?:quic-v1(?:\/webtransport(?:\/certhash\/u[\w-]{46}){1,4})?|webrtc-direct\/certhash\/u[\w-]{46}))$/
/** The relay's own address, its PeerId, and maybe who is behind it. */
const RELAYED = /^(.*)\/p2p\/([^/]+)\/p2p-circuit(\/p2p\/[^/]+)?$/

/** Without the PeerId at its end. */
export function bareAddress (address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '')
}

/** Whether an address leads through a relay. */
export function isRelayed (address: string): boolean { return address.includes('/p2p-circuit') }

/** PeerId of the relay an address leads through; null: through none. */
export function relayOf (address: string): string | null { return RELAYED.exec(address)?.[2] ?? null }

/** Whether only this machine can dial an address that is to be listened on. */
export function staysHere (address: string): boolean { return scopeOfHost(...address.split('/').slice(1, 3)) === 'machine' }

/** The TCP port of an address that leads straight to its node; null for others. */
export function portOf (address: string): number | null {
  const port = TCP.exec(bareAddress(address))?.[3]
  return port === undefined ? null : Number(port)
}

/** Own addresses without those through a relay's loopback, which mean something only where all of them do. */
export function announced<T extends { toString (): string }> (addresses: readonly T[]): T[] {
  const isNear = (address: T): boolean => scopeOf(address.toString()) === 'machine'
  const relayed = addresses.filter(address => isRelayed(address.toString()))
  return relayed.every(isNear) ? [...addresses] : addresses.filter(address => !isRelayed(address.toString()) || !isNear(address))
}

/**
 * @param address multiaddr, with or without its /p2p part; one through a relay is where the relay is
 * @returns null for what is not told from peer to peer: names, other transports, addresses that nobody can have
 */
export function scopeOf (address: string): Scope | null {
  const relay = RELAYED.exec(address)?.[1]
  if (relay !== undefined) return isRelayed(relay) ? null : scopeOf(relay)
  const bare = bareAddress(address)
  if (MEMORY.test(bare)) return 'machine'
  const [, family, host, tcp, udp] = HOST.exec(bare) ?? []
  const port = Number(tcp ?? udp)
  return port === 0 || port > 65_535 ? null : scopeOfHost(family, host)
}

function scopeOfHost (family?: string, host = ''): Scope | null {
  return family === 'ip4' ? scopeOf4(host) : family === 'ip6' ? scopeOf6(host) : null
}

/** For somebody who may be anywhere: straight ways that all can go first, those through relays next, then what means something only nearby. */
export function byPromise (addresses: readonly string[]): string[] {
  const rank = (address: string): number => isRelayed(address) ? 1 : scopeOf(address) === 'public' ? 0 : 2
  return addresses.toSorted((a, b) => rank(a) - rank(b))
}

/** Of several ways to a peer, which to try first: what carries most bytes for least work, as docs/transports.md has measured it; a transport that is not here is not tried anyway. */
const TRANSPORTS = ['tcp', 'webtransport', 'ws', 'wss', 'quic-v1', 'webrtc-direct', 'webrtc']

/** Compares two addresses of a peer: what leads anywhere is dialled before what means something only nearby, straight ways before relays, then by transport. */
export function byDialOrder (a: Address, b: Address): -1 | 0 | 1 {
  const other = dialRanks(b)
  const difference = dialRanks(a).map((rank, i) => rank - other[i]!).find(difference => difference !== 0) ?? 0
  return difference < 0 ? -1 : difference > 0 ? 1 : 0
}

interface Address { readonly multiaddr: { toString (): string } }

function dialRanks ({ multiaddr }: Address): number[] {
  const address = multiaddr.toString()
  const scope = scopeOf(address)
  const transport = TRANSPORTS.indexOf(transportOf(address.replace(/\/p2p-circuit.*/, '')))
  return [scope === null ? 0 : SCOPES.indexOf(scope), Number(isRelayed(address)), transport === -1 ? TRANSPORTS.length : transport]
}

/** Of the addresses of a connection to a peer, the narrowest: where that peer is seen from here. */
export function scopeOfPeer (addresses: readonly string[]): Scope | null {
  // Behind a relay it may be anywhere.
  const scopes = addresses.map(address => isRelayed(address) ? 'public' : scopeOf(address))
  return SCOPES.findLast(scope => scopes.includes(scope)) ?? null
}

/** Whether an address means the same to this node and to a peer that is seen in `scope`. */
export function isShared (address: string, scope: Scope | null): boolean {
  const own = scopeOf(address)
  return own !== null && scope !== null && SCOPES.indexOf(own) <= SCOPES.indexOf(scope)
}

/** The network a connection comes from, as far as one owner is likely behind it: the first 24 bits of an IPv4, 48 of an IPv6 address. */
export function originOf (address: string): string {
  const [, family, host] = /^\/(ip4|ip6)\/([0-9a-f.:]+)/.exec(address) ?? []
  if (host === undefined) return 'elsewhere'
  return family === 'ip4' ? host.split('.').slice(0, 3).join('.') : (expand(host) ?? []).slice(0, 3).join(':')
}

/** How the bytes of a connection travel: the last protocol a multiaddr names, such as "tcp" or "webtransport". */
export function transportOf (address: string): string {
  return bareAddress(address.replace(/\/certhash\/[^/]+/g, '')).split('/').findLast(part => /^[a-z][a-z0-9-]*$/.test(part)) ?? 'unknown'
}

/** RFC 6890: loopback; private, shared and link-local; what is no host's. */
function scopeOf4 (host: string): Scope | null {
  const parts = host.split('.')
  // No leading zeros: some take them for octal.
  if (parts.length !== 4 || !parts.every(part => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return null
  const [a, b] = parts.map(Number) as [number, number]
  if (a === 0 || a >= 224) return null
  if (a === 127) return 'machine'
  const isLocal = a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) || (a === 169 && b === 254) || (a === 100 && b >= 64 && b < 128)
  return isLocal ? 'local' : 'public'
}

/** RFC 4291 and 4193; addresses that only carry one of IPv4 are not told. */
function scopeOf6 (host: string): Scope | null {
  const groups = expand(host)
  if (groups === null) return null
  const [first] = groups as [number]
  if (groups.slice(0, 7).every(group => group === 0)) return groups[7] === 1 ? 'machine' : null
  if (groups.slice(0, 5).every(group => group === 0) || first >= 0xff00) return null
  return (first & 0xfe00) === 0xfc00 || (first & 0xffc0) === 0xfe80 ? 'local' : 'public'
}

/** The eight groups of an IPv6 address; null when it has another form. */
function expand (host: string): number[] | null {
  const halves = host.split('::').map(half => half === '' ? [] : half.split(':'))
  const given = halves.flat()
  const right = halves.length === 2 ? given.length < 8 : halves.length === 1 && given.length === 8
  if (!right || !given.every(group => /^[0-9a-f]{1,4}$/.test(group))) return null
  const [head = [], tail = []] = halves
  return [...head, ...Array<string>(8 - given.length).fill('0'), ...tail].map(group => parseInt(group, 16))
}
