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

/** One job on one cheque. */
export interface Entry {
  readonly direction: 'earned' | 'spent'
  /** PeerId. */
  readonly peer: string
  /** The signed cheque, CID as text, and its number on its lane. */
  readonly cheque: string
  readonly n: number
  /** CIDs as text. */
  readonly order: string
  readonly receipt: string
  /** µcr. */
  readonly amount: bigint
}

export interface ReceiptFacts {
  /** CIDs as text. */
  readonly id: string
  readonly order: string
  readonly module: string
  readonly role: 'own' | 'bought' | 'sold'
  /** PeerId of the other party; this node's own for a job of one's own. */
  readonly peer: string
  readonly outcome: string
  readonly exitCode: number | null
  readonly fuel: bigint
  /** µcr. */
  readonly charge: bigint
  /** It is on a cheque, or needs none. */
  readonly paid: boolean
}

export async function * history (books: Books): AsyncIterable<Entry> {
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

async function entry ({ journal }: Books, direction: Entry['direction'], peer: string, { id, payload: { n } }: Sealed<Cheque>, item: ChequeItem): Promise<Entry> {
  const order = item.order.toString()
  const bundle = await journal.read(KEYS.receipt(order))
  const receipt = bundle === undefined ? null : readable(() => readBundle(bundle).receipt.id.toString())
  return { direction, peer, cheque: id.toString(), n, order, receipt: receipt ?? '', amount: item.amount }
}

export async function * receipts (books: Books): AsyncIterable<ReceiptFacts> {
  const rows = await books.journal.look(() => books.journal.rows('receipt'))
  for await (const [, bytes] of rows) {
    const records = readable(() => readBundle(bytes))
    if (records !== null) yield factsOf(books, records)
  }
}

function factsOf ({ ledger, signer }: Books, { receipt, order }: BundleRecords): ReceiptFacts {
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
