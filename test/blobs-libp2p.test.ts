/** Blobs between whole nodes over TCP, as `bench/blobs.ts` measures them at full size: on disk, found, resumed. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as pathOf } from 'node:path'
import { test, type TestContext } from 'node:test'
import { join, LIMITS, type Node, verifyReceipt } from '../src/index.ts'
import { wasm } from './wasm-builder.ts'

const { chunkBytes } = LIMITS.blobs

async function start (context: TestContext, peers: readonly Node[] = [], serve = false): Promise<Node & { dir: string }> {
  const dir = await mkdtemp(pathOf(tmpdir(), 'inos-blobs-'))
  const node = await join({ dataDir: dir, listen: ['/ip4/127.0.0.1/tcp/0'], serve, slots: 1, peers: peers.map(peer => peer.addresses()[0]!) })
  context.after(async () => {
    await node.stop()
    await rm(dir, { recursive: true, force: true })
  })
  return { ...node, dir }
}

// Goal: a blob goes from disk to disk, is found by those who share no connection with its holder, and is announced anew
// by whoever has it. Method: three nodes in a line; the first leaves, a fourth asks the last.
test('a blob on its way through a mesh', { timeout: 120_000 }, async context => {
  const first = await start(context)
  const second = await start(context, [first])
  const bytes = randomBytes(9 * chunkBytes + 5)
  const cid = await first.blobs.put(bytes)
  const third = await start(context, [second])
  const seen: number[] = []
  assert.ok(bytes.equals(Buffer.concat(await Array.fromAsync(third.blobs.get(cid, { onProgress: ({ bytes }) => seen.push(bytes) })))))
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b))
  assert.equal(seen.at(-1), bytes.length)
  assert.equal((await readdir(pathOf(third.dir, 'blobs'))).filter(name => name.startsWith('baf')).length, 11)
  await first.stop()
  const fourth = await start(context, [third])
  assert.ok(bytes.equals(Buffer.concat(await Array.fromAsync(fourth.blobs.get(cid)))))
})

// Goal: the holder that sends is lost half-way, and the rest comes from another; nothing that was here comes again.
// Method: two holders, of which the second is met when the first stops; progress never falls, and what is on disk stays.
test('a fetch outlives its holder', { timeout: 120_000 }, async context => {
  const [first, second] = [await start(context), await start(context)]
  const bytes = randomBytes(48 * chunkBytes)
  const cid = await first.blobs.put(bytes)
  await second.blobs.put(bytes, { share: true })
  const reader = await start(context, [first])
  let stopped: Promise<void> | undefined
  const seen: number[] = []
  const got = await Array.fromAsync(reader.blobs.get(cid, {
    onProgress ({ bytes: here, total }) {
      seen.push(here)
      if (here < total / 2 || stopped !== undefined) return
      stopped = first.stop().then(async () => { await reader.connect(second.addresses()[0]!) })
    }
  }))
  await stopped
  assert.ok(bytes.equals(Buffer.concat(got)))
  // Each chunk is told once.
  assert.equal(new Set(seen).size, seen.length)
})

/** Writes the last four bytes of its input, then the four at the border of its first two chunks. */
const ENDS = wasm({
  imports: [
    { module: 'inos', name: 'input_size', type: ':i32' },
    { module: 'inos', name: 'input_read', type: 'i32,i32,i32:i32' },
    { module: 'inos', name: 'output_write', type: 'i32,i32:i32' }
  ],
  memory: { min: 1 },
  exports: { memory: 'memory 0' },
  functions: [{
    type: ':i32',
    export: 'run',
    code: `i32.const 0 call 0 i32.const 4 i32.sub i32.const 4 call 1 drop
      i32.const 4 i32.const ${chunkBytes - 2} i32.const 4 call 1 drop
      i32.const 0 i32.const 8 call 2 drop
      i32.const 0`
  }]
})

// Goal: a job names its module and a large input by CID; who runs it fetches them from whoever has them, and the guest reads
// the input where it lies. Method: a third node has both, the buyer has neither; here and at the seller the result is the same.
test('a job by names', { timeout: 120_000 }, async context => {
  const holder = await start(context)
  const seller = await start(context, [holder], true)
  const buyer = await start(context, [seller])
  const bytes = randomBytes(5 * chunkBytes + 11)
  const [module, input] = [await holder.blobs.put(ENDS), await holder.blobs.put(bytes)]
  const expected = Buffer.concat([bytes.subarray(-4), bytes.subarray(chunkBytes - 2, chunkBytes + 2)])
  const result = await buyer.compute({ cid: module }, { cid: input }, { where: seller.id, cache: false })
  assert.ok(expected.equals(result.bytes))
  const { input: named, executor } = await verifyReceipt(result.receipt)
  assert.deepEqual([named, executor], [input, seller.id])
  const here = await holder.compute({ cid: module }, { cid: input }, { where: 'local' })
  assert.deepEqual([[...here.bytes], here.fuel], [[...result.bytes], result.fuel])
})
