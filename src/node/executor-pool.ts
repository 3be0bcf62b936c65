/**
 * The executors of a node: processes that run the engine where it can be killed. Here is how many there are, what becomes of those
 * that are lost, and which jobs go together; which job runs where and when is told by `assembly/executor-turns.ts`, and one job at one executor is
 * the business of `executor-worker.ts`. Prices, holds and receipts are that of other rooms.
 *
 * An executor has one job at a time, or several short ones of the same payer, so guests of two payers
 * never share one, and what only waits is never lost with it. Executors stay warm, and one more than needed is kept ready, so that
 * losing one costs the next job no start-up.
 */
import { availableParallelism } from 'node:os'
import { type Job, SPARE, TurnPool } from '../assembly/executor-turns.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Runtime } from '../wasm/runtime.ts'
import { EXECUTOR_ENTRY, residentBytes, startExecutor } from './executor-process.ts'
import { planLaunch, probeWalls } from './executor-walls.ts'
import type { Walls } from './executor-walls.ts'
import { Worker } from './executor-worker.ts'

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

class Pool extends TurnPool<Worker> implements ExecutorPool {
  readonly #entry: URL
  readonly #walls: Promise<Walls>
  /** Modules whose guests had children, the oldest first: nothing is sent along with those. */
  readonly #parents = new Set<string>()
  /** Processes that were killed and are not gone yet. */
  readonly #ending = new Set<Promise<void>>()
  /** Executors that never said ready, in a row. */
  #failures = 0
  #backoff: NodeJS.Timeout | undefined
  #memoryPoll: NodeJS.Timeout | undefined
  #burnPoll: NodeJS.Timeout | undefined
  /** There are more executors than needed; looked at again then. */
  #sparing: NodeJS.Timeout | undefined
  /** Set as soon as it is known what executors are denied here. */
  #start: (() => Worker) | undefined

  constructor ({ slots, share = 1, log = () => {}, entry = EXECUTOR_ENTRY, walls }: ExecutorPoolOptions) {
    super({ cores: availableParallelism(), slots, log })
    this.usage.share = share
    this.#entry = entry
    this.#walls = walls === undefined ? probeWalls(entry) : Promise.resolve(walls)
    void this.#prepare()
  }

  walls (): Promise<Walls> { return this.#walls }

  pids (which?: 'ready' | 'busy'): number[] {
    const isAsked = ({ busy, starting }: Worker): boolean => which === undefined || (which === 'busy' ? busy : !starting)
    return [...this.seats].filter(isAsked).flatMap(worker => worker.pid ?? [])
  }

  /** Kill every executor and wait until they are gone; what runs or waits ends with ERR_CANCELLED. */
  override async stop (): Promise<void> {
    for (const timer of [this.#backoff, this.#memoryPoll, this.#burnPoll, this.#sparing]) clearTimeout(timer)
    await super.stop()
    await Promise.all(this.#ending)
  }

  async [Symbol.asyncDispose] (): Promise<void> { await this.stop() }

  protected override begin (job: Job, worker: Worker, countMax: number): void {
    const jobs = [job, ...this.#companions(job, worker, countMax)]
    const performances = worker.perform(jobs.map(({ task }) => task))
    jobs.forEach((each, at) => { void this.follow(each, performances[at]!) })
    this.#watchBurning()
  }

  protected override settle (): void {
    this.#grow()
    this.#shrink()
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
    const msMax = this.queue.isOnly(payer) ? batchAloneMsMax : batchMsMax
    let ms = worker.expects(task) ?? Infinity
    while (companions.length < Math.min(countMax, LIMITS.executor.batchMax - 1)) {
      const next = this.queue.peek(payer)
      ms += next === undefined ? Infinity : worker.expects(next.task) ?? Infinity
      if (next === undefined || ms > msMax || (next.task.kind === 'run' && this.#parents.has(next.task.run.moduleId))) break
      this.queue.remove(next)
      companions.push(next)
    }
    return companions
  }

  /** Start what jobs need and one to spare, after the pause that failures earned. */
  #grow (): void {
    const wanted = Math.min(this.slots, this.running + this.queue.size) + this.count(worker => worker.waiting) + 1
    while (!this.stopped && this.#backoff === undefined && this.#start !== undefined && this.seats.size < wanted) {
      try {
        this.seats.add(this.#start())
      } catch (error) {
        this.#fail(`the system refused a process (${error instanceof Error ? error.message : 'unknown'})`)
      }
    }
  }

  /** Executors that only suspended guests made necessary. */
  get #spare (): number { return this.seats.size - this.slotsMax - this.count(worker => worker.waiting) - 1 }

  /** End them after a while, for guests of one tree are suspended again and again. */
  #shrink (): void {
    if (this.stopped || this.#sparing !== undefined || this.#spare <= 0) return
    this.#sparing = setTimeout(() => {
      this.#sparing = undefined
      const idle = this.idle().slice(0, Math.max(0, this.#spare))
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
  async #prepare (): Promise<void> {
    const walls = await this.#walls
    const launch = await planLaunch(this.#entry, walls)
    if (this.stopped) return
    this.#start = () => {
      const worker: Worker = new Worker(events => startExecutor(launch, events), {
        ready: () => { this.#welcome() },
        idle: () => { this.look() },
        worked: (ms, fuel) => { this.usage.worked(ms, fuel) },
        suspended: moduleId => {
          this.#noteParent(moduleId)
          this.look()
        },
        wakes: go => { this.wake(go) },
        retire: () => { worker.end('it burnt CPU in the background') },
        gone: (why, early) => { this.#bury(worker, why, early) }
      })
      return worker
    }
    if (!walls.memory) void this.#weigh()
    this.look()
  }

  #welcome (): void {
    this.#failures = 0
    this.look()
  }

  #bury (worker: Worker, why: string, early: boolean): void {
    this.forget(worker, why)
    const { exited } = worker
    this.#ending.add(exited)
    void exited.then(() => this.#ending.delete(exited))
    if (this.stopped) return
    if (early) this.#fail(why)
    this.look()
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
    if (this.#failures < startFailuresMax || this.count(worker => !worker.starting) > 0) return
    this.refuse(new InosError('ERR_EXECUTOR_LOST', `No executor starts on this machine: ${why}.`))
  }

  /** Where the kernel caps no memory, look again and again, and kill whoever holds too much. */
  async #weigh (): Promise<void> {
    const sizes = await residentBytes(this.pids())
    for (const worker of this.seats) {
      if ((sizes.get(worker.pid ?? 0) ?? 0) > LIMITS.executor.dataBytesMax) worker.end('it reached its memory cap')
    }
    if (!this.stopped) this.#memoryPoll = setTimeout(() => { void this.#weigh() }, LIMITS.executor.residentMsPoll)
  }

  /** Look at the CPU of all executors until nothing runs, neither a job nor what it left behind. */
  #watchBurning (): void {
    if (this.#burnPoll !== undefined || process.platform !== 'linux') return
    this.#burnPoll = setTimeout(() => {
      this.#burnPoll = undefined
      const now = performance.now()
      for (const worker of this.seats) worker.audit(now)
      if (!this.stopped && this.count(worker => !worker.starting && !worker.quiet) > 0) this.#watchBurning()
    }, LIMITS.executor.burnMsPoll)
  }
}
