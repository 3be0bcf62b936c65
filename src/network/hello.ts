/**
 * The first packet of a session: who speaks which profile in which mesh, and how much the other
 * side may have in flight. The offer rides along as a record and is judged elsewhere.
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isMap } from '../packet/envelope.ts'
import type { Packet } from '../packet/packet.pb.js'
import { badPacket, type WireLimits } from './framing.ts'

const VERSION = 1

/** What a node says of itself. */
export interface Greeting {
  /** Rules under which it runs guests, see `PROFILE`. */
  readonly profile: string
  /** Its mesh. */
  readonly net: string
  /** Its offer, as a signed envelope; none while it sells nothing. */
  readonly records: readonly Uint8Array[]
}

/** What a peer said of itself, and the window it grants. */
export interface Hello extends Greeting {
  /** Requests it takes in flight, and the sum of their bytes on the wire. */
  readonly windowPackets: number
  readonly windowBytes: number
}

export function encodeHello (greeting: Greeting, limits: WireLimits): Partial<Packet> {
  const { profile, net, records } = greeting
  const { windowPacketsMax: windowPackets, windowBytesMax: windowBytes } = limits
  const body = encodeCanonical({ version: VERSION, profile, net, windowPackets, windowBytes })
  // Copied, because the generated type wants arrays of its own.
  return { kind: 'hello', body: Uint8Array.from(body), records: records.map(record => Uint8Array.from(record)) }
}

/** @throws {InosError} ERR_BAD_PACKET naming what is missing */
export function decodeHello (packet: Packet, limits: WireLimits): Hello {
  const { version, profile, net, windowPackets, windowBytes } = readBody(packet.body)
  if (version !== VERSION) throw badPacket(`A hello has version ${String(version).slice(0, 16)}; this node speaks ${VERSION}.`)
  if (!isName(profile, limits)) throw badPacket('A hello has no profile.')
  if (!isName(net, limits)) throw badPacket('A hello names no mesh.')
  if (!isCount(windowPackets)) throw badPacket('A hello has no windowPackets.')
  if (!isCount(windowBytes)) throw badPacket('A hello has no windowBytes.')
  // The records outlive the chunk they came in.
  return { profile, net, windowPackets, windowBytes, records: packet.records.map(record => record.slice()) }
}

function readBody (bytes: Uint8Array): Record<string, unknown> {
  let body: unknown
  try {
    body = decodeCanonical(bytes)
  } catch (cause) {
    throw badPacket('The body of a hello is not canonical dag-cbor.', cause)
  }
  if (!isMap(body)) throw badPacket('The body of a hello is not a map.')
  return body
}

function isName (value: unknown, limits: WireLimits): value is string {
  return typeof value === 'string' && value.length <= limits.nameBytesMax
}

function isCount (value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0
}
