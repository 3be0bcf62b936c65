/** A private mesh over real TCP: the contract of every network, and a plain libp2p node that tries every protocol. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createMesh, type InosError, join, type Result, verifyReceipt } from '../src/index.ts'
import { createNetwork, startNode } from '../src/node/libp2p.ts'
import { dhtProtocol, PACKET_PROTOCOL } from '../src/network/libp2p.ts'
import { toHex } from '../src/packet/identity.ts'
import { ECHO } from './guests.ts'
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

// Goal: a program becomes a member with the text alone, finds the others by itself, and what is signed names the mesh. Method: three
// nodes by the library; the third learns of the second from the issuer, then the issuer leaves; a job; both audits.
test('join({ mesh }) finds the members', { timeout: 120_000 }, async () => {
  const root = mkdtempSync(joinPath(tmpdir(), 'inos-mesh-'))
  const dirs = ['a', 'b', 'c'].map(name => joinPath(root, name))
  try {
    const mesh = await createMesh({ dataDir: dirs[0]!, name: 'lab', offlineMax: '30cr' })
    const issuer = await join({ dataDir: dirs[0]!, listen: [LOOPBACK], slots: 1 })
    const text = await issuer.invite({ grant: '100cr', expires: '7d', count: 2 })
    await using seller = await join({ dataDir: dirs[1]!, mesh: text, listen: [LOOPBACK], slots: 1 })
    await using buyer = await join({ dataDir: dirs[2]!, mesh: text, serve: false, slots: 1 })
    assert.deepEqual(buyer.mesh(), mesh)
    assert.equal(buyer.members().find(({ self }) => self)?.grant, 100_000_000n)
    await until(() => buyer.members().some(({ id }) => id === seller.id))
    // Books follow the charter at once.
    const amended = await issuer.amend({ offlineMax: '40cr' })
    assert.deepEqual(amended, { ...mesh, version: 2, offlineMax: 40_000_000n })
    await until(() => buyer.mesh()?.version === 2 && seller.mesh()?.version === 2)
    assert.equal(seller.explainLine(buyer.id).lineMax, 40_000_000n)
    await issuer.stop()
    // It knows the seller's certificate a moment before their door is open.
    let result: Result | null = null
    for (const end = Date.now() + 30_000; result === null;) {
      result = await buyer.compute(ECHO, 'found', { where: 'remote' }).catch((error: InosError) => {
        if (error.code !== 'ERR_NO_OFFER' || Date.now() > end) throw error
        return null
      })
    }
    assert.deepEqual([result.text(), result.executor], ['found', seller.id])
    assert.equal((await verifyReceipt(result.receipt)).executor, seller.id)
    await buyer.settle()
    assert.deepEqual([(await buyer.audit()).ok, (await seller.audit()).ok], [true, true])
    await assert.rejects(buyer.invite(), { code: 'ERR_NOT_MEMBER' })
    await assert.rejects(buyer.amend({ name: 'mine' }), { code: 'ERR_NOT_MEMBER' })
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
