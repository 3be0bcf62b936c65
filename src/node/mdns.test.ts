/** Multicast DNS: whom a node finds in its local network, and what it says there. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { multiaddr } from '@multiformats/multiaddr'
import { hasMulticast } from '../../test/multicast.ts'
import { KnownPeers } from '../network/known-peers.ts'
import { createSigner } from './keys.ts'
import { lookAround, serviceTag } from './mdns.ts'

// Goal: the name of a private mesh is not shouted into the network. Method: tags of meshes, and what they have in common with their names.
test('a service tag tells meshes apart and names none', () => {
  const [a, b] = [randomBytes(32), randomBytes(32)]
  assert.equal(serviceTag(a), serviceTag(Uint8Array.from(a)))
  assert.equal(new Set([serviceTag(a), serviceTag(b), serviceTag(null)]).size, 3)
  assert.match(serviceTag(a), /^_inos-[0-9a-f]{16}\._udp\.local$/)
  assert.equal(serviceTag(a).includes(a.toString('hex').slice(0, 8)), false)
})

/** A logger that says nothing. */
const logger = { forComponent: () => Object.assign(() => {}, { error () {}, trace () {} }) }

// Goal: only nodes of the same mesh are found, at addresses that can mean something here. Method: three nodes of one mesh and one of another on a port of their own; one
// of them listens on this machine alone, the others also elsewhere.
test('only neighbours of the same mesh are heard of', { timeout: 60_000 }, async context => {
  if (!await hasMulticast()) {
    context.skip('this machine has no multicast')
    return
  }
  const [net, other] = [randomBytes(32), randomBytes(32)]
  const port = 20_000 + randomBytes(2).readUInt16BE() % 20_000
  await using stack = new AsyncDisposableStack()
  const start = async (net: Uint8Array, addresses: string[]): Promise<{ id: string, known: KnownPeers }> => {
    const { id } = createSigner(randomBytes(32))
    const known = new KnownPeers({ self: id, now: () => 1 })
    const addressManager = { getAddresses: () => addresses.map(address => multiaddr(`${address}/p2p/${id}`)) }
    const service = lookAround({ net, known, port })({ addressManager, logger } as unknown as Parameters<ReturnType<typeof lookAround>>[0])
    await service.start()
    stack.defer(() => service.stop())
    return { id, known }
  }
  const wide = ['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/1']
  const foreign = await start(other, wide)
  const inside = await start(net, ['/ip4/127.0.0.1/tcp/2'])
  const a = await start(net, wide)
  const b = await start(net, wide)
  const heard = ({ known }: { known: KnownPeers }): Record<string, readonly string[]> => Object.fromEntries(known.list().map(({ id, addresses }) => [id, addresses]))
  for (const end = Date.now() + 30_000; inside.known.list().length < 2 || a.known.list().length < 1 || b.known.list().length < 1; await sleep(20)) assert.ok(Date.now() < end, 'all were heard of')
  assert.deepEqual(heard(a), { [b.id]: ['/ip4/10.0.0.1/tcp/1'] }, 'no address of this machine from a network')
  assert.deepEqual(heard(inside), { [a.id]: wide, [b.id]: wide })
  assert.deepEqual(heard(foreign), {})
})
