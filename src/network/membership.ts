/**
 * What a node knows of its private mesh: the charter, its own certificate, who else is a member and
 * who was revoked, and where members can be reached. All of it rests in the node's store; what
 * must not be unsaid (a certificate, a revocation) is durable before anybody is told.
 *
 * How papers travel and what they open is decided in `admission.ts`; grants become credit in `credits/`.
 */
import { equals } from 'multiformats/bytes'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { seal, type Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { keyOfPeerId, peerIdOfKey, type Signer, toHex, type Verify } from '../packet/identity.ts'
import { checkFresh, encodeInvitation, type Invitation, isRoutes } from '../packet/invite.ts'
import { LIMITS } from '../packet/limits.ts'
import { type Charter, checkCharter, checkInvite, checkMember, type Invite, type Member, netOf, openCharter, openInvite, openMember, openRevocations, type Revocations } from '../packet/mesh.ts'
import type { KnownMember } from './mesh-views.ts'
import { byPromise } from './places.ts'

/** Rows by key; a batch is written whole or not at all. */
export interface MemberStore {
  get (key: string): Promise<Uint8Array | undefined>
  batch (ops: { type: 'put', key: string, value: Uint8Array }[], options: { sync: boolean }): Promise<void>
  iterator (range: { gte: string, lt: string }): AsyncIterable<[string, Uint8Array]>
}

export interface MembershipParts {
  readonly store: MemberStore
  readonly signer: Signer
  readonly verify: Verify
  /** Unix seconds. */
  now (): number
  randomBytes (length: number): Uint8Array
}

export interface MeshRules { readonly name?: string, readonly feePpm?: number, readonly offlineMax?: bigint }
export interface InviteTerms { readonly grant?: bigint, readonly count?: number, /** From now on. */ readonly seconds?: number }

const KEYS = { charter: 'mesh!charter', own: 'mesh!own', revoked: 'mesh!revoked', routes: 'mesh!routes', member: (id: string) => `mesh!member!${id}` } as const
const NONCE_BYTES = 16

/** Found a mesh whose issuer is this node. The caller has made sure that it belongs to none. */
export async function foundMesh (parts: MembershipParts, { name = '', feePpm = 0, offlineMax = LIMITS.mesh.offlineMax }: MeshRules): Promise<Membership> {
  const { signer: { publicKey: issuer }, signer, randomBytes, store } = parts
  const nonce = randomBytes(NONCE_BYTES)
  const payload = asUsage(() => checkCharter({ net: netOf(issuer, nonce), issuer, nonce, name, version: 1, feePpm, offlineMax }))
  const charter = seal('charter', payload, signer)
  await store.batch([{ type: 'put', key: KEYS.charter, value: charter.bytes }], { sync: true })
  return new Membership(parts, charter, null)
}

/**
 * The membership that the store holds; null when this node belongs to no private mesh.
 * @throws {InosError} ERR_STORE
 */
export async function openMembership (parts: MembershipParts): Promise<Membership | null> {
  const { store, verify, signer } = parts
  const bytes = await store.get(KEYS.charter)
  if (bytes === undefined) return null
  try {
    const charter = openCharter(bytes, verify)
    const membership = new Membership(parts, charter, null)
    const [own, revoked, routes] = [await store.get(KEYS.own), await store.get(KEYS.revoked), await store.get(KEYS.routes)]
    const members: Uint8Array[] = []
    for await (const [, value] of store.iterator({ gte: KEYS.member(''), lt: KEYS.member('~') })) members.push(value)
    membership.restore({ own, revoked, routes, members })
    if (membership.certificate === null && !membership.isIssuer) throw new InosError('ERR_RECORD_INVALID', `There is no certificate for ${signer.id}.`)
    return membership
  } catch (cause) {
    throw new InosError('ERR_STORE', 'The stored membership of a private mesh is damaged.', { cause, hint: 'Restore the data directory from a backup, or join again with another one.' })
  }
}

/** A membership that nothing is stored of until the issuer has given its certificate. @throws {InosError} ERR_INVITE */
export function pendingMembership (parts: MembershipParts, { charter, invite, routes }: Invitation): Membership {
  checkFresh(invite, parts.now())
  const membership = new Membership(parts, charter, invite)
  membership.restore({ routes: encodeCanonical(routes), members: [] })
  return membership
}

interface Stored { own?: Uint8Array | undefined, revoked?: Uint8Array | undefined, routes?: Uint8Array | undefined, members: readonly Uint8Array[] }

/** What happened to a membership, for those who act on it. */
export interface MembershipEvents {
  /** A newer charter or list of revocations; `from` is who brought it, null for this node itself. */
  rules? (from: string | null): void
  /** An address of a member that was not known before. */
  routes? (): void
}

export class Membership {
  readonly net: Uint8Array
  /** PeerIds: this node and the issuer. */
  readonly id: string
  readonly issuer: string
  readonly #parts: MembershipParts
  readonly #members = new Map<string, Sealed<Member>>()
  readonly #listeners: MembershipEvents[] = []
  #charter: Sealed<Charter>
  #invite: Sealed<Invite> | null
  #own: Sealed<Member> | null = null
  #revoked: Sealed<Revocations> | null = null
  #revokedIds: ReadonlySet<string> = new Set()
  /** Oldest first. */
  #routes: string[] = []

  constructor (parts: MembershipParts, charter: Sealed<Charter>, invite: Sealed<Invite> | null) {
    this.#parts = parts
    this.#charter = charter
    this.#invite = invite
    this.net = charter.payload.net
    this.id = parts.signer.id
    this.issuer = peerIdOfKey(charter.payload.issuer)
  }

  get isIssuer (): boolean { return this.id === this.issuer }
  get charter (): Sealed<Charter> { return this.#charter }
  /** Null at the issuer, and until an invite is redeemed. */
  get certificate (): Sealed<Member> | null { return this.#own }
  /** To be redeemed; null when there is nothing to redeem. */
  get invite (): Sealed<Invite> | null { return this.#own === null ? this.#invite : null }
  get revocations (): Sealed<Revocations> | null { return this.#revoked }
  /** Multiaddrs at which members were reached or said to be, the newest last. */
  get routes (): readonly string[] { return this.#routes }

  on (events: MembershipEvents): void { this.#listeners.push(events) }

  isRevoked (peer: string): boolean { return this.#revokedIds.has(peer) }

  isMember (peer: string): boolean {
    if (this.isRevoked(peer)) return false
    if (peer === this.issuer) return true
    const certificate = peer === this.id ? this.#own : this.#members.get(peer)
    return certificate !== null && certificate !== undefined && certificate.payload.expires >= this.#parts.now()
  }

  members (): KnownMember[] {
    const view = (id: string, payload: Member | null): KnownMember => ({
      id, issuer: id === this.issuer, self: id === this.id, issued: payload?.issued ?? null, expires: payload?.expires ?? null, grant: payload?.grant ?? 0n, revoked: this.isRevoked(id)
    })
    const own = this.#own === null ? [] : [view(this.id, this.#own.payload)]
    return [view(this.issuer, null), ...own, ...Array.from(this.#members, ([id, { payload }]) => view(id, payload))]
  }

  // What peers show.

  /**
   * A peer's certificate, or null where it needs none.
   * @throws {InosError} ERR_NOT_MEMBER, ERR_WRONG_MESH, ERR_RECORD_INVALID
   */
  async meet (peer: string, bytes: Uint8Array | null): Promise<void> {
    if (this.isRevoked(peer)) throw new InosError('ERR_NOT_MEMBER', `${peer} was revoked from this mesh.`, { hint: 'Only its issuer can let it in again, under another identity.' })
    if (peer === this.issuer) return
    if (this.isPending) throw new InosError('ERR_NOT_MEMBER', `${peer} is not the issuer of the mesh that this node wants to join.`)
    if (bytes === null) throw new InosError('ERR_NOT_MEMBER', `${peer} shows no certificate of this mesh.`, { hint: 'Ask the issuer for an invite, and join with it.' })
    const certificate = openMember(bytes, this.#charter.payload, this.#parts.verify)
    if (!equals(certificate.payload.member, keyOfPeerId(peer))) throw new InosError('ERR_NOT_MEMBER', `${peer} shows the certificate of another.`)
    if (certificate.payload.expires < this.#parts.now()) throw new InosError('ERR_NOT_MEMBER', `The certificate of ${peer} has expired.`)
    if (this.#members.get(peer)?.id.equals(certificate.id) === true) return
    await this.#keep(peer, certificate)
  }

  /** Take over a newer charter or list; older ones change nothing. @throws {InosError} ERR_WRONG_MESH, ERR_RECORD_INVALID */
  async learn (from: string, charterBytes: Uint8Array, revokedBytes: Uint8Array | null): Promise<void> {
    const { verify } = this.#parts
    const charter = equals(charterBytes, this.#charter.bytes) ? this.#charter : openCharter(charterBytes, verify)
    if (!equals(charter.payload.net, this.net)) throw new InosError('ERR_WRONG_MESH', `The charter that ${from} shows is of another mesh.`)
    const isKnown = revokedBytes === null || (this.#revoked !== null && equals(revokedBytes, this.#revoked.bytes))
    const revoked = isKnown ? this.#revoked : openRevocations(revokedBytes, charter.payload, verify)
    await this.#inTurn(async () => {
      if (charter.payload.version > this.#charter.payload.version) await this.#setCharter(charter, from)
      if (revoked !== null && revoked.payload.version > (this.#revoked?.payload.version ?? 0)) await this.#setRevoked(revoked, from)
    })
  }

  /** Addresses that a member gave. What is no text or too much was refused before. */
  async addRoutes (routes: readonly string[]): Promise<void> {
    const fresh = routes.filter(route => !this.#routes.includes(route) && !route.endsWith(`/p2p/${this.id}`) && /\/p2p\/[^/]+$/.test(route))
    if (fresh.length === 0) return
    this.#routes = [...this.#routes, ...fresh].slice(-LIMITS.mesh.routesKeptMax)
    if (!this.isPending) await this.#write(KEYS.routes, encodeCanonical(this.#routes), false)
    for (const { routes } of this.#listeners) routes?.()
  }

  /** The issuer's answer to an invite: this node is a member from now on. @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH */
  async accept (bytes: Uint8Array): Promise<void> {
    const certificate = openMember(bytes, this.#charter.payload, this.#parts.verify)
    if (!equals(certificate.payload.member, this.#parts.signer.publicKey)) throw new InosError('ERR_RECORD_INVALID', 'The certificate is for another node.')
    const put = (key: string, value: Uint8Array) => ({ type: 'put' as const, key, value })
    await this.#parts.store.batch([
      put(KEYS.charter, this.#charter.bytes), put(KEYS.own, bytes), put(KEYS.routes, encodeCanonical(this.#routes))
    ], { sync: true })
    this.#own = certificate
    for (const { routes } of this.#listeners) routes?.()
  }

  // What the issuer does.

  /**
   * Make an invite, as text. `routes` are where this node and others can be reached.
   * @throws {InosError} ERR_NOT_MEMBER when this node is not the issuer, ERR_USAGE
   */
  inviteText ({ grant = 0n, count = 1, seconds = LIMITS.mesh.inviteSeconds }: InviteTerms, routes: readonly string[]): string {
    this.#requireIssuer('make invites')
    if (routes.length === 0) {
      throw new InosError('ERR_USAGE', 'An invite needs an address at which this node can be reached.', { hint: 'Run `inos up --listen /ip4/…/tcp/…` here first, or name one with --route.' })
    }
    const { signer, now, randomBytes } = this.#parts
    const payload = asUsage(() => checkInvite({ net: this.net, id: randomBytes(NONCE_BYTES), expires: now() + seconds, count, grant }))
    // The issuer alone lets others in, so the ways to it come first, and no long list of nearby addresses leaves out those from afar.
    const all = [...new Set([...byPromise(routes), ...this.#routes.toReversed()])].slice(0, LIMITS.mesh.routesMax)
    return encodeInvitation({ charter: this.#charter, invite: seal('invite', payload, signer), routes: all })
  }

  /**
   * Turn an invite into the certificate of `peer`, durable when this resolves. The same peer gets the same one again.
   * @throws {InosError} ERR_INVITE, ERR_NOT_MEMBER
   */
  async redeem (peer: string, bytes: Uint8Array): Promise<Sealed<Member>> {
    this.#requireIssuer('admit others')
    if (this.isRevoked(peer)) throw new InosError('ERR_NOT_MEMBER', `${peer} was revoked from this mesh.`)
    const known = this.#members.get(peer)
    const { signer, verify, now, randomBytes } = this.#parts
    if (known !== undefined) {
      await this.#writing
      return known
    }
    const invite = openInvite(bytes, this.#charter.payload, verify)
    checkFresh(invite, now())
    const { id, count, grant } = invite.payload
    if (this.#used(id) >= count) throw new InosError('ERR_INVITE', `This invite is spent: it was for ${count === 1 ? 'one' : count}.`, { hint: 'Ask for a new one.' })
    if (this.#members.size >= LIMITS.mesh.membersMax) throw new InosError('ERR_INVITE', `This mesh has given ${LIMITS.mesh.membersMax} certificates, the most it can.`)
    const certificate = seal<Member>('member', {
      net: this.net, member: keyOfPeerId(peer), invite: id, issued: now(), expires: now() + LIMITS.mesh.memberSeconds, grant, nonce: randomBytes(NONCE_BYTES)
    }, signer)
    await this.#keep(peer, certificate)
    return certificate
  }

  /**
   * What names a grant to a member beyond that of its certificate; each call makes another one.
   * @throws {InosError} ERR_NOT_MEMBER, ERR_USAGE
   */
  promise (peer: string, grant: bigint): Sealed<Member> {
    this.#requireIssuer('give credit')
    if (peer === this.id || !this.isMember(peer)) throw new InosError('ERR_NOT_MEMBER', `${peer} is no member of this mesh.`, { hint: 'See `inos mesh members`.' })
    const { signer, now, randomBytes } = this.#parts
    return seal('member', asUsage(() => checkMember({
      net: this.net, member: keyOfPeerId(peer), invite: null, issued: now(), expires: now(), grant, nonce: randomBytes(NONCE_BYTES)
    })), signer)
  }

  /**
   * The charter with these changes, under the next version; durable when this resolves. Members take it over as they meet.
   * @throws {InosError} ERR_NOT_MEMBER when this node is not the issuer, ERR_USAGE
   */
  async amend (changes: MeshRules): Promise<void> {
    this.#requireIssuer('amend its charter')
    await this.#inTurn(async () => {
      const { payload } = this.#charter
      const next = asUsage(() => checkCharter({ ...payload, ...changes, version: payload.version + 1 }))
      await this.#setCharter(seal('charter', next, this.#parts.signer), null)
    })
  }

  /** Certificate of another member; null for one this node has not met, and for the issuer. */
  certificateOf (peer: string): Sealed<Member> | null { return this.#members.get(peer) ?? null }

  /** End a membership; durable when this resolves. Once more changes nothing. @throws {InosError} ERR_USAGE, ERR_NOT_MEMBER, ERR_POLICY */
  async revoke (peer: string): Promise<void> {
    this.#requireIssuer('revoke members')
    const key = keyOfPeerId(peer)
    if (peer === this.id) throw new InosError('ERR_USAGE', 'The issuer cannot revoke itself.')
    await this.#inTurn(async () => {
      const { version, members } = this.#revoked?.payload ?? { version: 0, members: [] }
      if (this.isRevoked(peer)) return
      if (members.length >= LIMITS.mesh.revokedMax) throw new InosError('ERR_POLICY', `${members.length} were revoked from this mesh, the most it can keep.`, { hint: 'Found a new mesh for those who stay.' })
      const all = [...members, key].sort((a, b) => toHex(a) < toHex(b) ? -1 : 1)
      await this.#setRevoked(seal('revocations', { net: this.net, version: version + 1, members: all }, this.#parts.signer), null)
    })
  }

  #requireIssuer (what: string): void {
    if (!this.isIssuer) throw new InosError('ERR_NOT_MEMBER', `Only the issuer of this mesh can ${what}: ${this.issuer}.`, { hint: 'Run this where the mesh was created.' })
  }

  /** Nothing is stored yet, and only the issuer can be talked to. */
  get isPending (): boolean { return this.#own === null && !this.isIssuer }

  #used (invite: Uint8Array): number {
    return this.#members.values().filter(({ payload }) => payload.invite !== null && equals(payload.invite, invite)).toArray().length
  }

  // Memory and disk.

  restore ({ own, revoked, routes, members }: Stored): void {
    const { verify, signer } = this.#parts
    const founder = this.#charter.payload
    if (own !== undefined) {
      this.#own = openMember(own, founder, verify)
      if (!equals(this.#own.payload.member, signer.publicKey)) throw new InosError('ERR_RECORD_INVALID', 'The certificate is for another node.')
    }
    if (revoked !== undefined) this.#show(openRevocations(revoked, founder, verify))
    if (routes !== undefined) this.#routes = (decodeCanonical(routes) as unknown[]).filter(route => isRoutes([route])) as string[]
    for (const bytes of members) {
      const certificate = openMember(bytes, founder, verify)
      this.#members.set(peerIdOfKey(certificate.payload.member), certificate)
    }
  }

  /** Certificates on their way to the disk. */
  #writing: Promise<void> = Promise.resolve()
  /** The end of the queue of those who change charter or list. */
  #turn: Promise<void> = Promise.resolve()

  /** One at a time, so that no change is built on a list that another is replacing. */
  async #inTurn (work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    await turn
  }

  /** In memory at once, so that two at a time count as two; forgotten again where the disk fails. */
  async #keep (peer: string, certificate: Sealed<Member>): Promise<void> {
    const before = this.#members.get(peer)
    this.#members.delete(peer)
    this.#members.set(peer, certificate)
    if (this.#members.size > LIMITS.mesh.membersMax) this.#members.delete(this.#members.keys().next().value!)
    const write = this.#write(KEYS.member(peer), certificate.bytes, true)
    this.#writing = Promise.allSettled([this.#writing, write]).then(() => {})
    try {
      await write
    } catch (error) {
      if (before === undefined) this.#members.delete(peer)
      else this.#members.set(peer, before)
      throw error
    }
  }

  async #setCharter (charter: Sealed<Charter>, from: string | null): Promise<void> {
    await this.#write(KEYS.charter, charter.bytes, true)
    this.#charter = charter
    this.#tell(from)
  }

  async #setRevoked (revoked: Sealed<Revocations>, from: string | null): Promise<void> {
    await this.#write(KEYS.revoked, revoked.bytes, true)
    this.#show(revoked)
    this.#tell(from)
  }

  #show (revoked: Sealed<Revocations>): void {
    this.#revoked = revoked
    this.#revokedIds = new Set(revoked.payload.members.map(peerIdOfKey))
  }

  #tell (from: string | null): void {
    for (const { rules } of this.#listeners) rules?.(from)
  }

  async #write (key: string, value: Uint8Array, sync: boolean): Promise<void> {
    await this.#parts.store.batch([{ type: 'put', key, value }], { sync })
  }
}

/** What a caller gave wrongly is its own mistake, not a bad record. */
function asUsage<T> (check: () => T): T {
  try {
    return check()
  } catch (cause) {
    throw new InosError('ERR_USAGE', cause instanceof InosError ? cause.message : String(cause), { cause })
  }
}
