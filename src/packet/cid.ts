/**
 * Content identifiers, sha2-256 only: raw bytes (modules, inputs, results) and dag-cbor (records).
 * Synchronous, because records are hashed in places that must not await.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { InosError } from './errors.ts'

/** Multicodec codes, https://github.com/multiformats/multicodec */
const RAW = 0x55
const DAG_CBOR = 0x71
const SHA2_256 = 0x12

export { CID, sha256 }

/** CIDv1 of raw bytes from their sha2-256 digest (32 bytes). */
export function rawCidOfDigest (digest: Uint8Array): CID {
  return CID.createV1(RAW, Digest.create(SHA2_256, digest))
}

export function rawCid (bytes: Uint8Array): CID {
  return rawCidOfDigest(sha256(bytes))
}

/** Stands for a module, an input and a result where bytes were relayed and nothing was run. */
export const RELAYED = rawCid(new TextEncoder().encode('inos/relay/1'))

/** CIDv1 of a record's canonical dag-cbor bytes. */
export function recordCid (bytes: Uint8Array): CID {
  return CID.createV1(DAG_CBOR, Digest.create(SHA2_256, sha256(bytes)))
}

/**
 * Read a CID that a peer or a file sent: version 1, sha2-256, raw or dag-cbor, nothing behind it.
 * @throws {InosError} ERR_BAD_PACKET
 */
export function decodeCid (bytes: Uint8Array): CID {
  try {
    const cid = CID.decode(bytes)
    if (isOurs(cid)) return cid
  } catch {
    // The reason is always the same for whoever sent it; it is named below.
  }
  throw new InosError('ERR_BAD_PACKET', 'A content identifier is not a CIDv1 with sha2-256.')
}

export function isOurs (cid: CID): boolean {
  return cid.version === 1 && cid.multihash.code === SHA2_256 && cid.multihash.digest.length === 32 &&
    (cid.code === RAW || cid.code === DAG_CBOR)
}

/** Whether it names the bytes themselves, not a record of them. */
export function isRaw (cid: CID): boolean { return cid.code === RAW }

/** @throws {InosError} ERR_USAGE for text that is no CID of ours */
export function parseCid (text: string): CID {
  try {
    const cid = CID.parse(text)
    if (isOurs(cid)) return cid
  } catch {
    // Named below, whatever the reason.
  }
  throw new InosError('ERR_USAGE', `"${text.slice(0, 80)}" is not a CIDv1 with sha2-256.`)
}
