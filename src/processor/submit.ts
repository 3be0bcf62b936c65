/**
 * A job as its caller sees it: choose a node, run or buy, and after a lost or faulty node choose
 * again. What the guest itself does is a result; `buy.ts` deals with one peer.
 */
import { type Attempt, type ErrorCode, InosError, toInosError } from '../packet/errors.ts'
import { decodeOutputs } from '../packet/files.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { encodeDelta } from '../packet/kept-state.ts'
import { LIMITS } from '../packet/limits.ts'
import { unlessAborted } from '../network/talk.ts'
import type { CID } from '../packet/cid.ts'
import type { Sealed } from '../packet/envelope.ts'
import type { Order } from '../packet/records.ts'
import type { Outcome, OutcomeKind } from '../wasm/runtime.ts'
import { buy, type Done, PAUSES_MS, type Purchase, takeOnce } from './buy.ts'
import { type Choice, choose, type Decision, type Wish } from './choose.ts'
import { bringRun, moduleOf, wholeBlob } from './contents.ts'
import type { Bundle } from '../credits/bundle.ts'
import { keyBelow } from '../credits/keys.ts'
import { encodeTree } from '../credits/tree.ts'
import { Family } from './family.ts'
import { factsOf, type Job, outputOf } from './job.ts'
import type { JobEntry } from './jobs.ts'
import { keepOutput, keepTree } from './kept.ts'
import { recallJob, underKey } from './keyed.ts'
import { baseOfKey, isBegun, type Kinship, openKin, ownKey } from './kin.ts'
import type { ComputeOptions, Experience, Purse, Result } from './processor.ts'
import { copyOf } from './result-cache.ts'
import type { Rooms } from './rooms.ts'

/** A result before its helpers were added; `message` is the guest's own last word. */
export interface Finished extends Omit<Result, 'text' | 'json' | 'job'> {
  readonly message: string
  readonly bundle: Bundle
  /** Receipt files of all that its guest had computed. */
  readonly below: readonly Uint8Array[]
}

type OwnRun = Choice & { kind: 'own' }

/** Faults of a node or the way to it: another one may do better. */
const ELSEWHERE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_PEER_LOST', 'ERR_NOT_REACHABLE', 'ERR_VERIFICATION', 'ERR_RECEIPT_INVALID', 'ERR_RECORD_INVALID', 'ERR_BAD_PACKET', 'ERR_UNKNOWN_KIND', 'ERR_GONE',
  'ERR_BUSY', 'ERR_POLICY', 'ERR_NO_OFFER', 'ERR_BUDGET', 'ERR_INSUFFICIENT_CREDITS', 'ERR_EXECUTOR_LOST', 'ERR_DEADLINE', 'ERR_INTERNAL', 'ERR_STORE'
])

/** What only the module can be at fault for, if it is true. */
const OF_MODULE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['ERR_INVALID_MODULE', 'ERR_UNSUPPORTED_IMPORT', 'ERR_MISSING_EXPORT'])

/** What an error says of the peer where it came up; the others are the job's own, or this node's. */
const EXPERIENCE: Readonly<Partial<Record<ErrorCode, Experience>>> = {
  ERR_PEER_LOST: 'lost', ERR_NOT_REACHABLE: 'lost', ERR_GONE: 'lost', ERR_EXECUTOR_LOST: 'lost', ERR_DEADLINE: 'lost', ERR_INTERNAL: 'lost',
  ERR_VERIFICATION: 'wrong', ERR_RECEIPT_INVALID: 'wrong', ERR_RECORD_INVALID: 'wrong', ERR_BAD_PACKET: 'wrong',
  ERR_BUSY: 'refused', ERR_POLICY: 'refused', ERR_INSUFFICIENT_CREDITS: 'refused', ERR_NO_OFFER: 'refused', ERR_BUDGET: 'refused', ERR_UNKNOWN_KIND: 'refused', ERR_STORE: 'refused'
}

/**
 * @param kinship whose child it is
 * @throws {InosError} ERR_CANCELLED, else the last failure with all attempts
 */
export async function submitJob (node: Rooms, job: Job, options: ComputeOptions, entry: JobEntry, kinship: Kinship): Promise<Finished> {
  try {
    const { key, once } = options
    const work = (recalls: boolean): Promise<Finished> => new Submission(node, job, options, entry, kinship).run(recalls)
    const finished = key === undefined ? await work(false) : await underKey(node, job, key, once, entry, work)
    entry.done(finished)
    return finished
  } catch (thrown) {
    const error = entry.signal.aborted ? cancelled(entry.signal) : toInosError(thrown)
    entry.failed(error)
    throw error
  }
}

class Submission {
  readonly #node: Rooms
  readonly #job: Job
  readonly #signal: AbortSignal
  readonly #wish: Wish & { readonly avoid: Set<string> }
  readonly #purse: Purse | undefined
  readonly #once: { taken: boolean }
  readonly #key: string | undefined
  readonly #audit: number
  readonly #fresh: boolean
  readonly #retries: number
  readonly #attempts: Attempt[] = []
  /** Passed over for now: too busy a moment ago. */
  readonly #resting = new Set<string>()
  readonly #entry: JobEntry
  readonly #kinship: Kinship
  /** How often it waited for the issuer. */
  #clearings = 0

  constructor (node: Rooms, job: Job, { where = 'any', costMax, purse, once = { taken: false }, key, verify = 'receipt', cache = true, avoid = [], prefer, retries = LIMITS.job.retries }: ComputeOptions, entry: JobEntry, kinship: Kinship) {
    this.#node = node
    this.#job = job
    this.#signal = entry.signal
    this.#entry = entry
    this.#kinship = kinship
    const { kept } = kinship
    this.#wish = { where, costMax, prefer: kept !== undefined && isBegun(kept) ? node.platform.signer.id : prefer, avoid: new Set(avoid) }
    this.#purse = purse
    this.#once = once
    this.#key = key
    this.#audit = shareOf(verify)
    this.#fresh = !cache
    this.#retries = retries
  }

  /** @param recalls whether to look first for what was bought under its key */
  async run (recalls: boolean): Promise<Finished> {
    const key = this.#keptAs
    if (key !== undefined && (recalls || this.#kinship.kept !== undefined)) {
      const found = await recallJob(this.#node, this.#job, key, this.#entry)
      if (found !== null && 'bundle' in found) {
        this.#countAgain(found.bundle)
        return finish(this.#job, found, peerIdOfKey(found.bundle.receipt.payload.executor), [])
      }
      const done = found === null ? null : await this.#attempt(found)
      if (done !== null) return done
    }
    for (;;) {
      this.#signal.throwIfAborted()
      // From here to the hold in `buy` there is no wait: what was chosen is still so when it is held.
      const change = this.#node.change()
      const freed = this.#purse?.change()
      const decision = this.#choose()
      this.#entry.decided(decision)
      const { choice } = decision
      if (choice instanceof InosError) {
        if (choice.code === 'ERR_BUDGET' && freed !== undefined) {
          // What others hold may come back; what is spent does not, wherever one looks.
          if (this.#purse!.held === 0n) throw choice
          this.#entry.say({ state: 'queued', reason: 'the budget is held by other jobs' })
          await unlessAborted(freed, this.#signal)
        } else if (!await this.#rest() && !await this.#awaitClearing(choice) && !await this.#seek()) throw choice
      } else if (choice.kind === 'wait') {
        this.#entry.say({ state: 'queued', reason: choice.reason })
        await unlessAborted(change, this.#signal)
      } else {
        const done = await this.#attempt(choice)
        if (done !== null) return done
      }
    }
  }

  /** The key under which what is bought is kept: its caller's, or that of a child. */
  get #keptAs (): string | undefined { return this.#key ?? this.#kinship.kept?.key }

  /** A child that was bought when its parent ran before costs this run what it cost then. */
  #countAgain ({ receipt: { payload: { charge, fuel } } }: Bundle): void {
    if (this.#kinship.kept !== undefined) this.#purse?.end(0n, charge, fuel)
  }

  /** A choice, or why there is none. */
  #choose (alsoAvoid?: string): Decision {
    const { avoid, costMax } = this.#wish
    const wish = {
      ...this.#wish,
      avoid: alsoAvoid === undefined ? avoid : new Set([...avoid, alsoAvoid]),
      costMax: this.#purse === undefined ? costMax : least(costMax ?? LIMITS.job.costMax, this.#purse.free),
      freeAt: this.#purse?.freeAt
    }
    return choose(this.#node, this.#job, wish, this.#node.market.candidates(), this.#attempts)
  }

  /** @returns null to choose again */
  async #attempt (choice: OwnRun | Purchase): Promise<Finished | null> {
    const peer = choice.kind === 'own' ? this.#node.platform.signer.id : choice.peer
    try {
      const done = choice.kind === 'own' ? await this.#runHere() : await this.#buy(choice)
      return finish(this.#job, done, peer, this.#attempts)
    } catch (cause) {
      const error = toInosError(cause)
      const attempt = { peer, code: error.code, message: error.message }
      this.#attempts.push(attempt)
      this.#entry.tried(attempt)
      const isPassing = ELSEWHERE.has(error.code) || (choice.kind === 'buy' && OF_MODULE.has(error.code) && !await this.#hasFault(error))
      if (this.#signal.aborted || !isPassing || this.#attempts.length > this.#retries) throw withAttempts(error, this.#attempts)
      this.#passOver(choice, peer, error)
      this.#entry.say({ state: 'retrying', peer, reason: error.message })
      return null
    }
  }

  async #buy (choice: Purchase): Promise<Done> {
    const { history, platform } = this.#node
    // An order of an earlier call counts in that one's budget; a child's is part of what its parent may spend, whenever it was placed.
    const purse = choice.again === undefined || this.#kinship.kept !== undefined ? this.#purse : undefined
    purse?.hold(choice.costMax, choice.offer.payload)
    let [charged, burnt] = [0n, 0n]
    const began = platform.now()
    this.#entry.say({ state: 'offered', peer: choice.peer, costMax: choice.costMax })
    try {
      const done = await buy(this.#node, this.#job, choice, {
        signal: this.#signal, say: state => { this.#entry.say(state) }, audit: this.#audit, once: this.#once, key: this.#keptAs, fresh: this.#fresh, kinship: this.#kinship, lastHope: () => this.#choose(choice.peer).choice instanceof InosError
      })
      const { fuel, pages, resultBytes, filesBytes, charge, cached } = done.bundle.receipt.payload
      ;[charged, burnt] = [charge, fuel]
      history.ran(this.#job.wasm.cid.toString(), { fuel, pages, resultBytes, filesBytes })
      const ms = platform.now() - began
      // What was not run, or not from now on, says nothing of the pace of runs.
      const isPaced = cached === null && choice.again === undefined && ms >= LIMITS.market.paceMsMin
      history.note(choice.peer, 'ok', isPaced ? ms / Math.max(LIMITS.market.paceMsMin, choice.seconds * 1_000) : undefined)
      return done
    } catch (error) {
      const experience = EXPERIENCE[toInosError(error).code]
      if (experience !== undefined && !this.#signal.aborted) history.note(choice.peer, experience)
      throw error
    } finally {
      purse?.end(choice.costMax, charged, burnt)
    }
  }

  /** Whether this node finds the fault that a peer finds with the module; else another peer is asked, for this one may lie. */
  async #hasFault ({ code }: InosError): Promise<boolean> {
    const { spec: { spec: { entry, limits } }, wasm: { cid, bytes } } = this.#job
    const names = entry === '' ? ['_start', 'run'] : [entry]
    try {
      const { exports, memoryPagesMin } = await this.#node.runtime.inspect(bytes ?? await wholeBlob(this.#node, cid, LIMITS.wire.blobBytesMax, this.#signal))
      return code === 'ERR_MISSING_EXPORT' ? !names.some(name => exports.includes(name)) : memoryPagesMin > limits.memoryPagesMax
    } catch (error) {
      // An executor that was lost over it says nothing.
      return OF_MODULE.has(toInosError(error).code)
    }
  }

  #passOver (choice: OwnRun | Purchase, peer: string, { code }: InosError): void {
    const { market } = this.#node
    // It has made a new offer since, which the order could not name; who does that again plays games.
    const isNews = this.#attempts.filter(attempt => attempt.peer === peer).length === 1 && choice.kind === 'buy' && market.offerBy(peer)?.id.equals(choice.offer.id) === false
    if (code === 'ERR_NO_OFFER' && isNews) return
    this.#wish.avoid.add(peer)
    // Its line has room again when jobs that run there are settled.
    if (code === 'ERR_BUSY' || (code === 'ERR_INSUFFICIENT_CREDITS' && market.inFlight(peer) > 0)) this.#resting.add(peer)
  }

  /** Nobody else takes it: give those who were only busy a moment, then ask them again. */
  async #rest (): Promise<boolean> {
    if (this.#resting.size === 0) return false
    this.#entry.say({ state: 'queued', reason: 'every node that takes this job is busy' })
    await this.#node.platform.sleep(PAUSES_MS[Math.min(this.#attempts.length, PAUSES_MS.length) - 1]!, this.#signal)
    for (const peer of this.#resting) this.#wish.avoid.delete(peer)
    this.#resting.clear()
    return true
  }

  /** In a mesh: what was paid a moment ago may be cleared in another, where the issuer is there. */
  async #awaitClearing ({ code }: InosError): Promise<boolean> {
    const promised = this.#node.credits.account()?.promised ?? 0n
    const pause = PAUSES_MS[this.#clearings]
    if (code !== 'ERR_INSUFFICIENT_CREDITS' || promised === 0n || pause === undefined) return false
    this.#clearings++
    this.#entry.say({ state: 'queued', reason: 'the issuer has yet to clear what this node has paid' })
    await this.#node.platform.sleep(pause, this.#signal)
    return true
  }

  async #seek (): Promise<boolean> {
    this.#entry.say({ state: 'queued', reason: 'looking for a node that takes this job' })
    return await this.#node.seek(this.#wish.where, this.#signal)
  }

  /** A job of one's own: the same records, signed by oneself, and nothing moves. */
  async #runHere (): Promise<Done> {
    const { platform: { signer: { id }, digest }, credits, announce } = this.#node
    const { spec, wasm, step } = this.#job
    const before = step?.before ?? null
    this.#entry.say({ state: 'running', peer: id, fuelPerSec: this.#node.runtime.load().fuelPerSec ?? null })
    const results = this.#fresh || step !== undefined ? null : this.#node.results
    const known = results?.get(spec.id.toString())
    let order: Promise<Sealed<Order>> | undefined
    const family = this.#family(async () => (await (order ??= this.#orderOwn())).id)
    const outcome = known === undefined ? await this.#execute(family) : copyOf(known).outcome
    const { facts: ofChildren, files: below, tree } = await family.offspring()
    const files = decodeOutputs(outcome.files, spec.spec.outputs)
    const output = known?.output ?? await outputOf(spec, outcome, before, digest, tree)
    const facts = { ...factsOf(spec, outcome, output), ...ofChildren }
    if (this.#key !== undefined) await keepOutput(this.#node, output, step)
    await keepTree(this.#node, tree)
    if (output.state !== undefined) await step?.keep?.(output.state, encodeDelta(before, output.state), outcome.result)
    const placed = await (order ?? credits.orderOwn(spec.id, this.#kinship.parent))
    const bundle = await takeOnce(this.#once, () => credits.recordOwn(spec.id, facts, { original: known?.original, key: this.#key, order: placed }))
    await family.forget()
    if (known === undefined && tree === undefined) results?.keep(spec.id.toString(), { outcome, output, original: bundle })
    this.#node.history.ran(wasm.cid.toString(), facts)
    announce('own', bundle)
    return { bundle, bytes: outcome.result, below, files, state: output.state, stderr: outcome.stderr, message: outcome.message }
  }

  /** The order of a job that runs here and has children; where it may have to run again it is the same then, for theirs name it. */
  async #orderOwn (): Promise<Sealed<Order>> {
    const { credits } = this.#node
    const { kept, parent } = this.#kinship
    const { id } = this.#job.spec
    const key = kept !== undefined ? ownKey(kept) : this.#key === undefined ? undefined : keyBelow(baseOfKey(this.#key), `own/${id}`)
    return key === undefined ? credits.orderOwn(id, parent) : await credits.keepOrderOwn(key, id, parent)
  }

  /** What its guest has computed costs at most what the job itself may. */
  #family (order: () => Promise<CID>): Family {
    const { costMax = LIMITS.job.costMax, where } = this.#wish
    const { modules, payer, kept } = this.#kinship
    const key = this.#key
    const { spec: { module, limits } } = this.#job.spec
    return new Family(this.#node, {
      module, limits, order, payer, kin: kept?.kin ?? (key === undefined ? undefined : () => openKin(this.#node, baseOfKey(key))), costMax, prices: null, outer: this.#purse, where: where === 'local' ? 'local' : 'any', signal: this.#signal,
      modules: async cid => cid === module.toString() ? await moduleOf(this.#node, this.#job, this.#signal) : await modules(cid)
    })
  }

  async #execute (family: Family): Promise<Outcome> {
    const bringing = bringRun(this.#node, this.#job, this.#signal)
    using brought = bringing instanceof Promise ? await bringing : bringing
    return await family.raise(compute => this.#node.runtime.execute(brought.run, { payer: this.#kinship.payer, signal: this.#signal, compute }))
  }
}

/** @throws {InosError} ERR_USAGE */
function shareOf (verify: NonNullable<ComputeOptions['verify']>): number {
  const share = verify === 'receipt' ? 0 : verify.audit
  if (!(share >= 0 && share <= 1)) throw new InosError('ERR_USAGE', `${share} is no share of answers; verify.audit goes from 0 to 1.`)
  return share
}

function finish ({ spec }: Job, { bundle, bytes, below, files, state, stderr, message }: Done, executor: string, attempts: readonly Attempt[]): Finished {
  const { payload } = bundle.receipt
  return {
    outcome: payload.outcome as OutcomeKind,
    exitCode: payload.exitCode,
    bytes,
    files,
    ...(state === undefined ? {} : { state }),
    stderr,
    message,
    fuel: payload.fuel,
    pages: payload.pages,
    cost: payload.charge,
    cached: payload.cached !== null,
    executor,
    receipt: encodeTree(bundle.bytes, below),
    bundle,
    below,
    receiptId: bundle.receipt.id.toString(),
    spec: spec.bytes,
    attempts
  }
}

function least (a: bigint, b: bigint): bigint { return a < b ? a : b }

function withAttempts (error: InosError, attempts: readonly Attempt[]): InosError {
  return new InosError(error.code, error.message, { cause: error, attempts, ...(error.hint === undefined ? {} : { hint: error.hint }) })
}

/** This node stopped, or whoever asked for the job gave it up. */
function cancelled ({ reason }: AbortSignal): InosError {
  return reason instanceof InosError && reason.code === 'ERR_CANCELLED' ? reason : new InosError('ERR_CANCELLED', 'The job was cancelled.', { cause: reason })
}
