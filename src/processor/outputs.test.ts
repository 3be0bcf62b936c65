/** Files that come back from a job: between honest nodes, at home, and what they are good for. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { ECHO } from '../../test/guests.ts'
import { SAVE } from '../../test/wasi-guests.ts'
import { verifyReceipt } from '../index.ts'
import { rawCid } from '../packet/cid.ts'
import { encodeFiles } from '../packet/files.ts'
import { LIMITS } from '../packet/limits.ts'
import { map } from '../emergent/map.ts'
import { Mesh, settled } from './mesh.fixture.ts'

const SMALL = { limits: { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 } }

// Goal: a buyer gets the files it asked for, small and large, at home and bought, with any exit code, signed and
// billed. Method: a guest that keeps its input as a file, of five bytes and of 2 MB; the receipt has the archive's CID.
test('files come back under the names that were asked for', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const large = new Uint8Array(randomBytes(2_000_000))
  const small = new TextEncoder().encode('fives')
  for (const [content, exitCode] of [[small, 1], [large, 0]] as const) {
    for (const where of ['local', 'remote']) {
      const result = await buyer.compute(SAVE, content, { where, outputs: ['./out/', 'nothing'], limits: { fuelMax: 100_000_000n, outputBytesMax: 5_000_000 } })
      assert.equal(result.exitCode, exitCode)
      assert.deepEqual(Object.keys(result.files), ['/out/copy'])
      assert.ok(Buffer.from(content).equals(result.files['/out/copy']!) && Buffer.from(content).equals(result.bytes))
      const archive = encodeFiles(result.files)
      const said = await verifyReceipt(result.receipt)
      assert.deepEqual([said.files, said.filesBytes], [rawCid(archive).toString(), archive.length])
    }
  }
  const none = await buyer.compute(SAVE, 'fives', { where: 'remote', outputs: ['/else'], ...SMALL })
  assert.deepEqual([none.files, (await verifyReceipt(none.receipt)).files], [{}, null])
  assert.deepEqual((await buyer.compute(SAVE, 'fives', { where: 'remote', ...SMALL })).files, {})
  await assert.rejects(buyer.compute(SAVE, 'fives', { outputs: ['../out'] }), { code: 'ERR_INVALID_SPEC' })
  const cramped = await buyer.run(SAVE, large, { where: 'remote', outputs: ['/'], limits: { fuelMax: 100_000_000n, outputBytesMax: 3_999_999 } })
  assert.deepEqual([cramped.outcome, cramped.bytes.length, cramped.files], ['output', 0, {}])
  await settled(buyer, seller)
  assert.ok(seller.credits().earned > 0n)
  assert.equal(buyer.credits().spent, seller.credits().earned)
})

// Goal: what one job leaves the next can take. Method: the files of the first are the files of the second.
test('files of one job are files for another', async () => {
  await using mesh = new Mesh()
  const node = await mesh.start('one', { alone: true })
  const first = await node.compute(SAVE, 'kept', { outputs: ['/'] })
  const second = await node.compute(SAVE, 'more than kept', { outputs: ['/'], files: { ...first.files, '/beside': Uint8Array.of(7) } })
  assert.deepEqual(second.files, { '/beside': Uint8Array.of(7), '/out/copy': new TextEncoder().encode('more than kept') })
})

// Goal: a result has a limit, which is said with what to do instead, and that works. Method: more asked for than any job may have, more
// written than this one may; then parts of several jobs go into one blob, a part at a time, and another node reads it.
test('what is larger than a result may be is computed in parts', async () => {
  await using mesh = new Mesh()
  const [buyer, seller] = [await mesh.start('buyer', { serve: false }), await mesh.start('seller')]
  await mesh.connect(buyer, seller)
  const hint = /64 MiB: have more computed in parts.*blobs\.put/
  await assert.rejects(buyer.compute(ECHO, 'x', { limits: { outputBytesMax: LIMITS.spec.outputBytesMax + 1 } }), { code: 'ERR_INVALID_SPEC', message: /outputBytesMax outside/, hint })
  await assert.rejects(buyer.compute(ECHO, 'four', { limits: { ...SMALL.limits, outputBytesMax: 3 } }), { code: 'ERR_OUTPUT_LIMIT', hint })
  const parts = Array.from({ length: 5 }, () => new Uint8Array(randomBytes(600_000)))
  const results = async function * (): AsyncIterable<Uint8Array> {
    for await (const { bytes } of map(buyer, ECHO, parts, { where: 'remote', limits: { fuelMax: 100_000_000n, outputBytesMax: 600_000 } })) yield bytes
  }
  const cid = await buyer.blobs.put(results())
  assert.ok(Buffer.concat(await Array.fromAsync(seller.blobs.get(cid))).equals(Buffer.concat(parts)))
})
