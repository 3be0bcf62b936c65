/**
 * How bytes of any size get a name under which each part can be checked by itself. Up to one chunk that
 * is the raw CID of the bytes; above it the dag-cbor CID of a manifest, which lists the sha2-256 of
 * every chunk. A manifest fits a chunk, so that all that travels is checked against a name it has.
 */
import { decodeCanonical, encodeCanonical } from './cbor.ts'
import { type CID, rawCidOfDigest, recordCid } from './cid.ts'
import { isBytes, isMap } from './envelope.ts'
import { InosError } from './errors.ts'
import { LIMITS } from './limits.ts'

const HASH_BYTES = 32
const { chunkBytes, bytesMax } = LIMITS.blobs

/** What a blob consists of. */
export interface Manifest {
  /** Bytes of the whole. */
  readonly size: number
  /** Raw CIDs of its chunks, each of `LIMITS.blobs.chunkBytes` but the last, as text. */
  readonly chunks: readonly string[]
}

/** A blob's name, and its manifest if it has one: above one chunk. */
export interface Named {
  readonly cid: CID
  readonly manifest: Uint8Array | null
}

/**
 * Name a blob by the sha2-256 of its chunks, in their order; an empty one has one chunk of no bytes.
 * @throws {InosError} ERR_INPUT_TOO_LARGE above `LIMITS.blobs.bytesMax`
 */
export function nameBlob (size: number, digests: readonly Uint8Array[]): Named {
  if (size > bytesMax) throw new InosError('ERR_INPUT_TOO_LARGE', `A blob has at most ${bytesMax} bytes.`)
  if (digests.length === 1) return { cid: rawCidOfDigest(digests[0]!), manifest: null }
  const chunks = new Uint8Array(digests.length * HASH_BYTES)
  for (const [at, digest] of digests.entries()) chunks.set(digest, at * HASH_BYTES)
  const manifest = encodeCanonical({ size, chunks })
  return { cid: recordCid(manifest), manifest }
}

/** @throws {InosError} ERR_RECORD_INVALID */
export function decodeManifest (bytes: Uint8Array): Manifest {
  const value = decodeCanonical(bytes)
  const { size, chunks, ...rest } = isMap(value) ? value : { unknown: value }
  const right = isBytes(chunks) && typeof size === 'number' && Number.isSafeInteger(size) && size > chunkBytes && size <= bytesMax &&
    chunks.length === Math.ceil(size / chunkBytes) * HASH_BYTES && Object.keys(rest).length === 0
  if (!right) throw new InosError('ERR_RECORD_INVALID', 'These bytes are no manifest of a blob.')
  const count = chunks.length / HASH_BYTES
  return { size, chunks: Array.from({ length: count }, (_, at) => rawCidOfDigest(chunks.slice(at * HASH_BYTES, (at + 1) * HASH_BYTES)).toString()) }
}

/** Bytes of one chunk. */
export function chunkLength ({ size }: Manifest, at: number): number {
  return Math.min(chunkBytes, size - at * chunkBytes)
}
