/** A private mesh over real TCP: the contract of every network, and a plain libp2p node that tries every protocol. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createNetwork, startNode } from '../src/node/libp2p.ts'
import { dhtProtocol, PACKET_PROTOCOL } from '../src/network/libp2p.ts'
import { toHex } from '../src/packet/identity.ts'
import { meshSuite, MeshWorld, serve, type MeshSuiteOptions } from './suites/mesh-network.ts'
import { until } from './suites/network.ts'

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
const factory: MeshSuiteOptions['factory'] = (seed, membership) => createNetwork({ seed, listen: [LOOPBACK], membership })
meshSuite({ name: 'libp2p mesh', test, factory })

/** Bytes that come on a stream of this protocol, until it ends or is reset. */
async function tryProtocol (connection: Connection, protocol: string): Promise<number> {
  let bytes = 0
  try {
    const stream = await connection.newStream(protocol)
    stream.send(new Uint8Array(32))
    for await (const chunk of stream) bytes += chunk.byteLength
  } catch {
    // Reset: what came before counts.
  }
  return bytes
}

// Goal: a non-member is served nothing by any protocol, and its connection is closed. Method: a plain libp2p node dials
// the issuer, opens a stream of every protocol of a node and writes to it; then it has the same with a member’s dial to it.
test('libp2p mesh: no protocol serves a stranger', { timeout: 60_000 }, async () => {
  await using world = new MeshWorld(factory)
  const issuer = await world.found()
  const served = serve(issuer.network)
  const stranger = await startNode({ seed: randomBytes(32), listen: [LOOPBACK] })
  try {
    const connection = await stranger.dial(multiaddr(issuer.network.addresses()[0]))
    const protocols = ['/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', dhtProtocol(issuer.membership.net), PACKET_PROTOCOL]
    assert.ok(protocols.includes(`/inos/kad/1.0.0/${toHex(issuer.membership.net)}`))
    for (const protocol of protocols) {
      assert.equal(await tryProtocol(connection, protocol), 0, protocol)
    }
    assert.deepEqual(served, [])
    assert.deepEqual(issuer.network.peers(), [])
    await until(() => stranger.getConnections().length === 0)
    // What identify would have told.
    const known = await stranger.peerStore.all()
    assert.deepEqual(known.filter(({ metadata }) => metadata.has('AgentVersion')), [])
  } finally {
    await stranger.stop()
  }
})
