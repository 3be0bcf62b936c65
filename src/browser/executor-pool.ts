/**
 * The runtime of a tab: a pool of Web Workers that run the engine where it can be ended. It decides which job runs where and
 * when; one job at one executor is the business of `executor-worker.ts`.
 *
 * An executor has one job at a time, and is started when a job wants one. A guest that is suspended for its children keeps its executor and gives up its slot; how many are at
 * work at once has the limit of `node/executor-pool.ts`, so that on every level somebody can go on.
 */
import { TurnQueue } from '../assembly/executor-queue.ts'
import { Usage } from '../assembly/executor-usage.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { ExecuteOptions, Load, ModuleReport, Outcome, Run, Runtime } from '../wasm/runtime.ts'
import { Executor, type Finding, type Task } from './executor-worker.ts'

export interface ExecutorPoolOptions {
  /** Jobs that run at once. @default the number of cores, which is also the most */
  readonly slots?: number | undefined
  /** Makes a worker of `executor.ts`. */
  readonly start: () => Worker
  /** Takes one line about each executor that is lost. */
  readonly log: (line: string) => void
}

interface Job {
  readonly payer: string
  /** Levels above it. */
  readonly depth: number
  readonly task: Task
  readonly resolve: (finding: Finding) => void
  readonly reject: (error: unknown) => void
  /** Where it runs; undefined while it waits. */
  at: Executor | undefined
}

export function createExecutorPool (options: ExecutorPoolOptions): ExecutorPool { return new ExecutorPool(options) }

export class ExecutorPool implements Runtime {
  readonly #options: ExecutorPoolOptions
  readonly #slotsMax: number
  readonly #usage: Usage
  readonly #queue = new TurnQueue<Job>()
  readonly #executors = new Set<Executor>()
  /** Guests whose children are there, in turn. */
  readonly #waking: (() => void)[] = []
  /** Jobs have had more than their share; until it runs out none starts. */
  #rest: ReturnType<typeof setTimeout> | undefined
  #stopped = false

  constructor (options: ExecutorPoolOptions) {
    const cores = navigator.hardwareConcurrency
    this.#options = options
    this.#slotsMax = Math.max(1, Math.min(options.slots ?? cores, cores))
    this.#usage = new Usage(cores)
  }

  /** Part of all cores that jobs may have on average; jobs that run are not disturbed by a new one. */
  get share (): number { return this.#usage.share }
  set share (share: number) {
    this.#usage.share = share
    clearTimeout(this.#rest)
    this.#rest = undefined
    this.#dispatch()
  }

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

  /** End every executor; what runs or waits ends with ERR_CANCELLED. */
  async stop (): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#rest)
    for (const job of this.#queue.drain()) job.reject(stopping())
    for (const executor of [...this.#executors]) executor.end('the node is stopping', stopping())
  }

  get #slots (): number { return Math.min(this.#slotsMax, this.#usage.slotsMax) }
  /** Jobs that run, those of suspended guests left out. */
  get #running (): number { return this.#count(executor => !executor.idle && !executor.waiting) }

  async #submit (task: Task, payer: string, signal: AbortSignal | undefined): Promise<Finding> {
    if (signal?.aborted === true) throw cancelled(signal)
    if (this.#stopped) throw stopping()
    if (this.#queue.size >= LIMITS.executor.queueMax) throw new InosError('ERR_BUSY', `All executors work, and ${LIMITS.executor.queueMax} jobs wait already.`)
    const { promise, resolve, reject } = Promise.withResolvers<Finding>()
    const job: Job = { payer, task, resolve, reject, depth: depthOf(task), at: undefined }
    const abort = (): void => {
      // Nothing but its end stops a running guest.
      if (job.at !== undefined) job.at.end('its job was cancelled', cancelled(signal))
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

  #dispatch (): void {
    if (this.#stopped || this.#isResting()) return
    while (this.#running < this.#slots && this.#waking.length > 0) this.#waking.shift()!()
    while (this.#running < this.#slots && this.#queue.size > 0) {
      const most = this.#slots + LIMITS.executor.waitingMax - this.#count(executor => !executor.idle)
      const job = this.#queue.shift(({ depth }) => most + depth > 0)
      if (job === undefined) break
      void this.#perform(job)
    }
    // Those that only suspended guests made necessary.
    const idle = [...this.#executors].filter(executor => executor.idle)
    for (const executor of idle.slice(0, Math.max(0, this.#executors.size - this.#slotsMax))) executor.end(SPARE)
  }

  async #perform (job: Job): Promise<void> {
    try {
      const idle = [...this.#executors].filter(executor => executor.idle)
      const executor = job.at = idle.find(executor => executor.knows(job.task)) ?? idle[0] ?? this.#start()
      job.resolve(await executor.perform(job.task))
    } catch (error) {
      job.reject(error)
    }
    job.at = undefined
  }

  #start (): Executor {
    const executor: Executor = new Executor(this.#options.start, {
      free: () => { this.#dispatch() },
      wakes: go => {
        this.#waking.push(go)
        this.#dispatch()
      },
      worked: (ms, fuel) => { this.#usage.worked(ms, fuel) },
      gone: why => {
        this.#executors.delete(executor)
        if (!this.#stopped && why !== SPARE) this.#options.log(`An executor was lost: ${why}.`)
        queueMicrotask(() => { this.#dispatch() })
      }
    })
    this.#executors.add(executor)
    return executor
  }

  #isResting (): boolean {
    const ms = this.#rest === undefined ? this.#usage.restMs() : 0
    if (ms > 0) {
      this.#rest = setTimeout(() => {
        this.#rest = undefined
        this.#dispatch()
      }, ms)
    }
    return this.#rest !== undefined
  }

  #count (matches: (executor: Executor) => boolean): number {
    let count = 0
    for (const executor of this.#executors) if (matches(executor)) count++
    return count
  }
}

const SPARE = 'it was one too many'

function depthOf (task: Task): number {
  return task.kind === 'run' ? LIMITS.spec.levelsMax - (task.run.limits.levelsMax ?? LIMITS.guest.levelsMax) : 0
}

function stopping (): InosError { return new InosError('ERR_CANCELLED', 'This node is stopping.') }

function cancelled (signal: AbortSignal | undefined): InosError { return new InosError('ERR_CANCELLED', 'The work was cancelled.', { cause: signal?.reason }) }
