/**
 * What one node tells another of third ones: the signed offer of each, so that nothing needs to be
 * believed, and addresses, which are a hint, for the handshake proves who answers there. Body of the answer to a
 * `peers` request: canonical dag-cbor `{ addresses: [[multiaddr, …], …] }`, one list for each of its records.
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isMap } from '../packet/envelope.ts'
import type { Packet } from '../packet/packet.pb.js'
import { LIMITS } from '../packet/limits.ts'
import { badPacket } from './framing.ts'
import { isAddresses } from './known-peers.ts'

export interface Referral {
  /** Signed envelope. */
  readonly offer: Uint8Array
  /** Multiaddrs without their /p2p part. */
  readonly addresses: readonly string[]
}

export function encodeReferrals (referrals: readonly Referral[]): Partial<Packet> {
  const body = encodeCanonical({ addresses: referrals.map(({ addresses }) => addresses) })
  // Copied, because the generated type wants arrays of its own.
  return { body: Uint8Array.from(body), records: referrals.map(({ offer }) => Uint8Array.from(offer)) }
}

/** @throws {InosError} ERR_BAD_PACKET; what the offers say is not looked at */
export function decodeReferrals ({ body, records }: Packet): Referral[] {
  const { toldMax } = LIMITS.peers
  if (records.length > toldMax) throw badPacket(`A peer tells of ${records.length} others; ${toldMax} are allowed.`)
  const lists = readLists(body)
  if (lists.length !== records.length || !lists.every(list => isAddresses(list))) throw badPacket('The addresses of peers do not go with their offers.')
  return records.map((offer, i) => ({ offer: offer.slice(), addresses: lists[i] as string[] }))
}

function readLists (body: Uint8Array): unknown[] {
  let value: unknown
  try {
    value = decodeCanonical(body)
  } catch (cause) {
    throw badPacket('A list of peers is not canonical dag-cbor.', cause)
  }
  const addresses = isMap(value) ? value['addresses'] : null
  if (!Array.isArray(addresses)) throw badPacket('A list of peers has no addresses.')
  return addresses
}
