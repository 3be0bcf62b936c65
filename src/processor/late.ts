/**
 * Receipts that come alone, after a crash or a lost answer. One of a job whose guest had others computed comes with the receipts of
 * those, or they are fetched from who shows it: what was bought for the job is most of its bill, and nothing else shows that it was.
 */
import { equals } from 'multiformats/bytes'
import { type BundleRecords, checkBundle, readBundle } from '../credits/bundle.ts'
import { openBelow } from '../credits/tree.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { within } from './deadline.ts'
import { describeBlob, own } from './job.ts'
import { keepTree } from './kept.ts'
import type { Rooms } from './rooms.ts'

/** What shows a receipt file to a peer. A large tree is fetched by its name, which stands in the receipt. */
export async function packDue (node: Rooms, peer: string, file: Uint8Array): Promise<Partial<Packet>> {
  const { below } = readBundle(file).receipt.payload
  const cid = below?.tree.toString()
  const tree = cid === undefined ? null : await node.blobs.get(cid)
  if (cid === undefined || tree === null) return { kind: 'due', body: own(file) }
  node.shelf.allow(peer, cid)
  return { kind: 'due', body: own(file), ...tree.length <= LIMITS.wire.inlineBytesMax ? { tree: own(tree) } : {} }
}

/**
 * All that a shown receipt says is below it is there, before it is owed. Nothing is asked for one that is this node's own, known, or given up.
 * @param given the tree, as far as it came along
 * @throws {InosError} ERR_RECEIPT_INVALID; as `Sessions.fetch` for a tree that does not come
 */
export async function checkLate (node: Rooms, peer: string, records: BundleRecords, given: Uint8Array): Promise<void> {
  const { platform, credits } = node
  const { receipt, order } = records
  const { below, payer } = receipt.payload
  if (below === undefined || !equals(payer, platform.signer.publicKey)) return
  if (await credits.bundle(receipt.id.toString()) !== null || await credits.cancelOf(order.id.toString()) !== null) return
  // Before there is any work for who sent it: it is for an order of this node.
  checkBundle(records, platform.verify)
  const cid = below.tree.toString()
  await within(node, LIMITS.credits.answerMsMax, `The receipts ${cid} did not come`, async signal => {
    const bytes = given.length > 0 ? given : await node.blobs.get(cid) ?? await node.sessions().fetch(peer, cid, { bytesMax: LIMITS.credits.treeBytesMax, signal })
    const tree = await describeBlob(bytes, platform.digest)
    if (!tree.cid.equals(below.tree)) throw new InosError('ERR_RECEIPT_INVALID', `The receipts below ${receipt.id} are not those it names.`)
    await openBelow(records, bytes, platform.verify, () => platform.sleep(0, signal))
    await keepTree(node, tree)
  })
}
