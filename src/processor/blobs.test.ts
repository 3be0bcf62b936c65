/** Blobs of whole nodes in one process: names, chunks, holders that fail, and many who want the same. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { isCode } from '../../test/suites/network.ts'
import { CID, rawCid } from '../packet/cid.ts'
import { LIMITS } from '../packet/limits.ts'
import { decodeManifest } from '../packet/manifest.ts'
import { Mesh, type MeshNode, until } from './mesh.fixture.ts'

const { chunkBytes } = LIMITS.blobs

async function read (node: MeshNode, cid: string, options = {}): Promise<Uint8Array> {
  return Buffer.concat(await Array.fromAsync(node.blobs.get(cid, options)))
}

/** Names of the chunks of a blob that a node has, in their order. */
function chunksAt (node: MeshNode, cid: string): string[] {
  return [...decodeManifest(node.stored.get(cid)!).chunks]
}

// Goal: bytes of every size around a chunk have a name that is theirs, and come back, here and elsewhere.
// Method: put as bytes and as a stream of odd pieces, read at the same node and at another.
test('blobs of every size go there and back', async () => {
  await using mesh = new Mesh()
  const [a, b] = [await mesh.start('a'), await mesh.start('b')]
  await mesh.connect(b, a)
  for (const length of [0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 3 * chunkBytes, 5 * chunkBytes + 7]) {
    const bytes = randomBytes(length)
    const cid = await a.blobs.put(bytes)
    const pieces = async function * (): AsyncIterable<Uint8Array> { for (let at = 0; at < length; at += 300_001) yield bytes.subarray(at, at + 300_001) }
    assert.equal(await a.blobs.put(pieces()), cid)
    assert.equal(CID.parse(cid).code, length > chunkBytes ? 0x71 : 0x55)
    if (length <= chunkBytes) assert.equal(cid, rawCid(bytes).toString())
    for (const node of [a, b]) assert.ok(bytes.equals(await read(node, cid)), `${length} bytes at ${node.name}`)
  }
})

// Goal: a holder that sends a wrong chunk is left after that one, and nothing wrong is kept. Method: flip one bit in
// every chunk that one of two holders has, each bit another; the fetch ends with the right bytes of the other.
test('no flipped bit is accepted', async () => {
  await using mesh = new Mesh()
  const [good, bad, b] = [await mesh.start('good'), await mesh.start('bad'), await mesh.start('b')]
  const bytes = randomBytes(8 * chunkBytes + 99)
  const cid = await good.blobs.put(bytes)
  assert.equal(await bad.blobs.put(bytes), cid)
  for (const [at, name] of chunksAt(bad, cid).entries()) {
    const part = bad.stored.get(name)!.slice()
    const bit = at * 7919 % (8 * part.length)
    part[bit >> 3]! ^= 1 << (bit & 7)
    bad.stored.set(name, part)
  }
  await mesh.connect(b, bad)
  await mesh.connect(b, good)
  assert.ok(bytes.equals(await read(b, cid)))
  for (const name of chunksAt(b, cid)) assert.equal(rawCid(b.stored.get(name)!).toString(), name)
})

// Goal: of one who only has wrong bytes nothing is taken, and the fetch ends. Method: as above without the good holder.
test('a holder of nothing but wrong bytes', { timeout: 60_000 }, async () => {
  await using mesh = new Mesh()
  const [bad, b] = [await mesh.start('bad'), await mesh.start('b')]
  const cid = await bad.blobs.put(randomBytes(3 * chunkBytes))
  const names = chunksAt(bad, cid)
  for (const name of names) bad.stored.set(name, randomBytes(chunkBytes))
  await mesh.connect(b, bad)
  await assert.rejects(read(b, cid), isCode('ERR_GONE'))
  assert.deepEqual(names.filter(name => b.stored.has(name)), [])
})

// Goal: a holder that is lost half-way costs nothing that is here: the rest comes from another, and no chunk twice.
// Method: the first holder is lost when half is here; count what the second gives.
test('a fetch goes on at another holder', { timeout: 60_000 }, async () => {
  await using mesh = new Mesh()
  const [first, second, b] = [await mesh.start('first'), await mesh.start('second'), await mesh.start('b')]
  const count = 20
  const bytes = randomBytes(count * chunkBytes)
  const cid = await first.blobs.put(bytes)
  await mesh.connect(b, first)
  let lost: Promise<void> | undefined
  const half = async ({ bytes: here }: { bytes: number }): Promise<void> => {
    if (here < count / 2 * chunkBytes || lost !== undefined) return
    lost = mesh.lose(first)
  }
  const stop = new AbortController()
  const reading = read(b, cid, { onProgress: half, signal: stop.signal })
  await until(() => lost !== undefined, 'half is here')
  await lost
  const before = chunksAt(b, cid).filter(name => b.stored.has(name)).length
  assert.ok(before >= count / 2 && before < count, `${before} chunks came before the loss`)
  const asked: string[] = []
  await second.blobs.put(bytes)
  const get = second.stored.get.bind(second.stored)
  second.stored.get = name => {
    asked.push(name)
    return get(name)
  }
  await mesh.connect(b, second)
  assert.ok(bytes.equals(await reading))
  const given = asked.filter(name => name !== cid)
  assert.equal(new Set(given).size, given.length)
  assert.equal(given.length, count - before)
})

// Goal: many who want one blob have it fetched once, and one who gives up takes it from nobody.
// Method: five readers, one aborted; count what the holder gives.
test('readers of one blob share its fetch', async () => {
  await using mesh = new Mesh()
  const [a, b] = [await mesh.start('a'), await mesh.start('b')]
  const bytes = randomBytes(6 * chunkBytes)
  const cid = await a.blobs.put(bytes)
  await mesh.connect(b, a)
  const asked: string[] = []
  const get = a.stored.get.bind(a.stored)
  a.stored.get = name => {
    asked.push(name)
    return get(name)
  }
  const stop = new AbortController()
  const left = assert.rejects(read(b, cid, { signal: stop.signal }), isCode('ERR_CANCELLED'))
  const all = Array.from({ length: 5 }, () => read(b, cid))
  stop.abort()
  await left
  for (const found of await Promise.all(all)) assert.ok(bytes.equals(found))
  assert.equal(asked.filter(name => name !== cid).length, 6)
})

// Goal: ten who fetch one blob at once take less than twice its size from the first holder. Method: count its chunks.
test('who fetches gives', { timeout: 120_000 }, async () => {
  await using mesh = new Mesh(2)
  const seed = await mesh.start('seed')
  const bytes = randomBytes(16 * chunkBytes)
  const cid = await seed.blobs.put(bytes)
  const names = new Set(chunksAt(seed, cid))
  let given = 0
  const get = seed.stored.get.bind(seed.stored)
  seed.stored.get = name => {
    if (names.has(name)) given++
    return get(name)
  }
  const nodes = await Promise.all(Array.from({ length: 10 }, (_, at) => mesh.start(`node ${at}`)))
  await Promise.all(nodes.map(node => mesh.connect(node, seed)))
  const found = await Promise.all(nodes.map(node => read(node, cid)))
  for (const each of found) assert.ok(bytes.equals(each))
  assert.ok(given < 2 * 16, `the first holder gave ${given} chunks of 16`)
})

// Goal: who has a blob is found by those it is not connected to. Method: only the announcement names it: they share a neighbour.
test('a blob is found by its name', async () => {
  await using mesh = new Mesh()
  const [a, middle, b] = [await mesh.start('a'), await mesh.start('middle'), await mesh.start('b')]
  await mesh.connect(a, middle)
  await mesh.connect(b, middle)
  const bytes = randomBytes(2 * chunkBytes)
  assert.ok(bytes.equals(await read(b, await a.blobs.put(bytes))))
})

// Goal: what is not shared is nobody's but its owner's, by its name or by the names of its chunks. Method: ask for all of them.
test('what is not shared is not given', { timeout: 60_000 }, async () => {
  await using mesh = new Mesh()
  const [a, b] = [await mesh.start('a'), await mesh.start('b')]
  await mesh.connect(b, a)
  for (const length of [10, 2 * chunkBytes]) {
    const cid = await a.blobs.put(randomBytes(length), { share: false })
    await assert.rejects(read(b, cid), isCode('ERR_GONE'))
    if (length > chunkBytes) await assert.rejects(read(b, chunksAt(a, cid)[0]!), isCode('ERR_GONE'))
  }
})

// Goal: lists, pins and collection say and do the same. Method: two blobs that share a chunk, one unpinned, collected, removed.
test('pins keep, collection takes the rest', async () => {
  await using mesh = new Mesh()
  const a = await mesh.start('a', { alone: true })
  const shared = randomBytes(chunkBytes)
  const one = await a.blobs.put(Buffer.concat([shared, randomBytes(10)]))
  const other = await a.blobs.put(Buffer.concat([shared, randomBytes(20)]), { pin: false })
  const listed = async (): Promise<unknown[]> => (await a.blobs.ls()).map(({ cid, size, here, pinned }) => [cid, size, here, pinned]).sort()
  assert.deepEqual(await listed(), [[one, chunkBytes + 10, chunkBytes + 10, true], [other, chunkBytes + 20, chunkBytes + 20, false]].sort())
  const before = a.blobs.usage().bytes
  const gone = await a.blobs.gc()
  assert.equal(a.blobs.usage().bytes, before - gone.bytes)
  assert.ok(gone.bytes >= 20 && gone.bytes < chunkBytes)
  assert.equal((await read(a, one)).length, chunkBytes + 10)
  await assert.rejects(read(a, other), isCode('ERR_GONE'))
  await a.blobs.rm(one)
  await assert.rejects(a.blobs.rm(one), isCode('ERR_GONE'))
  assert.deepEqual([await listed(), a.blobs.usage().bytes], [[], 0])
})
