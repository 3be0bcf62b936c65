/** Results of jobs with a key, among the blobs of this node: found by what their receipts name, the least used forgotten first. */
import type { BundleRecords } from '../credits/bundle.ts'
import type { Output } from './job.ts'
import type { Step } from './processor.ts'
import type { Rooms } from './rooms.ts'

/** Result and archive of files as this node keeps them; null when one is not here. @param known the result, where somebody else kept it */
export async function keptOutput (node: Rooms, { receipt: { payload: { result, files } } }: BundleRecords, known?: Uint8Array): Promise<{ bytes: Uint8Array, archive: Uint8Array | null } | null> {
  const bytes = known ?? await node.blobs.get(result.toString())
  const archive = files === null ? null : await node.blobs.get(files.toString())
  return bytes === null || (files !== null && archive === null) ? null : { bytes, archive }
}

/** Keep what a job with a key gave; bytes that cannot be kept cost a fetch when they are asked for. Of a step the result is kept with its state. */
export async function keepOutput (node: Rooms, { result, files, state }: Output, step: Step | undefined): Promise<void> {
  const isKept = state !== undefined && step?.keep !== undefined
  try {
    for (const blob of [isKept ? null : result, files]) if (blob !== null) await node.blobs.put(blob.cid.toString(), blob.bytes)
  } catch (error) {
    node.platform.log(`keeping the result ${result.cid}`, error)
  }
}
