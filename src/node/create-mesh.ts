/** Founding a private mesh: what makes the node of a data directory its issuer. */
import { foundMesh, type MeshRules, openMembership } from '../network/membership.ts'
import type { InviteOptions, MemberView, MeshView } from '../network/mesh-views.ts'
import { openDataDirectory } from './data-dir.ts'
import { amountOf, belongsElsewhere, partsOf, requireFresh, viewOf } from './mesh.ts'
import { createPlatform } from './platform.ts'

export type { InviteOptions, MemberView, MeshView }

export interface CreateMeshOptions {
  /** @default INOS_HOME, else the user's data directory */
  dataDir?: string
  name?: string
  /** Millionths of each payment that the issuer keeps. @default 0 */
  feePpm?: number
  /** What a member may owe one payee while the issuer is away: µcr, or text such as "5cr". @default LIMITS.mesh.offlineMax */
  offlineMax?: bigint | string
}

/**
 * Found a private mesh; the node of this data directory is its issuer.
 * @throws {InosError} ERR_USAGE, ERR_DATA_DIR when the directory is in use or belongs to a mesh already
 */
export async function createMesh ({ dataDir, name, feePpm, offlineMax }: CreateMeshOptions = {}): Promise<MeshView> {
  await using dir = await openDataDirectory(dataDir)
  const parts = partsOf(dir, createPlatform(dir.seed))
  const before = await openMembership(parts)
  if (before !== null) throw belongsElsewhere(dir, before)
  await requireFresh(dir)
  const rules: MeshRules = {
    ...(name === undefined ? {} : { name }), ...(feePpm === undefined ? {} : { feePpm }), ...(offlineMax === undefined ? {} : { offlineMax: amountOf(offlineMax) })
  }
  return viewOf(await foundMesh(parts, rules))
}
