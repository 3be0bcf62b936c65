import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertSettled, factsOf, LIMITS_OF_JOB, offerOf, START, World } from '../../test/suites/credits-world.ts'
import { rawCid } from '../packet/cid.ts'

// Goal: one job moves exactly its charge, once. Method: follow the six sums through its life.
test('a job is held, owed and due, then paid', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const order = await a.order(b, 5_000_000n)
  assert.deepEqual(a.credits.balance(), { balance: 0n, held: 5_000_000n, due: 0n, owed: 0n, earned: 0n, spent: 0n })
  await using hold = await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
  assert.equal(await b.credits.storedReply(a.id, order.id.toString()), 'running')
  const { receipt, bytes } = await hold.settle(factsOf(order.id), bundle => bundle.bytes)
  const { charge } = receipt.payload
  assert.ok(charge > 100n)
  assert.deepEqual(b.credits.balance(), { balance: 0n, held: 0n, due: charge, owed: 0n, earned: 0n, spent: 0n })
  await a.credits.acceptReceipt(b.id, bytes)
  assert.deepEqual(a.credits.balance(), { balance: 0n, held: 0n, due: 0n, owed: charge, earned: 0n, spent: 0n })
  assert.deepEqual(a.credits.creditors(), [b.id])
  await a.pay(b)
  assert.deepEqual(a.credits.creditors(), [])
  assert.deepEqual(a.credits.balance(), { balance: -charge, held: 0n, due: 0n, owed: 0n, earned: 0n, spent: charge })
  assert.deepEqual(b.credits.balance(), { balance: charge, held: 0n, due: 0n, owed: 0n, earned: charge, spent: 0n })
  const [payment] = await Array.fromAsync(a.credits.history())
  assert.match(payment!.cheque, /^bafyrei/)
  const { module, outcome, fuel } = receipt.payload
  assert.deepEqual(payment, {
    at: START, direction: 'spent', peer: b.id, cheque: payment!.cheque, n: 1, order: order.id.toString(), receipt: receipt.id.toString(),
    module: module.toString(), outcome, fuel, kind: 'job', amount: charge
  })
  const [facts] = await Array.fromAsync(b.credits.receipts())
  assert.equal(facts?.role, 'sold')
  assert.equal(facts.paid, true)
  assert.deepEqual(await a.credits.bundle(receipt.id.toString()), bytes)
  assert.equal(await a.credits.bundle(rawCid(bytes).toString()), null)
  await assertSettled(a, b)
})

// Goal: what a restart brings back is what was there. Method: reopen both at every stage of a job.
test('books survive a restart at every stage', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const reopened = async (): Promise<void> => {
    for (const node of [a, b]) {
      await node.credits.close()
      const before = node.credits.balance()
      node.disk.detach()
      await node.start()
      assert.deepEqual(node.credits.balance(), before)
      assert.equal((await node.credits.audit()).ok, true)
    }
  }
  const open = await a.order(b)
  await reopened()
  assert.equal(a.credits.balance().held, open.payload.costMax)
  // Nobody waits for it any more, and the peer never had it.
  await a.buyFrom(b)
  assert.equal(a.credits.balance().held, 0n)
  await reopened()
  await a.pay(b)
  await reopened()
  await b.buyFrom(a)
  await b.pay(a)
  await reopened()
})

// Goal: the same record twice is the same as once (R3). Method: repeat each one and compare the books.
test('order, receipt, cheque and ack are taken once', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const id = await a.buyFrom(b)
  const bundle = await b.credits.storedReply(a.id, id)
  assert.ok(bundle instanceof Uint8Array)
  const owed = a.credits.balance()
  await a.credits.acceptReceipt(b.id, bundle)
  await Promise.all([a.credits.acceptReceipt(b.id, bundle), a.credits.acceptReceipt(b.id, bundle)])
  assert.deepEqual(a.credits.balance(), owed)
  const cheque = await a.credits.nextCheque(b.id)
  assert.ok(cheque)
  const answers = await Promise.all([1, 2, 3].map(() => b.credits.takeCheque(a.id, cheque.bytes)))
  assert.equal(answers[0]?.kind, 'ack')
  for (const answer of answers) assert.deepEqual(answer, answers[0])
  const paid = b.credits.balance()
  assert.deepEqual(await b.credits.takeCheque(a.id, cheque.bytes), answers[0])
  assert.deepEqual(b.credits.balance(), paid)
  for (let i = 0; i < 2; i++) if (answers[0]?.kind === 'ack') await a.credits.takeAck(b.id, answers[0].bytes)
  await a.credits.acceptReceipt(b.id, bundle)
  assert.equal(a.credits.balance().owed, 0n)
  await assertSettled(a, b)
})

// Goal: an order runs once; its repeats get the stored bytes, then "gone", and only its payer does.
// Method: repeat it while it runs, afterwards, after it was paid and has expired, and as a stranger.
test('a repeated order gets its stored answer', async () => {
  const world = new World()
  const [a, b, c] = [await world.node('a'), await world.node('b'), await world.node('c')]
  const order = await a.order(b)
  const id = order.id.toString()
  const accept = async () => await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
  {
    await using hold = await accept()
    await assert.rejects(accept, { code: 'ERR_BUSY' })
    assert.equal(await b.credits.storedReply(c.id, id), null)
    await hold.settle(factsOf(order.id), () => Uint8Array.of(7))
    await assert.rejects(hold.settle(factsOf(order.id), () => Uint8Array.of(8)), { code: 'ERR_INTERNAL' })
  }
  await assert.rejects(accept, { code: 'ERR_GONE' })
  assert.deepEqual(await b.credits.storedReply(a.id, id), Uint8Array.of(7))
  assert.equal(await b.credits.storedReply(c.id, id), null)
  world.now = order.payload.expires + 1
  await b.credits.expire()
  assert.deepEqual(await b.credits.storedReply(a.id, id), Uint8Array.of(7), 'kept until it is paid')
  await a.credits.acceptReceipt(b.id, (await b.credits.bundle((await Array.fromAsync(b.credits.receipts()))[0]!.id))!)
  await a.pay(b)
  await b.credits.expire()
  assert.equal(await b.credits.storedReply(a.id, id), 'gone')
  assert.equal(await b.credits.storedReply(c.id, id), null)
  await b.credits.close()
  assert.deepEqual([...b.disk.rows().keys()].filter(key => key.startsWith('reply!') || key.startsWith('kept!')), [])
})

// Goal: refusals leave nothing behind. Method: break each condition of an order in turn.
test('an order that does not fit is refused and moves nothing', async () => {
  const world = new World()
  const [a, b, c] = [await world.node('a'), await world.node('b'), await world.node('c')]
  const order = await a.order(b)
  const before = b.credits.balance()
  const accept = async (peer = a.id, offer = b.offer, limits = LIMITS_OF_JOB) => await b.credits.acceptOrder(peer, order, offer, limits)
  await assert.rejects(accept(c.id), { code: 'ERR_RECORD_INVALID', message: /"payer"/ })
  await assert.rejects(accept(a.id, c.offer), { code: 'ERR_RECORD_INVALID', message: /"offer"/ })
  await assert.rejects(accept(a.id, b.offer, { ...LIMITS_OF_JOB, fuelMax: 10n ** 11n }), { code: 'ERR_BUDGET' })
  await assert.rejects(c.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB), { message: /"executor"/ })
  await assert.rejects(a.order({ ...b, id: b.id, offer: c.offer } as typeof b), { message: /"executor"/ })
  const forged = { ...b.offer, bytes: offerOf(b.signer, { base: 1n }).bytes.with(200, 9) }
  await assert.rejects(a.credits.placeOrder({ executor: b.id, offer: forged, spec: rawCid(forged.bytes), costMax: 1n, seconds: 1 }), { code: 'ERR_RECORD_INVALID' })
  world.now += 3_601
  await assert.rejects(accept(), { code: 'ERR_RECORD_INVALID', message: /"expires"/ })
  assert.deepEqual(b.credits.balance(), before)
  assert.equal(b.disk.rows().size, 1)
})

// Goal: debt ≤ the line given (invariant 6): running work counts, a cheque does not end a debt, work in
// return does. Method: fill the line with running work, then with bought work, pay, then buy the other way.
test('work beyond the line is refused until work is done in return', async () => {
  const world = new World({ lineMax: 20_000_000n })
  const [a, b] = [await world.node('a'), await world.node('b')]
  const accept = async () => await b.credits.acceptOrder(a.id, await a.order(b), b.offer, LIMITS_OF_JOB)
  {
    await using _one = await accept()
    await using _two = await accept()
    await assert.rejects(accept, { code: 'ERR_INSUFFICIENT_CREDITS' })
  }
  while (b.credits.balance().due <= 10_000_000n) {
    for (let i = 0; i < 20; i++) await a.buyFrom(b).catch(error => assert.equal(error.code, 'ERR_INSUFFICIENT_CREDITS'))
  }
  await assert.rejects(accept, { code: 'ERR_INSUFFICIENT_CREDITS' })
  assert.ok(b.credits.balance().due <= 20_000_000n)
  await a.pay(b)
  assert.equal(b.credits.balance().due, 0n)
  await assert.rejects(accept, { code: 'ERR_INSUFFICIENT_CREDITS' })
  await b.buyFrom(a)
  await b.buyFrom(a)
  await (await accept()).release()
})

// Goal: strangers together leave unpaid at most the pool, and time refills it. Method: one job each by many names.
test('names cost nothing and get nothing beyond the pool', async () => {
  const world = new World({ lineMax: 10_000_000n, poolMax: 25_000_000n, poolPerHour: 3_600_000n })
  const b = await world.node('b')
  let unpaid = 0n
  const tryAll = async (round: string): Promise<void> => {
    for (let i = 0; i < 300; i++) {
      const stranger = await world.node(`${round} ${i}`)
      await stranger.buyFrom(b).catch(error => assert.equal(error.code, 'ERR_INSUFFICIENT_CREDITS'))
    }
    assert.ok(b.credits.balance().due > unpaid)
    unpaid = b.credits.balance().due
  }
  await tryAll('first')
  assert.ok(unpaid <= 25_000_000n && unpaid > 14_000_000n)
  world.now += 1_000
  await tryAll('later')
  assert.ok(unpaid <= 26_000_000n)
  // A fault of the host counts as well.
  world.now += 10_000
  const [c, d] = [await world.node('c'), await world.node('d')]
  const hold = await b.credits.acceptOrder(c.id, await c.order(b), b.offer, LIMITS_OF_JOB)
  await hold.release(10_000_000n)
  await hold.release(10_000_000n)
  const free: unknown[] = []
  for (let i = 0; i < 2; i++) free.push(await b.credits.acceptOrder(d.id, await d.order(b), b.offer, LIMITS_OF_JOB).catch(error => error.code))
  assert.equal(free[1], 'ERR_INSUFFICIENT_CREDITS')
})

// Goal: work that dies half-way costs nobody anything. Method: throw inside the scope of a hold, count.
test('a hold left open is released', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const order = await a.order(b)
  const run = async (): Promise<void> => {
    await using hold = await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
    await hold.settle({ ...factsOf(order.id), fuel: 10n ** 12n }, bundle => bundle.bytes)
  }
  await assert.rejects(run, { code: 'ERR_INTERNAL' })
  assert.equal(b.credits.balance().due, 0n)
  assert.equal(await b.credits.storedReply(a.id, order.id.toString()), null)
  await a.credits.refuseOrder(order.id.toString())
  await a.credits.refuseOrder(order.id.toString())
  await assertSettled(a, b)
})

// Goal: a lost order ends (invariant 5). Method: let it expire; then its receipt comes after all and is still paid once.
test('an expired hold is released, a late receipt is paid', async () => {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  const order = await a.order(b)
  await using hold = await b.credits.acceptOrder(a.id, order, b.offer, LIMITS_OF_JOB)
  world.now = order.payload.expires + 600
  assert.deepEqual(await a.credits.expire(), [])
  world.now++
  assert.deepEqual(await a.credits.expire(), [order.id.toString()])
  assert.equal(a.credits.balance().held, 0n)
  const { bytes, receipt } = await hold.settle(factsOf(order.id), bundle => bundle.bytes)
  await a.credits.acceptReceipt(b.id, bytes)
  await a.credits.acceptReceipt(b.id, bytes)
  assert.equal(a.credits.balance().owed, receipt.payload.charge)
  await a.pay(b)
  await assertSettled(a, b)
})

// Goal: a job of one's own is provable and free. Method: record one, read it back, audit.
test('a job of one’s own moves nothing', async () => {
  const world = new World()
  const a = await world.node('a')
  const { receipt, bytes, selfExecuted } = await a.credits.recordOwn(rawCid(Uint8Array.of(1)), factsOf('own'))
  assert.equal(selfExecuted, true)
  assert.deepEqual(await a.credits.bundle(receipt.id.toString()), bytes)
  assert.deepEqual((await Array.fromAsync(a.credits.receipts())).map(({ role, peer, paid }) => ({ role, peer, paid })), [{ role: 'own', peer: a.id, paid: true }])
  const audit = await a.credits.audit()
  assert.deepEqual([audit.ok, audit.records, audit.balance], [true, 1, 0n])
  await assert.rejects(a.credits.acceptReceipt(a.id, bytes), { code: 'ERR_USAGE' })
})

// Goal: many receipts ride on one cheque. Method: 1,030 jobs, then pay: two cheques.
test('one cheque pays for up to 1,024 receipts', async () => {
  const world = new World({ lineMax: 10n ** 12n, poolMax: 10n ** 12n })
  const [a, b] = [await world.node('a'), await world.node('b')]
  for (let i = 0; i < 1_030; i++) await a.buyFrom(b)
  await a.pay(b)
  assert.equal((await Array.fromAsync(a.credits.history())).length, 1_024)
  await a.pay(b)
  assert.equal(await a.credits.nextCheque(b.id), null)
  await assertSettled(a, b)
})

// Goal: another schema is not touched. Method: write a foreign version and open.
test('books of another version are refused', async () => {
  const world = new World()
  const a = await world.node('a')
  await a.credits.close()
  for (const version of ['4', '0', '1.0', 'one', '']) {
    a.disk.damage('version', new TextEncoder().encode(version))
    await assert.rejects(a.start(), { code: 'ERR_DATA_DIR' })
  }
})
