import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { Disk, factsOf, LIMITS_OF_JOB, offerOf, signerOf, START } from '../../test/suites/credits-world.ts'
import { verify } from '../node/keys.ts'
import { rawCid } from '../packet/cid.ts'
import { LIMITS } from '../packet/limits.ts'
import { createCredits } from './credits.ts'
import { Pool } from './pool.ts'
import { Replies } from './replies.ts'
import { Journal, put, type Store } from './store.ts'

const value = Uint8Array.of(1)

// Goal: under load one write to disk carries many commands, in order, and none is lost. Method: count batches of a
// store that takes its time.
test('commands that wait share one batch', async () => {
  const batches: { keys: string[], sync: boolean }[] = []
  const store: Store = {
    get: async () => undefined,
    batch: async (ops, { sync }) => { await new Promise(resolve => setImmediate(resolve)); batches.push({ keys: ops.map(({ key }) => key), sync }) },
    iterator: () => (async function * () {})()
  }
  const journal = new Journal(store, signerOf('a'))
  const done = [journal.commit([put('a', value)]), journal.commit([put('b', value)], true), journal.commit([put('c', value), { type: 'del', key: 'b' }])]
  assert.deepEqual(await journal.read('c'), value, 'what is not on disk yet is read all the same')
  assert.equal(await journal.read('b'), undefined)
  await Promise.all(done)
  assert.deepEqual(batches, [{ keys: ['a'], sync: false }, { keys: ['b', 'c'], sync: true }])
})

// Goal: a queued write that fails is told at once, though nobody waited for it, and noticed by whoever comes next. Method: a disk that fails once.
test('after a failed write nothing more is taken', async () => {
  let writes = 0
  const batch = async (): Promise<void> => { if (writes++ === 0) throw new Error('full') }
  const journal = new Journal({ get: async () => undefined, batch, iterator: () => (async function * () {})() }, signerOf('a'))
  await journal.commit([put('a', value)])
  assert.equal((await journal.broken).code, 'ERR_STORE', 'before any other command')
  await assert.rejects(journal.written(), { code: 'ERR_STORE' })
  await assert.rejects(journal.commit([put('b', value)]), { code: 'ERR_STORE' })
  await assert.rejects(journal.look(() => {}), { code: 'ERR_STORE' })
  assert.equal(writes, 1)
})

// Goal: only what must be durable waits for the disk, and never does more wait than has room. Method: a disk that
// takes nothing until it is told.
test('what need not be durable waits for nothing, until too much waits', async () => {
  const disk = Promise.withResolvers<void>()
  const journal = new Journal({ get: async () => undefined, batch: () => disk.promise, iterator: () => (async function * () {})() }, signerOf('a'))
  const ended: string[] = []
  const note = (name: string, work: Promise<unknown>): Promise<unknown> => work.then(() => ended.push(name))
  await journal.commit([put('a', value)])
  const record = await journal.commitSealed('note', { n: 1 }, ({ bytes }) => [put('b', bytes)])
  assert.deepEqual(await journal.read('b'), record.bytes)
  const waiting = [note('durable', journal.commit([put('c', value)], true))]
  waiting.push(note('crowded', journal.commit(Array.from({ length: LIMITS.credits.rowsWaitingMax }, (_, i) => put(`d${i}`, value)))))
  waiting.push(note('sealed', journal.commitSealed('note', { n: 2 }, ({ bytes }) => [put('e', bytes)])))
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(ended, [])
  disk.resolve()
  await Promise.all(waiting)
  assert.deepEqual(ended.toSorted(), ['crowded', 'durable', 'sealed'])
})

// Goal: who looks at the disk sees everything committed before, nothing after. Method: look between two commits.
test('a look sees exactly what was committed before it', async () => {
  const disk = new Disk()
  const journal = new Journal(disk.attach(), signerOf('a'))
  for (const before of [[], ['a'], ['a', 'b']]) {
    const commits = before.map(key => journal.commit([put(key, value)]))
    const seen = journal.look(() => [...disk.rows().keys()])
    commits.push(journal.commit([put(`later ${before.length}`, value)]))
    const keys = await seen
    for (const key of before) assert.ok(keys.includes(key))
    assert.ok(!keys.includes(`later ${before.length}`) || before.length === 0)
    await Promise.all(commits)
  }
  await assert.rejects(journal.commit([put('d', value)]).then(async () => await journal.look(() => { throw new Error('mine') })), { message: 'mine' })
  void journal.commit([put('e', value)])
  await assert.rejects(journal.look(() => { throw new Error('mine') }), { message: 'mine' })
  await journal.commit([put('f', value)])
})

// Goal: the room runs on the databases it is made for. Method: one job and a restart on memory-level, and on
// classic-level on a real disk.
test('books open on memory-level and classic-level', async () => {
  const path = mkdtempSync(join(tmpdir(), 'inos-books-'))
  try {
    for (const store of [new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' }), new ClassicLevel<string, Uint8Array>(path, { valueEncoding: 'view' })]) {
      const [a, b] = [signerOf('a'), signerOf('b')]
      const open = async () => await createCredits({ store, signer: a, verify, now: () => START, randomBytes: length => new Uint8Array(length) })
      const seller = await createCredits({ store: new Disk().attach(), signer: b, verify, now: () => START, randomBytes: length => new Uint8Array(length) })
      const credits = await open()
      const offer = offerOf(b)
      const order = await credits.placeOrder({ executor: b.id, offer, spec: rawCid(value), costMax: 10_000_000n, seconds: 60 })
      await using hold = await seller.acceptOrder(a.id, order, offer, LIMITS_OF_JOB)
      await credits.acceptReceipt(b.id, (await hold.settle(factsOf('x'), bundle => bundle.bytes)).bytes)
      assert.equal(await credits.nextCheque(b.id), null, 'no cheque before the peer has said what it holds')
      const [question] = await credits.syncQuestions(b.id)
      await credits.applySync(b.id, await seller.answerSync(a.id, question!))
      const cheque = await credits.nextCheque(b.id)
      assert.equal((await seller.takeCheque(a.id, cheque!.bytes)).kind, 'ack')
      const before = credits.balance()
      assert.ok(before.spent > 0n)
      const again = await open()
      assert.deepEqual(again.balance(), before)
      assert.equal((await again.audit()).ok, true)
      await store.close()
    }
  } finally {
    rmSync(path, { recursive: true })
  }
})

// Goal: stored answers are bounded in number and bytes, oldest first. Method: small bounds, then a restart.
test('the oldest answers go first', () => {
  const replies = new Replies(3, 100)
  const names = (): string[] => ['a', 'b', 'c', 'd', 'e'].filter(name => replies.payer(name) !== undefined)
  const ops = ['a', 'b', 'c', 'd'].flatMap((name, i) => replies.add(name, 'peer', 50, new Uint8Array(10), i))
  assert.deepEqual(names(), ['b', 'c', 'd'])
  assert.deepEqual(ops.filter(({ type }) => type === 'del').map(({ key }) => key), ['reply!a', 'kept!a'])
  replies.add('e', 'peer', 70, new Uint8Array(90), 5)
  assert.deepEqual(names(), ['d', 'e'])
  assert.throws(() => replies.add('f', 'peer', 50, new Uint8Array(5_000_000), 6), { code: 'ERR_INTERNAL' })
  const restored = new Replies(3, 100)
  restored.restore(ops.filter(op => op.type === 'put' && op.key.startsWith('kept!')).map(op => [op.key.slice(5), op.type === 'put' ? op.value : value] as const).toReversed())
  restored.add('e', 'peer', 50, new Uint8Array(10), 9)
  assert.equal(restored.payer('a'), undefined)
  assert.equal(restored.payer('b'), undefined, 'order is by age, not by name')
  assert.equal(restored.payer('d'), 'peer')
  assert.deepEqual(replies.expire(60, order => order === 'e').map(({ key }) => key), ['reply!d', 'kept!d'])
  assert.deepEqual(replies.expire(80, order => order === 'e'), [])
  assert.throws(() => restored.restore([['x', value]]), { code: 'ERR_STORE' })
})

// Goal: the pool's level is what strangers left unpaid, less what time forgave. Method: a seeded walk with a clock
// that also goes back; unpaid work never passes size + rate · time.
test('the pool never lets more go than its size and its rate', () => {
  const pool = new Pool(1_000n, 3_600n)
  pool.raise(600n, 0)
  assert.equal(pool.free(100n, 0), 300n)
  assert.equal(pool.free(0n, 100), 500n)
  assert.equal(pool.free(0n, 50), 500n, 'a clock set back forgives nothing')
  pool.lower(10_000n, 100)
  assert.equal(pool.free(0n, 100), 1_000n)
  let [now, unpaid, state] = [100, 0n, 7]
  const random = (below: number): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % below
  for (let i = 0; i < 5_000; i++) {
    now += random(3) === 0 ? random(50) - 10 : 0
    const amount = BigInt(random(300))
    if (random(2) === 0 && amount <= pool.free(0n, now)) {
      pool.raise(amount, now)
      unpaid += amount
    } else if (random(4) === 0 && unpaid > 0n) {
      const paid = amount < unpaid ? amount : unpaid
      pool.lower(paid, now)
      unpaid -= paid
    }
    assert.ok(unpaid <= 1_000n + 3_600n * BigInt(now + 5_000 * 10) / 3_600n)
  }
  const copy = new Pool(1_000n, 3_600n)
  copy.restore(pool.encode())
  assert.equal(copy.free(0n, now), pool.free(0n, now))
  assert.throws(() => copy.restore(Uint8Array.of(0x80)), { code: 'ERR_STORE' })
})
