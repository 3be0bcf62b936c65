/**
 * A job as its seller sees it. Read `execute` from top to bottom: each line is a stage, in the
 * order in which ARCHITECTURE.md tells it, and nothing has moved until the hold.
 */
import { equals } from 'multiformats/bytes'
import { decodeCid } from '../packet/cid.ts'
import { openEnvelope, type Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { Packet } from '../packet/packet.pb.js'
import { checkOrder, type Order } from '../packet/records.ts'
import type { Bundle } from '../credits/bundle.ts'
import type { Outcome, Run } from '../wasm/runtime.ts'
import { type Blob, BY_REFERENCE, describeResult, factsOf, own, type ReceivedJob, runOf, unpackJob, type Wanted } from './job.ts'
import type { Rooms } from './rooms.ts'

/** Orders being worked on, so that a repeat joins instead of running again. */
export type Running = Map<string, Promise<Partial<Packet>>>

/**
 * @returns the answer; the stored one when this order was answered before
 * @throws {InosError} refusals and host faults; nothing is charged for them
 */
export async function serveJob (node: Rooms, running: Running, peer: string, packet: Packet, signal: AbortSignal): Promise<Partial<Packet>> {
  const order = readOrder(packet, peer)
  const id = order.id.toString()
  const key = `${peer}/${id}`
  // No await between looking and setting: two copies of a packet must meet here.
  const work = running.get(key) ?? answerOnce(node, peer, id, packet, order, signal)
  running.set(key, work)
  try {
    return await work
  } finally {
    running.delete(key)
  }
}

async function answerOnce (node: Rooms, peer: string, id: string, packet: Packet, order: Sealed<Order>, signal: AbortSignal): Promise<Partial<Packet>> {
  const stored = await node.credits.storedReply(peer, id)
  if (stored === 'gone') throw new InosError('ERR_GONE', 'This order was answered before, and the answer is no longer kept.')
  if (stored instanceof Uint8Array) return repeat(node, peer, stored)
  if (stored === 'running') throw new InosError('ERR_BUSY', 'This order is running here.')
  const answer = await execute(node, peer, packet, order, signal)
  // The answer has nobody to go to: present its receipt where the payer is back already.
  if (signal.aborted) void node.settlement.reconcile(peer)
  return answer
}

async function execute (node: Rooms, peer: string, packet: Packet, order: Sealed<Order>, signal: AbortSignal): Promise<Partial<Packet>> {
  const job = admit(node, packet, order)
  await using hold = await node.credits.acceptOrder(peer, order, node.market.offerOf(order), job.spec.spec.limits)
  node.events.emit('job:state', { job: order.id.toString(), role: 'seller', state: 'running', peer })
  const run = await gather(node, peer, job, signal)
  const outcome = await node.runtime.execute(run, { payer: peer, signal: cancelOnly(signal) })
  const result = await setOut(node, peer, outcome)
  let answer: Partial<Packet> = {}
  const bundle = await hold.settle(factsOf(job.spec, outcome, result), settled => {
    answer = answerOf(settled, outcome, result)
    return Packet.encode(answer)
  })
  node.announce('sold', bundle)
  node.events.emit('job:state', { job: order.id.toString(), role: 'seller', state: 'done', peer })
  return answer
}

function readOrder (packet: Packet, peer: string): Sealed<Order> {
  const [record] = packet.records
  if (record === undefined || packet.records.length !== 1) throw new InosError('ERR_BAD_PACKET', 'A job carries exactly one record: its order.')
  const order = openEnvelope(record.slice(), 'order', checkOrder)
  if (packet.id.length > 0 && !equals(packet.id, order.id.bytes)) throw new InosError('ERR_BAD_PACKET', `The id of a job from ${peer} is not the CID of its order.`)
  return order
}

/** Everything that can be refused without waiting. */
function admit (node: Rooms, packet: Packet, order: Sealed<Order>): ReceivedJob {
  if (node.market.offer() === null) throw new InosError('ERR_POLICY', 'This node takes no work.')
  if (packet.cost < 0n || packet.cost > LIMITS.credits.amountMax) throw new InosError('ERR_BAD_PACKET', `A job cannot cost ${packet.cost} µcr.`)
  if (packet.cost !== order.payload.costMax) throw new InosError('ERR_BAD_PACKET', `The packet says ${packet.cost} µcr, its order ${order.payload.costMax} µcr.`)
  const job = unpackJob(packet)
  if (!job.spec.id.equals(order.payload.spec)) throw new InosError('ERR_BAD_PACKET', 'The spec of a job is not the one its order names.')
  const { busy, queued, slots } = node.runtime.load()
  if (busy + queued >= slots + LIMITS.executor.queueMax) throw new InosError('ERR_BUSY', `${queued} jobs are waiting here already.`)
  return job
}

/** The run with everything by value; the module only if no executor has it compiled. */
async function gather (node: Rooms, peer: string, job: ReceivedJob, signal: AbortSignal): Promise<Run> {
  const [input, files] = await Promise.all([
    take(node, peer, job.input, LIMITS.spec.inputBytesMax, signal),
    job.files === null ? null : take(node, peer, job.files, LIMITS.spec.inputBytesMax, signal)
  ])
  return runOf(job.spec, () => take(node, peer, job.wasm, LIMITS.wire.blobBytesMax, signal), input, files)
}

async function take (node: Rooms, peer: string, { cid, bytes }: Wanted, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
  if (bytes !== null) return bytes
  const id = cid.toString()
  const cached = await node.blobs.get(id)
  if (cached !== null) return cached
  const fetched = await node.sessions().fetch(peer, id, { bytesMax, signal })
  await node.blobs.put(id, fetched)
  return fetched
}

/** A result too large for the answer is kept for its payer to fetch. */
async function setOut (node: Rooms, peer: string, outcome: Outcome): Promise<Blob> {
  const result = await describeResult(outcome, node.platform.digest)
  if (result.bytes.length > LIMITS.wire.inlineBytesMax) {
    await node.blobs.put(result.cid.toString(), result.bytes)
    node.shelf.allow(peer, result.cid.toString())
  }
  return result
}

function answerOf ({ order, receipt }: Bundle, outcome: Outcome, result: Blob): Partial<Packet> {
  const inline = result.bytes.length <= LIMITS.wire.inlineBytesMax
  return {
    kind: 'answer',
    id: own(order.id.bytes),
    result: own(inline ? result.bytes : result.cid.bytes),
    byReference: inline ? 0 : BY_REFERENCE.result,
    size: BigInt(result.bytes.length),
    cost: receipt.payload.charge,
    records: [own(receipt.bytes)],
    stderr: own(outcome.stderr),
    text: outcome.message
  }
}

/** A stored answer again, its result on the shelf again. */
function repeat (node: Rooms, peer: string, stored: Uint8Array): Partial<Packet> {
  const answer = Packet.decode(stored)
  if ((answer.byReference & BY_REFERENCE.result) !== 0) node.shelf.allow(peer, decodeCid(answer.result).toString())
  return answer
}

/**
 * A cancel ends the job. A lost connection does not: the order binds its payer, who may come back
 * for the answer.
 */
function cancelOnly (signal: AbortSignal): AbortSignal {
  const cancel = new AbortController()
  const forward = (): void => { if (!(signal.reason instanceof InosError)) cancel.abort(signal.reason) }
  if (signal.aborted) forward()
  signal.addEventListener('abort', forward, { once: true })
  return cancel.signal
}
