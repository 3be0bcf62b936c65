/**
 * The executors of a tab: Web Workers that run the engine where it can be ended, each started when a job wants one. Which job runs where and
 * when is told by `assembly/executor-turns.ts`; one job at one executor is the business of `executor-worker.ts`.
 */
import { type Job, SPARE, TurnPool } from '../assembly/executor-turns.ts'
import { Executor } from './executor-worker.ts'

export interface ExecutorPoolOptions {
  /** Jobs that run at once. @default the number of cores, which is also the most */
  readonly slots?: number | undefined
  /** Makes a worker of `executor.ts`. */
  readonly start: () => Worker
  /** Takes one line about each executor that is lost. */
  readonly log: (line: string) => void
}

export class ExecutorPool extends TurnPool<Executor> {
  constructor ({ slots, start, log }: ExecutorPoolOptions) {
    super({ cores: navigator.hardwareConcurrency, slots, log, open: () => this.#open(start) })
  }

  /** An executor has one job at a time. */
  protected override begin (job: Job, executor: Executor): void { void this.follow(job, executor.perform(job.task)) }

  /** End those that only suspended guests made necessary. */
  protected override settle (): void {
    for (const executor of this.idle().slice(0, Math.max(0, this.seats.size - this.slotsMax))) executor.end(SPARE)
  }

  #open (start: () => Worker): Executor {
    const executor: Executor = new Executor(start, {
      free: () => { this.look() },
      wakes: go => { this.wake(go) },
      worked: (ms, fuel) => { this.usage.worked(ms, fuel) },
      gone: why => {
        this.forget(executor, why)
        queueMicrotask(() => { this.look() })
      }
    })
    this.seats.add(executor)
    return executor
  }
}
