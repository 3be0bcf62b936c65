/** Where addresses lead, and which of them two peers may tell each other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { announced, byDialOrder, isRelayed, isShared, originOf, portOf, relayOf, scopeOf, scopeOfPeer, staysHere, transportOf } from './places.ts'

const CERTHASH = `/certhash/uEiD${'a'.repeat(43)}`
const ID = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'

// Goal: no spelling of a local address passes for a public one. Method: every range of RFC 6890 that matters, in several spellings.
test('an address leads where it leads, however it is written', () => {
  const expected: Record<string, ReturnType<typeof scopeOf>> = {
    '/ip4/127.0.0.1/tcp/4001': 'machine', '/ip4/127.9.9.9/tcp/4001': 'machine', '/ip6/::1/tcp/4001': 'machine', '/ip6/0:0:0:0:0:0:0:1/tcp/4001': 'machine', '/memory/a': 'machine',
    '/ip4/10.1.2.3/tcp/1': 'local', '/ip4/172.31.0.1/tcp/1': 'local', '/ip4/192.168.7.7/tcp/1': 'local', '/ip4/169.254.1.1/tcp/1': 'local', '/ip4/100.64.0.1/tcp/1': 'local',
    '/ip6/fe80::1/tcp/1': 'local', '/ip6/fd00::1/tcp/1': 'local', '/ip6/febf:1::/tcp/1': 'local',
    '/ip4/172.32.0.1/tcp/1': 'public', '/ip4/100.128.0.1/tcp/1': 'public', '/ip4/192.0.2.1/tcp/65535': 'public', '/ip6/2001:db8::1/tcp/1': 'public',
    '/ip4/1.2.3.4/tcp/1/ws': 'public', '/ip4/10.0.0.1/udp/1/quic-v1': 'local', [`/ip4/127.0.0.1/udp/1/quic-v1/webtransport${CERTHASH}${CERTHASH}`]: 'machine', [`/ip6/2001:db8::1/udp/1/webrtc-direct${CERTHASH}`]: 'public',
    '/ip4/10.0.0.1/udp/1/quic-v1/webtransport': null, '/ip4/10.0.0.1/udp/1/webrtc-direct': null, [`/ip4/10.0.0.1/udp/65536/webrtc-direct${CERTHASH}`]: null, [`/ip4/10.0.0.1/udp/1/quic-v1/webtransport${CERTHASH}/x`]: null,
    '/ip4/0.0.0.0/tcp/1': null, '/ip4/224.0.0.251/tcp/1': null, '/ip4/255.255.255.255/tcp/1': null, '/ip6/::/tcp/1': null, '/ip6/ff02::1/tcp/1': null,
    '/ip6/::ffff:127.0.0.1/tcp/1': null, '/ip6/::ffff:7f00:1/tcp/1': null, '/ip6/::7f00:1/tcp/1': null, '/ip6/1::2::3/tcp/1': null, '/ip6/1:2:3/tcp/1': null,
    '/ip4/1.2.3/tcp/1': null, '/ip4/0127.0.0.1/tcp/1': null, '/ip4/1e1.0.0.1/tcp/1': null, '/ip4/1..2.3/tcp/1': null, '/ip4/1.2.3.256/tcp/1': null, '/ip4/1.2.3.4/tcp/0': null, '/ip4/1.2.3.4/tcp/65536': null, '/ip4/1.2.3.4/udp/1': null,
    '/dns4/localhost/tcp/1': null, '/dnsaddr/example.org': null, '/ip4/1.2.3.4/tcp/1/tls/ws': null, '/ip4/1.2.3.4/tcp/0/ws': null, '/ip6zone/lo/ip6/fe80::1/tcp/1': null, '': null, nonsense: null
  }
  for (const [address, scope] of Object.entries(expected)) assert.equal(scopeOf(address), scope, address)
  assert.equal(scopeOf(`/ip4/127.0.0.1/tcp/4001/p2p/${ID}`), 'machine')
  // One through a relay is where the relay is; through two, nowhere.
  assert.deepEqual([`/ip4/192.0.2.1/tcp/4001/p2p/${ID}/p2p-circuit/p2p/${ID}`, `/ip4/10.0.0.1/tcp/4001/p2p/${ID}/p2p-circuit`, `/ip4/192.0.2.1/tcp/4001/p2p/${ID}/p2p-circuit/p2p/${ID}/p2p-circuit`].map(scopeOf), ['public', 'local', null])
})

// Goal: who is behind a relay may be anywhere, and the relay's loopback means nothing to others. Method: addresses through relays here and elsewhere.
test('an address through a relay says nothing of who is behind it', () => {
  const [near, far] = ['127.0.0.1', '192.0.2.1'].map(host => `/ip4/${host}/tcp/4001/p2p/${ID}/p2p-circuit/p2p/${ID}`) as [string, string]
  const own = '/ip4/127.0.0.1/tcp/1'
  assert.equal(scopeOfPeer([near]), 'public')
  assert.deepEqual([relayOf(far), relayOf(own), isRelayed(far), isRelayed(own)], [ID, null, true, false])
  assert.deepEqual([announced([own, near, far]), announced([own, near]), announced([own])], [[own, far], [own, near], [own]])
  assert.deepEqual([portOf(`${own}/p2p/${ID}`), portOf(far), portOf('/dns4/a/tcp/1')], [1, null, null])
  assert.deepEqual(['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0', '/ip4/127.0.0.1/udp/0/quic-v1/webtransport', '/ip4/0.0.0.0/tcp/0', '/ip4/10.0.0.1/tcp/1'].map(staysHere), [true, true, true, false, false])
})

// Goal: what a peer may say depends on where it is. Method: each scope of a peer with each of an address.
test('a peer is told, and believed, what lies where it is itself', () => {
  const [machine, local, wide] = ['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/1', '/ip4/192.0.2.1/tcp/1']
  const shared = (peer: string): boolean[] => [machine, local, wide].map(address => isShared(address!, scopeOfPeer([peer])))
  assert.deepEqual(shared(machine!), [true, true, true])
  assert.deepEqual(shared(local!), [false, true, true])
  assert.deepEqual(shared(wide!), [false, false, true])
  assert.deepEqual(shared('/dns4/example.org/tcp/1'), [false, false, false])
  assert.equal(scopeOfPeer([wide!, local!]), 'local')
  assert.equal(isShared('/dns4/example.org/tcp/1', 'machine'), false)
})

// Goal: addresses of one owner count as one network. Method: pairs that share one, and pairs that do not.
test('an origin is a network, not an address', () => {
  const same = (a: string, b: string): boolean => originOf(a) === originOf(b)
  assert.ok(same('/ip4/192.0.2.1/tcp/1', '/ip4/192.0.2.254/tcp/2/ws'))
  assert.ok(same('/ip6/2001:db8:7::1/tcp/1', '/ip6/2001:db8:7:ffff::2/udp/3/quic-v1'))
  assert.equal(same('/ip4/192.0.2.1/tcp/1', '/ip4/192.0.3.1/tcp/1'), false)
  assert.equal(same('/ip6/2001:db8:7::1/tcp/1', '/ip6/2001:db8:8::1/tcp/1'), false)
})

// Goal: the transport is named as people know it. Method: addresses of those there are.
test('a transport is the last protocol of an address', () => {
  assert.equal(transportOf(`/ip4/192.0.2.1/tcp/4001/p2p/${ID}`), 'tcp')
  assert.equal(transportOf('/ip4/192.0.2.1/udp/4001/quic-v1'), 'quic-v1')
  assert.equal(transportOf(`/ip4/192.0.2.1/udp/4001/quic-v1/webtransport${CERTHASH}/p2p/${ID}`), 'webtransport')
  assert.equal(transportOf('/dns4/example.org/tcp/443/wss'), 'wss')
  assert.equal(transportOf(''), 'unknown')
})

// Goal: the best way there is is tried first, and a relay when no straight way of its kind is left. Method: a peer's addresses in the order wanted, reversed.
test('addresses are dialled in one order', () => {
  const wanted = [
    `/ip4/192.0.2.1/tcp/1/p2p/${ID}`, `/ip4/192.0.2.1/udp/1/quic-v1/webtransport${CERTHASH}/p2p/${ID}`, `/ip4/192.0.2.1/tcp/1/ws/p2p/${ID}`, `/ip4/192.0.2.1/udp/1/quic-v1/p2p/${ID}`, `/ip4/192.0.2.1/udp/1/webrtc-direct${CERTHASH}/p2p/${ID}`,
    `/ip4/192.0.2.2/tcp/1/p2p/${ID}/p2p-circuit/p2p/${ID}`, `/ip4/192.0.2.2/tcp/1/ws/p2p/${ID}/p2p-circuit/p2p/${ID}`, '/ip4/10.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/1/ws', '/ip4/127.0.0.1/tcp/1'
  ]
  assert.deepEqual(wanted.toReversed().map(multiaddr => ({ multiaddr })).sort(byDialOrder).map(({ multiaddr }) => multiaddr), wanted)
})
