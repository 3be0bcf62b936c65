/**
 * What the books tell a reader: every payment, every receipt, every proof of fraud. Read from disk row by row, so
 * that a long history needs no memory. A row that cannot be read is left out; the audit names it.
 */
import { equals } from 'multiformats/bytes'
import { RELAYED } from '../packet/cid.ts'
import { openEnvelope } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { checkCheque } from '../packet/records.ts'
import type { Books } from './books.ts'
import { type BundleRecords, readBundle } from './bundle.ts'
import { openFraud } from './frauds.ts'
import { KEYS } from './store.ts'
import type { FraudView, HistoryEntry, ReceiptView } from './views.ts'

export async function * history (books: Books): AsyncIterable<HistoryEntry> {
  const { journal } = books
  const rows = await journal.look(() => journal.rows('paid'))
  for await (const [key] of rows) {
    const [, at, lane, peer, n] = key.split('!') as [string, string, 'in' | 'out', string, string]
    const bytes = await journal.read(KEYS[lane](peer, Number.parseInt(n, 16)))
    const cheque = bytes === undefined ? null : readable(() => openEnvelope(bytes, 'cheque', checkCheque))
    if (cheque === null) continue
    const of = { at: Number.parseInt(at, 16) || null, direction: lane === 'in' ? 'earned' as const : 'spent' as const, peer, cheque: cheque.id.toString(), n: cheque.payload.n }
    for (const { order, amount, kind } of cheque.payload.items) {
      const job = await jobOf(books, order.toString())
      yield { ...of, order: order.toString(), ...job, kind: kind === 'job' && job.module === RELAYED.toString() ? 'relay' : kind, amount }
    }
  }
}

async function jobOf ({ journal }: Books, order: string): Promise<Pick<HistoryEntry, 'receipt' | 'module' | 'outcome' | 'fuel'>> {
  const bytes = await journal.read(KEYS.receipt(order))
  const records = bytes === undefined ? null : readable(() => readBundle(bytes))
  if (records === null) return { receipt: '', module: '', outcome: '', fuel: null }
  const { id, payload: { module, outcome, fuel } } = records.receipt
  return { receipt: id.toString(), module: module.toString(), outcome, fuel }
}

/** Each is checked again: what does not hold is left out. */
export async function * frauds ({ journal, verify }: Books): AsyncIterable<FraudView> {
  const rows = await journal.look(() => journal.rows('fraud'))
  for await (const [, bytes] of rows) {
    const fraud = readable(() => openFraud(bytes, verify))
    if (fraud === null) continue
    const { id, peer, kind, witness, first, second } = fraud
    yield { id: id.toString(), peer, kind, witness, first: first.id.toString(), second: second.id.toString(), bytes }
  }
}

export async function * receipts (books: Books): AsyncIterable<ReceiptView> {
  const rows = await books.journal.look(() => books.journal.rows('receipt'))
  for await (const [, bytes] of rows) {
    const records = readable(() => readBundle(bytes))
    if (records !== null) yield await factsOf(books, records)
  }
}

async function factsOf ({ ledger, journal, signer }: Books, { receipt, order }: BundleRecords): Promise<ReceiptView> {
  const { payer, executor, module, outcome, exitCode, fuel, charge } = receipt.payload
  const isPayer = equals(payer, signer.publicKey)
  const role = isPayer && equals(executor, signer.publicKey) ? 'own' : isPayer ? 'bought' : 'sold'
  const peer = role === 'own' ? signer.id : peerIdOfKey(isPayer ? executor : payer)
  const unpaid = role !== 'own' && ledger.line(peer)[isPayer ? 'owed' : 'due'].has(order.id)
  const givenUp = role === 'sold' && !unpaid && await journal.read(KEYS.cancel(order.id.toString())) !== undefined
  return {
    id: receipt.id.toString(), order: order.id.toString(), module: module.toString(), role, peer, outcome, exitCode, fuel, charge, paid: !unpaid && !givenUp, givenUp
  }
}

function readable<T> (read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof InosError) return null
    throw error
  }
}
