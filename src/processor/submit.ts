/**
 * A job as its buyer sees it: choose → mandate → send → verify → pay, mirrored by `serve.ts`.
 * A lost or faulty node costs a retry elsewhere; what the guest itself does is a result.
 */
import { openEnvelope, type Sealed } from '../packet/envelope.ts'
import { type Attempt, type ErrorCode, InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { checkReceipt, type Order, type Receipt } from '../packet/records.ts'
import { type Bundle, encodeBundle } from '../credits/bundle.ts'
import { errorOf } from '../network/talk.ts'
import type { OutcomeKind } from '../wasm/runtime.ts'
import { type Choice, choose } from './choose.ts'
import { blobsByReference, BY_REFERENCE, describeResult, factsOf, type Job, own, packJob, runOf } from './job.ts'
import type { ComputeOptions, JobState, Result } from './processor.ts'
import type { Rooms } from './rooms.ts'

/** What a run gave, with the receipt that proves it. */
interface Done { readonly bundle: Bundle, readonly bytes: Uint8Array, readonly stderr: Uint8Array, readonly message: string }

/** A result before its helpers were added; `message` is the guest's own last word. */
export interface Finished extends Omit<Result, 'text' | 'json'> { readonly message: string }

/** Faults of a node or the way to it: another one may do better. */
const ELSEWHERE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_PEER_LOST', 'ERR_NOT_REACHABLE', 'ERR_VERIFICATION', 'ERR_RECEIPT_INVALID', 'ERR_RECORD_INVALID', 'ERR_BAD_PACKET', 'ERR_UNKNOWN_KIND', 'ERR_GONE',
  'ERR_BUSY', 'ERR_POLICY', 'ERR_NO_OFFER', 'ERR_INSUFFICIENT_CREDITS', 'ERR_EXECUTOR_LOST', 'ERR_DEADLINE', 'ERR_INTERNAL', 'ERR_STORE'
])
/** After a lost connection to the only node there is, how long to wait before each new dial. */
const REDIAL_MS = [200, 1_000, 3_000] as const

/** @throws {InosError} the last failure, with all attempts */
export async function submitJob (node: Rooms, job: Job, options: ComputeOptions): Promise<Finished> {
  const { where = 'any', costMax, retries = LIMITS.job.retries, signal = new AbortController().signal } = options
  const avoid = new Set(options.avoid)
  const attempts: Attempt[] = []
  const say = guarded(options.onProgress)
  const find = async (): Promise<Choice> => {
    const wish = { where, costMax, avoid }
    try {
      return choose(node, job, wish, node.market.candidates(), attempts)
    } catch (error) {
      say({ state: 'queued', reason: 'looking for a node that takes this job' })
      if (!await node.seek(where, signal)) throw error
      return choose(node, job, wish, node.market.candidates(), attempts)
    }
  }
  for (;;) {
    signal.throwIfAborted()
    const choice = await find()
    if (choice.kind === 'wait') {
      say({ state: 'queued', reason: choice.reason })
      await node.nextChange(signal)
      continue
    }
    const peer = choice.kind === 'own' ? node.platform.signer.id : choice.peer
    try {
      const done = choice.kind === 'own' ? await runHere(node, job, signal, say) : await buy(node, job, choice, signal, say)
      say({ state: 'done', peer })
      return finish(done, peer, attempts)
    } catch (cause) {
      const error = toInosError(cause)
      attempts.push({ peer, code: error.code, message: error.message })
      if (signal.aborted || !ELSEWHERE.has(error.code)) throw error
      if (attempts.length > retries) throw withAttempts(error, attempts)
      avoid.add(peer)
      say({ state: 'retrying', peer, reason: error.message })
    }
  }
}

/** A job of one's own: the same records, signed by oneself, and nothing moves. */
async function runHere (node: Rooms, job: Job, signal: AbortSignal, say: (state: JobState) => void): Promise<Done> {
  const { id } = node.platform.signer
  say({ state: 'running', peer: id })
  const outcome = await node.runtime.execute(runOf(job.spec, job.wasm.bytes, job.input.bytes, job.files?.bytes ?? null), { payer: id, signal })
  const result = await describeResult(outcome, node.platform.digest)
  const bundle = await node.credits.recordOwn(job.spec.id, factsOf(job.spec, outcome, result))
  node.announce('own', bundle)
  return { bundle, bytes: result.bytes, stderr: outcome.stderr, message: outcome.message }
}

async function buy (node: Rooms, job: Job, choice: Choice & { kind: 'buy' }, signal: AbortSignal, say: (state: JobState) => void): Promise<Done> {
  const { peer, offer, costMax } = choice
  const order = await node.credits.placeOrder({ executor: peer, offer, spec: job.spec.id, costMax, seconds: LIMITS.job.orderSeconds })
  const id = order.id.toString()
  const takeDown = node.shelf.lend(peer, blobsByReference(job))
  node.market.begin(peer)
  try {
    say({ state: 'sending', peer })
    const answer = await ask(node, peer, { ...packJob(job), id: own(order.id.bytes), cost: costMax, records: [own(order.bytes)] }, signal, say)
    if (answer.kind === 'refusal') {
      await node.credits.refuseOrder(id)
      throw errorOf(answer)
    }
    say({ state: 'verifying', peer })
    const done = await verify(node, job, order, choice, answer, signal)
    node.announce('bought', done.bundle)
    void node.settlement.pay(peer)
    return done
  } catch (error) {
    // Unless it was refused or accepted above, what became of the order is for reconciliation to say.
    node.credits.loseOrder(id)
    throw error
  } finally {
    node.market.end(peer)
    takeDown()
    node.changed()
  }
}

/** Send the job; if the connection breaks and nobody else could do it, find the peer again and ask for the same order. */
async function ask (node: Rooms, peer: string, packet: Partial<Packet>, signal: AbortSignal, say: (state: JobState) => void): Promise<Packet> {
  for (let tries = 0; ; tries++) {
    try {
      const answer = node.sessions().request(peer, packet, { signal })
      say({ state: 'running', peer })
      return await answer
    } catch (cause) {
      const error = toInosError(cause)
      const pause = REDIAL_MS[tries]
      const lost = error.code === 'ERR_PEER_LOST' || error.code === 'ERR_NOT_REACHABLE'
      if (!lost || pause === undefined || node.market.candidates().some(other => other.peer !== peer)) throw error
      say({ state: 'retrying', peer, reason: error.message })
      await node.platform.sleep(pause, signal)
    }
  }
}

/** The receipt is for this order, the bill is right, and the bytes are what it names. Accepted last: what is wrong moves nothing. */
async function verify (node: Rooms, job: Job, order: Sealed<Order>, { peer, offer }: Choice & { kind: 'buy' }, answer: Packet, signal: AbortSignal): Promise<Done> {
  const [record] = answer.records
  if (answer.kind !== 'answer' || record === undefined || answer.records.length !== 1) throw new InosError('ERR_VERIFICATION', `The answer of ${peer} has no receipt.`)
  const receipt = openEnvelope(record.slice(), 'receipt', checkReceipt)
  checkFacts(job, receipt.payload)
  const bytes = await resultOf(node, peer, receipt.payload, answer, signal)
  const bundle = await node.credits.acceptReceipt(peer, encodeBundle({ receipt, order, offer }).bytes)
  return { bundle, bytes, stderr: answer.stderr.slice(0, LIMITS.guest.stderrBytesMax), message: answer.text.slice(0, LIMITS.guest.messageCharsMax) }
}

async function resultOf (node: Rooms, peer: string, { result, resultBytes }: Receipt, answer: Packet, signal: AbortSignal): Promise<Uint8Array> {
  const referred = (answer.byReference & BY_REFERENCE.result) !== 0
  const bytes = referred
    ? await node.sessions().fetch(peer, result.toString(), { bytesMax: resultBytes, signal })
    : answer.result.slice()
  const { cid } = await describeResult({ result: bytes }, node.platform.digest)
  if (!cid.equals(result) || bytes.length !== resultBytes) {
    throw new InosError('ERR_VERIFICATION', `The result that ${peer} sent is not the one its receipt names.`)
  }
  return bytes
}

/** A receipt may only say what this job's spec allows. */
function checkFacts ({ spec: { spec } }: Job, receipt: Receipt): void {
  const { limits } = spec
  const wrong = !receipt.module.equals(spec.module) ? 'module'
    : !receipt.input.equals(spec.input) ? 'input'
      : receipt.profile !== spec.profile ? 'profile'
        : receipt.fuel > limits.fuelMax || (receipt.outcome === 'fuel' && receipt.fuel !== limits.fuelMax) ? 'fuel'
          : receipt.pages > limits.memoryPagesMax ? 'pages'
            : receipt.resultBytes > limits.outputBytesMax ? 'resultBytes'
              : null
  if (wrong !== null) throw new InosError('ERR_VERIFICATION', `The receipt says of "${wrong}" what this job cannot have done.`)
}

function finish ({ bundle, bytes, stderr, message }: Done, executor: string, attempts: readonly Attempt[]): Finished {
  const { payload } = bundle.receipt
  return {
    outcome: payload.outcome as OutcomeKind,
    exitCode: payload.exitCode,
    bytes,
    stderr,
    message,
    fuel: payload.fuel,
    pages: payload.pages,
    cost: payload.charge,
    executor,
    receipt: bundle.bytes,
    receiptId: bundle.receipt.id.toString(),
    attempts
  }
}

function withAttempts (error: InosError, attempts: readonly Attempt[]): InosError {
  return new InosError(error.code, error.message, { cause: error, attempts, ...(error.hint === undefined ? {} : { hint: error.hint }) })
}

/** A listener's fault must not fail a job. */
function guarded (listener: ((state: JobState) => void) | undefined): (state: JobState) => void {
  return state => {
    try {
      listener?.(state)
    } catch {
      // Its author sees it in its own tests; the job goes on.
    }
  }
}
