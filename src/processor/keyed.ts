/**
 * Jobs with a key: the same key is never paid twice. What was bought under it is given again with
 * its receipt, from the bytes kept here or from its seller; an order that was placed and not
 * answered is presented again as it is. Only what was given up for good is bought anew.
 */
import { peerIdOfKey } from '../packet/identity.ts'
import { InosError, toInosError } from '../packet/errors.ts'
import { decodeOutputs } from '../packet/files.ts'
import { LIMITS } from '../packet/limits.ts'
import type { BundleRecords } from '../credits/bundle.ts'
import { OF_CHILD } from '../credits/keys.ts'
import { readFiles } from '../credits/tree.ts'
import { errorOf, unlessAborted } from '../network/talk.ts'
import { bringOutput, type Done, PASSING, PAUSES_MS, type Purchase } from './buy.ts'
import { within } from './deadline.ts'
import { type Job, own } from './job.ts'
import type { JobEntry } from './jobs.ts'
import { keepOutput, keptOutput } from './kept.ts'
import type { Step } from './processor.ts'
import type { Rooms } from './rooms.ts'
import type { Finished } from './submit.ts'

/** A call that is at work under a key. */
export interface AtKey {
  /** CID as text. */
  readonly spec: string
  /** What tries of one job share. */
  readonly once: object | undefined
  readonly work: Promise<Finished>
}

const NOTHING = new Uint8Array(0)

/** @throws {InosError} ERR_USAGE */
export function checkKey (key: unknown): void {
  if (key === undefined || (typeof key === 'string' && key.length > 0 && key.length <= LIMITS.job.keyCharsMax && key.isWellFormed() && !key.startsWith(OF_CHILD))) return
  throw new InosError('ERR_USAGE', `A key is text of 1 to ${LIMITS.job.keyCharsMax} characters, the first of them not NUL.`)
}

/**
 * Do the work of one call under a key, or join the call that is at it.
 * @param work told whether to look for what was bought before; a second try at the same job does not
 */
export async function underKey (node: Rooms, job: Job, key: string, once: object | undefined, entry: JobEntry, work: (recalls: boolean) => Promise<Finished>): Promise<Finished> {
  const spec = job.spec.id.toString()
  for (let first = node.atKeys.get(key); first !== undefined; first = node.atKeys.get(key)) {
    if (first.spec !== spec) throw new InosError('ERR_USAGE', `Another job is at work under the key "${key}".`, { hint: 'Take another key for another job.' })
    if (once !== undefined && first.once === once) return await work(false)
    entry.say({ state: 'queued', reason: 'an earlier call with this key is at work' })
    try {
      return await unlessAborted(first.work, entry.signal)
    } catch (error) {
      // The earlier caller may have given it up; this one has not.
      if (entry.signal.aborted || toInosError(error).code !== 'ERR_CANCELLED') throw error
    }
  }
  const mine = work(true).finally(() => { node.atKeys.delete(key) })
  node.atKeys.set(key, { spec, once, work: mine })
  return await mine
}

/**
 * What became of a job under this key before: its result, or the order to present again; null when it may be bought.
 * @throws {InosError} ERR_USAGE for another job's key; ERR_GONE when it is paid and its result is nowhere any more; as `Sessions.request`
 * when it is paid and its seller is away
 */
export async function recallJob (node: Rooms, job: Job, key: string, entry: JobEntry): Promise<Done | Purchase | null> {
  const found = await node.credits.recall(key, job.spec.id)
  if (found === null) return null
  if (found.kind === 'open') {
    const { peer, order, offer } = found
    return { kind: 'buy', peer, offer, costMax: order.payload.costMax, seconds: LIMITS.job.orderSeconds, again: order }
  }
  const { bundle } = found
  const { state } = bundle.receipt.payload
  const after = state === undefined ? undefined : await job.step?.find?.(state.toString()) ?? null
  const kept = after === null ? null : await keptOutput(node, bundle, after?.result)
  // A job of one's own costs nothing, however often it runs.
  if (kept === null && bundle.selfExecuted) return null
  if (kept === null) entry.say({ state: 'queued', reason: 'its result is fetched again from who was paid for it' })
  const { bytes, archive, tree, output } = kept === null ? await fetchAgain(node, bundle, job.step, entry.signal) : { ...kept, output: { state: after?.state } }
  return { bundle, bytes, files: decodeOutputs(archive, job.spec.spec.outputs), below: tree === null ? [] : readFiles(tree), state: output.state, stderr: NOTHING, message: '' }
}

async function fetchAgain (node: Rooms, bundle: BundleRecords, step: Step | undefined, signal: AbortSignal): ReturnType<typeof bringOutput> {
  const peer = peerIdOfKey(bundle.order.payload.executor)
  for (let tries = 0; ; tries++) {
    try {
      return await fetchOnce(node, peer, bundle, step, signal)
    } catch (cause) {
      const error = toInosError(cause)
      const pause = PAUSES_MS[tries]
      if (signal.aborted) throw error
      if (!PASSING.has(error.code)) {
        throw new InosError('ERR_GONE', `The job of this key is paid; its result is kept neither here nor at ${peer} any more: ${error.message}`, { cause, hint: 'Take another key to buy it again.' })
      }
      if (pause === undefined) throw new InosError(error.code, error.message, { cause, hint: `The job of this key is paid; its result is at ${peer}.` })
      await node.platform.sleep(pause, signal)
    }
  }
}

/** Its order alone, so that a seller that knows it not refuses it, and never runs it again. */
async function fetchOnce (node: Rooms, peer: string, { order, receipt }: BundleRecords, step: Step | undefined, signal: AbortSignal): ReturnType<typeof bringOutput> {
  const answer = await node.sessions().request(peer, { kind: 'job', id: own(order.id.bytes), cost: order.payload.costMax, records: [own(order.bytes)] }, { signal })
  if (answer.kind === 'refusal') throw errorOf(answer)
  const brought = await bringOutput(node, peer, answer, receipt.payload, step, signal)
  await keepOutput(node, brought.output, step)
  if (brought.output.state !== undefined) await step?.keep?.(brought.output.state, brought.delta!, brought.bytes)
  return brought
}

/** The receipt of a job with a key came alone: its result is fetched while its seller keeps it for who has not paid. Never throws. */
export async function keepLate (node: Rooms, bundle: BundleRecords): Promise<void> {
  const peer = peerIdOfKey(bundle.order.payload.executor)
  try {
    if (await keptOutput(node, bundle) === null) await within(node, LIMITS.credits.answerMsMax, 'It did not come', signal => fetchOnce(node, peer, bundle, undefined, signal))
  } catch (error) {
    node.platform.log(`fetching the result of the order ${bundle.order.id}`, error)
  }
}
