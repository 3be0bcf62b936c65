/** `join()`: how a program becomes a node. What it is made of is in `parts.ts`. */
import type { JoinOptions, Node } from './node.ts'
import { openParts, start } from './parts.ts'

export type { JoinOptions, Node }

/**
 * Become part of the mesh. Alone, it is a mesh of one on the same code path.
 * @throws {InosError} ERR_DATA_DIR, ERR_LISTEN, ERR_NOT_REACHABLE, ERR_USAGE, ERR_INVITE, ERR_NOT_MEMBER; nothing is left open then
 */
export async function join (options: JoinOptions = {}): Promise<Node> {
  return await start(await openParts(options), options)
}
