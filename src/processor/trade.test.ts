/** Jobs between honest nodes: bought, own, repeated, lost, cancelled, by reference, and the money each time. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { ECHO, ENDLESS, EXIT_BY_LENGTH, TRAP } from '../../test/guests.ts'
import { verifyReceipt } from '../index.ts'
import { LIMITS } from '../packet/limits.ts'
import { InosError } from '../packet/errors.ts'
import { rawCid } from '../packet/cid.ts'
import { BY_REFERENCE, own } from './job.ts'
import { Mesh, settled, signerOf, until } from './mesh.fixture.ts'
import type { Processor } from './processor.ts'
import { startRogueBuyer } from './rogue.fixture.ts'

const SMALL = { limits: { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 } }

function code (expected: string): (error: unknown) => boolean {
  return error => {
    assert.ok(error instanceof InosError)
    assert.equal(error.code, expected, error.message)
    return true
  }
}

async function opposite (a: Processor, b: Processor): Promise<void> {
  await settled(a, b)
  assert.equal(a.credits().balance + b.credits().balance, 0n)
  for (const node of [a, b]) {
    const audit = await node.audit()
    assert.deepEqual(audit.bad, [])
    assert.equal(audit.ok, true)
  }
}

// Goal: the main path. Method: one job, its receipt verified offline, books of both sides compared.
test('a job is bought, its receipt verifies, the balances are equal and opposite', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const states: string[] = []
  const result = await buyer.compute(ECHO, 'hello', { where: 'remote', ...SMALL, onProgress: ({ state }) => states.push(state) })
  assert.equal(result.text(), 'hello')
  assert.equal(result.executor, seller.id)
  assert.deepEqual(states, ['offered', 'sending', 'running', 'verifying', 'settled'])
  const facts = await verifyReceipt(result.receipt)
  assert.equal(facts.charge, result.cost)
  assert.equal(facts.selfExecuted, false)
  await opposite(buyer, seller)
  assert.equal(seller.credits().earned, result.cost)
  assert.ok(result.cost > 0n)
  assert.deepEqual((await Array.fromAsync(buyer.receipts())).map(({ role, paid }) => [role, paid]), [['bought', true]])
})

// Goal: own jobs take the same way and move nothing. Method: alone with every `where` that means here.
test('an own job has a receipt and moves nothing', async () => {
  await using mesh = new Mesh()
  const node = await mesh.start('one', { alone: true })
  for (const where of ['any', 'local', node.id]) {
    const result = await node.compute(ECHO, 'mine', { where })
    assert.equal((await verifyReceipt(result.receipt)).selfExecuted, true)
    assert.equal(result.cost, 0n)
  }
  assert.deepEqual(Object.values(node.credits()), [0n, 0n, 0n, 0n, 0n, 0n])
  await assert.rejects(node.compute(ECHO, '', { where: 'remote' }), code('ERR_NO_OFFER'))
  await assert.rejects(node.compute(ECHO, '', { where: 'banana' }), code('ERR_USAGE'))
  await assert.rejects(node.compute(ECHO, '', { where: 'local', avoid: [node.id] }), code('ERR_NO_OFFER'))
  for (const wasm of ['text', undefined, {}]) await assert.rejects(node.compute(wasm as never, ''), code('ERR_USAGE'))
  await assert.rejects(node.compute(ECHO, [1, 2] as never), code('ERR_USAGE'))
  await assert.rejects(node.connect('/memory/x'), code('ERR_NO_OFFER'))
})

// Goal: what a guest does is charged; what its caller sees is an error or a result. Method: trap, fuel, exit code.
test('traps and empty tanks are charged by fuel', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const there = { where: 'remote', ...SMALL }
  await assert.rejects(buyer.compute(TRAP, '', there), code('ERR_TRAP'))
  const endless = await buyer.run(ENDLESS, '', there)
  assert.equal(endless.outcome, 'fuel')
  assert.equal(endless.fuel, 1_000_000n)
  assert.equal((await buyer.compute(EXIT_BY_LENGTH, 'abc', there)).exitCode, 3)
  await assert.rejects(buyer.compute(Uint8Array.of(1, 2, 3), '', there), code('ERR_INVALID_MODULE'))
  await opposite(buyer, seller)
})

// Goal: a lost seller costs a retry, no credit. Method: the first seller loses power while it runs.
test('a seller that disappears is replaced', async () => {
  await using mesh = new Mesh()
  const reached = Promise.withResolvers<void>()
  const buyer = await mesh.start('buyer', { serve: false })
  const first = await mesh.start('first', { before: () => { reached.resolve(); return new Promise<void>((_, reject) => { gone.signal.addEventListener('abort', () => { reject(new InosError('ERR_CANCELLED', 'gone')) }) }) } })
  const gone = new AbortController()
  await mesh.connect(buyer, first)
  const job = buyer.compute(ECHO, 'x', { where: 'remote', ...SMALL })
  await reached.promise
  const second = await mesh.start('second')
  await mesh.connect(buyer, second)
  setImmediate(() => { gone.abort() })
  await mesh.lose(first)
  const result = await job
  assert.equal(result.executor, second.id)
  assert.deepEqual(result.attempts.map(({ peer, code }) => [peer, code]), [[first.id, 'ERR_PEER_LOST']])
  // The first comes back and knows nothing of the order: what was held for it is free again.
  await mesh.connect(buyer, await mesh.start('first'))
  await opposite(buyer, second)
})

// Goal: the last seller lost is told as such. Method: no other node; the buyer redials in vain.
test('when the only seller is lost the error says so, with the attempts', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller', { before: (_run, { signal }) => new Promise((_, reject) => { signal!.addEventListener('abort', () => reject(new InosError('ERR_CANCELLED', 'x'))); setImmediate(() => { mesh.hub.drop(seller.id); setTimeout(() => reject(new InosError('ERR_CANCELLED', 'x')), 20) }) }) })
  await mesh.connect(buyer, seller)
  await assert.rejects(buyer.compute(ECHO, 'x', { where: 'remote', ...SMALL }), error => {
    code('ERR_PEER_LOST')(error)
    assert.deepEqual((error as InosError).attempts.map(({ peer, code }) => [peer, code]), [[seller.id, 'ERR_NOT_REACHABLE']])
    return true
  })
  assert.equal(buyer.credits().held, 0n)
})

// Goal: an order binds: what ran while the connection was down is paid, once, and not run again.
// Method: cut during the run and heal at once; the buyer redials the only seller there is.
test('a session lost during the run: the same order gets its answer', async () => {
  await using mesh = new Mesh()
  const finish = Promise.withResolvers<void>()
  const started = Promise.withResolvers<void>()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller', { before: () => { started.resolve(); return finish.promise } })
  await mesh.connect(buyer, seller)
  const job = buyer.compute(ECHO, 'once', { where: 'remote', ...SMALL })
  await started.promise
  mesh.hub.cut(buyer.id, seller.id)
  mesh.hub.heal(buyer.id, seller.id)
  setTimeout(() => { finish.resolve() }, 50)
  assert.equal((await job).text(), 'once')
  assert.equal(seller.runs(), 1)
  await opposite(buyer, seller)
})

// Goal: what its buyer gave up is not paid, and its seller drops it at the next contact, also after a restart of both; the
// line of who gives up work that was done is narrower for it, until it has paid. Method: cut during the run, the job is
// cancelled, the run ends; both start again and meet; the same seller then sells another job.
test('a session lost during the run: the seller drops the due of a job that was given up', async () => {
  await using mesh = new Mesh()
  const finish = Promise.withResolvers<void>()
  const started = Promise.withResolvers<void>()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller', { before: () => { started.resolve(); return finish.promise } })
  await mesh.connect(buyer, seller)
  const gaveUp = new AbortController()
  const job = buyer.compute(ECHO, 'late', { where: 'remote', ...SMALL, signal: gaveUp.signal })
  await started.promise
  mesh.hub.cut(buyer.id, seller.id)
  gaveUp.abort()
  await assert.rejects(job, code('ERR_CANCELLED'))
  finish.resolve()
  await until(() => seller.credits().due > 0n, 'the run ends')
  assert.equal(buyer.credits().held, 0n)
  const { due } = seller.credits()
  await mesh.lose(seller)
  await mesh.lose(buyer)
  mesh.hub.heal(buyer.id, seller.id)
  const [again, there] = [await mesh.start('buyer', { serve: false }), await mesh.start('seller')]
  await mesh.connect(there, again)
  await opposite(again, there)
  assert.equal(there.credits().earned, 0n)
  assert.equal(there.explainLine(again.id).acceptable, there.explainLine(again.id).lineMax - due)
  await again.compute(ECHO, 'more', { where: 'remote', ...SMALL })
  await opposite(again, there)
  const { acceptable, lineMax, net } = there.explainLine(again.id)
  assert.ok(acceptable > lineMax - net - due && acceptable < lineMax - net)
})

// Goal: a job is paid once, wherever it is done: one that moved elsewhere costs nothing where it was, though it was answered
// there. Method: the first seller is cut off while it runs and ends the run alone; the second does the job; the first comes
// back, once as it is and once with the books it had before it heard of it.
test('a job that moved elsewhere is not paid where it was', async () => {
  await using mesh = new Mesh()
  const finish = Promise.withResolvers<void>()
  const started = Promise.withResolvers<void>()
  const buyer = await mesh.start('buyer', { serve: false })
  const first = await mesh.start('first', { before: () => { started.resolve(); return finish.promise } })
  await mesh.connect(buyer, first)
  const job = buyer.compute(ECHO, 'moved', { where: 'remote', ...SMALL })
  await started.promise
  const second = await mesh.start('second')
  await mesh.connect(buyer, second)
  mesh.hub.cut(buyer.id, first.id)
  const result = await job
  assert.equal(result.executor, second.id)
  finish.resolve()
  await until(() => first.credits().due > 0n, 'the run ends')
  const restore = await mesh.copyBooks('first')
  mesh.hub.heal(buyer.id, first.id)
  await mesh.connect(first, buyer)
  await settled(buyer, first, second)
  assert.deepEqual([buyer.credits().spent, first.credits().earned, second.credits().earned], [result.cost, 0n, result.cost])
  await mesh.lose(first)
  await restore()
  const old = await mesh.start('first')
  assert.ok(old.credits().due > 0n)
  await mesh.connect(old, buyer)
  await settled(buyer, old)
  for (const node of [buyer, old, second]) assert.deepEqual((await node.audit()).bad, [])
  assert.equal(buyer.credits().spent, result.cost)
})

// Goal: cheques that were never taken, for jobs whose receipts the seller has lost as well, come home with these.
// Method: a seller that takes no cheque sells two jobs, comes back with a copy of its books from before, and takes all.
test('a seller that lost receipts and cheques gets both again', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const deaf = await mesh.start('seller', { books: () => ({ takeCheque: async () => { throw new InosError('ERR_BUSY', 'not now') } }) })
  const restore = await mesh.copyBooks('seller')
  await mesh.connect(buyer, deaf)
  for (const input of ['one', 'two']) {
    const { spent } = buyer.credits()
    await buyer.compute(ECHO, input, { where: 'remote', ...SMALL })
    await until(() => buyer.credits().spent > spent, 'a cheque of its own for each job')
  }
  await mesh.lose(deaf)
  await restore()
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  await until(() => seller.credits().earned === buyer.credits().spent, 'both cheques taken')
  await opposite(buyer, seller)
})

// Goal: cancelling frees both sides. Method: abort while it runs, on a session that stays open.
test('a cancelled job is released by both and costs nothing', async () => {
  await using mesh = new Mesh()
  const started = Promise.withResolvers<void>()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller', {
    before: (_run, { signal }) => new Promise((_, reject) => {
      started.resolve()
      // An executor takes a moment to die.
      signal!.addEventListener('abort', () => { setTimeout(() => { reject(new InosError('ERR_CANCELLED', 'The work was cancelled.')) }, 50) })
    })
  })
  await mesh.connect(buyer, seller)
  const cancel = new AbortController()
  const job = buyer.compute(ECHO, 'x', { where: 'remote', ...SMALL, signal: cancel.signal })
  await started.promise
  cancel.abort(new Error('enough'))
  await assert.rejects(job, code('ERR_CANCELLED'))
  await settled(buyer, seller)
  assert.deepEqual([buyer.credits().spent, seller.credits().earned], [0n, 0n])
  // On an open session the seller hears of it at once.
  await until(async () => !(await Array.fromAsync(buyer.dump())).some(([key]) => key.startsWith('untold!')), 'the seller is told')
  await assert.rejects(buyer.compute(ECHO, 'x', { signal: AbortSignal.abort() }), code('ERR_CANCELLED'))
})

// Goal: credit is exact under load. Method: 300 jobs, 64 in flight, every input different; the line
// holds about 40 of them, so the others wait for their turn.
test('300 jobs with 64 in flight settle exactly', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const module = await buyer.load(ECHO)
  const limits = { fuelMax: 5_000_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 }
  let next = 0
  let cost = 0n
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (next < 300) {
      const input = `input ${next++}`
      const result = await buyer.compute(module, input, { where: 'remote', limits })
      assert.equal(result.text(), input)
      cost += result.cost
    }
  }))
  await opposite(buyer, seller)
  assert.equal(seller.credits().earned, cost)
  assert.equal(seller.runs(), 300)
})

// Goal: all at once too, on a line with room for one. Method: 64 calls in one go; each waits for those before it.
test('jobs wait for their line', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false, lineMax: 1_000_000n })
  const seller = await mesh.start('seller', { lineMax: 1_000_000n })
  await mesh.connect(buyer, seller)
  const limits = { fuelMax: 600_000_000n, memoryPagesMax: 256, outputBytesMax: 1_024 }
  const results = await Promise.all(Array.from({ length: 64 }, (_, at) => buyer.compute(ECHO, `${at}`, { where: 'remote', limits })))
  assert.deepEqual(results.map(result => result.text()), Array.from({ length: 64 }, (_, at) => `${at}`))
  assert.deepEqual(results.flatMap(({ attempts }) => attempts), [])
  await opposite(buyer, seller)
})

// Goal: what new sellers are promised together is waited for like a line, and said when it is used up. Method: 32 calls at once over two
// sellers, where there is room for one order; then no time passes and the rest of the pool is too small.
test('jobs wait for what new sellers are promised', async () => {
  await using mesh = new Mesh()
  const limits = { fuelMax: 600_000_000n, memoryPagesMax: 256, outputBytesMax: 1_024 }
  const buyer = await mesh.start('buyer', { serve: false, sellerPoolMax: 1_000_000n })
  for (const name of ['one', 'two']) await mesh.connect(buyer, await mesh.start(name))
  const results = await Promise.all(Array.from({ length: 32 }, (_, at) => buyer.compute(ECHO, `${at}`, { where: 'remote', limits })))
  assert.deepEqual(results.map(result => result.text()), Array.from({ length: 32 }, (_, at) => `${at}`))
  await assert.rejects(buyer.compute(ECHO, '', { where: 'remote', limits: { ...limits, fuelMax: 990_000_000n } }), error => {
    code('ERR_INSUFFICIENT_CREDITS')(error)
    assert.match((error as InosError).message, /promises all new sellers/)
    assert.match((error as InosError).hint!, /sellerPoolMax/)
    return true
  })
})

// Goal: what a seller gives back reaches who paid it, at once where both are up, and once. Method: sell, refund a part and then once more.
test('a refund reaches its buyer', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const { cost } = await buyer.compute(ECHO, 'x', { where: 'remote' })
  await settled(buyer, seller)
  const [{ order } = { order: '' }] = await Array.fromAsync(seller.receipts())
  assert.deepEqual(await seller.refund(order, cost - 1n), { order, peer: buyer.id, amount: cost - 1n })
  await settled(buyer, seller)
  assert.deepEqual([buyer.credits().balance, seller.credits().balance], [-1n, 1n])
  await assert.rejects(seller.refund(order), code('ERR_USAGE'))
  await assert.rejects(buyer.refund(order), code('ERR_USAGE'))
  for (const node of [buyer, seller]) assert.ok((await node.audit()).ok)
})

// Goal: budget and line say no before anything runs, and why. Method: limits above them, and amounts no job has.
test('what cannot be paid is refused before anything runs', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const there = { where: 'remote' }
  for (const costMax of [1_000n, 0n, -1n]) await assert.rejects(buyer.compute(ECHO, '', { ...there, costMax }), code('ERR_BUDGET'))
  await assert.rejects(buyer.compute(ECHO, '', { ...there, limits: { fuelMax: 10n ** 12n } }), code('ERR_BUDGET'))
  await assert.rejects(buyer.compute(ECHO, '', { ...there, limits: { fuelMax: 10n ** 12n }, costMax: 2n ** 70n }), error => {
    code('ERR_INSUFFICIENT_CREDITS')(error)
    assert.deepEqual((error as InosError).attempts.map(({ peer }) => peer), [seller.id])
    return true
  })
  assert.equal(seller.runs(), 0)
  assert.deepEqual(Object.values(buyer.credits()), [0n, 0n, 0n, 0n, 0n, 0n])
  // Enormous is no reason to hold more than the job can cost.
  assert.equal((await buyer.compute(ECHO, 'ok', { ...there, costMax: 2n ** 62n - 1n })).text(), 'ok')
})

// Goal: what is large goes by hash and comes back the same. Method: module, input and result of several MB.
test('module, input and result by reference', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  // A custom section makes the module large: id 0, length, name of length 0.
  const padding = 3_000_000
  const large = Buffer.concat([ECHO, Buffer.from([0, (padding & 127) | 128, (padding >> 7 & 127) | 128, (padding >> 14 & 127) | 128, padding >> 21]), Buffer.alloc(padding)])
  const input = new Uint8Array(randomBytes(5_000_000))
  const result = await buyer.compute(large, input, { where: 'remote', limits: { fuelMax: 100_000_000n } })
  assert.ok(Buffer.from(input).equals(result.bytes))
  await opposite(buyer, seller)
})

// Goal: a hash out of a receipt buys nobody else's bytes. Method: another payer orders an echo of an input
// it never had, by the hash alone: the seller has the bytes, asks the thief for them, and gets none.
test('inputs are found only for who brought them', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const secret = new Uint8Array(randomBytes(100_000))
  const job = { where: 'remote', limits: { fuelMax: 10_000_000n, outputBytesMax: 200_000 } }
  const bought = await buyer.compute(ECHO, secret, job)
  assert.ok(seller.stored.has((await verifyReceipt(bought.receipt)).input))
  const thief = await startRogueBuyer(mesh.hub.network(signerOf('thief').id), signerOf('thief'), seller.id, mesh.opened)
  const answer = await thief.order(ECHO, secret, packet => ({ ...packet, input: own(rawCid(secret).bytes), byReference: BY_REFERENCE.input, size: BigInt(secret.length) }))
  assert.deepEqual([answer.kind, answer.code], ['refusal', 'ERR_GONE'])
  // Who brought them needs not bring them again.
  const fetched = seller.stored.size
  await buyer.compute(ECHO, secret, job)
  assert.equal(seller.stored.size, fetched)
})

// Goal: offers are renewed and old ones still honoured while they last. Method: move the clock past renewal and expiry.
test('an expired offer is not used', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  mesh.ahead = (LIMITS.market.offerSeconds + 1) * 1000
  await assert.rejects(buyer.compute(ECHO, 'x', { where: 'remote', ...SMALL }), error => {
    code('ERR_NO_OFFER')(error)
    assert.match((error as Error).message, /expired/)
    return true
  })
  mesh.hub.cut(buyer.id, seller.id)
  mesh.hub.heal(buyer.id, seller.id)
  assert.equal((await buyer.compute(ECHO, 'x', { where: 'remote', ...SMALL })).text(), 'x')
})

// Goal: nobody named the seller, it is found by what it announced. Method: provider records of the hub.
test('a seller is found through its provider record', async () => {
  await using mesh = new Mesh()
  const seller = await mesh.start('seller')
  const buyer = await mesh.start('buyer', { serve: false })
  const results = await Promise.all(Array.from({ length: 20 }, (_, at) => buyer.compute(ECHO, `${at}`, { where: 'remote', ...SMALL })))
  assert.ok(results.every(({ executor }) => executor === seller.id))
  assert.equal((await buyer.compute(ECHO, 'named', { where: seller.id, ...SMALL })).text(), 'named')
})

// Goal: stopping ends everything. Method: stop both sides while a job runs and others wait.
test('stop ends jobs on both sides', async () => {
  await using mesh = new Mesh()
  const started = Promise.withResolvers<void>()
  const over = new AbortController()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller', { before: () => { started.resolve(); return new Promise((_, reject) => { over.signal.addEventListener('abort', () => { reject(new InosError('ERR_CANCELLED', 'The node is stopping.')) }) }) } })
  await mesh.connect(buyer, seller)
  const jobs = Array.from({ length: 5 }, () => buyer.compute(ECHO, 'x', { where: 'remote', ...SMALL }))
  const ends = jobs.map(job => assert.rejects(job, code('ERR_CANCELLED')))
  await started.promise
  await Promise.all([buyer.stop(), buyer.stop()])
  await Promise.all(ends)
  await assert.rejects(buyer.compute(ECHO, 'x'), code('ERR_CANCELLED'))
  setImmediate(() => { over.abort() })
  await seller.stop()
  assert.equal(seller.credits().due, 0n)
})
