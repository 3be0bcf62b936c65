/**
 * The records of a private mesh, all signed by its issuer: the charter that names its rules, the
 * certificate of each member, invites, and the list of who was revoked. Charter and list are
 * numbered; the one with the higher version replaces the other, so that changing a fee orphans nothing.
 *
 * Who is admitted where, and who keeps what, is the business of `network/` and of the platform.
 */
import { equals } from 'multiformats/bytes'
import { encodeCanonical } from './cbor.ts'
import { sha256 } from './cid.ts'
import { isBytes, openEnvelope, type Sealed, verifySealed } from './envelope.ts'
import { InosError } from './errors.ts'
import { Fields, isListOf, isMeshId, isNonce, TIME_MAX } from './fields.ts'
import { isPartyKey, toHex, type Verify } from './identity.ts'
import { LIMITS } from './limits.ts'

const DOMAIN = 'inos/mesh/1'

/** What a mesh is and by which rules its members trade. */
export interface Charter {
  /** The mesh, `netOf(issuer, nonce)`. */
  net: Uint8Array
  issuer: Uint8Array
  /** 16 bytes; with the issuer's key they name the mesh. */
  nonce: Uint8Array
  /** For people; may be empty. */
  name: string
  /** From 1; a later one replaces the charter. */
  version: number
  /** Millionths of each payment that the issuer keeps. */
  feePpm: number
  /** What a member may owe one payee while the issuer is away, µcr. */
  offlineMax: bigint
}

/** Certificate: this key belongs to the mesh until `expires`, unless it is revoked. */
export interface Member {
  net: Uint8Array
  member: Uint8Array
  /** Id of the invite it was redeemed for; null when the issuer made it by itself. */
  invite: Uint8Array | null
  issued: number
  expires: number
  /** What the issuer gives this member to begin with, µcr. */
  grant: bigint
  nonce: Uint8Array
}

/** Whoever has this may become a member, as long as no more than `count` did before. */
export interface Invite {
  net: Uint8Array
  /** 16 bytes. */
  id: Uint8Array
  expires: number
  count: number
  /** For each of them, µcr. */
  grant: bigint
}

/** Everybody who was revoked so far. */
export interface Revocations {
  net: Uint8Array
  /** From 1; a later one replaces the list. */
  version: number
  /** Public keys in ascending order, each once. */
  members: Uint8Array[]
}

/** The name of the mesh that `issuer` founded with `nonce`; 32 bytes, the `net` of its records. */
export function netOf (issuer: Uint8Array, nonce: Uint8Array): Uint8Array {
  return sha256(encodeCanonical([DOMAIN, issuer, nonce]))
}

export function sameNet (a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : equals(a, b)
}

/** @throws {InosError} ERR_WRONG_MESH unless a record belongs to the mesh `net` (null: the open one) */
export function requireNet (type: string, found: Uint8Array | null, net: Uint8Array | null): void {
  if (!sameNet(found, net)) throw new InosError('ERR_WRONG_MESH', `The field "net" of the ${type} names another mesh.`)
}

const isInviteId = (value: unknown): value is Uint8Array => isBytes(value, 16)
const isInviteIdOrNull = (value: unknown): value is Uint8Array | null => value === null || isInviteId(value)
const isKey = (value: unknown): value is Uint8Array => isBytes(value) && isPartyKey(value)
const isMeshName = (value: unknown): value is string => typeof value === 'string' && isPlainName(value)

/** Whether a text may name a mesh: short, and without control characters. */
export function isPlainName (text: string): boolean {
  return text.length <= LIMITS.mesh.nameCharsMax && text.isWellFormed() && !/\p{C}/u.test(text)
}

export function checkCharter (payload: unknown): Charter {
  const f = new Fields('charter', payload)
  const charter: Charter = {
    net: f.get('net', isMeshId),
    issuer: f.party('issuer'),
    nonce: f.get('nonce', isNonce),
    name: f.get('name', isMeshName),
    version: f.uint('version', Number.MAX_SAFE_INTEGER),
    feePpm: f.uint('feePpm', LIMITS.mesh.feePpmMax),
    offlineMax: f.amount('offlineMax')
  }
  f.end()
  if (charter.version === 0) f.refuse('version')
  if (!equals(charter.net, netOf(charter.issuer, charter.nonce))) f.refuse('net')
  return charter
}

export function checkMember (payload: unknown): Member {
  const f = new Fields('member', payload)
  const member: Member = {
    net: f.get('net', isMeshId),
    member: f.party('member'),
    invite: f.get('invite', isInviteIdOrNull),
    issued: f.uint('issued', TIME_MAX),
    expires: f.uint('expires', TIME_MAX),
    grant: f.amount('grant'),
    nonce: f.get('nonce', isNonce)
  }
  f.end()
  if (member.expires < member.issued) f.refuse('expires')
  return member
}

export function checkInvite (payload: unknown): Invite {
  const f = new Fields('invite', payload)
  const invite: Invite = {
    net: f.get('net', isMeshId),
    id: f.get('id', isInviteId),
    expires: f.uint('expires', TIME_MAX),
    count: f.uint('count', LIMITS.mesh.inviteCountMax),
    grant: f.amount('grant')
  }
  f.end()
  if (invite.count === 0) f.refuse('count')
  return invite
}

export function checkRevocations (payload: unknown): Revocations {
  const f = new Fields('revocations', payload)
  const list: Revocations = {
    net: f.get('net', isMeshId),
    version: f.uint('version', Number.MAX_SAFE_INTEGER),
    members: f.get('members', isListOf(isKey, LIMITS.mesh.revokedMax))
  }
  f.end()
  if (list.version === 0) f.refuse('version')
  const keys = list.members.map(toHex)
  if (!keys.every((key, at) => at === 0 || keys[at - 1]! < key)) f.refuse('members')
  return list
}

/**
 * Read a charter that came from outside, signed by the issuer it names.
 * @throws {InosError} ERR_RECORD_INVALID
 */
export function openCharter (bytes: Uint8Array, verify: Verify): Sealed<Charter> {
  const charter = openEnvelope(bytes, 'charter', checkCharter)
  verifySealed(charter, charter.payload.issuer, verify)
  return charter
}

/** What says which mesh a record must be of, and who must have signed it. */
export type Founder = Pick<Charter, 'net' | 'issuer'>

/** @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH */
export function openMember (bytes: Uint8Array, founder: Founder, verify: Verify): Sealed<Member> {
  return openIssued(openEnvelope(bytes, 'member', checkMember), founder, verify)
}

/** @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH */
export function openInvite (bytes: Uint8Array, founder: Founder, verify: Verify): Sealed<Invite> {
  return openIssued(openEnvelope(bytes, 'invite', checkInvite), founder, verify)
}

/** @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH */
export function openRevocations (bytes: Uint8Array, founder: Founder, verify: Verify): Sealed<Revocations> {
  return openIssued(openEnvelope(bytes, 'revocations', checkRevocations), founder, verify)
}

function openIssued<T extends { net: Uint8Array }> (record: Sealed<T>, { net, issuer }: Founder, verify: Verify): Sealed<T> {
  requireNet(record.type, record.payload.net, net)
  verifySealed(record, issuer, verify)
  return record
}
