/** Founding a private mesh: what makes the node of a data directory its issuer. */
import { foundMesh, openMembership } from '../network/membership.ts'
import type { CharterOptions, InviteOptions, MemberView, MeshView } from '../network/mesh-views.ts'
import { openDataDirectory } from './data-dir.ts'
import { belongsElsewhere, partsOf, requireFresh, rulesOf, viewOf } from '../assembly/mesh.ts'
import { createPlatform } from './platform.ts'

export type { CharterOptions, InviteOptions, MemberView, MeshView }

/** Without a name, without a fee, and with `LIMITS.mesh.offlineMax`, unless told otherwise. */
export interface CreateMeshOptions extends CharterOptions {
  /** @default INOS_HOME, else the user's data directory */
  dataDir?: string
}

/**
 * Found a private mesh; the node of this data directory is its issuer.
 * @throws {InosError} ERR_USAGE, ERR_DATA_DIR when the directory is in use or belongs to a mesh already
 */
export async function createMesh ({ dataDir, ...charter }: CreateMeshOptions = {}): Promise<MeshView> {
  await using dir = await openDataDirectory(dataDir)
  const parts = partsOf(dir, createPlatform(dir.seed))
  const before = await openMembership(parts)
  if (before !== null) throw belongsElsewhere(dir, before)
  await requireFresh(dir)
  return viewOf(await foundMesh(parts, rulesOf(charter)))
}
