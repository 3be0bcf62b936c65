/**
 * Certificates that say which node has their key: an extension carries the node's public key and its signature of the
 * certificate's. Nobody else signs them. https://github.com/libp2p/specs/blob/master/tls/tls.md
 */
import { X509Certificate } from 'node:crypto'
import { publicKeyFromProtobuf } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { type BaseBlock, Constructed, fromBER, ObjectIdentifier, OctetString, Sequence } from 'asn1js'
import { LIMITS } from '../../packet/limits.ts'
import { type Certificate, createCertificate, sequence, tag } from '../certificate.ts'
import { createSigner } from '../keys.ts'

/** The extension's name: 1.3.6.1.4.1.53594.1.1. */
const EXTENSION = '1.3.6.1.4.1.53594.1.1'
const EXTENSION_DER = tag(0x06, Uint8Array.of(0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01))
/** Class and number of the tag around the extensions of a certificate. */
const [CONTEXT, EXTENSIONS] = [3, 3]
const NAMELESS = 'the certificate of the peer does not say whose it is'
const PREFIX = 'libp2p-tls-handshake:'

/** Protobuf around a 32-byte Ed25519 key (https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#keys). */
const ED25519 = Uint8Array.of(0x08, 0x01, 0x12, 0x20)
const USE = 'quic/1'

/** @param seed the node's identity */
export function createNodeCertificate (seed: Uint8Array): Certificate {
  const { spki } = createCertificate({ seed, use: USE })
  const { publicKey, sign } = createSigner(seed)
  const signed = sequence(tag(0x04, ED25519, publicKey), tag(0x04, sign(signedOf(spki))))
  return createCertificate({ seed, use: USE, extension: sequence(EXTENSION_DER, tag(0x04, signed)) })
}

/**
 * Whose a certificate is. That the peer has its key is what the handshake showed.
 * @param der of the only certificate that the peer showed @param now in ms since 1970
 * @throws {Error} saying what is wrong with it
 */
export async function readNodeCertificate (der: Uint8Array | null, now: number): Promise<PeerId> {
  if (der === null || der.length > LIMITS.quic.certificateBytesMax) throw new Error('the peer did not show one certificate')
  const certificate = new X509Certificate(der)
  if (now < certificate.validFromDate.getTime() || now > certificate.validToDate.getTime()) throw new Error('the certificate of the peer is not valid now')
  if (!certificate.verify(certificate.publicKey)) throw new Error('the certificate of the peer is not signed with its own key')
  const parts = partsOf(sequenceIn(claimOf(der)))
  if (parts.length !== 2 || !parts.every(part => part instanceof OctetString)) throw new Error(NAMELESS)
  const [keyBytes, signature] = parts.map(part => new Uint8Array(part.getValue())) as [Uint8Array, Uint8Array]
  const key = publicKeyFromProtobuf(keyBytes)
  if (!await key.verify(signedOf(certificate.publicKey.export({ type: 'spki', format: 'der' })), signature)) throw new Error('the certificate of the peer names a node that did not sign it')
  return peerIdFromPublicKey(key)
}

/** What the one extension with this name holds: Certificate, TBSCertificate, Extensions and Extension of RFC 5280, section 4.1. */
function claimOf (der: Uint8Array): Uint8Array {
  const [body] = partsOf(sequenceIn(der))
  const [list] = partsOf(partsOf(body).find(({ idBlock }) => idBlock.tagClass === CONTEXT && idBlock.tagNumber === EXTENSIONS))
  const claims = partsOf(list).map(partsOf).filter(([name]) => name instanceof ObjectIdentifier && name.getValue() === EXTENSION)
  const value = claims[0]?.at(-1)
  if (claims.length !== 1 || !(value instanceof OctetString)) throw new Error(NAMELESS)
  return new Uint8Array(value.getValue())
}

function sequenceIn (bytes: Uint8Array): BaseBlock | undefined {
  const { offset, result } = fromBER(bytes)
  return offset === bytes.length && result instanceof Sequence ? result : undefined
}

function partsOf (block: BaseBlock | undefined): BaseBlock[] { return block instanceof Constructed ? block.valueBlock.value : [] }

function signedOf (spki: Uint8Array): Uint8Array { return Buffer.concat([Buffer.from(PREFIX), spki]) }
