/** Files that come back from a job: between honest nodes, at home, and what they are good for. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { SAVE } from '../../test/wasi-guests.ts'
import { verifyReceipt } from '../index.ts'
import { rawCid } from '../packet/cid.ts'
import { encodeFiles } from '../packet/files.ts'
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
