/**
 * What the demo and its node processes tell each other over Node's own channel between parent and
 * child: calls with answers, and news that nobody asked for.
 */
import type { ErrorCode } from '../../src/packet/errors.ts'
import type { AuditReport, ReceiptView } from '../../src/processor/processor.ts'
import type { RunLimits } from '../../src/wasm/runtime.ts'
import type { Kind } from './plan.ts'

/** A job to buy; `where` is 'local' or a PeerId. */
export interface Purchase {
  readonly kind: Kind
  readonly input: Uint8Array
  readonly args: readonly string[]
  readonly limits: RunLimits
  readonly where: string
}

export interface Delivery {
  readonly bytes: Uint8Array
  readonly executor: string
  readonly fuel: bigint
}

/** What one node holds against another, µcr. */
export interface Line { readonly peer: string, readonly due: bigint, readonly owed: bigint, readonly earned: bigint, readonly spent: bigint }

export interface StoredReceipt { readonly id: string, readonly role: ReceiptView['role'], readonly bundle: Uint8Array }

/** Every call: what is asked and what is answered. */
export interface Calls {
  /** Connect to the node at these addresses. */
  connect: { ask: readonly string[], answer: null }
  compute: { ask: Purchase, answer: Delivery }
  /** Die, as a machine does, at the next moment of working for another node. */
  fall: { ask: null, answer: null }
  lines: { ask: null, answer: readonly Line[] }
  audit: { ask: null, answer: AuditReport }
  receipts: { ask: null, answer: readonly StoredReceipt[] }
  stop: { ask: null, answer: null }
}

export type Command = keyof Calls
export type Call = { [Name in Command]: { readonly call: number, readonly command: Name, readonly ask: Calls[Name]['ask'] } }[Command]

export interface Refusal { readonly code: ErrorCode, readonly message: string, readonly hint: string | undefined }

/** From a node process to the demo. `call` is null for a node that could not start. */
export type News =
  | { readonly news: 'started', readonly id: string, readonly addresses: readonly string[], readonly balance: bigint, readonly ui: string | null }
  | { readonly news: 'balance', readonly balance: bigint }
  /** Its dashboard's Stop was pressed. */
  | { readonly news: 'stop' }
  | { readonly news: 'answer', readonly call: number, readonly answer: unknown }
  | { readonly news: 'refusal', readonly call: number | null, readonly refusal: Refusal }
