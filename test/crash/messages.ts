/** What the campaign and its child nodes say to each other over IPC. */
import type { Lanes } from './lanes.ts'
import type { AuditReport, HistoryEntry, PeerView, ReceiptView } from '../../src/index.ts'

/** Where a node kills itself, named after what has just become true. */
export const POINTS = {
  seller: ['running', 'receipt made, not sent', 'cheque stored, not acknowledged'],
  buyer: ['order placed, not sent', 'result received, cheque not durable', 'cheque durable, not sent']
} as const
export type Role = keyof typeof POINTS
export type Point = typeof POINTS[Role][number]

/** The steps of the money protocol while jobs are traded; a node of the campaign of credits dies before or after one. */
export const STEPS = {
  buyer: ['placeOrder', 'acceptReceipt', 'nextCheque', 'takeAck', 'batch', 'synced batch'],
  seller: ['acceptOrder', 'settle', 'takeCheque', 'batch', 'synced batch']
} as const
/** And those on the way back, after a first kill has left something open. */
export const STEPS_BACK = {
  buyer: ['syncQuestions', 'answerSync', 'applySync', 'acceptReceipt', 'nextCheque', 'takeAck', 'batch', 'synced batch'],
  seller: ['syncQuestions', 'answerSync', 'applySync', 'takeCheque', 'batch', 'synced batch']
} as const
export type Step = `${'before' | 'after'} ${typeof STEPS[Role][number] | typeof STEPS_BACK[Role][number]}` | 'amid synced batch'

export interface Crash { readonly point: Point | Step, readonly nth: number }

export interface NodeOptions {
  readonly dataDir: string
  readonly sells: boolean
  readonly peers: readonly string[]
  /** Die with SIGKILL at this point, the n-th time it is reached; null: live. */
  readonly crash: Crash | null
}

/** One item bought: what the caller of `compute` got. */
export type Bought =
  | { readonly item: number, readonly ok: true, readonly text: string, readonly receiptId: string, readonly attempts: number }
  | { readonly item: number, readonly ok: false, readonly code: string, readonly attempts: number }

export interface Books { readonly audit: AuditReport, readonly history: HistoryEntry[], readonly receipts: ReceiptView[], readonly peers: PeerView[] }

export type ToNode =
  | { readonly do: 'buy', readonly items: readonly number[] }
  | { readonly do: 'connect', readonly address: string }
  /** Say so when no cheque to this peer waits for what it knows of its lane. */
  | { readonly do: 'sync', readonly peer: string }
  | { readonly do: 'books' | 'lanes' | 'rest' | 'stop' }
  | { readonly do: 'arm', readonly crash: Crash | null }
export type FromNode =
  | { readonly said: 'ready', readonly id: string, readonly addresses: string[], readonly disk: Lanes }
  | { readonly said: 'bought', readonly result: Bought }
  | { readonly said: 'all bought' | 'synced' }
  | { readonly said: 'connected', readonly error: string | null }
  | { readonly said: 'books', readonly books: Books }
  | { readonly said: 'lanes', readonly lanes: Lanes }
  /** Whether anything is held, due, owed or not acknowledged. */
  | { readonly said: 'rest', readonly open: boolean }
