/** What the campaign and its child nodes say to each other over IPC. */
import type { AuditReport, HistoryEntry, PeerView, ReceiptView } from '../../src/index.ts'

/** Where a node kills itself, named after what has just become true. */
export const POINTS = {
  seller: ['running', 'receipt made, not sent', 'cheque stored, not acknowledged'],
  buyer: ['order placed, not sent', 'result received, cheque not durable', 'cheque durable, not sent']
} as const
export type Role = keyof typeof POINTS
export type Point = typeof POINTS[Role][number]

export interface NodeOptions {
  readonly dataDir: string
  readonly sells: boolean
  readonly peers: readonly string[]
  /** Die with SIGKILL at this point, the n-th time it is reached; null: live. */
  readonly crash: { readonly point: Point, readonly nth: number } | null
}

/** One item bought: what the caller of `compute` got. */
export type Bought =
  | { readonly item: number, readonly ok: true, readonly text: string, readonly receiptId: string, readonly attempts: number }
  | { readonly item: number, readonly ok: false, readonly code: string, readonly attempts: number }

export interface Books { readonly audit: AuditReport, readonly history: HistoryEntry[], readonly receipts: ReceiptView[], readonly peers: PeerView[] }

export type ToNode = { readonly do: 'buy', readonly items: readonly number[] } | { readonly do: 'connect', readonly address: string } | { readonly do: 'books' } | { readonly do: 'stop' }
export type FromNode =
  | { readonly said: 'ready', readonly id: string, readonly addresses: string[] }
  | { readonly said: 'bought', readonly result: Bought }
  | { readonly said: 'all bought' }
  | { readonly said: 'connected' }
  | { readonly said: 'books', readonly books: Books }
