/**
 * The signed records: offer, order, cancel, receipt, cheque, ack, head, clearing. For each its fields, and a check that
 * turns decoded dag-cbor from outside into the typed payload or refuses it by field name.
 *
 * Parties are Ed25519 public keys (32 bytes), amounts µcr as bigint, times unix seconds, links CIDs.
 */
import { equals } from 'multiformats/bytes'
import { encodeCanonical } from './cbor.ts'
import type { CID } from './cid.ts'
import { isLink, isMap } from './envelope.ts'
import { Fields, isLinkOrNull, isListOf, isMeshId, isName, isNameOrNull, isNet, isNonce, isNull, isOneOf, isPartyOrNull, isUint, isUintOrNull, TIME_MAX } from './fields.ts'
import { type Capacity, UNMEASURED } from './capacity.ts'
import { LIMITS } from './limits.ts'

/** Every record says which mesh it belongs to; null is the open mesh. */
interface InMesh { net: Uint8Array | null }

/** An executor's signed price list. All prices µcr. */
export interface Offer extends InMesh, Capacity {
  executor: Uint8Array
  base: bigint
  /** Per million units of fuel. */
  perMFuel: bigint
  /** Per page of 64 KiB and 10⁹ fuel. */
  perPageSec: bigint
  /** Per KiB of result. */
  perKiB: bigint
  /** Per MB of module compiled, where the order says so. */
  perMB: bigint
  /** Per GiB and hour stored. */
  perGiBh: bigint
  classes: string[]
  profile: string
  /** Jobs that can run at once. */
  slots: number
  expires: number
  nonce: Uint8Array
}

/** The payer's mandate for one job: at most `costMax`, to this executor, for this spec, until `expires`. */
export interface Order extends InMesh {
  payer: Uint8Array
  executor: Uint8Array
  /** The offer it accepts; null for a job of one's own. */
  offer: CID | null
  spec: CID
  costMax: bigint
  /** Proof level, proof 0 = signed receipt. */
  level: number
  /** µcr paid per tick; 0 = one payment at the end. */
  tick: bigint
  expires: number
  nonce: Uint8Array
}

/** The payer has given an order up: what its executor shows for it from now on is not paid. The payer signs. */
export interface Cancel extends InMesh {
  payer: Uint8Array
  executor: Uint8Array
  order: CID
}

/** What the executor claims happened. A pure function of order, offer and run. */
export interface Receipt extends InMesh {
  executor: Uint8Array
  payer: Uint8Array
  order: CID
  item: number
  spec: CID
  module: CID
  input: CID
  outcome: string
  exitCode: number | null
  result: CID
  resultBytes: number
  /** Raw CID of the archive of files it left at the spec's outputs; null when there are none. */
  files: CID | null
  filesBytes: number
  fuel: bigint
  pages: number
  charge: bigint
  children: CID[]
  class: string
  profile: string
  /** The receipt of the run it repeats, by the same executor for whomever, where nothing was run again; else null. */
  cached: CID | null
  proof: null
  /** Of a call that keeps a state and returned: raw CID of the record of the state after it. The one before stands in the spec. */
  state?: CID
}

/**
 * `job` pays for an order the payee ran, `refund` gives back of one the payer ran for it; only the
 * issuer of a mesh gives a `grant` or passes on what it has cleared.
 */
export type ItemKind = 'job' | 'refund' | 'grant' | 'clearing'

/** One thing a cheque pays for. `order` names it: an order, the certificate of a grant, or a clearing. */
export interface ChequeItem { order: CID, amount: bigint, kind: ItemKind }

/** The n-th payment on a lane; `total` is cumulative, so the latest one says it all. */
export interface Cheque extends InMesh {
  from: Uint8Array
  to: Uint8Array
  /** The issuer that clears it; null in the open mesh, and where the issuer is one of the two. */
  via: Uint8Array | null
  epoch: number
  n: number
  prev: CID | null
  total: bigint
  items: ChequeItem[]
  /** Highest n received on the reverse lane. */
  ack: number
}

/** The payee has stored cheque `n` durably. `from` and `to` are the lane's, payer and payee; the payee signs. */
export interface Ack extends InMesh {
  from: Uint8Array
  to: Uint8Array
  epoch: number
  n: number
  cheque: CID
}

/** The highest cheque of a lane that its payee holds, or null; said to the payer that asked with this nonce. The payee signs. */
export interface Head extends InMesh {
  from: Uint8Array
  to: Uint8Array
  epoch: number
  n: number
  cheque: CID | null
  nonce: Uint8Array
}

/**
 * The issuer of a mesh about one lane: how much of what the cheques `from` → `to` promise it has
 * cleared. All three sums are cumulative and only grow, so the latest one says it all. Where
 * `cleared` is less than `total`, the rest has bounced until the payer's account covers it.
 */
export interface Clearing {
  net: Uint8Array
  from: Uint8Array
  to: Uint8Array
  epoch: number
  /** The cheque with the highest total that was shown. */
  n: number
  cheque: CID
  total: bigint
  /** Of `total`: taken from the payer's account. */
  cleared: bigint
  /** Of `cleared`: kept by the issuer; the rest went to the payee. */
  fee: bigint
}

export const ITEM_KINDS: readonly ItemKind[] = ['job', 'refund', 'grant', 'clearing']

/** Whether it is money that only the issuer of a mesh makes or moves. */
export function isIssuerKind (kind: ItemKind): boolean { return kind === 'grant' || kind === 'clearing' }

const OUTCOMES = ['ok', 'trap', 'fuel', 'memory', 'output', 'stack']
const CLASSES = ['deterministic']
const SLOTS_MAX = 65_536

export function checkOffer (payload: unknown): Offer {
  const f = new Fields('offer', payload)
  const offer: Offer = {
    net: f.get('net', isNet),
    executor: f.party('executor'),
    base: f.amount('base'),
    perMFuel: f.amount('perMFuel'),
    perPageSec: f.amount('perPageSec'),
    perKiB: f.amount('perKiB'),
    perMB: f.amount('perMB'),
    perGiBh: f.amount('perGiBh'),
    classes: f.get('classes', isListOf(isName, 16)),
    profile: f.get('profile', isName),
    slots: f.uint('slots', SLOTS_MAX),
    // Books keep offers from before there was a capacity in them.
    ...(f.hasAny(Object.keys(UNMEASURED)) ? capacityOf(f) : UNMEASURED),
    expires: f.uint('expires', TIME_MAX),
    nonce: f.get('nonce', isNonce)
  }
  f.end()
  if (offer.idle > offer.slots) f.refuse('idle')
  return offer
}

function capacityOf (f: Fields): Capacity {
  return {
    fuelPerSec: f.get('fuelPerSec', isUintOrNull),
    idle: f.uint('idle', SLOTS_MAX),
    queued: f.uint('queued', SLOTS_MAX),
    memoryPagesMax: f.uint('memoryPagesMax', LIMITS.spec.memoryPagesMax),
    diskBytes: f.get('diskBytes', isUintOrNull),
    bytesPerSec: f.get('bytesPerSec', isUintOrNull),
    gpu: f.get('gpu', isNameOrNull)
  }
}

export function checkOrder (payload: unknown): Order {
  const f = new Fields('order', payload)
  const order: Order = {
    net: f.get('net', isNet),
    payer: f.party('payer'),
    executor: f.party('executor'),
    offer: f.get('offer', isLinkOrNull),
    spec: f.get('spec', isLink),
    costMax: f.amount('costMax'),
    level: f.uint('level', 0),
    tick: f.amount('tick'),
    expires: f.uint('expires', TIME_MAX),
    nonce: f.get('nonce', isNonce)
  }
  f.end()
  return order
}

export function checkCancel (payload: unknown): Cancel {
  const f = new Fields('cancel', payload)
  const cancel: Cancel = { net: f.get('net', isNet), payer: f.party('payer'), executor: f.party('executor'), order: f.get('order', isLink) }
  f.end()
  return cancel
}

export function checkReceipt (payload: unknown): Receipt {
  const f = new Fields('receipt', payload)
  const receipt: Receipt = {
    net: f.get('net', isNet),
    executor: f.party('executor'),
    payer: f.party('payer'),
    order: f.get('order', isLink),
    item: f.uint('item', 2 ** 32 - 1),
    spec: f.get('spec', isLink),
    module: f.get('module', isLink),
    input: f.get('input', isLink),
    outcome: f.get('outcome', isOneOf(OUTCOMES)),
    exitCode: f.get('exitCode', (value): value is number | null => value === null || (isUint(value) && value < 2 ** 31)),
    result: f.get('result', isLink),
    resultBytes: f.uint('resultBytes', LIMITS.spec.outputBytesMax),
    files: f.get('files', isLinkOrNull),
    filesBytes: f.uint('filesBytes', LIMITS.spec.outputBytesMax),
    fuel: f.amount('fuel'),
    pages: f.uint('pages', 2 ** 32),
    charge: f.amount('charge'),
    children: f.get('children', isListOf(isLink, 0)),
    class: f.get('class', isOneOf(CLASSES)),
    profile: f.get('profile', isName),
    // Books keep receipts from before there was a memory of results.
    cached: f.hasAny(['cached']) ? f.get('cached', isLinkOrNull) : null,
    proof: f.get('proof', isNull),
    ...(f.hasAny(['state']) ? { state: f.get('state', isLink) } : {})
  }
  f.end()
  if ((receipt.exitCode !== null) !== (receipt.outcome === 'ok')) f.refuse('exitCode')
  if ((receipt.files !== null) !== (receipt.filesBytes > 0) || (receipt.files !== null && receipt.outcome !== 'ok')) f.refuse('files')
  if (receipt.state !== undefined && receipt.outcome !== 'ok') f.refuse('state')
  return receipt
}

/** Whether two receipts claim the same of a run, for whomever and whatever was charged. */
export function sameRun (a: Receipt, b: Receipt): boolean {
  const claims = ({ order: _order, item: _item, payer: _payer, charge: _charge, cached: _cached, ...run }: Receipt): Uint8Array => encodeCanonical(run)
  return equals(claims(a), claims(b))
}

function checkItem (payload: unknown): ChequeItem {
  const f = new Fields('cheque item', payload)
  const item = { order: f.get('order', isLink), amount: f.amount('amount'), kind: f.get('kind', isOneOf(ITEM_KINDS)) }
  f.end()
  return item
}

export function checkCheque (payload: unknown): Cheque {
  const f = new Fields('cheque', payload)
  const cheque: Cheque = {
    net: f.get('net', isNet),
    from: f.party('from'),
    to: f.party('to'),
    via: f.get('via', isPartyOrNull),
    epoch: f.uint('epoch', 2 ** 32 - 1),
    n: f.uint('n', Number.MAX_SAFE_INTEGER),
    prev: f.get('prev', isLinkOrNull),
    total: f.amount('total'),
    items: f.get('items', isListOf(isMap, LIMITS.credits.itemsPerChequeMax)).map(checkItem),
    ack: f.uint('ack', Number.MAX_SAFE_INTEGER)
  }
  f.end()
  if (cheque.items.length === 0) f.refuse('items')
  if (cheque.net === null && cheque.via !== null) f.refuse('via')
  if ((cheque.net === null || cheque.via !== null) && cheque.items.some(({ kind }) => isIssuerKind(kind))) f.refuse('items')
  if (cheque.n === 0 || (cheque.n === 1) !== (cheque.prev === null)) f.refuse('n')
  return cheque
}

export function checkAck (payload: unknown): Ack {
  const f = new Fields('ack', payload)
  const ack: Ack = {
    net: f.get('net', isNet),
    from: f.party('from'),
    to: f.party('to'),
    epoch: f.uint('epoch', 2 ** 32 - 1),
    n: f.uint('n', Number.MAX_SAFE_INTEGER),
    cheque: f.get('cheque', isLink)
  }
  f.end()
  return ack
}

export function checkHead (payload: unknown): Head {
  const f = new Fields('head', payload)
  const head: Head = {
    net: f.get('net', isNet),
    from: f.party('from'),
    to: f.party('to'),
    epoch: f.uint('epoch', 2 ** 32 - 1),
    n: f.uint('n', Number.MAX_SAFE_INTEGER),
    cheque: f.get('cheque', isLinkOrNull),
    nonce: f.get('nonce', isNonce)
  }
  f.end()
  if ((head.n === 0) !== (head.cheque === null)) f.refuse('cheque')
  return head
}

export function checkClearing (payload: unknown): Clearing {
  const f = new Fields('clearing', payload)
  const clearing: Clearing = {
    net: f.get('net', isMeshId),
    from: f.party('from'),
    to: f.party('to'),
    epoch: f.uint('epoch', 2 ** 32 - 1),
    n: f.uint('n', Number.MAX_SAFE_INTEGER),
    cheque: f.get('cheque', isLink),
    total: f.amount('total'),
    cleared: f.amount('cleared'),
    fee: f.amount('fee')
  }
  f.end()
  if (clearing.n === 0) f.refuse('n')
  if (equals(clearing.from, clearing.to)) f.refuse('to')
  if (clearing.cleared > clearing.total) f.refuse('cleared')
  if (clearing.fee > clearing.cleared) f.refuse('fee')
  return clearing
}
