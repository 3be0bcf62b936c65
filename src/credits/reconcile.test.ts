/** A lie about a lane: convicted where it is certain, and never an honest peer that has lost its books. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS_OF_JOB, type Node, World } from '../../test/suites/credits-world.ts'
import { openEnvelope, seal, type Sealed } from '../packet/envelope.ts'
import { checkCheque, type Cheque, type Head } from '../packet/records.ts'
import { KEYS } from './store.ts'
import { decodeQuestion, encodeAnswer } from './sync.ts'

/** Two nodes, and both cheques that a has paid b with. */
async function paidTwice (): Promise<{ a: Node, b: Node, cheques: Sealed<Cheque>[] }> {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  for (const _ of [1, 2]) {
    await a.buyFrom(b)
    await a.pay(b)
  }
  return { a, b, cheques: [1, 2].map(n => openEnvelope(b.disk.rows().get(KEYS.in(a.id, n))!, 'cheque', checkCheque)) }
}

/** What b answers a's question when it signs to hold nothing after `cheque`, and brings nothing back. */
async function answerOf (a: Node, b: Node, { id, payload: { n } }: Sealed<Cheque>): Promise<Uint8Array> {
  const [question] = await a.credits.syncQuestions(b.id)
  const { nonce } = decodeQuestion(question!)
  const head = seal<Head>('head', { net: null, from: a.signer.publicKey, to: b.signer.publicKey, epoch: 0, n, cheque: id, nonce }, b.signer)
  return encodeAnswer({ n, last: id, head: head.bytes, cheques: [], receipts: [], kept: [], lacking: [], done: [], running: [], unknown: [] })
}

// Goal: who signs to hold fewer cheques than it signed to hold before, while their author lacks them, is caught, and stays so.
// Method: empty books at the author; the payee names both cheques and withholds them, then signs that there is one.
test('a payee that hides cheques from their author is barred', async () => {
  const { a, b, cheques: [first, second] } = await paidTwice()
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
    assert.match(reasons[0]!, /hid cheques/)
    await assert.rejects(a.order(b), { code: 'ERR_POLICY' })
    assert.equal(await a.credits.nextCheque(b.id), null)
    await assert.rejects(a.credits.acceptOrder(b.id, await b.order(a), a.offer, LIMITS_OF_JOB), { code: 'ERR_POLICY' })
  }
})

// Goal: an honest payee with an old copy of its books is no liar. Method: it has lost both cheques and says so; it gets them again.
test('a payee that has lost its books is not barred', async () => {
  const { a, b } = await paidTwice()
  b.disk.restore(new Map())
  await b.start()
  await a.meet(b)
  assert.ok(a.credits.explain(b.id).lineMax > 0n)
  await a.buyFrom(b)
  assert.notEqual(await a.credits.nextCheque(b.id), null)
})
