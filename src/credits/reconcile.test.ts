/** A lie about a lane: convicted where it is certain, and never an honest peer that has lost its books. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS_OF_JOB, type Node, World } from '../../test/suites/credits-world.ts'
import { openEnvelope, seal, type Sealed } from '../packet/envelope.ts'
import { checkCheque, type Cheque, type Head } from '../packet/records.ts'
import { KEYS } from './store.ts'
import { decodeQuestion, encodeAnswer } from './sync.ts'

/** Two nodes, and the cheques that a has paid b with. */
async function paid (times: number): Promise<{ a: Node, b: Node, cheques: Sealed<Cheque>[] }> {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  for (let i = 0; i < times; i++) {
    await a.buyFrom(b)
    await a.pay(b)
  }
  return { a, b, cheques: Array.from({ length: times }, (_, i) => i + 1).map(n => openEnvelope(b.disk.rows().get(KEYS.in(a.id, n))!, 'cheque', checkCheque)) }
}

/** What b answers a's question when it signs to hold nothing after `cheque`, and brings back what it is told to. */
async function answerOf (a: Node, b: Node, { id, payload: { n } }: Sealed<Cheque>, back: readonly Sealed<Cheque>[] = []): Promise<Uint8Array> {
  const [question] = await a.credits.syncQuestions(b.id)
  const { nonce } = decodeQuestion(question!)
  const head = seal<Head>('head', { net: null, from: a.signer.publicKey, to: b.signer.publicKey, epoch: 0, n, cheque: id, nonce }, b.signer)
  return encodeAnswer({ n, last: id, head: head.bytes, cheques: back.map(({ bytes }) => bytes), receipts: [], kept: [], lacking: [], done: [], running: [], unknown: [] })
}

// Goal: who signs to hold fewer cheques than it signed to hold before, while their author lacks them, is caught, and stays so.
// Method: empty books at the author; the payee names both cheques and withholds them, then signs that there is one.
test('a payee that hides cheques from their author is barred', async () => {
  const { a, b, cheques: [first, second] } = await paid(2)
  a.disk.restore(new Map())
  await a.start()
  await assert.rejects(a.credits.applySync(b.id, await answerOf(a, b, second!)), { code: 'ERR_RECORD_INVALID' })
  assert.equal(a.credits.explain(b.id).lineMax > 0n, true)
  await assert.rejects(a.credits.applySync(b.id, await answerOf(a, b, first!)), { code: 'ERR_POLICY' })
  for (const start of [false, true]) {
    if (start) {
      await a.credits.close()
      a.disk.detach()
      await a.start()
    }
    const { lineMax, acceptable, spendable, reasons } = a.credits.explain(b.id)
    assert.deepEqual([lineMax, acceptable, spendable], [0n, 0n, 0n])
    assert.match(reasons[0]!, /proof of fraud/)
    assert.equal(a.credits.isFraud(b.id), true)
    const [fraud, ...more] = await Array.fromAsync(a.credits.frauds())
    assert.deepEqual([fraud?.kind, fraud?.peer, fraud?.witness, more.length], ['head', b.id, a.id, 0])
    assert.equal((await a.credits.audit()).bad.length, 0)
    await assert.rejects(a.order(b), { code: 'ERR_POLICY' })
    assert.equal(await a.credits.nextCheque(b.id), null)
    await assert.rejects(a.credits.acceptOrder(b.id, await b.order(a), a.offer, LIMITS_OF_JOB), { code: 'ERR_POLICY' })
  }
})

// Goal: a cheque that was there when its payee denied it convicts, too. Method: an author with an old copy of its books is told that
// there is one cheque, goes on from there, and is then shown the third one it had lost.
test('a payee that shows a cheque it denied is barred', async () => {
  const { a, b, cheques: [first, , third] } = await paid(3)
  a.disk.restore(new Map())
  await a.start()
  await a.credits.applySync(b.id, await answerOf(a, b, first!, [first!]))
  assert.ok(a.credits.isSynced(b.id))
  await a.buyFrom(b)
  assert.notEqual(await a.credits.nextCheque(b.id), null)
  await assert.rejects(a.credits.applySync(b.id, await answerOf(a, b, third!, [third!])), { code: 'ERR_POLICY' })
  const [fraud] = await Array.fromAsync(a.credits.frauds())
  assert.deepEqual([fraud?.kind, fraud?.peer, fraud?.witness], ['hidden', b.id, a.id])
})

// Goal: an honest payee with an old copy of its books is no liar. Method: it has lost both cheques and says so; it gets them again.
test('a payee that has lost its books is not barred', async () => {
  const { a, b } = await paid(2)
  b.disk.restore(new Map())
  await b.start()
  await a.meet(b)
  assert.ok(a.credits.explain(b.id).lineMax > 0n)
  await a.buyFrom(b)
  assert.notEqual(await a.credits.nextCheque(b.id), null)
})
