/**
 * The runtime of a node: a pool of executor processes that run the engine where it can be killed.
 * It decides which job runs where and when, and keeps executors at hand. One job at one executor is
 * the business of `executor-worker.ts`; prices, holds and receipts are that of other rooms.
 *
 * An executor has one job at a time, or several short ones of the same payer, so guests of two payers
 * never share one, and what only waits is never lost with it. Executors stay warm, and one more than needed is kept ready, so that
 * losing one costs the next job no start-up.
 *
 * A guest that is suspended for its children keeps its executor and gives up its slot, so that they can run even where there
 * is one. How many are at work at once, suspended ones included, has a limit that is higher by one for each level
 * below a root: then on every level somebody can go on, on one node and between nodes that wait for each other.
 */
import { availableParallelism } from 'node:os'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { ExecuteOptions, Load, ModuleReport, Outcome, Run, Runtime } from '../wasm/runtime.ts'
import { EXECUTOR_ENTRY, residentBytes, startExecutor } from './executor-process.ts'
import { TurnQueue } from '../assembly/executor-queue.ts'
import { planLaunch, probeWalls } from './executor-walls.ts'
import type { Walls } from './executor-walls.ts'
import { Usage } from '../assembly/executor-usage.ts'
import { Recalled, Worker } from './executor-worker.ts'
import type { Finding, Performance, Task } from './executor-worker.ts'

export interface ExecutorPoolOptions {
  /** Jobs that run at once. @default the number of cores, which is also the most */
  slots?: number
  /** Part of all cores that jobs may have on average, above 0 and at most 1. @default 1 */
  share?: number
  /** Takes one line about each executor that is lost or does not start. */
  log?: (line: string) => void
  /** Main of the executors; tests put their own in its place. @default executor.ts beside this file */
  entry?: URL
  /** What executors are denied. @default the most this machine can */
  walls?: Walls
}

export interface ExecutorPool extends Runtime, AsyncDisposable {
  /** As the option; jobs that run are not disturbed by a new one. */
  share: number
  /** What executors are denied on this machine. */
  walls (): Promise<Walls>
  /** Ids of the live processes, or of those that have started, or of those that have a job. */
  pids (which?: 'ready' | 'busy'): number[]
}

export function createExecutorPool (options: ExecutorPoolOptions = {}): ExecutorPool {
  return new Pool(options)
}

interface Job {
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

class Pool implements ExecutorPool {
  readonly #slotsMax: number
  readonly #usage = new Usage(availableParallelism())
  readonly #log: (line: string) => void
  readonly #entry: URL
  readonly #walls: Promise<Walls>
  readonly #queue = new TurnQueue<Job>()
  readonly #workers = new Set<Worker>()
  /** Guests whose children are there, in turn. */
  readonly #waking: (() => void)[] = []
  /** Modules whose guests had children, the oldest first: nothing is sent along with those. */
  readonly #parents = new Set<string>()
  /** Processes that were killed and are not gone yet. */
  readonly #ending = new Set<Promise<void>>()
  /** Executors that never said ready, in a row. */
  #failures = 0
  #backoff: NodeJS.Timeout | undefined
  #memoryPoll: NodeJS.Timeout | undefined
  #burnPoll: NodeJS.Timeout | undefined
  /** Jobs have had more than their share; until it runs out none starts. */
  #rest: NodeJS.Timeout | undefined
  /** There are more executors than needed; looked at again then. */
  #sparing: NodeJS.Timeout | undefined
  #stopped = false
  /** Set as soon as it is known what executors are denied here. */
  #start: (() => Worker) | undefined

  constructor ({ slots = Infinity, share = 1, log = () => {}, entry = EXECUTOR_ENTRY, walls }: ExecutorPoolOptions) {
    this.#slotsMax = Math.max(1, Math.min(slots, availableParallelism()))
    this.#usage.share = share
    this.#log = log
    this.#entry = entry
    this.#walls = walls === undefined ? probeWalls(entry) : Promise.resolve(walls)
    void this.#open()
  }

  walls (): Promise<Walls> { return this.#walls }

  pids (which?: 'ready' | 'busy'): number[] {
    const isAsked = ({ busy, starting }: Worker): boolean => which === undefined || (which === 'busy' ? busy : !starting)
    return [...this.#workers].filter(isAsked).flatMap(worker => worker.pid ?? [])
  }

  get share (): number { return this.#usage.share }
  set share (share: number) {
    this.#usage.share = share
    clearTimeout(this.#rest)
    this.#rest = undefined
    this.#dispatch()
  }

  get #slots (): number { return Math.min(this.#slotsMax, this.#usage.slotsMax) }

  load (): Load {
    const { fuelPerSec } = this.#usage
    return { slots: this.#slots, busy: this.#running, queued: this.#queue.size, ...(fuelPerSec === undefined ? {} : { fuelPerSec }) }
  }

  async execute (run: Run, { payer, signal, compute }: ExecuteOptions): Promise<Outcome> {
    return await this.#submit({ kind: 'run', run, compute }, payer, signal) as Outcome
  }

  /** Inspections take turns with the payers as if one more payer sent them. */
  async inspect (wasm: Uint8Array): Promise<ModuleReport> {
    return await this.#submit({ kind: 'inspect', wasm }, '', undefined) as ModuleReport
  }

  /** Kill every executor; what runs or waits ends with ERR_CANCELLED. */
  async stop (): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#backoff)
    clearTimeout(this.#memoryPoll)
    clearTimeout(this.#burnPoll)
    clearTimeout(this.#rest)
    clearTimeout(this.#sparing)
    for (const job of this.#queue.drain()) job.reject(stopping())
    for (const worker of this.#workers) worker.end('the node is stopping', stopping())
    await Promise.all(this.#ending)
  }

  async [Symbol.asyncDispose] (): Promise<void> { await this.stop() }

  async #submit (task: Task, payer: string, signal: AbortSignal | undefined): Promise<Finding> {
    if (signal?.aborted === true) throw cancelled(signal)
    if (this.#stopped) throw stopping()
    if (this.#queue.size >= LIMITS.executor.queueMax) {
      throw new InosError('ERR_BUSY', `All executors work, and ${LIMITS.executor.queueMax} jobs wait already.`)
    }
    const { promise, resolve, reject } = Promise.withResolvers<Finding>()
    const job: Job = { payer, task, resolve, reject, signal, depth: depthOf(task) }
    const abort = (): void => {
      // Nothing but its death stops a running guest.
      if (job.performance !== undefined) job.performance.cancel('its job was cancelled', cancelled(signal))
      else if (this.#queue.remove(job)) reject(cancelled(signal))
    }
    signal?.addEventListener('abort', abort)
    try {
      this.#queue.push(job)
      this.#dispatch()
      return await promise
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Give waiting jobs to idle executors, to one that has the module compiled if there is one. */
  #dispatch (): void {
    const resting = this.#isResting()
    while (!resting && this.#running < this.#slots && this.#waking.length > 0) this.#waking.shift()!()
    let free = resting ? 0 : this.#slots - this.#running
    while (free > 0 && this.#queue.size > 0) {
      const idle = [...this.#workers].filter(worker => worker.idle)
      if (idle.length === 0) break
      const most = this.#slots + LIMITS.executor.waitingMax - this.#count(worker => worker.busy)
      const job = this.#queue.shift(({ depth }) => most + depth > 0)
      if (job === undefined) break
      const worker = idle.find(worker => worker.knows(job.task)) ?? idle[0]!
      const jobs = [job, ...this.#companions(job, worker, Math.floor(this.#queue.size / free))]
      const performances = worker.perform(jobs.map(({ task }) => task))
      jobs.forEach((each, at) => { void this.#await(each, performances[at]!) })
      this.#watchBurning()
      free--
    }
    this.#grow()
    this.#shrink()
  }

  /** Jobs that run, those of suspended guests left out. */
  get #running (): number { return this.#count(worker => worker.busy && !worker.waiting) }

  /** Whether jobs have had more than their share; then the queue is looked at again when that is over. */
  #isResting (): boolean {
    const ms = this.#rest === undefined ? this.#usage.restMs() : 0
    if (ms > 0 && !this.#stopped) {
      this.#rest = setTimeout(() => {
        this.#rest = undefined
        this.#dispatch()
      }, ms)
    }
    return this.#rest !== undefined
  }

  /**
   * Jobs of the same payer that go along in the same write, if they and the first are known to be short:
   * then writes and wake-ups cost more than jobs, and an executor rests until it is sent the next. Others wait a few milliseconds
   * longer at most; as long as nobody else waits, a payer's own may be a few more.
   * @param countMax this executor's share of the queue
   */
  #companions ({ payer, task }: Job, worker: Worker, countMax: number): Job[] {
    const companions: Job[] = []
    if (task.kind === 'run' && this.#parents.has(task.run.moduleId)) return companions
    const { batchMsMax, batchAloneMsMax } = LIMITS.executor
    const msMax = this.#queue.isOnly(payer) ? batchAloneMsMax : batchMsMax
    let ms = worker.expects(task) ?? Infinity
    while (companions.length < Math.min(countMax, LIMITS.executor.batchMax - 1)) {
      const next = this.#queue.peek(payer)
      ms += next === undefined ? Infinity : worker.expects(next.task) ?? Infinity
      if (next === undefined || ms > msMax || (next.task.kind === 'run' && this.#parents.has(next.task.run.moduleId))) break
      this.#queue.remove(next)
      companions.push(next)
    }
    return companions
  }

  async #await (job: Job, performance: Performance): Promise<void> {
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

  #requeue (job: Job): void {
    this.#queue.unshift(job)
    this.#dispatch()
  }

  /** Start what jobs need and one to spare, after the pause that failures earned. */
  #grow (): void {
    const wanted = Math.min(this.#slots, this.#running + this.#queue.size) + this.#count(worker => worker.waiting) + 1
    while (!this.#stopped && this.#backoff === undefined && this.#start !== undefined && this.#workers.size < wanted) {
      try {
        this.#workers.add(this.#start())
      } catch (error) {
        this.#fail(`the system refused a process (${error instanceof Error ? error.message : 'unknown'})`)
      }
    }
  }

  /** Executors that only suspended guests made necessary. */
  get #spare (): number { return this.#workers.size - this.#slotsMax - this.#count(worker => worker.waiting) - 1 }

  /** End them after a while, for guests of one tree are suspended again and again. */
  #shrink (): void {
    if (this.#stopped || this.#sparing !== undefined || this.#spare <= 0) return
    this.#sparing = setTimeout(() => {
      this.#sparing = undefined
      const idle = [...this.#workers].filter(worker => worker.idle).slice(0, Math.max(0, this.#spare))
      for (const worker of idle) worker.end(SPARE)
      this.#shrink()
    }, LIMITS.executor.spareMs)
  }

  #noteParent (moduleId: string): void {
    this.#parents.delete(moduleId)
    this.#parents.add(moduleId)
    if (this.#parents.size > LIMITS.executor.queueMax) this.#parents.delete(this.#parents.values().next().value!)
  }

  /** Learn what executors are denied here, then begin. */
  async #open (): Promise<void> {
    const walls = await this.#walls
    const launch = await planLaunch(this.#entry, walls)
    if (this.#stopped) return
    this.#start = () => {
      const worker: Worker = new Worker(events => startExecutor(launch, events), {
        ready: () => { this.#welcome() },
        idle: () => { this.#dispatch() },
        worked: (ms, fuel) => { this.#usage.worked(ms, fuel) },
        suspended: moduleId => {
          this.#noteParent(moduleId)
          this.#dispatch()
        },
        wakes: go => {
          this.#waking.push(go)
          this.#dispatch()
        },
        retire: () => { worker.end('it burnt CPU in the background') },
        gone: (why, early) => { this.#bury(worker, why, early) }
      })
      return worker
    }
    if (!walls.memory) void this.#weigh()
    this.#dispatch()
  }

  #welcome (): void {
    this.#failures = 0
    this.#dispatch()
  }

  #bury (worker: Worker, why: string, early: boolean): void {
    this.#workers.delete(worker)
    const { exited } = worker
    this.#ending.add(exited)
    void exited.then(() => this.#ending.delete(exited))
    if (this.#stopped) return
    if (why !== SPARE) this.#log(`An executor was lost: ${why}.`)
    if (early) this.#fail(why)
    this.#dispatch()
  }

  /** Executors that do not start: try again ever more slowly, and let nobody wait in vain. */
  #fail (why: string): void {
    const { startFailuresMax, respawnMsBase, respawnMsMax } = LIMITS.executor
    this.#failures++
    clearTimeout(this.#backoff)
    this.#backoff = setTimeout(() => {
      this.#backoff = undefined
      this.#grow()
    }, Math.min(respawnMsMax, respawnMsBase * 2 ** (this.#failures - 1)))
    if (this.#failures < startFailuresMax || this.#count(worker => !worker.starting) > 0) return
    for (const job of this.#queue.drain()) {
      job.reject(new InosError('ERR_EXECUTOR_LOST', `No executor starts on this machine: ${why}.`))
    }
  }

  /** Where the kernel caps no memory, look again and again, and kill whoever holds too much. */
  async #weigh (): Promise<void> {
    const sizes = await residentBytes(this.pids())
    for (const worker of this.#workers) {
      if ((sizes.get(worker.pid ?? 0) ?? 0) > LIMITS.executor.dataBytesMax) worker.end('it reached its memory cap')
    }
    if (!this.#stopped) this.#memoryPoll = setTimeout(() => { void this.#weigh() }, LIMITS.executor.residentMsPoll)
  }

  /** Look at the CPU of all executors until nothing runs, neither a job nor what it left behind. */
  #watchBurning (): void {
    if (this.#burnPoll !== undefined || process.platform !== 'linux') return
    this.#burnPoll = setTimeout(() => {
      this.#burnPoll = undefined
      const now = performance.now()
      for (const worker of this.#workers) worker.audit(now)
      if (!this.#stopped && this.#count(worker => !worker.starting && !worker.quiet) > 0) this.#watchBurning()
    }, LIMITS.executor.burnMsPoll)
  }

  #count (holds: (worker: Worker) => boolean): number {
    let count = 0
    for (const worker of this.#workers) if (holds(worker)) count++
    return count
  }
}

/** Why an executor is ended that nobody needs. */
const SPARE = 'it was one too many'

function depthOf (task: Task): number {
  return task.kind === 'run' ? LIMITS.spec.levelsMax - (task.run.limits.levelsMax ?? LIMITS.guest.levelsMax) : 0
}

function stopping (): InosError { return new InosError('ERR_CANCELLED', 'The node is stopping.') }

function cancelled (signal: AbortSignal | undefined): InosError {
  return new InosError('ERR_CANCELLED', 'The work was cancelled.', { cause: signal?.reason })
}
