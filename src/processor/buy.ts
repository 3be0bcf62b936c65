/**
 * One job bought from one peer: mandate → send → verify → accept. For the order this ends in one of
 * three ways: owed; refused, and nothing is owed; or given up, because it was answered wrongly, its
 * peer was lost or its caller cancelled it: then what its peer shows for it later is not paid.
 */
import { type CID, decodeCid } from '../packet/cid.ts'
import { openEnvelope, type Sealed } from '../packet/envelope.ts'
import { type ErrorCode, InosError, toInosError } from '../packet/errors.ts'
import { decodeOutputs } from '../packet/files.ts'
import { applyDelta, STATE_BYTES_MAX } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { checkReceipt, type Order, type Receipt } from '../packet/records.ts'
import { type Bundle, readBundle } from '../credits/bundle.ts'
import { type Prices, worstCase } from '../credits/pricing.ts'
import { openBelow } from '../credits/tree.ts'
import { errorOf } from '../network/talk.ts'
import type { Choice } from './choose.ts'
import { blobsByName, blobsByReference, BY_REFERENCE, describeBlob, describeOutput, type Job, type Output, own, packJob } from './job.ts'
import { keepOutput, keepTree } from './kept.ts'
import type { Kinship } from './kin.ts'
import type { JobState, Step } from './processor.ts'
import { isDrawn, recheck } from './recheck.ts'
import type { Rooms } from './rooms.ts'

/** `again`: an order that was placed before and is presented once more. */
export type Purchase = Choice & { kind: 'buy', readonly again?: Sealed<Order> }

/** What a run gave, with the receipt that proves it. `message` is the guest's own last word. */
export interface Done {
  readonly bundle: Bundle
  readonly bytes: Uint8Array
  readonly files: Readonly<Record<string, Uint8Array>>
  readonly state?: KeptState | undefined
  readonly stderr: Uint8Array
  readonly message: string
  /** Receipt files of all that its guest had computed. */
  readonly below: readonly Uint8Array[]
}

export interface BuyOptions {
  readonly signal: AbortSignal
  say (state: JobState): void
  /** Share of answers that are run again here. */
  readonly audit: number
  readonly once: { taken: boolean }
  /** The caller's name for the job: its result is kept. */
  readonly key: string | undefined
  /** Whether it must be run, whatever the seller remembers. */
  readonly fresh: boolean
  /** Whether no other node could do the job now: then a lost one is worth waiting for. */
  lastHope (): boolean
  readonly kinship: Kinship
}

/** Before each new try at a node that was lost, or is too busy. */
export const PAUSES_MS = [200, 1_000, 3_000] as const

/** What failed may well work with the same peer a moment later. */
export const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['ERR_PEER_LOST', 'ERR_NOT_REACHABLE', 'ERR_BUSY'])

/** @throws {InosError} the peer's refusal, ERR_VERIFICATION for a wrong answer, ERR_PEER_LOST, ERR_CANCELLED … */
export async function buy (node: Rooms, job: Job, purchase: Purchase, options: BuyOptions): Promise<Done> {
  const { peer, offer, costMax } = purchase
  const takeDown = node.shelf.lend(peer, blobsByReference(job), options.kinship.modules)
  for (const cid of blobsByName(job)) node.shelf.allow(peer, cid.toString())
  node.market.begin(peer)
  try {
    // Held before its first wait, so that nobody else spends the same credit.
    // Whoever keeps its own states finds there what was acknowledged, and asks again after a power cut only for what was not.
    const outlives = job.step?.keep === undefined ? 'power cut' : 'process'
    const order = purchase.again ?? await node.credits.placeOrder({
      executor: peer, offer, spec: job.spec.id, costMax, seconds: LIMITS.job.orderSeconds, key: options.key, outlives, parent: options.kinship.parent
    })
    using _answer = node.settlement.await(order.id.toString())
    return await trade(node, job, order, purchase, options)
  } finally {
    node.market.end(peer)
    takeDown()
    node.changed()
  }
}

async function trade (node: Rooms, job: Job, order: Sealed<Order>, purchase: Purchase, options: BuyOptions): Promise<Done> {
  const { peer } = purchase
  const id = order.id.toString()
  try {
    options.say({ state: 'sending', peer })
    const done = await ask(node, job, order, purchase, options)
    if (!(done instanceof InosError)) {
      node.announce('bought', done.bundle)
      node.settlement.paySoon(peer)
      return done
    }
    // An order that was answered before, and whose answer is gone, is not refused: its seller has a debt to drop.
    if (done.code !== 'ERR_GONE') await node.credits.refuseOrder(id)
    throw done
  } catch (error) {
    // What was refused is released already; nothing else was answered rightly, or it would be owed.
    await node.settlement.giveUp(peer, id)
    throw error
  }
}

/**
 * Send the job until there is an answer; what is asked twice is run once.
 * @returns what was bought, or why the peer refused
 */
async function ask (node: Rooms, job: Job, order: Sealed<Order>, purchase: Purchase, options: BuyOptions): Promise<Done | InosError> {
  const { signal, say, lastHope, fresh } = options
  const { peer, costMax, again, offer } = purchase
  const packet = { ...packJob(job), id: own(order.id.bytes), cost: costMax, records: [own(order.bytes)], fresh }
  let answered = false
  for (let tries = 0; ; tries++) {
    try {
      const request = node.sessions().request(peer, packet, { signal })
      say({ state: 'running', peer, fuelPerSec: offer.payload.fuelPerSec })
      const answer = await request
      if (answer.kind === 'refusal') return refusalOf(peer, answer)
      answered = true
      say({ state: 'verifying', peer })
      return await take(node, job, order, purchase, answer, options)
    } catch (cause) {
      const error = toInosError(cause)
      // Larger than this peer takes at once: it never left.
      if (error.code === 'ERR_INPUT_TOO_LARGE') return new InosError('ERR_NO_OFFER', error.message, { cause })
      const pause = PAUSES_MS[tries]
      // Who has answered is owed for it, and worth more patience than somebody new.
      if (signal.aborted || !PASSING.has(error.code) || pause === undefined || !(answered || again !== undefined || lastHope())) throw error
      say({ state: 'retrying', peer, reason: error.message })
      await node.platform.sleep(pause, signal)
    }
  }
}

/** What a peer cancelled is not what this node's caller cancelled. */
function refusalOf (peer: string, answer: Packet): InosError {
  const error = errorOf(answer)
  return error.code === 'ERR_CANCELLED' ? new InosError('ERR_EXECUTOR_LOST', `${peer} has given the job up: ${error.message}`) : error
}

/**
 * The receipt is for this order, the bill is right, and the bytes are what it names. Accepted last: what is wrong moves nothing.
 * @throws {InosError} ERR_VERIFICATION for what is wrong; as `Sessions.fetch` for a result that does not come
 */
async function take (node: Rooms, job: Job, order: Sealed<Order>, { peer, offer }: Purchase, answer: Packet, { signal, audit, once, key, fresh, kinship }: BuyOptions): Promise<Done> {
  const [record] = answer.records
  if (answer.kind !== 'answer' || record === undefined || answer.records.length !== 1) throw wrong(peer, 'It has no receipt.')
  const receipt = await right(peer, () => {
    const opened = openEnvelope(record.slice(), 'receipt', checkReceipt)
    checkFacts(job, opened.payload, offer.payload, order.payload.costMax)
    return opened
  })
  const said = receipt.payload
  if (fresh && said.cached !== null) throw wrong(peer, 'It comes from memory, and a run was asked for.')
  const original = answer.body.length === 0 ? undefined : await right(peer, () => readBundle(answer.body.slice()))
  const { bytes, archive, tree, output, delta } = await bringOutput(node, peer, answer, said, job.step, signal)
  const below = tree === null ? [] : await right(peer, () => checkBelow(node, job, { receipt, order }, tree, signal))
  const opened = await right(peer, () => decodeOutputs(archive, job.spec.spec.outputs))
  if (isDrawn(node, peer, audit)) await right(peer, () => recheck(node, job, kinship.modules, said, signal))
  // Before its receipt: a crash in between leaves the order open.
  if (key !== undefined) await keepOutput(node, output, job.step)
  const kept = output.state === undefined ? undefined : job.step?.keep?.(output.state, delta!, bytes)
  // Who does not come to wait for it needs no state.
  kept?.catch(() => {})
  const bundle = await takeOnce(once, () => right(peer, () => node.credits.acceptReceipt(peer, { receipt, order, offer, original }, kept)))
  await keepTree(node, output.tree)
  return { bundle, bytes, below, files: opened, state: output.state, stderr: answer.stderr.slice(0, LIMITS.guest.stderrBytesMax), message: answer.text.slice(0, LIMITS.guest.messageCharsMax) }
}

/** What an answer brought. `delta`: how it told of the state. */
export interface Brought { readonly bytes: Uint8Array, readonly archive: Uint8Array | null, readonly tree: Uint8Array | null, readonly output: Output, readonly delta?: Uint8Array }

/**
 * What an answer gives or names, fetched and held against its receipt.
 * @param step absent where the state after it is not wanted
 * @throws {InosError} ERR_VERIFICATION for what is wrong; as `Sessions.fetch` for what does not come
 */
export async function bringOutput (node: Rooms, peer: string, answer: Packet, said: Receipt, step: Step | undefined, signal: AbortSignal): Promise<Brought> {
  const bring = async (name: 'result' | 'files' | 'state' | 'tree', cid: CID, bytesMax: number): Promise<Uint8Array> => {
    const referred = (answer.byReference & BY_REFERENCE[name]) !== 0
    return referred ? await right(peer, () => node.sessions().fetch(peer, cid.toString(), { bytesMax, signal })) : answer[name].slice()
  }
  const bytes = await bring('result', said.result, said.resultBytes)
  const archive = said.files === null ? null : await bring('files', said.files, said.filesBytes)
  if (archive === null && answer.files.length > 0) throw wrong(peer, 'It has files, and its receipt names none.')
  const tree = said.below === undefined ? null : await bring('tree', said.below.tree, LIMITS.credits.treeBytesMax)
  const output = await describeOutput({ result: bytes, files: archive }, node.platform.digest, tree === null ? undefined : await describeBlob(tree, node.platform.digest))
  const { result, files } = output
  if (!result.cid.equals(said.result) || bytes.length !== said.resultBytes) throw wrong(peer, 'The result is not the one its receipt names.')
  if (files !== null && (!files.cid.equals(said.files) || files.bytes.length !== said.filesBytes)) throw wrong(peer, 'The files are not those its receipt names.')
  if (tree !== null && !output.tree!.cid.equals(said.below!.tree)) throw wrong(peer, 'The receipts of its children are not those its receipt names.')
  if (said.state === undefined || step === undefined) return { bytes, archive, tree, output }
  const delta = await bring('state', (answer.byReference & BY_REFERENCE.state) === 0 ? said.state : decodeCid(answer.state), STATE_BYTES_MAX + LIMITS.state.recordBytesMax)
  const state = await right(peer, () => applyDelta(step.before, delta, node.platform.digest))
  if (state.id !== said.state.toString() || !state.record.module.equals(said.module) || state.record.profile !== said.profile) throw wrong(peer, 'The state is not the one its receipt names.')
  return { bytes, archive, tree, output: { ...output, state }, delta }
}

/** All below it is as the receipts say, and no more than the job allows. @returns their files */
async function checkBelow (node: Rooms, { spec: { spec: { limits } } }: Job, parent: Pick<Bundle, 'receipt' | 'order'>, tree: Uint8Array, signal: AbortSignal): Promise<Uint8Array[]> {
  const { platform } = node
  const below = await openBelow(parent, tree, platform.verify, () => platform.sleep(0, signal))
  const most = limits.descendantsMax ?? LIMITS.guest.descendantsMax
  if (below.length > most) throw new InosError('ERR_RECEIPT_INVALID', `The job had ${below.length} others computed, and may have had ${most}.`)
  return below.map(({ bytes }) => bytes)
}

/** Of several tries at one job only the first right answer is accepted. */
export async function takeOnce<T> (once: { taken: boolean }, accept: () => Promise<T>): Promise<T> {
  if (once.taken) throw new InosError('ERR_CANCELLED', 'Another node has given the answer.')
  once.taken = true
  try {
    return await accept()
  } catch (error) {
    once.taken = false
    throw error
  }
}

/** What an answer that is wrong, or a result that is not given out, shows itself by. */
const WRONG: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['ERR_RECORD_INVALID', 'ERR_RECEIPT_INVALID', 'ERR_BAD_PACKET', 'ERR_INPUT_TOO_LARGE', 'ERR_GONE', 'ERR_POLICY'])

async function right<T> (peer: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const error = toInosError(cause)
    throw WRONG.has(error.code) ? wrong(peer, error.message, cause) : error
  }
}

function wrong (peer: string, why: string, cause?: unknown): InosError {
  return new InosError('ERR_VERIFICATION', `The answer of ${peer} is wrong. ${why}`, { cause })
}

/** A receipt may only say what this job's spec allows; where a guest had others computed, what was bought for it may cost what is left beside all its fuel, and no more for fuel that nobody burnt. */
function checkFacts ({ spec: { spec } }: Job, receipt: Receipt, prices: Prices, costMax: bigint): void {
  const { limits } = spec
  const field = !receipt.module.equals(spec.module) ? 'module'
    : !receipt.input.equals(spec.input) ? 'input'
      : receipt.profile !== spec.profile ? 'profile'
        : receipt.fuel > limits.fuelMax || (receipt.outcome === 'fuel' && receipt.fuel !== limits.fuelMax) ? 'fuel'
          : receipt.pages > limits.memoryPagesMax ? 'pages'
            : receipt.resultBytes + receipt.filesBytes > (receipt.outcome === 'ok' ? limits.outputBytesMax : 0) ? 'resultBytes'
              : receipt.state !== undefined && spec.state === undefined ? 'state'
                : receipt.charge > costMax - worstCase(prices, limits) + worstCase(prices, { ...limits, fuelMax: receipt.fuel }) ? 'charge'
                  : null
  if (field !== null) throw new InosError('ERR_RECEIPT_INVALID', `The receipt says of "${field}" what this job cannot have done.`)
}
