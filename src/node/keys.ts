/**
 * Ed25519 by node:crypto: the node's own key that signs, and everybody's that verify. Which keys
 * may stand for a party at all is `packet/identity.ts`'s to say.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify as verifyNative } from 'node:crypto'
import { peerIdOfKey, type Signer, type Verify } from '../packet/identity.ts'

/** DER around a 32-byte Ed25519 key (RFC 8410, sections 4 and 7). */
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** Imported keys kept ready: importing costs as much as a signature. */
const IMPORTED_MAX = 1_024

/** @param seed 32 bytes, the private key of RFC 8032 */
export function createSigner (seed: Uint8Array): Signer {
  if (seed.length !== 32) throw new RangeError('an Ed25519 seed has 32 bytes')
  const key = createPrivateKey({ key: joined(PRIVATE_PREFIX, seed), format: 'der', type: 'pkcs8' })
  const publicKey = new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(PUBLIC_PREFIX.length))
  return {
    id: peerIdOfKey(publicKey),
    publicKey,
    sign: bytes => new Uint8Array(sign(null, bytes, key))
  }
}

/** @param importedMax public keys kept imported, the least recently used go first */
export function createVerify (importedMax: number = IMPORTED_MAX): Verify {
  const imported = new Map<string, KeyObject>()
  const keyOf = (publicKey: Uint8Array): KeyObject => {
    const name = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString('latin1')
    const key = imported.get(name) ?? createPublicKey({ key: joined(PUBLIC_PREFIX, publicKey), format: 'der', type: 'spki' })
    imported.delete(name)
    imported.set(name, key)
    if (imported.size > importedMax) imported.delete(imported.keys().next().value!)
    return key
  }
  return (publicKey, bytes, signature) => publicKey.length === 32 && signature.length === 64 && verifyNative(null, bytes, keyOf(publicKey), signature)
}

/** The process's one. */
export const verify: Verify = createVerify()

function joined (prefix: Uint8Array, key: Uint8Array): Buffer {
  return Buffer.concat([prefix, key])
}
