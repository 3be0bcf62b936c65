/** A member's side of a private mesh, as programs see it. */
import type { CharterOptions, InviteOptions, MemberView, MeshView } from '../network/mesh-views.ts'

/** What a node says and does about its private mesh. */
export interface MeshMethods {
  /** The private mesh it belongs to; null on the open one. */
  mesh (): MeshView | null
  /**
   * As the issuer: change what the charter says; members take the later one over as they meet.
   * @throws {InosError} ERR_NOT_MEMBER unless this node is the issuer, ERR_USAGE
   */
  amend (changes: CharterOptions): Promise<MeshView>
  /**
   * Make an invite to this node's private mesh: one line of text, for `join({ mesh })` elsewhere.
   * @throws {InosError} ERR_NOT_MEMBER unless this node is its issuer, ERR_USAGE
   */
  invite (options?: InviteOptions): Promise<string>
  /** Members this node knows: the issuer all of them, others whom they met. @throws {InosError} ERR_NOT_MEMBER */
  members (): MemberView[]
  /**
   * As the issuer: give a member credit beyond what its invite promised.
   * @param amount µcr, or text such as "10cr"
   * @throws {InosError} ERR_NOT_MEMBER, ERR_USAGE, ERR_BUDGET
   */
  grant (peer: string, amount: bigint | string): Promise<void>
  /** End the membership of a PeerId; members learn it from each other. @throws {InosError} ERR_NOT_MEMBER, ERR_USAGE, ERR_POLICY */
  revoke (peer: string): Promise<void>
}
