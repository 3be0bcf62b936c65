/**
 * The runtime of a node as far as it is the same everywhere: which job runs at which executor, and when. A platform
 * derives its pool from this and says how executors are started and how many are kept; one job at one executor is the business of
 * its `executor-worker.ts`.
 *
 * A guest that is suspended for its children keeps its executor and gives up its slot, so that they can run even where there
 * is one. How many are at work at once, suspended ones included, has a limit that is higher by one for each level
 * below a root: then on every level somebody can go on, on one node and between nodes that wait for each other.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { ExecuteOptions, Load, ModuleReport, Outcome, Run, Runtime } from '../wasm/runtime.ts'
import { TurnQueue } from './executor-queue.ts'
import { type Finding, type Performance, Recalled, type Seat, type Task } from './executor-seat.ts'
import { Usage } from './executor-usage.ts'

export interface TurnPoolOptions<S extends Seat> {
  readonly cores: number
  /** Jobs that run at once. @default the number of cores, which is also the most */
  readonly slots?: number | undefined
  /** Takes one line about each executor that is lost. */
  readonly log: (line: string) => void
  /** Starts one that is idle at once. @default there is none: they are idle some time after `settle` has started them */
  readonly open?: () => S
}

export interface Job {
  readonly payer: string
  /** Levels above it. */
  readonly depth: number
  readonly task: Task
  readonly resolve: (finding: Finding) => void
  readonly reject: (error: unknown) => void
  readonly signal: AbortSignal | undefined
  /** Where it runs; undefined while it waits. */
  performance?: Performance
}

/** Why an executor is ended that nobody needs. */
export const SPARE = 'it was one too many'

export abstract class TurnPool<S extends Seat> implements Runtime {
  protected readonly slotsMax: number
  protected readonly usage: Usage
  protected readonly queue = new TurnQueue<Job>()
  protected readonly seats = new Set<S>()
  readonly #log: (line: string) => void
  readonly #open: (() => S) | undefined
  /** Guests whose children are there, in turn. */
  readonly #waking: (() => void)[] = []
  /** Jobs have had more than their share; until it runs out none starts. */
  #rest: ReturnType<typeof setTimeout> | undefined
  #stopped = false

  protected constructor ({ cores, slots = cores, log, open }: TurnPoolOptions<S>) {
    this.slotsMax = Math.max(1, Math.min(slots, cores))
    this.usage = new Usage(cores)
    this.#log = log
    this.#open = open
  }

  /**
   * Give a job to an executor that is idle.
   * @param countMax how many more of the same payer may go with it: this executor's share of the queue
   */
  protected abstract begin (job: Job, seat: S, countMax: number): void

  /** The queue was looked at: start and end executors, as many as it takes. */
  protected abstract settle (): void

  /** Part of all cores that jobs may have on average; jobs that run are not disturbed by a new one. */
  get share (): number { return this.usage.share }
  set share (share: number) {
    this.usage.share = share
    clearTimeout(this.#rest)
    this.#rest = undefined
    this.look()
  }

  load (): Load {
    const { fuelPerSec } = this.usage
    return { slots: this.slots, busy: this.running, queued: this.queue.size, ...(fuelPerSec === undefined ? {} : { fuelPerSec }) }
  }

  async execute (run: Run, { payer, signal, compute }: ExecuteOptions): Promise<Outcome> {
    return await this.#submit({ kind: 'run', run, compute }, payer, signal) as Outcome
  }

  /** Inspections take turns with the payers as if one more payer sent them. */
  async inspect (wasm: Uint8Array): Promise<ModuleReport> {
    return await this.#submit({ kind: 'inspect', wasm }, '', undefined) as ModuleReport
  }

  /** End every executor; what runs or waits ends with ERR_CANCELLED. */
  async stop (): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#rest)
    this.refuse(stopping())
    for (const seat of [...this.seats]) seat.end('the node is stopping', stopping())
  }

  protected get stopped (): boolean { return this.#stopped }
  protected get slots (): number { return Math.min(this.slotsMax, this.usage.slotsMax) }
  /** Jobs that run, those of suspended guests left out. */
  protected get running (): number { return this.count(seat => seat.busy && !seat.waiting) }

  protected count (holds: (seat: S) => boolean): number {
    let count = 0
    for (const seat of this.seats) if (holds(seat)) count++
    return count
  }

  protected idle (): S[] { return [...this.seats].filter(seat => seat.idle) }

  /** Give waiting jobs to idle executors, to one that has the module compiled if there is one. */
  protected look (): void {
    if (this.#stopped) return
    if (!this.#isResting()) {
      while (this.running < this.slots && this.#waking.length > 0) this.#waking.shift()!()
      while (this.running < this.slots && this.#beginNext());
    }
    this.settle()
  }

  /** A suspended guest could go on; `go` is called when it may. */
  protected wake (go: () => void): void {
    this.#waking.push(go)
    this.look()
  }

  /** All jobs that wait end with this error. */
  protected refuse (error: InosError): void {
    for (const job of this.queue.drain()) job.reject(error)
  }

  protected forget (seat: S, why: string): void {
    this.seats.delete(seat)
    if (!this.#stopped && why !== SPARE) this.#log(`An executor was lost: ${why}.`)
  }

  /** Tell whoever waits for the job how it ends, or queue it again where it did not get its turn. */
  protected async follow (job: Job, performance: Performance): Promise<void> {
    job.performance = performance
    try {
      job.resolve(await performance.found)
    } catch (error) {
      delete job.performance
      if (!(error instanceof Recalled)) job.reject(error)
      else if (this.#stopped) job.reject(stopping())
      else if (job.signal?.aborted === true) job.reject(cancelled(job.signal))
      else this.#requeue(job)
    }
    delete job.performance
  }

  async #submit (task: Task, payer: string, signal: AbortSignal | undefined): Promise<Finding> {
    if (signal?.aborted === true) throw cancelled(signal)
    if (this.#stopped) throw stopping()
    if (this.queue.size >= LIMITS.executor.queueMax) {
      throw new InosError('ERR_BUSY', `All executors work, and ${LIMITS.executor.queueMax} jobs wait already.`)
    }
    const { promise, resolve, reject } = Promise.withResolvers<Finding>()
    const job: Job = { payer, task, resolve, reject, signal, depth: depthOf(task) }
    const abort = (): void => {
      // Nothing but its end stops a running guest.
      if (job.performance !== undefined) job.performance.cancel('its job was cancelled', cancelled(signal))
      else if (this.queue.remove(job)) reject(cancelled(signal))
    }
    signal?.addEventListener('abort', abort)
    try {
      this.queue.push(job)
      this.look()
      return await promise
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** @returns whether one more could be taken from the queue */
  #beginNext (): boolean {
    const idle = this.idle()
    if (idle.length === 0 && this.#open === undefined) return false
    const free = this.slots - this.running
    const most = this.slots + LIMITS.executor.waitingMax - this.count(seat => seat.busy)
    const job = this.queue.shift(({ depth }) => most + depth > 0)
    if (job === undefined) return false
    try {
      const seat = idle.find(seat => seat.knows(job.task)) ?? idle[0] ?? this.#open!()
      this.begin(job, seat, Math.floor(this.queue.size / free))
    } catch (error) {
      job.reject(error)
    }
    return true
  }

  #requeue (job: Job): void {
    this.queue.unshift(job)
    this.look()
  }

  /** Whether jobs have had more than their share; then the queue is looked at again when that is over. */
  #isResting (): boolean {
    const ms = this.#rest === undefined ? this.usage.restMs() : 0
    if (ms > 0) {
      this.#rest = setTimeout(() => {
        this.#rest = undefined
        this.look()
      }, ms)
    }
    return this.#rest !== undefined
  }
}

function depthOf (task: Task): number {
  return task.kind === 'run' ? LIMITS.spec.levelsMax - (task.run.limits.levelsMax ?? LIMITS.guest.levelsMax) : 0
}

function stopping (): InosError { return new InosError('ERR_CANCELLED', 'The node is stopping.') }

function cancelled (signal: AbortSignal | undefined): InosError {
  return new InosError('ERR_CANCELLED', 'The work was cancelled.', { cause: signal?.reason })
}
