/**
 * An invite as people pass it on: one line of text that holds the mesh's charter, the signed
 * invite, and where members can be reached. Whoever has the text may redeem it.
 *
 *     inos:<base64url of canonical dag-cbor [version, charter, invite, [multiaddr …]]>
 */
import { base64url } from 'multiformats/bases/base64'
import { decodeCanonical, encodeCanonical } from './cbor.ts'
import { isBytes, type Sealed } from './envelope.ts'
import { InosError } from './errors.ts'
import type { Verify } from './identity.ts'
import { LIMITS } from './limits.ts'
import { type Charter, type Invite, openCharter, openInvite } from './mesh.ts'

const PREFIX = 'inos:'
const VERSION = 1

export interface Invitation {
  readonly charter: Sealed<Charter>
  readonly invite: Sealed<Invite>
  /** Multiaddrs with /p2p of the issuer and of other members. */
  readonly routes: readonly string[]
}

export function encodeInvitation ({ charter, invite, routes }: Invitation): string {
  return PREFIX + base64url.baseEncode(encodeCanonical([VERSION, charter.bytes, invite.bytes, routes.slice(0, LIMITS.mesh.routesMax)]))
}

/** Whether a text is meant to be an invite. */
export function looksLikeInvitation (text: string): boolean { return text.trim().startsWith(PREFIX) }

/**
 * Read the text of an invite and check who signed it. Whether it has expired is `checkFresh`'s to say.
 * @throws {InosError} ERR_INVITE
 */
export function decodeInvitation (text: string, verify: Verify): Invitation {
  const trimmed = text.trim()
  if (trimmed.length > LIMITS.mesh.inviteCharsMax) throw damaged('it is too long')
  if (!looksLikeInvitation(trimmed)) throw damaged(`it does not begin with "${PREFIX}"`)
  try {
    const value = decodeCanonical(base64url.baseDecode(trimmed.slice(PREFIX.length)))
    return open(value, verify)
  } catch (error) {
    if (error instanceof InosError && error.code === 'ERR_INVITE') throw error
    throw damaged('a part of it is missing or changed', error)
  }
}

function open (value: unknown, verify: Verify): Invitation {
  const parts = Array.isArray(value) ? value : []
  const [version, charterBytes, inviteBytes, routes] = parts
  if (Number.isSafeInteger(version) && version !== VERSION) {
    throw new InosError('ERR_INVITE', `This invite is of version ${version}; this INOS reads ${VERSION}.`, { hint: 'Use the same version of INOS as the one who invites.' })
  }
  if (parts.length !== 4 || !isBytes(charterBytes) || !isBytes(inviteBytes) || !isRoutes(routes)) throw damaged('it has another form')
  const charter = openCharter(charterBytes, verify)
  return { charter, invite: openInvite(inviteBytes, charter.payload, verify), routes }
}

export function isRoutes (value: unknown): value is string[] {
  const { routesMax, routeCharsMax } = LIMITS.mesh
  return Array.isArray(value) && value.length <= routesMax && value.every(route => typeof route === 'string' && route.length <= routeCharsMax)
}

/** @param now unix seconds @throws {InosError} ERR_INVITE when the invite has expired */
export function checkFresh ({ payload: { expires } }: Sealed<Invite>, now: number): void {
  if (expires >= now) return
  const minutes = Math.ceil((now - expires) / 60)
  throw new InosError('ERR_INVITE', `This invite expired ${minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`} ago.`, { hint: 'Ask for a new one; and see that the clocks of both machines are right.' })
}

function damaged (why: string, cause?: unknown): InosError {
  return new InosError('ERR_INVITE', `This is no invite that can be read: ${why}.`, { cause, hint: 'Copy the whole text again, from "inos:" to its end.' })
}
