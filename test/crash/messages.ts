/** What the campaign and its child nodes say to each other over IPC. */
import type { AuditReport, HistoryEntry, PeerView, ReceiptView } from '../../src/index.ts'

/** Where a node kills itself, named after what has just become true. */
export const POINTS = {
  seller: ['running', 'receipt made, not sent', 'cheque stored, not acknowledged'],
  buyer: ['order placed, not sent', 'result received, cheque not durable', 'cheque durable, not sent']
} as const
export type Role = keyof typeof POINTS
export type Point = typeof POINTS[Role][number]

/** The steps of the money protocol; a node of the campaign of credits dies before or after one. */
export const STEPS = {
  buyer: ['placeOrder', 'acceptReceipt', 'nextCheque', 'takeAck', 'syncQuestions', 'applySync', 'answerSync', 'batch', 'synced batch'],
  seller: ['acceptOrder', 'settle', 'takeCheque', 'syncQuestions', 'answerSync', 'applySync', 'batch', 'synced batch']
} as const
export type Step = `${'before' | 'after'} ${typeof STEPS[Role][number]}`

export interface Crash { readonly point: Point | Step, readonly nth: number }

export interface NodeOptions {
  readonly dataDir: string
  readonly sells: boolean
  readonly peers: readonly string[]
  /** Die with SIGKILL at this point, the n-th time it is reached; null: live. */
  readonly crash: Crash | null
  /** The disk forgets whatever was not synced. */
  readonly lossy?: boolean
}

/** One item bought: what the caller of `compute` got. */
export type Bought =
  | { readonly item: number, readonly ok: true, readonly text: string, readonly receiptId: string, readonly attempts: number }
  | { readonly item: number, readonly ok: false, readonly code: string, readonly attempts: number }

export interface Books { readonly audit: AuditReport, readonly history: HistoryEntry[], readonly receipts: ReceiptView[], readonly peers: PeerView[] }

export type ToNode = { readonly do: 'buy', readonly items: readonly number[] } | { readonly do: 'connect', readonly address: string } | { readonly do: 'books' } | { readonly do: 'stop' } | { readonly do: 'arm', readonly crash: Crash | null }
export type FromNode =
  | { readonly said: 'ready', readonly id: string, readonly addresses: string[] }
  | { readonly said: 'bought', readonly result: Bought }
  | { readonly said: 'all bought' }
  | { readonly said: 'connected' }
  | { readonly said: 'books', readonly books: Books }
