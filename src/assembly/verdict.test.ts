import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeBundle, readBundle } from '../credits/bundle.ts'
import { readFiles } from '../credits/tree.ts'
import { rawCid } from '../packet/cid.ts'
import { seal } from '../packet/envelope.ts'
import type { Receipt } from '../packet/records.ts'
import { verify } from '../node/keys.ts'
import { Mesh, signerOf } from '../processor/mesh.fixture.ts'
import { ECHO } from '../../test/guests.ts'
import { type Checker, rerun } from './verdict.ts'

const never = new AbortController().signal

// Goal: running again finds every fact that differs, and names it; what is not here is not judged. Method: a real receipt, and a checker whose own run gives the same, or each fact otherwise.
test('a run again names what differs', async () => {
  await using mesh = new Mesh()
  const node = await mesh.start('runner', { alone: true })
  const first = await node.run(ECHO, 'words', { where: 'local' })
  const { receipt, order, offer } = readBundle(readFiles(first.receipt)[0]!)
  const contents = [ECHO, Buffer.from('words'), first.spec]
  const checker = (changes: Partial<Receipt>, kept = contents): Checker => ({
    run: async () => ({ spec: first.spec, receipt: encodeBundle({ receipt: seal<Receipt>('receipt', { ...receipt.payload, ...changes }, signerOf('runner')), order, offer }).bytes }),
    receipt: async () => null,
    blobs: {
      ls: async () => kept.map(bytes => ({ cid: rawCid(bytes).toString(), size: bytes.length, here: bytes.length }) as never),
      async * get (cid) { yield kept.find(bytes => rawCid(bytes).toString() === cid)! }
    }
  })
  const verdict = async (changes: Partial<Receipt>, kept = contents): Promise<unknown[]> => {
    const { ok, field } = await rerun(checker(changes, kept), first.receipt, verify, never)
    return [ok, field]
  }
  assert.deepEqual(await verdict({}), [true, null])
  const { payload } = receipt
  const lies: Partial<Receipt> = { exitCode: 7, result: rawCid(Uint8Array.of(1)), resultBytes: payload.resultBytes + 1, fuel: payload.fuel + 1n, pages: payload.pages + 1 }
  for (const [field, value] of Object.entries(lies)) assert.deepEqual(await verdict({ [field]: value }), [false, field], field)
  for (const missing of contents.slice(0, 2)) assert.deepEqual(await verdict({ fuel: 1n }, contents.filter(bytes => bytes !== missing)), [null, null])
})
