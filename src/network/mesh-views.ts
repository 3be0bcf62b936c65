/** What a private mesh shows of itself, and what an invite may say: plain shapes for programs and people. */

/** What a mesh is, for programs and people. */
export interface MeshView {
  /** Hash of issuer and nonce, hex. */
  readonly net: string
  readonly name: string
  /** PeerId. */
  readonly issuer: string
  /** Of the charter. */
  readonly version: number
  readonly feePpm: number
  /** µcr. */
  readonly offlineMax: bigint
}

/** What a charter says and its issuer may change. */
export interface CharterOptions {
  /** For people; may be empty. */
  name?: string
  /** Millionths of each payment that the issuer keeps. */
  feePpm?: number
  /** What a member may owe one payee while the issuer is away: µcr, or text such as "5cr". */
  offlineMax?: bigint | string
}

export interface InviteOptions {
  /** What each of those invited gets to begin with: µcr, or text such as "10cr". @default 0 */
  grant?: bigint | string
  /** Text such as "7d" or "12h". @default LIMITS.mesh.inviteSeconds */
  expires?: string
  /** Members it may bring. @default 1 */
  count?: number
  /** Multiaddrs under which this node is reached, where it cannot know them. @default those it listens on */
  routes?: readonly string[]
}

/** What a node knows of a member. Amounts µcr, times unix seconds. */
export interface KnownMember {
  /** PeerId. */
  readonly id: string
  readonly issuer: boolean
  readonly self: boolean
  /** Null for the issuer, who needs no certificate. */
  readonly issued: number | null
  readonly expires: number | null
  readonly grant: bigint
  readonly revoked: boolean
}

/** One line of `members`. */
export interface MemberView extends KnownMember {
  /** At the issuer: what the member has there, µcr; null elsewhere, and for the issuer itself. */
  readonly account: bigint | null
}
