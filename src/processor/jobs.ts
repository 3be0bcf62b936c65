/**
 * The jobs of this node's own callers: those at work and the latest that are over, with the states
 * they went through, everyone who was weighed for them and why one of those won. Kept in memory only;
 * what was bought for good stands in the books.
 */
import type { CID } from '../packet/cid.ts'
import { type Attempt, InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Decision } from './choose.ts'
import type { Job } from './job.ts'
import type { ComputeOptions, JobReport, JobState, JobView, Result, Where } from './processor.ts'
import { bestFirst, reasonOf } from './reason.ts'

export interface Jobs {
  /** A job of a caller begins. */
  begin (job: Job, options: Pick<ComputeOptions, 'where' | 'signal' | 'onProgress'>): JobEntry
  /** Oldest first. */
  list (): JobView[]
  /** @throws {InosError} ERR_USAGE when it is not, or no longer, in the table */
  report (id: string): JobReport
  /** @throws {InosError} ERR_USAGE when it is not in the table, or over */
  cancel (id: string): void
  /** Cancel all that are at work. */
  stop (reason: InosError): void
}

/** One job as whoever works on it writes it down. */
export interface JobEntry {
  readonly id: string
  /** Aborts when the caller, `cancel` or the end of the node says so. */
  readonly signal: AbortSignal
  say (state: JobState): void
  /** A choice was made, or none could be. */
  decided (decision: Decision): void
  /** A try failed, and another may follow. */
  tried (attempt: Attempt): void
  done (result: Outline): void
  failed (error: InosError): void
}

/** What is told of a job that is done. */
type Outline = Pick<Result, 'cost' | 'fuel' | 'receiptId' | 'outcome' | 'executor'>

interface Round { readonly at: number, readonly decision: Decision }
interface Step { readonly at: number, readonly state: JobState }

export function createJobs (now: () => number, own: string, onState: (id: string, state: JobState) => void): Jobs {
  const table = new Map<string, Entry>()
  let count = 0
  /** Those that are over, oldest first. */
  const over: string[] = []

  const get = (id: string): Entry => {
    const found = table.get(id)
    if (found === undefined) throw new InosError('ERR_USAGE', `There is no job ${id.slice(0, 40)}, or no longer: the latest ${LIMITS.market.jobsKeptMax} are kept until the node ends.`, { hint: '`inos jobs ls` lists them.' })
    return found
  }

  return {
    begin (job, { where = 'any', signal: caller, onProgress }) {
      const entry: Entry = new Entry(String(++count), job, where, now, state => {
        onState(entry.id, state)
        try {
          onProgress?.(state)
        } catch {
          // A listener's fault is its author's; the job goes on.
        }
        if (entry.ended === null) return
        release()
        over.push(entry.id)
        if (over.length > LIMITS.market.jobsKeptMax) table.delete(over.shift()!)
      })
      const abort = (): void => { entry.cancel.abort(caller?.reason) }
      const release = (): void => { caller?.removeEventListener('abort', abort) }
      caller?.addEventListener('abort', abort, { once: true })
      if (caller?.aborted === true) abort()
      table.set(entry.id, entry)
      return entry
    },
    list: () => Array.from(table.values(), entry => entry.view()),
    report: id => get(id).report(own),
    cancel (id) {
      const { ended, cancel } = get(id)
      if (ended !== null) throw new InosError('ERR_USAGE', `The job ${id} is over.`)
      cancel.abort(new InosError('ERR_CANCELLED', 'The job was cancelled by `cancel`.'))
    },
    stop (reason) {
      for (const { ended, cancel } of table.values()) if (ended === null) cancel.abort(reason)
    }
  }
}

class Entry implements JobEntry {
  readonly id: string
  readonly cancel = new AbortController()
  /** Names only: a job itself may be large. */
  readonly #names: { readonly module: CID, readonly input: CID, readonly spec: CID }
  readonly #fuelMax: bigint
  readonly #where: Where
  readonly #now: () => number
  readonly #tell: (state: JobState) => void
  readonly #began: number
  readonly #steps: Step[] = []
  readonly #rounds: Round[] = []
  readonly #attempts: Attempt[] = []
  #result: Outline | null = null
  #error: InosError | null = null
  ended: number | null = null

  constructor (id: string, job: Job, where: Where, now: () => number, tell: (state: JobState) => void) {
    this.id = id
    const { spec: { module, input }, id: spec } = job.spec
    this.#names = { module, input, spec }
    this.#fuelMax = job.spec.spec.limits.fuelMax
    this.#where = where
    this.#now = now
    this.#tell = tell
    this.#began = now()
  }

  get signal (): AbortSignal { return this.cancel.signal }

  say (state: JobState): void {
    append(this.#steps, { at: this.#now(), state }, LIMITS.market.jobStepsMax)
    this.#tell(state)
  }

  decided (decision: Decision): void {
    const last = this.#rounds.at(-1)?.decision.choice
    const { choice } = decision
    // Whoever waits is asked again at every change; one round says it all.
    if (last !== undefined && !(last instanceof InosError) && !(choice instanceof InosError) && last.kind === 'wait' && choice.kind === 'wait') this.#rounds.pop()
    append(this.#rounds, { at: this.#now(), decision }, LIMITS.market.jobRoundsMax)
  }

  tried (attempt: Attempt): void { append(this.#attempts, attempt, LIMITS.market.jobStepsMax) }

  done (result: Outline): void {
    const { cost, fuel, receiptId, outcome, executor } = result
    this.#result = { cost, fuel, receiptId, outcome, executor }
    this.#end({ state: 'settled', peer: executor })
  }

  failed (thrown: InosError): void {
    const error = toInosError(thrown)
    this.#error = error
    this.#end(error.code === 'ERR_CANCELLED' ? { state: 'cancelled', reason: error.message } : { state: 'failed', code: error.code, reason: error.message })
  }

  #end (state: JobState): void {
    this.ended = this.#now()
    this.say(state)
  }

  /** A guest cannot be asked while it runs; its node's speed and the time tell about how far it is. */
  #estimate (): bigint | null {
    const last = this.#steps.at(-1)
    if (last === undefined || last.state.state !== 'running' || last.state.fuelPerSec === null) return null
    const burnt = BigInt(Math.round(Math.max(0, this.#now() - last.at) / 1_000 * last.state.fuelPerSec))
    return burnt < this.#fuelMax ? burnt : this.#fuelMax
  }

  view (): JobView {
    const last = this.#steps.at(-1)?.state
    const { module, input, spec } = this.#names
    return {
      id: this.id,
      module: module.toString(),
      input: input.toString(),
      spec: spec.toString(),
      where: this.#where,
      state: last?.state ?? 'queued',
      peer: last !== undefined && 'peer' in last ? last.peer : null,
      reason: last !== undefined && 'reason' in last ? last.reason : null,
      fuelEstimate: this.#estimate(),
      began: this.#began,
      ended: this.ended,
      tries: this.#attempts.length + (this.#result === null ? 0 : 1),
      outcome: this.#result?.outcome ?? null,
      fuel: this.#result?.fuel ?? null,
      cost: this.#result?.cost ?? null,
      receipt: this.#result?.receiptId ?? null,
      code: this.#error?.code ?? null
    }
  }

  report (own: string): JobReport {
    return {
      ...this.view(),
      steps: this.#steps.map(({ at, state }) => ({ at, state: state.state, peer: 'peer' in state ? state.peer : null, reason: 'reason' in state ? state.reason : null })),
      rounds: this.#rounds.map(({ at, decision: { choice, bids } }) => ({
        at,
        chosen: choice instanceof InosError || choice.kind === 'wait' ? null : choice.kind === 'own' ? own : choice.peer,
        reason: reasonOf(choice, bids),
        asked: bids.length,
        bids: bestFirst(bids).slice(0, LIMITS.market.jobBidsMax)
      })),
      attempts: [...this.#attempts],
      hint: this.#error?.hint ?? null
    }
  }
}

/** The first stays, for it says how it began; of the others the latest. */
function append<T> (list: T[], item: T, max: number): void {
  list.push(item)
  if (list.length > max) list.splice(1, 1)
}
