/** What the books show: plain shapes without records or keys, for programs and people. All amounts µcr. */

/** `balance` = earned − spent, settled records only, plus what the issuer of a mesh granted (less, at the issuer); it may be negative. */
export interface Balance {
  balance: bigint
  /** Most that orders still open can cost. */
  held: bigint
  /** Earned, not yet paid. */
  due: bigint
  /** Mine to pay. */
  owed: bigint
  earned: bigint
  spent: bigint
}

/** In a private mesh: what this node has at the issuer, as far as it knows. */
export interface AccountView {
  /** PeerId. */
  readonly issuer: string
  /** Granted, earned and cleared in, less what was cleared out. */
  readonly cleared: bigint
  /** Of that and what comes, not yet spent, owed or held. */
  readonly free: bigint
  /** Cheques of others that the issuer has yet to clear, bounced ones included. */
  readonly uncleared: bigint
  /** This node's own cheques that the issuer has yet to clear, as far as it was told. */
  readonly promised: bigint
}

/** One peer's line. */
export interface LineView {
  /** What the peer would still accept from this node. */
  readonly spendable: bigint
  readonly due: bigint
  readonly owed: bigint
  readonly earned: bigint
  readonly spent: bigint
}

/** One job on one cheque. */
export interface HistoryEntry {
  /** When the cheque was written or taken here, unix seconds; null where these books do not know it. */
  readonly at: number | null
  readonly direction: 'earned' | 'spent'
  /** PeerId. */
  readonly peer: string
  /** The signed cheque, CID as text, and its number on its lane. */
  readonly cheque: string
  readonly n: number
  /** CIDs as text. */
  readonly order: string
  readonly receipt: string
  /** What it was for: the module's CID, how its run ended, the fuel it burnt; empty and null when the receipt cannot be read. */
  readonly module: string
  readonly outcome: string
  readonly fuel: bigint | null
  /** Why it was paid: `job`, `relay` for bytes that were relayed, or `refund`; from the issuer of a mesh also `grant` and `clearing`, which name a certificate and a clearing in place of an order. */
  readonly kind: string
  readonly amount: bigint
}

/** What is given back of a sold order. */
export interface RefundView {
  /** CID as text, and PeerId of who gets it. */
  readonly order: string
  readonly peer: string
  readonly amount: bigint
}

/** A proof of fraud that these books keep. */
export interface FraudView {
  /** CID as text. */
  readonly id: string
  /** PeerId of who cheated. */
  readonly peer: string
  /** Two cheques with one number, two receipts for one job, a head that names fewer cheques than one before, a cheque that a head denied. */
  readonly kind: 'cheque' | 'receipt' | 'head' | 'hidden'
  /** The two records, CIDs as text. */
  readonly first: string
  readonly second: string
  /** PeerId of the only one whom it convinces, who knows which record came first; null: anybody. */
  readonly witness: string | null
  /** The proof as a file. */
  readonly bytes: Uint8Array
}

/** One line with its reasons. */
export interface LineReport extends LineView {
  readonly peer: string
  /** Most the peer may owe this node, in a mesh before its issuer has cleared it: zero once there is proof of fraud. */
  readonly lineMax: bigint
  /** What the peer owes in all, cheques included, less what this node owes it; negative the other way. */
  readonly net: bigint
  /** Most that open orders at the peer, and its orders running here, can cost. */
  readonly held: bigint
  readonly running: bigint
  /** What this node would still accept from the peer, and what its pool for all strangers has left of how much. */
  readonly acceptable: bigint
  readonly poolFree: bigint
  readonly poolMax: bigint
  /** What this node has paid and owes it; and what is left of how much that this node promises all sellers that are new to it. */
  readonly sold: bigint
  readonly sellerPoolFree: bigint
  readonly sellerPoolMax: bigint
  /** Cheques it has not acknowledged. */
  readonly unacked: number
  readonly frauds: number
  /** When both last compared their books, unix seconds; null for not since this node started. */
  readonly synced: number | null
  /** The same as sentences. */
  readonly reasons: readonly string[]
}

/** Facts of a stored receipt. */
export interface ReceiptView {
  /** CIDs as text. */
  readonly id: string
  readonly order: string
  readonly module: string
  readonly role: 'own' | 'bought' | 'sold'
  /** PeerId of the other party; this node's own for a job of one's own. */
  readonly peer: string
  /** One of OUTCOMES. */
  readonly outcome: string
  readonly exitCode: number | null
  readonly fuel: bigint
  readonly charge: bigint
  /** It is on a cheque, or needs none. */
  readonly paid: boolean
  /** Sold, and then its payer gave the order up: it is not owed, and this is why. */
  readonly givenUp: boolean
}

/** A record that an audit does not count. */
export interface BadRecord { readonly key: string, readonly reason: string }

export interface AuditReport extends Balance {
  /** No record is bad, and the folded totals are the running ones. */
  readonly ok: boolean
  /** PeerId of the node. */
  readonly id: string
  /** Records that were counted. */
  readonly records: number
  readonly bad: readonly BadRecord[]
}
