/**
 * What the books tell a reader: every payment, and every receipt. Read from disk row by row, so
 * that a long history needs no memory. A row that cannot be read is left out; the audit names it.
 */
import { equals } from 'multiformats/bytes'
import { openEnvelope, type Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { checkCheque, type Cheque, type ChequeItem } from '../packet/records.ts'
import type { Books } from './books.ts'
import { type BundleRecords, readBundle } from './bundle.ts'
import { KEYS } from './store.ts'
import type { HistoryEntry, ReceiptView } from './views.ts'

export async function * history (books: Books): AsyncIterable<HistoryEntry> {
  for (const [prefix, direction] of [['in', 'earned'], ['out', 'spent']] as const) {
    const rows = await books.journal.look(() => books.journal.rows(prefix))
    for await (const [key, bytes] of rows) {
      const cheque = readable(() => openEnvelope(bytes, 'cheque', checkCheque))
      if (cheque === null) continue
      const peer = key.split('!')[1]!
      for (const item of cheque.payload.items) yield await entry(books, direction, peer, cheque, item)
    }
  }
}

async function entry ({ journal }: Books, direction: HistoryEntry['direction'], peer: string, { id, payload: { n } }: Sealed<Cheque>, item: ChequeItem): Promise<HistoryEntry> {
  const order = item.order.toString()
  const bundle = await journal.read(KEYS.receipt(order))
  const receipt = bundle === undefined ? null : readable(() => readBundle(bundle).receipt.id.toString())
  return { direction, peer, cheque: id.toString(), n, order, receipt: receipt ?? '', amount: item.amount, kind: item.kind }
}

export async function * receipts (books: Books): AsyncIterable<ReceiptView> {
  const rows = await books.journal.look(() => books.journal.rows('receipt'))
  for await (const [, bytes] of rows) {
    const records = readable(() => readBundle(bytes))
    if (records !== null) yield factsOf(books, records)
  }
}

function factsOf ({ ledger, signer }: Books, { receipt, order }: BundleRecords): ReceiptView {
  const { payer, executor, module, outcome, exitCode, fuel, charge } = receipt.payload
  const isPayer = equals(payer, signer.publicKey)
  const role = isPayer && equals(executor, signer.publicKey) ? 'own' : isPayer ? 'bought' : 'sold'
  const peer = role === 'own' ? signer.id : peerIdOfKey(isPayer ? executor : payer)
  const unpaid = role !== 'own' && ledger.line(peer)[isPayer ? 'owed' : 'due'].has(order.id)
  return {
    id: receipt.id.toString(), order: order.id.toString(), module: module.toString(), role, peer, outcome, exitCode, fuel, charge, paid: !unpaid
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
