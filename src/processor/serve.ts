/**
 * A job as its seller sees it. Read `execute` from top to bottom: each line is a stage, in the
 * order in which ARCHITECTURE.md tells it, and nothing has moved until the hold.
 */
import { equals } from 'multiformats/bytes'
import { decodeCid, rawCidOfDigest } from '../packet/cid.ts'
import { openEnvelope, type Sealed } from '../packet/envelope.ts'
import { type ErrorCode, InosError, toInosError } from '../packet/errors.ts'
import { encodeDelta } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { LIMITS } from '../packet/limits.ts'
import { Packet } from '../packet/packet.pb.js'
import { checkOrder, type Offer, type Order } from '../packet/records.ts'
import { type Bundle, encodeBundle } from '../credits/bundle.ts'
import type { Hold } from '../credits/credits.ts'
import { charge } from '../credits/pricing.ts'
import type { Outcome, OutcomeKind, Run } from '../wasm/runtime.ts'
import { telling } from './ends.ts'
import { Family } from './family.ts'
import { gather, modulesOf } from './gather.ts'
import { BY_REFERENCE, factsOf, type Output, outputByReference, outputOf, own, packOutput, type ReceivedJob, unpackJob } from './job.ts'
import { keepTree } from './kept.ts'
import { type Kin, openKin } from './kin.ts'
import type { Computed } from './result-cache.ts'
import type { Rooms } from './rooms.ts'

/**
 * @param signal of this request; see `Desk.work`
 * @returns the answer; the stored one when this order was answered before
 * @throws {InosError} refusals and host faults; nothing is charged for them
 */
export async function serveJob (node: Rooms, peer: string, packet: Packet, signal: AbortSignal): Promise<Partial<Packet>> {
  const order = readOrder(packet, peer)
  const answer = await node.desk.work(peer, order.id.toString(), signal, cancel => answerOnce(node, peer, packet, order, cancel))
  // The answer has nobody to go to: present its receipt, if the payer is back already.
  if (signal.aborted) void node.settlement.reconcile(peer)
  return answer
}

async function answerOnce (node: Rooms, peer: string, packet: Packet, order: Sealed<Order>, cancel: AbortSignal): Promise<Partial<Packet>> {
  const stored = await node.credits.storedReply(peer, order.id.toString())
  if (stored === 'gone') throw new InosError('ERR_GONE', 'This order was answered before, and the answer is no longer kept.')
  if (stored === 'running') throw new InosError('ERR_BUSY', 'This order is running here.')
  if (stored !== null) return repeat(node, peer, stored)
  const { answer } = await telling(node, 'seller', () => execute(node, peer, packet, order, cancel))
  return answer
}

async function execute (node: Rooms, peer: string, packet: Packet, order: Sealed<Order>, cancel: AbortSignal): Promise<{ readonly outcome: OutcomeKind, readonly answer: Partial<Packet> }> {
  const job = admit(node, peer, packet, order)
  const offer = await node.credits.keptOffer(order) ?? node.market.offerOf(order)
  await using hold = await node.credits.acceptOrder(peer, order, offer, job.spec.spec.limits)
  node.events.emit('job:state', () => ({ job: order.id.toString(), role: 'seller', state: 'running', peer }))
  using _room = await node.desk.room(peer, job.bytesByReference, cancel)
  using brought = await gather(node, peer, job, cancel)
  const { run, before } = brought
  const spec = job.spec.id.toString()
  // What keeps a state gets a seed of its own for each call as a rule, and a memory of results would keep its pages.
  const isRemembered = !packet.fresh && run.state === undefined
  const known = isRemembered ? await recall(node, run, spec) : undefined
  const family = familyOf(node, peer, job, hold.order, offer, cancel)
  const outcome = known?.outcome ?? await node.rounds.run(peer, () => perform(node, peer, run, hold, offer, cancel, family))
  const { facts, tree } = await family.offspring()
  const output = known?.output ?? await outputOf(job.spec, outcome, before, node.platform.digest, tree)
  await setOut(node, peer, output)
  await keepTree(node, tree)
  const change = await setOutState(node, peer, before, output)
  let answer: Partial<Packet> = {}
  const bundle = await hold.settle({ ...factsOf(job.spec, outcome, output), ...facts }, settled => {
    answer = answerOf(settled, outcome, output, change)
    return Packet.encode(answer)
  }, known?.original)
  await family.forget()
  // Another payer gets no receipts of what others bought.
  if (known === undefined && isRemembered && tree === undefined) node.results?.keep(spec, { outcome, output, original: bundle })
  node.changed()
  node.announce('sold', bundle)
  node.events.emit('job:state', () => ({ job: order.id.toString(), role: 'seller', state: 'settled', peer }))
  return { outcome: outcome.outcome, answer }
}

function readOrder (packet: Packet, peer: string): Sealed<Order> {
  const [record] = packet.records
  if (record === undefined || packet.records.length !== 1) throw new InosError('ERR_BAD_PACKET', 'A job carries exactly one record: its order.')
  const order = openEnvelope(record.slice(), 'order', checkOrder)
  if (packet.id.length > 0 && !equals(packet.id, order.id.bytes)) throw new InosError('ERR_BAD_PACKET', `The id of a job from ${peer} is not the CID of its order.`)
  return order
}

/** Everything that can be refused without waiting. */
function admit (node: Rooms, peer: string, packet: Packet, order: Sealed<Order>): ReceivedJob {
  const offer = node.market.offer()
  if (offer === null) throw new InosError('ERR_POLICY', 'This node takes no work.')
  node.market.requireBuyer(peer)
  if (packet.cost < 0n || packet.cost > LIMITS.credits.amountMax) throw new InosError('ERR_BAD_PACKET', `A job cannot cost ${packet.cost} µcr.`)
  if (packet.cost !== order.payload.costMax) throw new InosError('ERR_BAD_PACKET', `The packet says ${packet.cost} µcr, its order ${order.payload.costMax} µcr.`)
  const job = unpackJob(packet)
  if (!job.spec.id.equals(order.payload.spec)) throw new InosError('ERR_BAD_PACKET', 'The spec of a job is not the one its order names.')
  const { memoryPagesMax } = offer.payload
  if (job.spec.spec.limits.memoryPagesMax > memoryPagesMax) throw new InosError('ERR_POLICY', `A job may have ${memoryPagesMax} pages of memory here, not ${job.spec.spec.limits.memoryPagesMax}.`)
  // Those that still gather their inputs are on no executor's queue yet.
  if (node.desk.size > node.runtime.load().slots + LIMITS.executor.queueMax) throw new InosError('ERR_BUSY', `${node.desk.size} jobs are at work here already.`)
  return job
}

/** What its guest has computed is paid by this node, within what the order allows, and charged with the job. */
function familyOf (node: Rooms, peer: string, { spec: { spec: { module, limits } }, wasm }: ReceivedJob, order: Sealed<Order>, offer: Sealed<Offer>, signal: AbortSignal): Family {
  return new Family(node, {
    module, limits, payer: peer, signal, where: 'any', costMax: order.payload.costMax, prices: offer.payload, order: () => order.id, kin: () => kinOf(node, peer, order, offer), modules: modulesOf(node, peer, wasm, signal)
  })
}

async function kinOf (node: Rooms, peer: string, order: Sealed<Order>, offer: Sealed<Offer>): Promise<Kin> {
  await node.credits.keepOffer(peer, order, offer)
  return await openKin(node, order.id.toString())
}

/** To the payer it is a fault of this host, whatever it is here. */
function childLost (error: InosError): InosError { return new InosError('ERR_EXECUTOR_LOST', error.message, { cause: error }) }

/** Faults of this host, after which the payer pays nothing. */
const HOST_FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['ERR_DEADLINE', 'ERR_EXECUTOR_LOST'])

/** Run. Work that a host fault threw away counts against the pool of strangers, or losing executors would be free. */
async function perform (node: Rooms, peer: string, run: Run, hold: Hold, offer: Sealed<Offer>, cancel: AbortSignal, family: Family): Promise<Outcome> {
  const began = node.platform.now()
  try {
    return await family.raise(compute => node.runtime.execute(run, { payer: peer, signal: cancel, compute }))
  } catch (thrown) {
    const error = family.isBroken && !cancel.aborted ? childLost(toInosError(thrown)) : toInosError(thrown)
    if (!HOST_FAULTS.has(error.code)) throw error
    // One fuel-second is 10⁹ fuel.
    const fuel = BigInt(Math.max(0, Math.ceil(node.platform.now() - began))) * 1_000_000n
    await hold.release(charge(offer.payload, { fuel, pages: 0, resultBytes: 0, filesBytes: 0 }))
    throw error
  }
}

/**
 * The same job, if it ran here before. By now its payer has brought input and files, so that no hash alone buys what
 * came of somebody else's; the module must be at hand as it must for a run.
 */
async function recall ({ results }: Rooms, { wasm }: Run, spec: string): Promise<Computed | undefined> {
  const known = results?.get(spec)
  if (known !== undefined && typeof wasm === 'function') await wasm()
  return known
}

/** What is too large for the answer is kept for its payer to fetch. */
async function setOut (node: Rooms, peer: string, output: Output): Promise<void> {
  for (const { cid, bytes } of outputByReference(output)) {
    await node.blobs.put(cid.toString(), bytes)
    node.shelf.allow(peer, cid.toString())
  }
}

/** The state after the run stays here for the next call, and what changed goes to the payer, who keeps it. */
async function setOutState (node: Rooms, peer: string, before: KeptState | null, { state }: Output): Promise<Pick<Packet, 'state' | 'byReference'> | null> {
  if (state === undefined) return null
  node.states.keep(peer, state)
  const delta = encodeDelta(before, state)
  if (delta.length <= LIMITS.wire.inlineBytesMax) return { state: own(delta), byReference: 0 }
  const cid = rawCidOfDigest(await node.platform.digest(delta))
  await node.blobs.put(cid.toString(), delta)
  node.shelf.allow(peer, cid.toString())
  return { state: own(cid.bytes), byReference: BY_REFERENCE.state }
}

function answerOf ({ order, receipt, original }: Bundle, outcome: Outcome, output: Output, change: Pick<Packet, 'state' | 'byReference'> | null): Partial<Packet> {
  const packed = packOutput(output)
  return {
    kind: 'answer',
    id: own(order.id.bytes),
    ...packed,
    ...(change === null ? {} : { state: change.state, byReference: packed.byReference | change.byReference }),
    cost: receipt.payload.charge,
    records: [own(receipt.bytes)],
    ...(original === undefined ? {} : { body: own(encodeBundle(original).bytes) }),
    stderr: own(outcome.stderr),
    text: outcome.message
  }
}

/** A stored answer again, what it names on the shelf again. */
function repeat (node: Rooms, peer: string, stored: Uint8Array): Partial<Packet> {
  const answer = Packet.decode(stored)
  for (const name of ['result', 'files', 'state'] as const) {
    if ((answer.byReference & BY_REFERENCE[name]) !== 0) node.shelf.allow(peer, decodeCid(answer[name]).toString())
  }
  return answer
}
