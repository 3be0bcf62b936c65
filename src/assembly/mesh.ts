/**
 * The private mesh of a data directory: belonging to one, being let in. Founding one is in
 * `create-mesh.ts`. A directory belongs to one mesh for good, because every signed record in its books names it.
 */
import { parseCredits, parseSeconds } from '../packet/amounts.ts'
import { InosError } from '../packet/errors.ts'
import { toHex } from '../packet/identity.ts'
import { decodeInvitation } from '../packet/invite.ts'
import { LIMITS } from '../packet/limits.ts'
import { sameNet } from '../packet/mesh.ts'
import { type InviteTerms, type Membership, type MembershipParts, type MemberStore, type MeshRules, openMembership, pendingMembership } from '../network/membership.ts'
import type { CharterOptions, InviteOptions, MeshView } from '../network/mesh-views.ts'
import type { Network } from '../network/network.ts'
import { byPromise } from '../network/places.ts'
import type { Platform } from '../processor/rooms.ts'

/** Where a node keeps itself, as far as its membership rests there. */
export interface Home {
  /** As its owner names it. */
  readonly path: string
  readonly db: MemberStore
}

/** Rows that only trade with others writes. */
const TRADE = ['line', 'order', 'in', 'out', 'owed', 'due'] as const

/**
 * The membership of a data directory: what it holds, or with an invite what will be once it is redeemed.
 * @throws {InosError} ERR_INVITE, ERR_DATA_DIR, ERR_STORE
 */
export async function findMembership (dir: Home, platform: Platform, invite: string | undefined): Promise<Membership | null> {
  const parts = partsOf(dir, platform)
  const membership = await openMembership(parts)
  if (invite === undefined) return membership
  const invitation = decodeInvitation(invite, platform.verify)
  if (membership === null) {
    await requireFresh(dir)
    return pendingMembership(parts, invitation)
  }
  if (!sameNet(membership.net, invitation.charter.payload.net)) throw belongsElsewhere(dir, membership)
  return membership
}

/**
 * Redeem the invite of a pending membership at its issuer; where that cannot be dialled but this node can, the issuer has a while to dial it.
 * @throws {InosError} ERR_NOT_REACHABLE while the issuer is away, ERR_INVITE, ERR_NOT_MEMBER
 */
export async function beLetIn (membership: Membership, network: Network, signal: AbortSignal | undefined): Promise<void> {
  const routes = membership.routes.filter(route => route.endsWith(`/p2p/${membership.issuer}`))
  const within = (ms: number): AbortSignal => AbortSignal.any([AbortSignal.timeout(ms), ...signal === undefined ? [] : [signal]])
  const errors: InosError[] = []
  for (const route of byPromise(routes)) {
    try {
      // Each has its own time: an address that answers nothing leaves the others theirs.
      await network.dial(route, within(LIMITS.wire.dialMsMax))
      if (!membership.isPending) return
    } catch (error) {
      if (!(error instanceof InosError)) throw error
      errors.push(error)
    }
  }
  signal?.throwIfAborted()
  const refusal = errors.find(({ code }) => ['ERR_INVITE', 'ERR_NOT_MEMBER', 'ERR_WRONG_MESH', 'ERR_RECORD_INVALID'].includes(code))
  if (refusal !== undefined) throw refusal
  if (network.addresses().length > 0 && await isLetIn(membership, within(LIMITS.mesh.callMsMax))) return
  throw new InosError('ERR_NOT_REACHABLE', `The issuer of this mesh cannot be reached at ${routes.join(', ') || 'any address'}.`, {
    cause: errors[0], hint: 'Only the issuer can let this node in: have `inos up` running there, then join again; `inos up --mesh INVITE` here waits for it.'
  })
}

/** Wait until the issuer has let this node in by itself. @returns whether it has */
async function isLetIn (membership: Membership, signal: AbortSignal): Promise<boolean> {
  return await new Promise(resolve => {
    const look = (): void => { if (!membership.isPending || signal.aborted) resolve(!membership.isPending) }
    membership.on({ routes: look })
    signal.addEventListener('abort', look, { once: true })
    look()
  })
}

export function viewOf ({ net, issuer, charter: { payload } }: Membership): MeshView {
  const { name, version, feePpm, offlineMax } = payload
  return { net: toHex(net), name, issuer, version, feePpm, offlineMax }
}

/** @throws {InosError} ERR_USAGE */
export function rulesOf ({ name, feePpm, offlineMax }: CharterOptions): MeshRules {
  return { ...(name === undefined ? {} : { name }), ...(feePpm === undefined ? {} : { feePpm }), ...(offlineMax === undefined ? {} : { offlineMax: amountOf(offlineMax) }) }
}

/** @throws {InosError} ERR_USAGE */
export function termsOf ({ grant, expires, count }: InviteOptions): InviteTerms {
  return {
    ...(grant === undefined ? {} : { grant: amountOf(grant) }), ...(count === undefined ? {} : { count }), ...(expires === undefined ? {} : { seconds: parseSeconds(expires) })
  }
}

export function amountOf (amount: bigint | string): bigint { return typeof amount === 'string' ? parseCredits(amount) : amount }

export function partsOf (dir: Home, { signer, verify, now, randomBytes }: Platform): MembershipParts {
  return { store: dir.db, signer, verify, now: () => Math.floor(now() / 1000), randomBytes }
}

export async function requireFresh (dir: Home): Promise<void> {
  for (const prefix of TRADE) {
    for await (const _row of dir.db.iterator({ gte: `${prefix}!`, lt: `${prefix}!~` })) {
      throw new InosError('ERR_DATA_DIR', `The node of ${dir.path} has traded on the open mesh, and its books stay there.`, { hint: 'Use another directory for the private mesh: --data DIR.' })
    }
  }
}

export function belongsElsewhere (dir: Home, { net, charter, isIssuer }: Membership): InosError {
  const { name } = charter.payload
  return new InosError('ERR_DATA_DIR', `The node of ${dir.path} ${isIssuer ? 'is the issuer of' : 'belongs to'} the private mesh ${name === '' ? toHex(net).slice(0, 12) : `"${name}"`} already.`, {
    hint: 'A data directory belongs to one mesh; use another one with --data DIR.'
  })
}
