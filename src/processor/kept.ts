/** Results of jobs with a key, among the blobs of this node: found by what their receipts name, the least used forgotten first. */
import { type BundleRecords, readBundle } from '../credits/bundle.ts'
import { encodeTree, readFiles } from '../credits/tree.ts'
import type { CID } from '../packet/cid.ts'
import type { Blob, Output } from './job.ts'
import type { Step } from './processor.ts'
import type { Rooms } from './rooms.ts'

/** What a job gave, as its seller or this node keeps it: result, archive of files, receipt files of all that its guest had computed. */
export interface Kept { readonly bytes: Uint8Array, readonly archive: Uint8Array | null, readonly tree: Uint8Array | null }

/** As this node keeps it; null when something is not here. @param known the result, where somebody else kept it */
export async function keptOutput (node: Rooms, { receipt: { payload: { result, files, below } } }: BundleRecords, known?: Uint8Array): Promise<Kept | null> {
  const find = async (cid: CID | undefined | null): Promise<Uint8Array | null> => cid === undefined || cid === null ? null : await node.blobs.get(cid.toString())
  const [bytes, archive, tree] = [known ?? await find(result), await find(files), await find(below?.tree)]
  return bytes === null || (files !== null && archive === null) || (below !== undefined && tree === null) ? null : { bytes, archive, tree }
}

/** Keep what a job with a key gave; bytes that cannot be kept cost a fetch when they are asked for. Of a step the result is kept with its state. */
export async function keepOutput (node: Rooms, { result, files, tree, state }: Output, step: Step | undefined): Promise<void> {
  const isKept = state !== undefined && step?.keep !== undefined
  try {
    for (const blob of [isKept ? null : result, files, tree ?? null]) if (blob !== null) await node.blobs.put(blob.cid.toString(), blob.bytes)
  } catch (error) {
    node.platform.log(`keeping the result ${result.cid}`, error)
  }
}

/** Keep the receipts of all that a job's guest had computed, for whoever shows its receipt later. */
export async function keepTree (node: Rooms, tree: Blob | undefined): Promise<void> {
  if (tree === undefined) return
  try {
    await node.blobs.put(tree.cid.toString(), tree.bytes)
  } catch (error) {
    node.platform.log(`keeping the receipts ${tree.cid}`, error)
  }
}

/** A receipt of this node by its CID, with those of all that its guest had computed as long as they are kept; null when there is none. */
export async function wholeReceipt (node: Rooms, id: string): Promise<Uint8Array | null> {
  const bytes = await node.credits.bundle(id)
  const below = bytes === null ? undefined : readBundle(bytes).receipt.payload.below
  const tree = below === undefined ? null : await node.blobs.get(below.tree.toString())
  return bytes === null || tree === null ? bytes : encodeTree(bytes, readFiles(tree))
}
