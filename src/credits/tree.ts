/**
 * A tree of receipts: a job whose guest had other WASM computed names the receipts of that, each of which
 * may name others. The file is canonical dag-cbor, a list of receipt files: the root's first, then all below it in
 * any order. A job without children has its receipt file alone.
 *
 * Checked offline: each file by itself; that a child was ordered by its parent's executor, for that order of the parent and no
 * other; and that the fuel and charge a parent says are below it are its children's.
 */
import { equals } from 'multiformats/bytes'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { type CID, sha256 } from '../packet/cid.ts'
import { isBytes } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import type { Verify } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { sameNet } from '../packet/mesh.ts'
import type { Below } from '../packet/records.ts'
import { type Bundle, checkBundle, openBundle, readBundle } from './bundle.ts'

const NONCE_BYTES = 16
/** Of a child's nonce; the rest is random, so that it can be ordered again. */
const BOUND_BYTES = 8

/** The nonce of an order; a child's says whose: no receipt can be shown for two parents. */
export function nonceOf (parent: CID | undefined, randomBytes: (length: number) => Uint8Array): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES).slice()
  if (parent !== undefined) nonce.set(boundTo(parent))
  return nonce
}

function boundTo (parent: CID): Uint8Array {
  return sha256.create().update(new TextEncoder().encode('inos/child/1')).update(parent.bytes).digest().subarray(0, BOUND_BYTES)
}

/** A root and everything below it, every claim of which was checked. */
export interface Tree {
  readonly root: Bundle
  /** Receipts below the root, each before its own children. */
  readonly below: readonly Bundle[]
  /** The file. */
  readonly bytes: Uint8Array
}

/** Put receipt files into one. @param below files of all below the root */
export function encodeTree (root: Uint8Array, below: readonly Uint8Array[]): Uint8Array {
  return below.length === 0 ? root : encodeCanonical([root, ...below])
}

/** The same without the root's, as its receipt names it. */
export function encodeBelow (below: readonly Uint8Array[]): Uint8Array { return encodeCanonical(below) }

/**
 * The receipt files in a file: one, or those of a tree.
 * @throws {InosError} ERR_RECEIPT_INVALID
 */
export function readFiles (bytes: Uint8Array): Uint8Array[] {
  if (bytes.length > LIMITS.credits.treeBytesMax) throw invalid('bytes', `the file has ${bytes.length} bytes, ${LIMITS.credits.treeBytesMax} are allowed`)
  // A map or a list; what is neither fails as the receipt file it is not.
  if (bytes[0] === undefined || bytes[0] >> 5 !== 4) return [bytes]
  const files: unknown = decodeCanonical(bytes)
  if (!Array.isArray(files) || files.length === 0 || files.length > LIMITS.spec.descendantsMax + 1 || !files.every(isFile)) {
    throw invalid('bytes', 'the file is not a list of receipt files')
  }
  return files
}

function isFile (value: unknown): value is Uint8Array { return isBytes(value) }

/**
 * Check a file and everything in it.
 * @param more receipt files where children that the file lacks may be found
 * @throws {InosError} ERR_RECEIPT_INVALID naming the field that is wrong
 */
export function openTree (bytes: Uint8Array, verify: Verify, more: readonly Uint8Array[] = []): Tree {
  const [first, ...others] = readFiles(bytes)
  const root = openBundle(first!, verify)
  if (root.receipt.payload.children.length === 0) {
    if (others.length > 0) throw invalid('children', 'it has none, and the file holds others')
    return { root, below: [], bytes }
  }
  const files = new Map<string, Bundle>()
  for (const file of [...others, ...more]) {
    const bundle = openBundle(file, verify)
    files.set(bundle.receipt.id.toString(), bundle)
  }
  const below = checkTree(root, id => files.get(id))
  if (below.length < others.length) throw invalid('children', 'the file holds receipts that no parent names')
  return { root, below, bytes: encodeTree(root.bytes, below.map(bundle => bundle.bytes)) }
}

/** A receipt and the order it is for. */
type Job = Pick<Bundle, 'receipt' | 'order'>

/** Receipts opened between two pauses. */
const OPENED_AT_ONCE = 32

/**
 * Check the blob that a receipt names for what is below it.
 * @param pause lets others work in between, for there may be thousands of signatures
 * @returns receipts below the root, each before its own children
 * @throws {InosError} ERR_RECEIPT_INVALID naming the field that is wrong
 */
export async function openBelow (root: Job, bytes: Uint8Array, verify: Verify, pause: () => Promise<void>): Promise<Bundle[]> {
  const files = new Map<string, Bundle>()
  const offers = new Map<string, Bundle['offer']>()
  for (const [at, file] of readFiles(bytes).entries()) {
    const bundle = checkBundle(readBundle(file), verify, { order: () => undefined, offer: id => offers.get(id.toString()) ?? undefined })
    files.set(bundle.receipt.id.toString(), bundle)
    if (bundle.offer !== null) offers.set(bundle.offer.id.toString(), bundle.offer)
    if (at % OPENED_AT_ONCE === OPENED_AT_ONCE - 1) await pause()
  }
  const below = checkTree(root, id => files.get(id))
  if (below.length < files.size) throw invalid('children', 'the file holds receipts that no parent names')
  return below
}

/**
 * Check what parents say of their children.
 * @param find receipts that were checked by themselves
 * @returns all below the root, each before its own children
 * @throws {InosError} ERR_RECEIPT_INVALID
 */
export function checkTree (root: Job, find: (id: string) => Bundle | undefined): Bundle[] {
  const below: Bundle[] = []
  const seen = new Set<string>()
  const walk = (parent: Job, levels: number): void => {
    const { payload } = parent.receipt
    if (payload.children.length > 0 && levels === 0) throw invalid('children', `they are more than ${LIMITS.spec.levelsMax} levels deep`)
    const children = payload.children.map(cid => {
      const id = cid.toString()
      const child = find(id)
      if (child === undefined) throw invalid('children', `the receipt ${id} is missing`)
      if (seen.has(id)) throw invalid('children', `the receipt ${id} is named twice`)
      if (seen.add(id).size > LIMITS.spec.descendantsMax) throw invalid('children', `they are more than ${LIMITS.spec.descendantsMax}`)
      checkChild(parent, child)
      below.push(child)
      walk(child, levels - 1)
      return child
    })
    checkSums(parent, children)
  }
  walk(root, LIMITS.spec.levelsMax)
  return below
}

function checkChild ({ receipt, order }: Job, child: Bundle): void {
  const { payer, net, nonce } = child.order.payload
  if (!equals(payer, receipt.payload.executor)) throw invalid('children', `${child.receipt.id} was ordered by somebody else`)
  if (!sameNet(net, receipt.payload.net)) throw invalid('children', `${child.receipt.id} belongs to another mesh`)
  if (!equals(nonce.subarray(0, BOUND_BYTES), boundTo(order.id))) throw invalid('children', `${child.receipt.id} was ordered for another job`)
}

function checkSums ({ receipt: { payload } }: Job, children: readonly Bundle[]): void {
  if (children.length === 0) return
  const fuel = children.reduce((sum, child) => sum + child.receipt.payload.fuel, 0n)
  if (fuel > payload.fuel) throw invalid('fuel', `its children burnt ${fuel}, more than the whole`)
  const sums = belowOf(children)
  for (const name of ['fuel', 'charge'] as const) {
    if (payload.below?.[name] !== sums[name]) throw invalid('below', `it says ${name} ${payload.below?.[name]}, its children ${sums[name]}`)
  }
}

/** What was bought from others, for children and for what they had computed where they ran at their parent's executor. */
export function belowOf (children: readonly Pick<Bundle, 'receipt' | 'selfExecuted'>[]): Pick<Below, 'fuel' | 'charge'> {
  const sums = { fuel: 0n, charge: 0n }
  for (const { receipt: { payload }, selfExecuted } of children) {
    sums.fuel += selfExecuted ? payload.below?.fuel ?? 0n : payload.fuel
    sums.charge += payload.charge
  }
  return sums
}

function invalid (field: string, why: string): InosError {
  return new InosError('ERR_RECEIPT_INVALID', `The tree of receipts fails at "${field}": ${why}.`)
}
