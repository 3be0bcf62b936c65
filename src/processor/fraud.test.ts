/** Sellers and buyers that cheat: what is wrong is caught, costs nothing, and is done elsewhere. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ECHO, ENDLESS } from '../../test/guests.ts'
import { SAVE } from '../../test/wasi-guests.ts'
import { worstCase } from '../credits/pricing.ts'
import { encodeCanonical } from '../packet/cbor.ts'
import { rawCid } from '../packet/cid.ts'
import { openEnvelope } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { encodeFiles } from '../packet/files.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { checkCancel } from '../packet/records.ts'
import { BY_REFERENCE, own } from './job.ts'
import { Mesh, settled, signerOf } from './mesh.fixture.ts'
import { type RogueBuyer, type RogueJob, startRogue, startRogueBuyer } from './rogue.fixture.ts'

const SMALL = { where: 'remote', outputs: ['out'], limits: { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 } }
const text = (value: string): Uint8Array<ArrayBuffer> => own(new TextEncoder().encode(value))

const rogueBuyer = (mesh: Mesh, name: string, seller: string): Promise<RogueBuyer> =>
  startRogueBuyer(mesh.hub.network(signerOf(name).id), signerOf(name), seller, mesh.opened)

/** The receipt for other files than those that are there, and the answer that gives them. */
function otherFiles (job: RogueJob, files: Readonly<Record<string, Uint8Array>>): Partial<Packet> {
  const archive = encodeFiles(files)
  return job.answer(job.receipt({ files: rawCid(archive), filesBytes: archive.length }), { files: own(archive) })
}

/** Each an answer that no honest seller gives, to a copy of "true" in stdout and in the file /out/copy. */
const LIES: Record<string, (job: RogueJob, earlier: RogueJob | undefined) => Partial<Packet>> = {
  'another result': job => job.answer(job.receipt(), { result: text('false') }),
  'a result that does not come': job => job.answer(job.receipt(), { result: own(rawCid(job.result).bytes), byReference: BY_REFERENCE.result }),
  'no receipt': job => job.answer(job.receipt(), { records: [] }),
  'garbage for a receipt': job => job.answer(job.receipt(), { records: [text('receipt')] }),
  'a receipt signed by another': job => job.answer(job.receipt({}, 'somebody')),
  'an overcharge': job => job.answer(job.receipt({ charge: job.order.payload.costMax })),
  'two receipts': job => job.answer(job.receipt(), { records: [own(job.receipt({ fuel: 0n }).bytes), own(job.receipt().bytes)] }),
  'inflated pages': job => job.answer(job.receipt({ pages: SMALL.limits.memoryPagesMax + 1 })),
  'inflated fuel': job => job.answer(job.receipt({ fuel: SMALL.limits.fuelMax + 1n })),
  'out of fuel before its limit': job => job.answer(job.receipt({ outcome: 'fuel', exitCode: null, fuel: 5n })),
  'another module': job => job.answer(job.receipt({ module: rawCid(ENDLESS) })),
  'another input': job => job.answer(job.receipt({ input: rawCid(text('else')) })),
  'another spec': job => job.answer(job.receipt({ spec: job.facts.input })),
  'a result length that is not its': job => job.answer(job.receipt({ resultBytes: job.result.length + 1 })),
  'a result beside a trap': job => job.answer(job.receipt({ outcome: 'trap', exitCode: null })),
  'a file altered': job => job.answer(job.receipt(), { files: own(encodeFiles({ '/out/copy': text('fals') })) }),
  'a file omitted': job => job.answer(job.receipt(), { files: own(new Uint8Array(0)) }),
  'a file added': job => job.answer(job.receipt(), { files: own(encodeFiles({ '/out/copy': text('true'), '/out/more': text('x') })) }),
  'a file beside a receipt that has none': job => job.answer(job.receipt({ files: null, filesBytes: 0 })),
  'files that do not come': job => job.answer(job.receipt(), { files: own(job.facts.files!.bytes), byReference: BY_REFERENCE.files }),
  'files whose length is not theirs': job => job.answer(job.receipt({ filesBytes: job.facts.filesBytes + 1 })),
  'files beside a trap': job => job.answer(job.receipt({ outcome: 'trap', exitCode: null, result: rawCid(text('')), resultBytes: 0, files: null, filesBytes: 0 }), { result: text('') }),
  'more result and files than both may have': job => job.answer(job.receipt({ filesBytes: SMALL.limits.outputBytesMax })),
  'a file for which nobody asked, signed': job => otherFiles(job, { '/out/copy': text('true'), '/etc/passwd': text('x') }),
  'a file with a path that climbs, signed': job => {
    const archive = encodeCanonical({ '/out/../../x': text('x') })
    return job.answer(job.receipt({ files: rawCid(archive), filesBytes: archive.length }), { files: own(archive) })
  },
  'no archive at all, signed': job => job.answer(job.receipt({ files: rawCid(text('x')), filesBytes: 1 }), { files: text('x') }),
  'the receipt of an earlier order': (job, earlier) => job.answer(earlier?.receipt() ?? job.receipt({ order: job.facts.input }))
}

for (const [lie, answer] of Object.entries(LIES)) {
  // Goal: a lie is seen, nothing is owed for it, somebody else does the job, and does the next one at once. Method: the liar is so much
  // cheaper that it is asked first; asked alone it is ERR_VERIFICATION. Afterwards it shows a receipt without a flaw: the
  // buyer's word that the order was given up is all it gets.
  test(`caught: ${lie}`, async () => {
    await using mesh = new Mesh()
    const buyer = await mesh.start('buyer', { serve: false })
    const liar = startRogue(mesh, 'liar', job => answer(job, liar.jobs[0] === job ? undefined : liar.jobs[0]))
    const honest = await mesh.start('honest', { prices: { base: 10_000_000n } })
    for (const seller of [liar, honest]) await mesh.connect(buyer, seller)
    for (const attempts of [[[liar.id, 'ERR_VERIFICATION']], []]) {
      const result = await buyer.compute(SAVE, 'true', SMALL)
      assert.equal(result.text(), 'true')
      assert.deepEqual(result.files, { '/out/copy': text('true') })
      assert.deepEqual(result.attempts.map(({ peer, code }) => [peer, code]), attempts)
    }
    await assert.rejects(buyer.compute(SAVE, 'true', { ...SMALL, where: liar.id }), error => {
      assert.ok(error instanceof InosError)
      assert.equal(error.code, 'ERR_VERIFICATION')
      assert.deepEqual(error.attempts.map(({ code }) => code), ['ERR_VERIFICATION'])
      return true
    })
    for (const job of liar.jobs) {
      const said = await liar.due(buyer.id, job, job.receipt())
      assert.ok(openEnvelope(said.records[0]!.slice(), 'cancel', checkCancel).payload.order.equals(job.order.id))
    }
    await settled(buyer, honest)
    assert.equal(buyer.credits().spent, honest.credits().earned)
    assert.equal(liar.cheques, 0)
  })
}

// Goal: fuel that was not burnt and a result that is not the job's are caught by running the job again, and not paid; without the
// option such a receipt stands. Method: a seller that signs twice the fuel, or another result, in every other way rightly; a share that is none.
test('an audit catches what only a run can show', async () => {
  for (const [name, lie] of Object.entries({
    fuel: (job: RogueJob) => job.answer(job.receipt({ fuel: 2n * job.facts.fuel })),
    result: (job: RogueJob) => job.answer(job.receipt({ result: rawCid(text('lies')), resultBytes: 4 }), { result: text('lies') })
  })) {
    await using mesh = new Mesh()
    const buyer = await mesh.start('buyer', { serve: false })
    const liar = startRogue(mesh, 'liar', lie)
    await mesh.connect(buyer, liar)
    await assert.rejects(buyer.compute(SAVE, 'true', { ...SMALL, where: liar.id, verify: { audit: 1 } }), error => {
      assert.ok(error instanceof InosError && error.code === 'ERR_VERIFICATION')
      assert.match(error.message, new RegExp(`another "${name}"`))
      return true
    })
    assert.equal(buyer.credits().owed + buyer.credits().spent, 0n)
    assert.ok((await buyer.compute(SAVE, 'true', { ...SMALL, where: liar.id })).cost > 0n)
    const honest = await mesh.start('honest')
    await mesh.connect(buyer, honest)
    const result = await buyer.compute(SAVE, 'true', { ...SMALL, where: honest.id, verify: { audit: 1 } })
    assert.deepEqual([result.text(), buyer.runs()], ['true', 2])
    await assert.rejects(buyer.compute(SAVE, 'true', { verify: { audit: 1.5 } }), (error: unknown) => error instanceof InosError && error.code === 'ERR_USAGE')
  }
})

// Goal: what was bought for a job may cost what its order leaves beside all its fuel, and no more for fuel that nobody burnt, though the order says more.
// Method: a seller that says so much for children, to the µcr and one µcr beyond; up to it the answer is looked at further, and has no such children.
test('children may not cost fuel that was not burnt', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const limits = { ...SMALL.limits, descendantsMax: 2 }
  const liar = startRogue(mesh, 'liar', job => {
    const { order, offer: { payload: prices }, facts } = job
    const left = order.payload.costMax - worstCase(prices, limits) + worstCase(prices, { ...limits, fuelMax: facts.fuel })
    const said = left + BigInt(liar.jobs.length - 1)
    return job.answer(job.receipt({ charge: said, children: [facts.input], below: { fuel: 0n, charge: said, tree: facts.input } }))
  })
  await mesh.connect(buyer, liar)
  for (const message of [/receipts of its children/, /"charge"/]) await assert.rejects(buyer.compute(SAVE, 'true', { ...SMALL, limits, where: liar.id }), { code: 'ERR_VERIFICATION', message })
  assert.equal(buyer.credits().owed + buyer.credits().spent, 0n)
})

// Goal: what a seller refuses it cannot charge for, and what it says of itself is not what the caller did.
// Method: refusals with several codes, one of them the word for the caller's own cancel.
test('a refusal ends the order', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const codes = ['ERR_CANCELLED', 'ERR_POLICY', 'ERR_NOBODY_KNOWS']
  const rogue = startRogue(mesh, 'rogue', () => ({ kind: 'refusal', code: codes[rogue.jobs.length - 1]!, text: 'no' }))
  await mesh.connect(buyer, rogue)
  for (const expected of ['ERR_EXECUTOR_LOST', 'ERR_POLICY', 'ERR_INTERNAL']) {
    await assert.rejects(buyer.compute(ECHO, 'x', SMALL), error => {
      assert.deepEqual((error as InosError).attempts[0]?.code, expected)
      return true
    })
  }
  assert.equal(buyer.credits().held, 0n)
  // It gets the buyer's word that the order is given up.
  for (const job of rogue.jobs) assert.equal((await rogue.due(buyer.id, job, job.receipt())).records.length, 1)
  assert.equal(buyer.credits().owed + buyer.credits().spent, 0n)
})

// Goal: one node cannot keep a sound module from all others, and a faulty one is not carried around.
// Method: a cheap node that finds fault with every module, beside an honest one; then a module that has the fault.
test('who blames a sound module is passed over', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const honest = await mesh.start('honest')
  const codes = ['ERR_INVALID_MODULE', 'ERR_UNSUPPORTED_IMPORT', 'ERR_MISSING_EXPORT']
  const rogue = startRogue(mesh, 'rogue', () => ({ kind: 'refusal', code: codes[(rogue.jobs.length - 1) % 3]!, text: 'no' }), { base: 0n, perMFuel: 1n })
  await mesh.connect(buyer, rogue)
  await mesh.connect(buyer, honest)
  const { executor, attempts } = await buyer.compute(ECHO, 'x', SMALL)
  assert.deepEqual([executor, attempts.map(({ peer, code }) => [peer, code])], [honest.id, [[rogue.id, 'ERR_INVALID_MODULE']]])
  await assert.rejects(buyer.compute(ECHO, 'x', { ...SMALL, entry: 'absent', avoid: [rogue.id] }), { code: 'ERR_MISSING_EXPORT' })
  await assert.rejects(buyer.compute(ECHO, 'x', { ...SMALL, limits: { ...SMALL.limits, memoryPagesMax: 1 }, avoid: [rogue.id] }), { code: 'ERR_INVALID_MODULE', message: /^The module needs at least/ })
})

// Goal: a receipt alone is no answer. Method: shown while the buyer still waits for the result, then the lie.
test('a receipt shown before its answer is not taken', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const liar = startRogue(mesh, 'liar', async job => {
    assert.equal((await liar.due(buyer.id, job, job.receipt())).code, 'ERR_BUSY')
    return job.answer(job.receipt(), { result: text('false') })
  })
  await mesh.connect(buyer, liar)
  await assert.rejects(buyer.compute(ECHO, 'true', SMALL))
  assert.deepEqual(Object.values(buyer.credits()), [0n, 0n, 0n, 0n, 0n, 0n])
})

// Goal: an order runs once. Method: the same bytes while it runs, after it, and after its answer was forgotten.
test('a repeat joins, then gets the stored answer', async () => {
  await using mesh = new Mesh()
  const finish = Promise.withResolvers<void>()
  const seller = await mesh.start('seller', { before: () => finish.promise })
  const buyer = await rogueBuyer(mesh, 'buyer', seller.id)
  const first = buyer.order(ECHO, text('once'))
  await new Promise(resolve => setTimeout(resolve, 20))
  const second = buyer.repeat()
  finish.resolve()
  const answers = [await first, await second, await buyer.repeat()]
  assert.equal(seller.runs(), 1)
  assert.deepEqual(answers.map(({ kind, result }) => [kind, new TextDecoder().decode(result)]), Array(3).fill(['answer', 'once']))
  assert.deepEqual(answers[1]!.records, answers[0]!.records)
  assert.deepEqual(answers[2]!.records, answers[0]!.records)
  assert.equal(seller.credits().due, answers[0]!.cost)
})

const BAD_JOBS: Record<string, { code: string, order: (buyer: RogueBuyer) => Promise<Packet> }> = {
  'an enormous cost': { code: 'ERR_BAD_PACKET', order: buyer => buyer.order(ECHO, text('x'), packet => ({ ...packet, cost: 2n ** 63n - 1n })) },
  'a cost that is not its order’s': { code: 'ERR_BAD_PACKET', order: buyer => buyer.order(ECHO, text('x'), packet => ({ ...packet, cost: 5n })) },
  'more than its line': { code: 'ERR_INSUFFICIENT_CREDITS', order: buyer => buyer.order(ECHO, text('x'), undefined, { costMax: LIMITS.credits.amountMax }) },
  'less than the worst case': { code: 'ERR_BUDGET', order: buyer => buyer.order(ECHO, text('x'), undefined, { costMax: 10n }) },
  'another key’s signature': { code: 'ERR_RECORD_INVALID', order: buyer => buyer.order(ECHO, text('x'), undefined, {}, signerOf('somebody')) },
  'another payer': { code: 'ERR_RECORD_INVALID', order: buyer => buyer.order(ECHO, text('x'), undefined, { payer: signerOf('somebody').publicKey }, signerOf('somebody')) },
  'an order that has expired': { code: 'ERR_RECORD_INVALID', order: buyer => buyer.order(ECHO, text('x'), undefined, { expires: 1 }) },
  'no order': { code: 'ERR_BAD_PACKET', order: buyer => buyer.order(ECHO, text('x'), packet => ({ ...packet, records: [] })) },
  'garbage for an order': { code: 'ERR_RECORD_INVALID', order: buyer => buyer.order(ECHO, text('x'), packet => ({ ...packet, records: [text('order')] })) },
  'another id': { code: 'ERR_BAD_PACKET', order: buyer => buyer.order(ECHO, text('x'), packet => ({ ...packet, id: text('id') })) },
  'another input than its spec’s': { code: 'ERR_BAD_PACKET', order: buyer => buyer.order(ECHO, text('x'), packet => ({ ...packet, input: text('y') })) },
  'garbage for a spec': { code: 'ERR_RECORD_INVALID', order: buyer => buyer.order(ECHO, text('x'), packet => ({ ...packet, spec: text('spec') })) },
  'a module by a hash nobody has': {
    code: 'ERR_GONE', order: buyer => buyer.order(text('module'), text('x'), packet => ({ ...packet, wasm: own(rawCid(text('module')).bytes), byReference: BY_REFERENCE.wasm }))
  },
  'an input larger than it says': {
    code: 'ERR_GONE', order: buyer => buyer.order(ECHO, text('y'), packet => ({ ...packet, input: own(rawCid(text('y')).bytes), byReference: BY_REFERENCE.input, size: 0n }))
  },
  'a size no input has': {
    code: 'ERR_INPUT_TOO_LARGE', order: buyer => buyer.order(ECHO, text('y'), packet => ({ ...packet, input: own(rawCid(text('y')).bytes), byReference: BY_REFERENCE.input, size: 2n ** 40n }))
  }
}

// Goal: bad orders are refused by name, move nothing, and the node works on. Method: each, then a good one.
test('orders that are wrong are refused and hold nothing', async () => {
  await using mesh = new Mesh()
  const seller = await mesh.start('seller')
  const buyer = await rogueBuyer(mesh, 'buyer', seller.id)
  for (const [what, { code, order }] of Object.entries(BAD_JOBS)) {
    const answer = await order(buyer)
    assert.deepEqual([answer.kind, answer.code], ['refusal', code], what)
    assert.ok(answer.text.length > 10, what)
    assert.deepEqual(Object.values(seller.credits()), [0n, 0n, 0n, 0n, 0n, 0n], what)
  }
  // No packet at all has a cost below zero: the stream ends with that sentence.
  await assert.rejects(buyer.order(ECHO, text('x'), packet => ({ ...packet, cost: -1n })), /below zero/)
  assert.equal((await buyer.order(ECHO, text('good'))).kind, 'answer')
})

// Goal: work that a host fault threw away costs its payer nothing, but the pool of strangers pays for it.
// Method: executors that die after some time, until the pool is empty.
test('host faults empty the pool, not the payer', async () => {
  await using mesh = new Mesh()
  const seller = await mesh.start('seller', {
    // Room for two orders and a half, each of which a fault of one second uses up; time gives back little.
    poolMax: 2_500_000n,
    before: async () => {
      mesh.ahead += 1_000
      throw new InosError('ERR_EXECUTOR_LOST', 'The executor of the job was lost.')
    }
  })
  const buyer = await rogueBuyer(mesh, 'buyer', seller.id)
  const codes: string[] = []
  for (let i = 0; i < 3; i++) codes.push((await buyer.order(ECHO, text('x'))).code)
  assert.deepEqual(codes, ['ERR_EXECUTOR_LOST', 'ERR_EXECUTOR_LOST', 'ERR_INSUFFICIENT_CREDITS'])
  assert.equal(seller.credits().due, 0n)
})
