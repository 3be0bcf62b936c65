/** Records that wait together are signed together, and each stands alone afterwards. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertSettled, factsOf, LIMITS_OF_JOB, offerOf, signerOf, START, World } from '../../test/suites/credits-world.ts'
import { createSigner, verify } from '../node/keys.ts'
import { decodeCanonical } from '../packet/cbor.ts'
import { rawCid } from '../packet/cid.ts'
import type { Envelope } from '../packet/envelope.ts'
import { rememberGood, type Signer, type Verify } from '../packet/identity.ts'
import { openBundle } from './bundle.ts'
import { createCredits, type Credits } from './credits.ts'
import { sealAll } from './seals.ts'

/** A signer that counts. */
function counting (name: string): { signer: Signer, signed: () => number } {
  const signer = signerOf(name)
  let count = 0
  return { signer: { ...signer, sign: bytes => { count++; return signer.sign(bytes) } }, signed: () => count }
}

async function open (signer: Signer, check: Verify = verify): Promise<Credits> {
  let nonce = 0
  return await createCredits({
    store: { get: async () => undefined, batch: async () => { await new Promise(resolve => setImmediate(resolve)) }, iterator: () => (async function * () {})() },
    signer, verify: check, now: () => START, randomBytes: length => new Uint8Array(length).fill(++nonce)
  })
}

// Goal: under load one signature covers many orders and many receipts, alone each is signed at once; every receipt
// verifies by itself, and one check serves a batch. Method: count signatures and checks of one, then of ten at once.
test('what waits together is signed and checked once', async () => {
  const [a, b] = [counting('a'), counting('b')]
  let checks = 0
  const check: Verify = (...of) => { checks++; return verify(...of) }
  const [buyer, seller] = [await open(a.signer), await open(b.signer, check)]
  const offer = offerOf(b.signer)
  const sell = async (count: number): Promise<Uint8Array[]> => {
    const orders = await Promise.all(Array.from({ length: count }, () => buyer.placeOrder({ executor: b.signer.id, offer, spec: rawCid(new Uint8Array(1)), costMax: 10_000_000n, seconds: 60 })))
    const holds = await Promise.all(orders.map(order => seller.acceptOrder(a.signer.id, order, offer, LIMITS_OF_JOB)))
    return await Promise.all(holds.map(async hold => (await hold.settle(factsOf(hold.order.id), bundle => bundle.bytes)).bytes))
  }
  const isPlain = (bytes: Uint8Array): boolean => 'sig' in (decodeCanonical((decodeCanonical(bytes) as { receipt: Uint8Array }).receipt) as Envelope)
  const [alone] = await sell(1)
  assert.ok(isPlain(alone!))
  const before = { orders: a.signed(), receipts: b.signed(), checks }
  const many = await sell(10)
  // The first two may find nothing to wait for.
  assert.ok(a.signed() - before.orders <= 3, `${a.signed() - before.orders} signatures over ten orders`)
  assert.ok(b.signed() - before.receipts <= 3, `${b.signed() - before.receipts} signatures over ten receipts`)
  assert.ok(checks - before.checks <= 4, `${checks - before.checks} checks of ten orders`)
  assert.ok(many.some(bytes => !isPlain(bytes)))
  for (const bytes of [alone!, ...many]) openBundle(bytes, verify)
})

// Goal: a draft that fails harms no other of its batch. Method: ten answers at once, one larger than any packet.
test('one that cannot be answered leaves the others of its batch alone', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const orders = await Promise.all(Array.from({ length: 10 }, () => a.order(b)))
  const results = await Promise.allSettled(orders.map(async (order, i) => {
    await using hold = await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
    return await hold.settle(factsOf(order.id), bundle => i === 4 ? new Uint8Array(5_000_000) : bundle.bytes)
  }))
  assert.deepEqual(results.flatMap(({ status }, i) => status === 'rejected' ? [i] : []), [4])
  for (const result of results) if (result.status === 'fulfilled') await a.credits.acceptReceipt(b.id, result.value.bytes)
  await a.credits.refuseOrder(orders[4]!.id.toString())
  await a.pay(b)
  await assertSettled(a, b)
})

// Goal: an audit that comes in between is right. Method: audit while orders wait for their signature and receipts for theirs.
test('an audit sees what waits', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  for (let i = 0; i < 3; i++) {
    const placing = Array.from({ length: 5 }, () => a.order(b))
    assert.deepEqual((await a.credits.audit()).bad, [])
    const first = a.credits.audit()
    const orders = await Promise.all(placing)
    assert.equal((await first).ok, true)
    const settling = orders.map(async order => {
      const hold = await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
      return await hold.settle(factsOf(order.id), bundle => bundle.bytes)
    })
    for (let turn = 0; turn < 5; turn++) assert.equal((await b.credits.audit()).ok, true)
    await Promise.all(settling)
  }
})

// Goal: batches have a size. Method: more drafts than one takes, of two types; each record is its draft's.
test('many drafts make several batches, in order', () => {
  const { signer, signed } = counting('a')
  const drafts = Array.from({ length: 600 }, (_, n) => ({ type: n % 2 === 0 ? 'note' : 'letter', payload: { n } }))
  const records = sealAll(drafts, signer)
  assert.equal(signed(), 4)
  assert.deepEqual(records.map(({ type, payload }) => ({ type, payload })), drafts)
})

// Goal: only what was found good is remembered, exactly, and not for ever. Method: count real checks.
test('a good signature is checked once, a bad one every time', () => {
  const [signer, other] = [createSigner(new Uint8Array(32).fill(1)), createSigner(new Uint8Array(32).fill(2))]
  let checks = 0
  const check = rememberGood((...of) => { checks++; return verify(...of) }, 2)
  const bytes = [1, 2, 3].map(n => Uint8Array.of(n))
  const sigs = bytes.map(part => signer.sign(part))
  const good = (n: number): boolean => check(signer.publicKey, bytes[n]!, sigs[n]!)
  assert.deepEqual([good(0), good(0), good(1), good(0)], [true, true, true, true])
  assert.equal(checks, 2)
  for (const [key, part, sig] of [[other.publicKey, bytes[0]!, sigs[0]!], [signer.publicKey, bytes[1]!, sigs[0]!], [signer.publicKey, bytes[0]!, sigs[1]!]] as const) {
    assert.equal(check(key, part, sig), false)
    assert.equal(check(key, part, sig), false)
  }
  assert.equal(checks, 8)
  assert.ok(good(2) && good(0))
  assert.equal(checks, 10, 'the oldest was forgotten')
})
