import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InosError } from '../packet/errors.ts'
import { type Joining, readJoining, tabLink } from './tab-link.ts'

const PEER = '12D3KooWBhfBb3uqLAPXs2rXJiUPhgKdPTVsu2bZcHBFPBpxRM9F'
const DIALLED = [`/ip4/10.0.0.7/tcp/4002/ws/p2p/${PEER}`, `/dns4/example.org/tcp/443/tls/ws/p2p/${PEER}`, `/ip4/1.2.3.4/udp/4001/quic-v1/webtransport/certhash/uEiA_-b/certhash/uEiB/p2p/${PEER}`, `/ip4/1.2.3.4/udp/4001/webrtc-direct/certhash/uEiB/p2p/${PEER}`, `/ip4/1.2.3.4/tcp/4002/ws/p2p/${PEER}/p2p-circuit/p2p/${PEER}`]
const OTHERS = [`/ip4/10.0.0.7/tcp/4001/p2p/${PEER}`, `/ip4/1.2.3.4/udp/4001/quic-v1/p2p/${PEER}`]

// Goal: what a link was made of is what its page reads, also escaped by something on the way, or pasted whole. Method: any mixture of addresses, and invites; addresses that no browser dials are left out.
test('a link is read as it was made', () => {
  const addresses = fc.tuple(fc.subarray(DIALLED, { minLength: 1 }), fc.subarray(OTHERS)).map(([dialled, others]) => [...others, ...dialled])
  const joinings: fc.Arbitrary<Joining> = fc.oneof(addresses.map(addresses => ({ addresses })), fc.stringMatching(/^[\w-]{1,300}$/).map(text => ({ invite: `inos:${text}` })))
  fc.assert(fc.property(joinings, fc.constantFrom('https://example.org/inos/', 'http://localhost:8080/a/index.html?x=1#old'), (joining, page) => {
    const link = tabLink(page, joining)
    const expected = 'invite' in joining ? joining : { addresses: joining.addresses.filter(one => DIALLED.includes(one)) }
    assert.ok(link.startsWith(`${page.split('#')[0]}#join=`))
    const [, fragment = ''] = link.split('#join=')
    for (const text of [link, fragment, `#join=${encodeURIComponent(fragment)}`, ` ${fragment.replaceAll(',', ' \n')} `]) assert.deepEqual(readJoining(text), expected)
  }))
})

// Goal: whatever is pasted is read or refused by a code, and what cannot work is refused when the link is made. Method: any text; addresses that no browser dials; pages that are none.
test('what is no invite is refused', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }).map(text => `#join=${text}`)), text => {
    try {
      readJoining(text)
    } catch (error) {
      assert.ok(error instanceof InosError)
    }
  }))
  for (const text of ['', ' ', 'inos:', 'inos:a b', 'hello', 'https://example.org/', '/ip4', `${'a'.repeat(100_000)}`]) assert.throws(() => readJoining(text), { code: 'ERR_USAGE' }, text.slice(0, 20))
  for (const text of OTHERS) assert.throws(() => readJoining(text), { code: 'ERR_NOT_REACHABLE' })
  assert.throws(() => tabLink('https://example.org', { addresses: OTHERS }), { code: 'ERR_NOT_REACHABLE' })
  for (const page of ['', 'example.org', 'javascript:alert(1)', 'file:///index.html']) assert.throws(() => tabLink(page, { invite: 'inos:a' }), { code: 'ERR_USAGE' })
})
