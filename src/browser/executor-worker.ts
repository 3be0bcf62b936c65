/**
 * One executor at work, as the page sees it: hands it a job, supplies the module if asked, has its children computed, keeps the
 * lease. Only its end stops a guest. Who works when is left to `assembly/executor-turns.ts`.
 */
import { estimateMs, Lease } from '../assembly/executor-lease.ts'
import { fetchModule, type Finding, lost, outlived, type Performance, type Seat, type Task, waitedTooLong } from '../assembly/executor-seat.ts'
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { load } from '../wasm/ranges.ts'
import type { Child, Outcome, Run } from '../wasm/runtime.ts'
import type { Answer, Order } from './executor-messages.ts'

export interface ExecutorEvents {
  /** The job is over, or its guest is suspended: another may run. */
  free (): void
  /** A suspended guest could go on; `go` is to be called when it may. */
  wakes (go: () => void): void
  /** A job has had a core for so long; its fuel where it was a run of a module that was compiled already, else null. */
  worked (ms: number, fuel: bigint | null): void
  /** It was ended, or has failed; told once. */
  gone (why: string): void
}

interface Job {
  readonly task: Task
  readonly lease: Lease
  readonly done: PromiseWithResolvers<Finding>
  /** Children whose end was told. */
  readonly told: Set<number>
  /** The child it is suspended for. */
  awaits: number | undefined
  /** Why the module could not be had, or a child not be computed. */
  fault: InosError | undefined
}

export class Executor implements Seat {
  readonly #worker: Worker
  readonly #events: ExecutorEvents
  readonly #modules = new Set<string>()
  readonly #ready = Promise.withResolvers<void>()
  #timer: ReturnType<typeof setTimeout>
  #job: Job | undefined
  #isGone = false
  /** When the job began, or was last resumed, and how long it had run before. */
  #since = 0
  #ranMs = 0

  constructor (start: () => Worker, events: ExecutorEvents) {
    this.#events = events
    this.#worker = start()
    this.#worker.onmessage = ({ data }: { data: Answer }) => { this.#hear(data) }
    this.#worker.onerror = ({ message }) => { this.end(message || 'its script did not load') }
    this.#timer = setTimeout(() => { this.end('it did not start in time') }, LIMITS.executor.startMsMax)
    this.#ready.promise.catch(() => {})
  }

  get idle (): boolean { return this.#job === undefined && !this.#isGone }
  get busy (): boolean { return this.#job !== undefined }
  get waiting (): boolean { return this.#job?.awaits !== undefined }

  knows (task: Task): boolean { return task.kind === 'run' && this.#modules.has(task.run.moduleId) }

  /** Run or inspect; to be called while it is idle. */
  perform (task: Task): Performance {
    const lease: Lease = new Lease(task.kind === 'run' ? task.run.limits.fuelMax : 0n, () => { this.end(...outlived(lease)) }, run => { setTimeout(run, 0) })
    const job: Job = this.#job = { task, lease, done: Promise.withResolvers(), told: new Set(), awaits: undefined, fault: undefined }
    this.#begin(job).catch((error: unknown) => { if (this.#job === job) this.#finish(job, null)?.reject(error) })
    return { found: job.done.promise, cancel: (why, error) => { if (this.#job === job) this.end(why, error) } }
  }

  end (why: string, error: InosError = lost(why)): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#worker.terminate()
    clearTimeout(this.#timer)
    this.#ready.reject(error)
    if (this.#job !== undefined) this.#finish(this.#job, null)?.reject(error)
    this.#events.gone(why)
  }

  async #begin (job: Job): Promise<void> {
    const { task } = job
    const order = task.kind === 'run' ? await this.#orderOf(task.run, task.compute !== undefined) : task
    await this.#ready.promise
    // It may have been cancelled in the meantime.
    if (this.#job !== job) return
    const wasm = order.wasm
    if (wasm !== undefined) job.lease.expect(estimateMs(wasm.length))
    this.#resume(job)
    this.#post(order)
  }

  /** What lies elsewhere comes into memory first: a guest cannot wait for the page. */
  async #orderOf ({ wasm, ...run }: Run, hasKin: boolean): Promise<Order & { kind: 'run' }> {
    const files = await Promise.all(Object.entries(run.files).map(async ([path, content]) => [path, await load(content)] as const))
    const isSent = typeof wasm !== 'function' && !this.#modules.has(run.moduleId)
    return { kind: 'run', run: { ...run, input: await load(run.input), files: Object.fromEntries(files) }, wasm: isSent ? wasm : undefined, hasKin }
  }

  #post (order: Order): void { this.#worker.postMessage(order) }

  #hear (answer: Answer): void {
    if (answer.kind === 'ready') {
      clearTimeout(this.#timer)
      this.#ready.resolve()
      return
    }
    const job = this.#job
    if (job === undefined) return
    if (answer.kind === 'need') void this.#supply(job)
    else if (answer.kind === 'estimate') job.lease.expect(answer.cpuMs)
    else if (answer.kind === 'want') void this.#raise(job, answer.child, answer.at)
    else if (answer.kind === 'wait') this.#suspend(job, answer.at)
    else if (answer.kind === 'outcome') this.#settle(job, answer.outcome)
    else if (answer.kind === 'report') this.#finish(job, null)?.resolve(answer.report)
    else this.#refuse(job, new InosError(answer.code, answer.message, answer.hint === null ? {} : { hint: answer.hint }))
  }

  #settle (job: Job, outcome: Outcome): void {
    const { moduleId } = (job.task as Task & { kind: 'run' }).run
    const fuel = this.#modules.has(moduleId) && job.told.size === 0 ? outcome.fuel : null
    // As many as an executor keeps compiled; where this is wrong it asks.
    this.#modules.delete(moduleId)
    this.#modules.add(moduleId)
    if (this.#modules.size > LIMITS.executor.moduleCacheMax) this.#modules.delete(this.#modules.values().next().value!)
    this.#finish(job, fuel)?.resolve(outcome)
  }

  /** An engine that could not do what it had promised, get memory for one, is replaced. */
  #refuse (job: Job, error: InosError): void {
    if (job.fault === undefined && error.code === 'ERR_EXECUTOR_LOST') this.end('its engine failed', error)
    else this.#finish(job, null)?.reject(job.fault ?? error)
  }

  /** The lease rests while the module is fetched, because that is not the job's doing. */
  async #supply (job: Job): Promise<void> {
    const { run } = job.task as Task & { kind: 'run' }
    this.#pause(job)
    const bytes = await fetchModule(run).catch((error: unknown) => {
      job.fault = toInosError(error)
      return null
    })
    if (this.#job !== job) return
    if (bytes !== null) job.lease.expect(estimateMs(bytes.length))
    this.#resume(job)
    this.#post({ kind: 'module', wasm: bytes })
  }

  async #raise (job: Job, child: Child, at: number): Promise<void> {
    const { compute } = job.task as Task & { kind: 'run' }
    const end = await compute!(child, at).catch((error: unknown) => {
      job.fault ??= toInosError(error)
      return null
    })
    if (this.#job !== job) return
    job.told.add(at)
    const go = (): void => {
      if (this.#job !== job) return
      if (job.awaits === at) {
        clearTimeout(this.#timer)
        job.awaits = undefined
        this.#resume(job)
      }
      this.#post({ kind: 'child', at, end })
    }
    if (job.awaits === at) this.#events.wakes(go)
    else go()
  }

  /** While it is suspended neither lease nor slot are the job's. */
  #suspend (job: Job, at: number): void {
    if (job.told.has(at)) return
    job.awaits = at
    this.#pause(job)
    this.#timer = setTimeout(() => { this.end(...waitedTooLong()) }, LIMITS.executor.waitMsMax)
    this.#events.free()
  }

  #pause (job: Job): void {
    job.lease.pause()
    this.#ranMs += performance.now() - this.#since
  }

  #resume (job: Job): void {
    this.#since = performance.now()
    job.lease.resume()
  }

  /** @param fuel what a run of a compiled module has burnt itself @returns whom to tell */
  #finish (job: Job, fuel: bigint | null): PromiseWithResolvers<Finding> | undefined {
    if (this.#job !== job) return undefined
    this.#job = undefined
    clearTimeout(this.#timer)
    if (this.#since > 0 && job.awaits === undefined) this.#pause(job)
    this.#events.worked(this.#ranMs, fuel)
    ;[this.#since, this.#ranMs] = [0, 0]
    queueMicrotask(() => { this.#events.free() })
    return job.done
  }
}
