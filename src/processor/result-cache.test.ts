/** Results given again from memory: what they cost, who gets them, what is proven, and how to have none. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ECHO, EXIT_BY_LENGTH, TRAP } from '../../test/guests.ts'
import { SAVE } from '../../test/wasi-guests.ts'
import { openBundle } from '../credits/bundle.ts'
import { verifyReceipt } from '../index.ts'
import { verify } from '../node/keys.ts'
import { rawCid } from '../packet/cid.ts'
import { seal } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { DEFAULT_PRICES } from '../packet/limits.ts'
import type { Receipt } from '../packet/records.ts'
import { encodeBundle } from '../credits/bundle.ts'
import type { Outcome } from '../wasm/runtime.ts'
import { BY_REFERENCE, own } from './job.ts'
import { Mesh, settled, signerOf } from './mesh.fixture.ts'
import { type Computed, createResultCache } from './result-cache.ts'
import { type RogueJob, startRogue, startRogueBuyer } from './rogue.fixture.ts'

const SMALL = { where: 'remote', limits: { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 } }
const text = (value: string): Uint8Array<ArrayBuffer> => own(new TextEncoder().encode(value))
const { base } = DEFAULT_PRICES

// Goal: a job that ran here before is not run again, for whomever; it costs the base price, and what proves it is the first receipt, which the
// buyer keeps and anybody checks offline. Method: two buyers and one seller; a job with a file, one that traps, one with an exit code.
test('a job that comes again is answered from memory', async () => {
  await using mesh = new Mesh()
  const [seller, first, second] = [await mesh.start('seller', { prices: { ...DEFAULT_PRICES } }), await mesh.start('first', { serve: false }), await mesh.start('second', { serve: false })]
  for (const buyer of [first, second]) await mesh.connect(buyer, seller)
  for (const [wasm, input] of [[SAVE, 'true'], [TRAP, ''], [EXIT_BY_LENGTH, 'abc']] as const) {
    const options = { ...SMALL, outputs: ['out'] }
    const before = seller.runs()
    const ran = await first.run(wasm, input, options)
    const again = [await second.run(wasm, input, options), await first.run(wasm, input, options)]
    assert.equal(seller.runs(), before + 1)
    assert.ok(ran.cost > base && !ran.cached)
    for (const result of again) {
      const { outcome, exitCode, bytes, files, stderr, fuel, pages, cost, cached, executor, attempts, receipt } = result
      assert.deepEqual({ ...ran, outcome, exitCode, bytes, files, stderr, fuel, pages }, ran)
      assert.deepEqual([cost, cached, executor, attempts], [base, true, seller.id, []])
      const { charge, original } = await verifyReceipt(receipt)
      assert.deepEqual([charge, original], [base, ran.receiptId])
    }
    const kept = openBundle((await second.receipt(again[0]!.receiptId))!, verify)
    assert.deepEqual(encodeBundle(kept.original!).bytes, ran.receipt)
  }
  await settled(first, second, seller)
  assert.equal(first.credits().spent + second.credits().spent, seller.credits().earned)
  for (const node of [first, second, seller]) assert.deepEqual((await node.audit()).bad, [])
})

// Goal: one option of the node, or one of a job, and everything is run; whoever asks for a run has its result kept for nobody. Method: count runs.
test('the cache can be switched off', async () => {
  await using mesh = new Mesh()
  const [seller, plain, buyer] = [await mesh.start('seller'), await mesh.start('plain', { resultCache: false }), await mesh.start('buyer', { serve: false })]
  for (const node of [seller, plain]) await mesh.connect(buyer, node)
  const ask = async (input: string, where: string, cache?: boolean): Promise<boolean> => (await buyer.compute(ECHO, input, { ...SMALL, where, ...(cache === undefined ? {} : { cache }) })).cached
  assert.deepEqual([await ask('x', plain.id), await ask('x', plain.id), plain.runs()], [false, false, 2])
  assert.deepEqual([await ask('x', seller.id, false), await ask('x', seller.id), await ask('x', seller.id), await ask('x', seller.id, false)], [false, false, true, false])
  assert.equal(seller.runs(), 3)
  // Limits, arguments and input are part of what a job is.
  assert.deepEqual([await ask('y', seller.id), (await buyer.compute(ECHO, 'x', { ...SMALL, where: seller.id, args: ['a'] })).cached], [false, false])
})

// Goal: a job of one's own is answered from the same memory, with a record of its own that costs nothing; whoever writes into its result changes
// nobody else's. Method: the same job here twice, then bought from here; an own run asked for.
test('jobs of one’s own share the memory', async () => {
  await using mesh = new Mesh()
  const [node, buyer] = [await mesh.start('node'), await mesh.start('buyer', { serve: false })]
  await mesh.connect(buyer, node)
  const here = { ...SMALL, where: 'local' }
  const first = await node.compute(ECHO, 'mine', here)
  first.bytes.fill(0)
  const again = await node.compute(ECHO, 'mine', here)
  assert.deepEqual([again.text(), again.cached, again.cost], ['mine', true, 0n])
  again.bytes.fill(0)
  assert.equal((await verifyReceipt(again.receipt)).original, first.receiptId)
  const bought = await buyer.compute(ECHO, 'mine', SMALL)
  assert.deepEqual([bought.text(), bought.cached, bought.cost, node.runs()], ['mine', true, base, 1])
  assert.equal((await node.compute(ECHO, 'mine', { ...here, cache: false })).cached, false)
  assert.equal(node.runs(), 2)
})

// Goal: an audit is a run, whatever the auditor remembers. Method: a buyer that has the job in its own memory checks an answer; count its runs.
test('an audit runs the job', async () => {
  await using mesh = new Mesh()
  const [seller, buyer] = [await mesh.start('seller'), await mesh.start('buyer', { serve: false })]
  await mesh.connect(buyer, seller)
  await buyer.compute(ECHO, 'x', { ...SMALL, where: 'local' })
  for (const cached of [false, true]) {
    const runs = buyer.runs()
    assert.equal((await buyer.compute(ECHO, 'x', { ...SMALL, verify: { audit: 1 } })).cached, cached)
    assert.equal(buyer.runs(), runs + 1)
  }
})

// Goal: a hash alone buys nobody the result of somebody else's input, nor one whose module is nowhere. Method: a job in memory is ordered by one who
// names its input, or a module that is gone, by hash and cannot send it; then by one who can.
test('what its payer cannot bring is not answered', async () => {
  await using mesh = new Mesh()
  const [seller, buyer] = [await mesh.start('seller'), await mesh.start('buyer', { serve: false })]
  await mesh.connect(buyer, seller)
  const input = text('a secret')
  await buyer.compute(ECHO, input, SMALL)
  const thief = await startRogueBuyer(mesh.hub.network(signerOf('thief').id), signerOf('thief'), seller.id, mesh.opened)
  for (const name of ['input', 'wasm'] as const) {
    const bytes = name === 'input' ? input : ECHO
    const refused = await thief.order(ECHO, input, packet => ({ ...packet, [name]: own(rawCid(bytes).bytes), byReference: BY_REFERENCE[name], size: name === 'input' ? BigInt(bytes.length) : 0n }))
    assert.deepEqual([refused.kind, refused.result.length, refused.body.length], ['refusal', 0, 0], name)
  }
  const answer = await thief.order(ECHO, input)
  assert.deepEqual([answer.kind, answer.cost, answer.body.length > 0, seller.runs()], ['answer', base, true, 1])
})

/** What no honest seller says of a job it claims to remember. `earlier` is a job of the same buyer that it ran for another spec. */
const LIES: Record<string, (job: RogueJob, earlier: RogueJob) => Partial<Receipt> & { original?: Uint8Array }> = {
  'no original': job => ({ cached: job.receipt().id, charge: base }),
  'an original of another spec': (_job, earlier) => ({ ...originalOf(earlier, earlier.receipt()), charge: base }),
  'an original signed by another': job => ({ ...originalOf(job, job.receipt({}, 'somebody')), charge: base }),
  'an original that is not the one it names': job => ({ ...originalOf(job, job.receipt()), cached: job.facts.input, charge: base }),
  'an original that says something else': job => ({ ...originalOf(job, job.receipt({ fuel: 1n })), charge: base }),
  'a charge above the base': job => ({ ...originalOf(job, job.receipt()), charge: base + 1n }),
  'the charge of a run': job => ({ ...originalOf(job, job.receipt()), charge: job.receipt().payload.charge }),
  'an original beside a run': job => ({ ...originalOf(job, job.receipt()), cached: null, charge: job.receipt().payload.charge }),
  'garbage for an original': job => ({ cached: job.receipt().id, original: text('receipt'), charge: base })
}

function originalOf ({ order, offer }: RogueJob, receipt: ReturnType<RogueJob['receipt']>): { cached: Receipt['cached'], original: Uint8Array } {
  return { cached: receipt.id, original: encodeBundle({ receipt, order, offer }).bytes }
}

for (const [lie, claim] of Object.entries(LIES)) {
  // Goal: nothing is owed for such an answer, and its seller is known for it. Method: a seller by hand, honest at its first job.
  test(`refused: ${lie}`, async () => {
    await using mesh = new Mesh()
    const buyer = await mesh.start('buyer', { serve: false })
    const liar = startRogue(mesh, 'liar', job => {
      const [earlier] = liar.jobs
      if (earlier === undefined || earlier === job) return job.answer(job.receipt())
      const { original, ...changes } = claim(job, earlier)
      return job.answer(job.receipt(changes), original === undefined ? {} : { body: own(original) })
    })
    await mesh.connect(buyer, liar)
    await buyer.compute(ECHO, 'first', { ...SMALL, where: liar.id })
    const { owed } = buyer.credits()
    await assert.rejects(buyer.compute(ECHO, 'second', { ...SMALL, where: liar.id, retries: 0 }), error => error instanceof InosError && error.code === 'ERR_VERIFICATION')
    assert.deepEqual([buyer.credits().owed, buyer.credits().held], [owed, 0n])
  })
}

// Goal: the seller by hand of the tests above is refused for its lies alone. Method: the same answer without one; then to a buyer that asked for a run.
test('an answer from memory made by hand is taken, but not for a run', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = startRogue(mesh, 'seller', job => {
    const { original, cached } = originalOf(job, job.receipt())
    return job.answer(job.receipt({ cached, charge: base }), { body: own(original) })
  })
  await mesh.connect(buyer, seller)
  // Its original may be of any order, also of this one: two receipts that claim one run.
  assert.equal((await buyer.compute(ECHO, 'x', { ...SMALL, where: seller.id })).cached, true)
  await assert.rejects(buyer.compute(ECHO, 'x', { ...SMALL, where: seller.id, cache: false, retries: 0 }), { code: 'ERR_VERIFICATION', message: /a run was asked for/ })
})

/** A run that gave so many bytes. */
function computed (bytes: number): Computed {
  const result = new Uint8Array(bytes)
  const outcome: Outcome = { outcome: 'ok', exitCode: 0, result, files: null, stderr: new Uint8Array(0), fuel: 1n, pages: 1, message: '' }
  const receipt = seal<Receipt>('receipt', {} as Receipt, signerOf('x'))
  return { outcome, output: { result: { cid: rawCid(result), bytes: result }, files: null }, original: { receipt, bytes: new Uint8Array(0) } as Computed['original'] }
}

// Goal: it holds so many results and bytes, and drops what was used longest ago; what is too large changes nothing. Method: small limits.
test('the memory is bounded', () => {
  const cache = createResultCache({ entriesMax: 3, bytesMax: 100, entryBytesMax: 50 })
  const has = (): string => [...'abcdef'].filter(spec => cache.get(spec) !== undefined).join('')
  cache.keep('a', computed(50))
  cache.keep('b', computed(51))
  assert.equal(has(), 'a')
  cache.keep('b', computed(10))
  cache.keep('c', computed(10))
  cache.get('a')
  cache.keep('d', computed(10))
  assert.equal(has(), 'acd', 'three at most')
  cache.keep('e', computed(50))
  assert.equal(has(), 'cde')
  cache.keep('f', computed(50))
  assert.equal(has(), 'ef', 'a hundred bytes at most')
  cache.keep('e', computed(1))
  cache.keep('d', computed(49))
  assert.equal(has(), 'def', 'one that is kept again counts once')
  const source = computed(4)
  cache.keep('a', source)
  source.outcome.result.fill(1)
  assert.deepEqual(cache.get('a')!.outcome.result, new Uint8Array(4))
})
