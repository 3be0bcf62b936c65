/**
 * The envelope every record travels and rests in: its type, its payload, and a signature over
 * them alone or over the Merkle root of a batch. One signature can so cover many records, and
 * each record still verifies by itself, offline.
 *
 * Signed bytes are canonical dag-cbor [domain, type, payload]; the id of a record is the CID of its payload.
 */
import { equals } from 'multiformats/bytes'
import { CID, isOurs, recordCid, sha256 } from './cid.ts'
import { decodeCanonical, encodeCanonical } from './cbor.ts'
import { InosError } from './errors.ts'
import { isPartyKey, type Signer, type Verify } from './identity.ts'

const DOMAIN = 'inos/record/1'
const BATCH_TYPE = 'batch'
/** 2²⁰ records share one signature at most. */
const PATH_MAX = 20

interface BatchProof {
  /** Signature over [domain, "batch", root]. */
  sig: Uint8Array
  index: number
  /** Sibling hashes from leaf to root, 32 bytes each. */
  path: Uint8Array[]
}

export interface Envelope<T extends object = object> {
  type: string
  payload: T
  sig?: Uint8Array
  batch?: BatchProof
}

/** An envelope with the facts that everyone asks for, computed once. */
export interface Sealed<T extends object = object> {
  readonly id: CID
  readonly type: string
  readonly payload: T
  /** The envelope's canonical bytes, as stored and sent. */
  readonly bytes: Uint8Array
}

/** A record's signature, and what it is over, kept from opening or sealing so that verifying need not read it again. */
interface Proof { readonly payload: Uint8Array, readonly sig: Uint8Array | undefined, readonly batch: BatchProof | undefined }
const PROOFS = new WeakMap<Sealed, Proof>()

export function seal<T extends object> (type: string, payload: T, signer: Signer): Sealed<T> {
  const encoded = encodeCanonical(payload)
  return sealed(type, payload, encoded, { sig: signer.sign(signedBytes(type, encoded)) })
}

/** Seal several records with one signature. */
export function sealBatch<T extends object> (type: string, payloads: readonly T[], signer: Signer): Sealed<T>[] {
  if (payloads.length === 0 || payloads.length > 2 ** PATH_MAX) throw new RangeError('a batch has 1 to 2^20 records')
  const encoded = payloads.map(payload => encodeCanonical(payload))
  const layers = [encoded.map(payload => leafHash(type, payload))]
  for (let layer = layers[0]!; layer.length > 1; layers.push(layer)) {
    layer = pairUp(layer)
  }
  const sig = signer.sign(signedRoot(layers.at(-1)![0]!))
  return payloads.map((payload, index) => sealed(type, payload, encoded[index]!, { batch: { sig, index, path: pathOf(layers, index) } }))
}

function pairUp (layer: readonly Uint8Array[]): Uint8Array[] {
  const next: Uint8Array[] = []
  for (let i = 0; i < layer.length; i += 2) {
    // An odd one out is its own sibling, so that every path has the same length.
    next.push(nodeHash(layer[i]!, layer[i + 1] ?? layer[i]!))
  }
  return next
}

function pathOf (layers: readonly Uint8Array[][], index: number): Uint8Array[] {
  return layers.slice(0, -1).map((layer, height) => layer[(index >> height) ^ 1] ?? layer[index >> height]!)
}

/**
 * Read an envelope that came from outside. Shape and canonical form are checked here, the payload
 * by the caller's `check`, the signature by `verifySealed`.
 * @throws {InosError} ERR_RECORD_INVALID
 */
export function openEnvelope<T extends object> (bytes: Uint8Array, type: string, check: (payload: unknown) => T): Sealed<T> {
  const value = decodeCanonical(bytes)
  if (!isEnvelope(value)) throw new InosError('ERR_RECORD_INVALID', 'A signed record has not the shape of an envelope.')
  if (value.type !== type) {
    throw new InosError('ERR_RECORD_INVALID', `A signed record is a ${value.type.slice(0, 32)} where a ${type} was expected.`)
  }
  const { payload: _, ...rest } = value
  const encoded = bytes.subarray(headOf(rest).length)
  const record = { id: recordCid(encoded), type, payload: check(value.payload), bytes }
  PROOFS.set(record, { payload: encoded, sig: value.sig, batch: value.batch })
  return record
}

/**
 * Check that `publicKey` signed this record, alone or in its batch.
 * @throws {InosError} ERR_RECORD_INVALID
 */
export function verifySealed (record: Sealed, publicKey: Uint8Array, verify: Verify): void {
  const { type } = record
  const { payload, sig, batch } = PROOFS.get(record) ?? PROOFS.get(openEnvelope(record.bytes, type, payload => payload as object))!
  const root = batch === undefined ? null : rootOf(type, payload, batch)
  const good = isPartyKey(publicKey) && (sig !== undefined
    ? verify(publicKey, signedBytes(type, payload), sig)
    : batch !== undefined && root !== null && verify(publicKey, signedRoot(root), batch.sig))
  if (!good) throw new InosError('ERR_RECORD_INVALID', `The signature of a ${type} is not its author’s.`)
}

/** The root a proof leads to; null when the proof names its place in two ways. */
function rootOf (type: string, payload: Uint8Array, { index, path }: BatchProof): Uint8Array | null {
  let hash = leafHash(type, payload)
  for (const [height, sibling] of path.entries()) {
    const isRight = ((index >> height) & 1) === 1
    // An odd one out is its own sibling, and stands left of it.
    if (isRight && equals(sibling, hash)) return null
    hash = isRight ? nodeHash(sibling, hash) : nodeHash(hash, sibling)
  }
  return hash
}

function sealed<T extends object> (type: string, payload: T, encoded: Uint8Array, proof: { sig: Uint8Array } | { batch: BatchProof }): Sealed<T> {
  const record = { id: recordCid(encoded), type, payload, bytes: concat([headOf({ type, ...proof }), encoded]) }
  PROOFS.set(record, { sig: undefined, batch: undefined, ...proof, payload: encoded })
  return record
}

/** An envelope's bytes up to its payload, which canonical order puts last: it is the longest key. */
function headOf (rest: Omit<Envelope, 'payload'>): Uint8Array {
  return encodeCanonical({ ...rest, payload: null }).subarray(0, -1)
}

/** What comes before the payload in signed bytes, by type; there are few, all named in our own sources. */
const PREFIXES = new Map<string, Uint8Array>()

/** @param payload its canonical bytes: the last item, as they stand */
function signedBytes (type: string, payload: Uint8Array): Uint8Array {
  return concat([prefixOf(type), payload])
}

function prefixOf (type: string): Uint8Array {
  const prefix = PREFIXES.get(type) ?? encodeCanonical([DOMAIN, type, null]).subarray(0, -1)
  PREFIXES.set(type, prefix)
  return prefix
}

function signedRoot (root: Uint8Array): Uint8Array {
  return signedBytes(BATCH_TYPE, encodeCanonical(root))
}

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

/** Leaves and nodes are hashed apart (RFC 6962, section 2.1), so that no node passes for a leaf. */
function leafHash (type: string, payload: Uint8Array): Uint8Array {
  return sha256(concat([LEAF, prefixOf(type), payload]))
}

function nodeHash (left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(concat([NODE, left, right]))
}

function isEnvelope (value: unknown): value is Envelope {
  if (!isMap(value) || typeof value['type'] !== 'string' || !isMap(value['payload'])) return false
  const keys = Object.keys(value)
  if (keys.length !== 3) return false
  if (keys.includes('sig')) return isBytes(value['sig'], 64)
  const batch = value['batch']
  return isMap(batch) && Object.keys(batch).length === 3 && isBytes(batch['sig'], 64) &&
    Array.isArray(batch['path']) && batch['path'].length <= PATH_MAX && batch['path'].every(hash => isBytes(hash, 32)) &&
    Number.isSafeInteger(batch['index']) && (batch['index'] as number) >= 0 && (batch['index'] as number) < 2 ** batch['path'].length
}

export function isMap (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array) && CID.asCID(value) === null
}

export function isBytes (value: unknown, length?: number): value is Uint8Array {
  return value instanceof Uint8Array && (length === undefined || value.length === length)
}

/** Whether two records are the same to the byte. */
export function sameRecord (a: Sealed, b: Sealed): boolean {
  return equals(a.bytes, b.bytes)
}

export function isLink (value: unknown): value is CID {
  const cid = CID.asCID(value)
  return cid !== null && isOurs(cid)
}

function concat (parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
