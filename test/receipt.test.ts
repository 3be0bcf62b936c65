/** A receipt proves one thing only: `verifyReceipt` and the script in docs/ refuse whatever differs from it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { decodeCanonical, encodeCanonical } from '../src/packet/cbor.ts'
import { openEnvelope, seal } from '../src/packet/envelope.ts'
import { InosError } from '../src/packet/errors.ts'
import { checkReceipt, type Receipt } from '../src/packet/records.ts'
import { verifyReceipt } from '../src/index.ts'
import { Mesh, signerOf } from '../src/processor/mesh.fixture.ts'
import { FAN, fanInput } from './family-guests.ts'
import { ECHO } from './guests.ts'
import * as vectors from './suites/record-vectors.ts'

const SCRIPT = fileURLToPath(new URL('../docs/verify-receipt.mjs', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'inos-receipt-'))
after(() => { rmSync(scratch, { recursive: true, force: true }) })

let bought: Uint8Array
let own: Uint8Array
/** Of a job that ran before. */
let repeated: Uint8Array
/** Of a job whose guest had others computed, some of them by its buyer. */
let tree: Uint8Array
before(async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer')
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  bought = (await buyer.compute(ECHO, 'a receipt', { where: seller.id })).receipt
  repeated = (await buyer.compute(ECHO, 'a receipt', { where: seller.id })).receipt
  own = (await buyer.compute(ECHO, 'a receipt', { where: 'local' })).receipt
  const limits = { fuelMax: 2n ** 32n, memoryPagesMax: 2, outputBytesMax: 64, descendantsMax: 20 }
  tree = (await buyer.compute(FAN, fanInput({ levels: 2, width: 4, fuel: limits.fuelMax }), { where: seller.id, limits, costMax: 10_000_000n, cache: false })).receipt
})

/** A receipt that shares its signature with two others. */
const batched = (): Uint8Array => vectors.bundles.batched.bytes

let files = 0
function script (receipt: Uint8Array): Promise<{ code: number, stdout: string, stderr: string }> {
  const file = join(scratch, `${files++}.inos`)
  writeFileSync(file, receipt)
  return new Promise(resolve => {
    execFile(process.execPath, [SCRIPT, file], (error, stdout, stderr) => { resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }) })
  })
}

function flipped (receipt: Uint8Array, bit: number): Uint8Array {
  const copy = receipt.slice()
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}

async function isRefused (receipt: Uint8Array): Promise<boolean> {
  try {
    await verifyReceipt(receipt)
    return false
  } catch (error) {
    assert.ok(error instanceof InosError && error.exitCode === 106, String(error))
    return true
  }
}

// Goal: what was not tampered with verifies, by both. Method: a bought receipt, an own one, and one of a result from memory.
test('a bought receipt, an own one and one from memory verify', async () => {
  assert.equal((await verifyReceipt(bought)).selfExecuted, false)
  assert.equal((await verifyReceipt(own)).selfExecuted, true)
  assert.equal((await verifyReceipt(repeated)).original, (await verifyReceipt(bought)).id)
  for (const receipt of [bought, own, repeated]) {
    const { code, stdout, stderr } = await script(receipt)
    assert.equal(code, 0, stderr)
    const facts = await verifyReceipt(receipt)
    for (const fact of [facts.executor, facts.payer, facts.module, facts.result, facts.id, `${facts.fuel} fuel`, `${facts.charge} µcr`]) assert.ok(stdout.includes(fact), fact)
  }
})

// Goal: a tree verifies as a whole or not at all, by both. Method: the tree; without its last file; with its files in another order; flipped bits.
test('a tree of receipts verifies as a whole', async () => {
  const [root, ...below] = decodeCanonical(tree) as Uint8Array[]
  assert.equal(below.length, 20)
  for (const whole of [tree, encodeCanonical([root, ...below.toReversed()])]) {
    assert.equal((await verifyReceipt(whole)).below.length, below.length)
    const { code, stdout, stderr } = await script(whole)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /20 receipts below it/)
  }
  const bits = Array.from({ length: 8 }, (_, i) => Math.floor((i + 0.5) * tree.length) + i)
  for (const broken of [encodeCanonical([root, ...below.slice(0, -1)]), encodeCanonical([root, ...below, bought]), root!, ...bits.map(bit => flipped(tree, bit))]) {
    assert.ok(await isRefused(broken))
    assert.equal((await script(broken)).code, 106)
  }
})

// Goal: no bit of it is without meaning. Method: flip each one of both receipts.
test('every flipped bit is refused', async () => {
  for (const receipt of [bought, own]) {
    for (let bit = 0; bit < receipt.length * 8; bit++) assert.ok(await isRefused(flipped(receipt, bit)), `bit ${bit} of ${receipt.length * 8}`)
  }
})

// Goal: the script refuses them too. Method: bits spread over the file, each in a process of its own.
test('flipped bits are refused by the script', async () => {
  const bits = Array.from({ length: 16 }, (_, i) => Math.floor((i + 0.5) * bought.length * 8 / 16) + i % 8)
  for (const bit of bits) assert.equal((await script(flipped(bought, bit))).code, 106, `bit ${bit}`)
})

// Goal: a receipt rewritten by someone who knows the format is refused. Method: another charge, encoded
// canonically, its id recomputed, signed by another key; with and without that key as executor; and cut or grown.
test('a rewritten receipt is refused', async () => {
  const parts = decodeCanonical(bought) as Record<'receipt' | 'order' | 'offer', Uint8Array>
  const { payload } = openEnvelope(parts.receipt, 'receipt', checkReceipt)
  const forger = signerOf('forger')
  const rewritten = (changes: Partial<Receipt>, signer = forger): Uint8Array => encodeCanonical({ ...parts, receipt: seal<Receipt>('receipt', { ...payload, ...changes }, signer).bytes })
  assert.ok(!await isRefused(rewritten({}, signerOf('seller'))), 'the same again is the same')
  const forgeries = {
    'another charge': rewritten({ charge: payload.charge + 1n }),
    'another charge by another executor': rewritten({ charge: payload.charge - 1n, executor: forger.publicKey }),
    'more fuel, billed': rewritten({ fuel: payload.fuel + 1_000_000n, charge: payload.charge + 1_000n }),
    'another charge by the seller': rewritten({ charge: payload.charge + 1n }, signerOf('seller')),
    'no offer': encodeCanonical({ ...parts, offer: null }),
    'the order twice': encodeCanonical({ ...parts, receipt: parts.order }),
    'cut off': bought.subarray(0, -1),
    'a byte more': Buffer.concat([bought, Uint8Array.of(0)]),
    nothing: new Uint8Array(0)
  }
  for (const [what, receipt] of Object.entries(forgeries)) {
    assert.ok(await isRefused(receipt), what)
    assert.equal((await script(receipt)).code, 106, what)
  }
})

// Goal: a result from memory is proven by the receipt of its run, to both. Method: the file with another receipt, original or charge, each rightly signed.
test('a rewritten receipt from memory is refused', async () => {
  const parts = decodeCanonical(repeated) as Record<'receipt' | 'order' | 'offer' | 'original', Uint8Array>
  const { payload } = openEnvelope(parts.receipt, 'receipt', checkReceipt)
  const { original: _, ...alone } = parts
  const rewritten = (changes: Partial<Receipt>, more: object = {}): Uint8Array =>
    encodeCanonical({ ...parts, receipt: seal<Receipt>('receipt', { ...payload, ...changes }, signerOf('seller')).bytes, ...more })
  assert.ok(!await isRefused(rewritten({})), 'the same again is the same')
  const ownId = openEnvelope((decodeCanonical(own) as typeof parts).receipt, 'receipt', checkReceipt).id
  const itself = openEnvelope(parts.receipt, 'receipt', checkReceipt).id
  const forgeries = {
    'no original': encodeCanonical(alone),
    'an original beside a run': rewritten({ cached: null }),
    'an original by another': rewritten({ cached: ownId }, { original: own }),
    'an original that is none': rewritten({ cached: itself }, { original: repeated }),
    'another original': rewritten({}, { original: own }),
    'more fuel': rewritten({ fuel: payload.fuel + 1n }),
    'the charge of a run': rewritten({ charge: payload.charge + 1n })
  }
  for (const [what, receipt] of Object.entries(forgeries)) {
    assert.ok(await isRefused(receipt), what)
    assert.equal((await script(receipt)).code, 106, what)
  }
})

// Goal: a receipt of a batch verifies alone and offline, by both, and only at its own place. Method: the committed one;
// then its index moved, by one signature over all of them.
test('a receipt of a batch verifies alone', async () => {
  assert.equal((await verifyReceipt(batched())).selfExecuted, false)
  assert.equal((await script(batched())).code, 0)
  const bundle = decodeCanonical(batched()) as Record<string, Uint8Array>
  const envelope = decodeCanonical(bundle['receipt']!) as { batch: { index: number, path: Uint8Array[] } }
  const { index, path } = envelope.batch
  for (let place = 0; place < 2 ** path.length; place++) {
    if (place === index) continue
    const moved = encodeCanonical({ ...bundle, receipt: encodeCanonical({ ...envelope, batch: { ...envelope.batch, index: place } }) })
    assert.equal(await isRefused(moved), true)
    assert.equal((await script(moved)).code, 106)
  }
})
