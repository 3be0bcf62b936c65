/**
 * One executor at work: hands it a job, supplies the module if asked, keeps the lease, and lets only
 * an answer through that this job can have. Who works when is left to `executor-pool.ts`.
 */
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { ModuleReport, Outcome, Run } from '../wasm/runtime.ts'
import { FrameError } from './executor-frames.ts'
import { estimateMs, Lease } from './executor-lease.ts'
import { answerLimits, checkOutcome, encodeRun, IDLE_LIMITS, REPORT_LIMITS } from './executor-messages.ts'
import type { Answer, Ending } from './executor-messages.ts'
import type { ExecutorEvents, ExecutorProcess } from './executor-process.ts'

export type Task =
  | { readonly kind: 'run', readonly run: Run }
  | { readonly kind: 'inspect', readonly wasm: Uint8Array }

/** An outcome for a run, a report for an inspection. */
export type Finding = Outcome | ModuleReport

export interface WorkerEvents {
  /** It started and takes jobs. */
  ready (): void
  /** It is idle and asks to be replaced. */
  retire (): void
  /** The process has ended, or is killed and about to; told once. `early`: before it was ready. */
  gone (why: string, early: boolean): void
}

interface Call {
  readonly id: number
  readonly task: Task
  readonly lease: Lease
  readonly resolve: (finding: Finding) => void
  readonly reject: (error: InosError) => void
  /** What it said during the job, each of it once: no flood of true words may keep the main process busy. */
  readonly heard: Set<Answer['kind']>
  /** Why the module could not be had. */
  fault?: InosError
}

export class Worker {
  readonly #process: ExecutorProcess
  readonly #events: WorkerEvents
  readonly #startTimer: NodeJS.Timeout
  /** Modules it was sent, oldest first. Where this is wrong it asks. */
  readonly #modules = new Set<string>()
  #state: 'starting' | 'working' | 'ended' = 'starting'
  #retiring = false
  #calls = 0
  #call: Call | undefined

  /** @param start makes the process that reports to the given events */
  constructor (start: (events: ExecutorEvents) => ExecutorProcess, events: WorkerEvents) {
    this.#events = events
    this.#process = start({
      answer: answer => { this.#hear(answer) },
      exit: why => { this.#leave(why, lost(why)) }
    })
    this.#startTimer = setTimeout(() => { this.end('it did not start in time') }, LIMITS.executor.startMsMax)
  }

  get idle (): boolean { return this.#state === 'working' && this.#call === undefined }
  get busy (): boolean { return this.#call !== undefined }
  get starting (): boolean { return this.#state === 'starting' }
  get pid (): number | undefined { return this.#process.pid }
  /** Settles when the process is gone. */
  get exited (): Promise<void> { return this.#process.exited }

  /** Whether it has probably compiled the module. */
  knows (task: Task): boolean { return task.kind === 'run' && this.#modules.has(task.run.moduleId) }

  /** Kill it. Its job, if any, ends with `error`. */
  end (why: string, error: InosError = lost(why)): void {
    this.#process.kill(why)
    this.#leave(why, error)
  }

  /**
   * Run or inspect; only when idle.
   * @throws {InosError} a refusal of the engine, ERR_DEADLINE, ERR_EXECUTOR_LOST
   */
  perform (task: Task): Promise<Finding> {
    const { promise, resolve, reject } = Promise.withResolvers<Finding>()
    const lease = new Lease(task.kind === 'run' ? task.run.limits.fuelMax : 0n, () => { this.#expire(lease) })
    this.#call = { id: ++this.#calls, task, lease, resolve, reject, heard: new Set() }
    if (task.kind === 'run') this.#sendRun(this.#call.id, task.run, lease)
    else this.#sendInspection(this.#call.id, task.wasm, lease)
    lease.resume()
    return promise
  }

  #sendRun (id: number, run: Run, lease: Lease): void {
    const wasm = typeof run.wasm === 'function' || this.#modules.has(run.moduleId) ? undefined : run.wasm
    if (wasm !== undefined) lease.expect(estimateMs(wasm.length))
    this.#noteModule(run.moduleId)
    this.#process.allow(answerLimits(run.limits))
    this.#process.send(encodeRun(id, run, wasm))
  }

  #sendInspection (id: number, wasm: Uint8Array, lease: Lease): void {
    lease.expect(estimateMs(wasm.length))
    this.#process.allow(REPORT_LIMITS)
    this.#process.send({ header: { kind: 'inspect', job: id }, parts: [wasm] })
  }

  /** Keep the names of as many modules as an executor keeps compiled. */
  #noteModule (id: string): void {
    this.#modules.delete(id)
    this.#modules.add(id)
    for (const oldest of this.#modules) {
      if (this.#modules.size <= LIMITS.executor.moduleCacheMax) break
      this.#modules.delete(oldest)
    }
  }

  /** @throws {FrameError} when the answer is not one it can give now; the process is then killed */
  #hear (answer: Answer): void {
    if (this.#state === 'ended') return
    const call = this.#call
    if (answer.kind === 'ready') {
      this.#begin()
    } else if (this.#state === 'starting') {
      throw new FrameError('an answer comes before ready')
    } else if (answer.kind === 'retire' && call === undefined) {
      this.#events.retire()
    } else if (call === undefined || (answer.kind !== 'retire' && answer.job !== call.id)) {
      throw new FrameError('an answer belongs to no job')
    } else {
      this.#hearDuring(call, answer)
    }
  }

  #hearDuring (call: Call, answer: Exclude<Answer, { kind: 'ready' }>): void {
    if (call.heard.has(answer.kind)) throw new FrameError(`it says ${answer.kind} twice`)
    call.heard.add(answer.kind)
    if (answer.kind === 'need') this.#need(call)
    else if (answer.kind === 'estimate') call.lease.expect(answer.cpuMs)
    // It asks but once: it is replaced when its job is done.
    else if (answer.kind === 'retire') this.#retiring = true
    else this.#settle(call, answer)
  }

  #begin (): void {
    if (this.#state !== 'starting') throw new FrameError('it is ready twice')
    clearTimeout(this.#startTimer)
    this.#state = 'working'
    this.#events.ready()
  }

  #settle (call: Call, answer: Ending): void {
    if (answer.kind === 'refusal' && call.fault === undefined && answer.error.code === 'ERR_EXECUTOR_LOST') {
      // The engine could not do what it had promised, get memory for one; the next process can.
      this.end('its engine failed', answer.error)
    } else if (answer.kind === 'refusal') {
      this.#finish()?.reject(call.fault ?? answer.error)
    } else if (answer.kind === 'outcome' && call.task.kind === 'run') {
      checkOutcome(answer.outcome, call.task.run.limits)
      this.#finish()?.resolve(answer.outcome)
    } else if (answer.kind === 'report' && call.task.kind === 'inspect') {
      this.#finish()?.resolve(answer.report)
    } else {
      throw new FrameError('an answer is of another kind than its job')
    }
    if (this.#retiring && this.#state === 'working') this.#events.retire()
  }

  #finish (): Call | undefined {
    const call = this.#call
    call?.lease.pause()
    this.#call = undefined
    this.#process.allow(IDLE_LIMITS)
    return call
  }

  #need (call: Call): void {
    if (call.task.kind !== 'run') throw new FrameError('it asks for a module it cannot lack')
    void this.#supply(call, call.task.run)
  }

  /** The lease rests while the module is fetched, because that is not the job's doing. */
  async #supply (call: Call, run: Run): Promise<void> {
    call.lease.pause()
    const wasm = await fetchModule(run).catch((error: unknown) => { call.fault = toInosError(error) })
    if (this.#call !== call) return
    if (wasm !== undefined) call.lease.expect(estimateMs(wasm.length))
    call.lease.resume()
    this.#process.send({ header: { kind: wasm === undefined ? 'absent' : 'module', job: call.id }, parts: wasm === undefined ? [] : [wasm] })
  }

  #expire (lease: Lease): void {
    this.end('its job outlived its lease', new InosError('ERR_DEADLINE', `The job was stopped after ${Math.round(lease.ms)} ms, the most that its fuel and its module can take.`))
  }

  #leave (why: string, error: InosError): void {
    if (this.#state === 'ended') return
    const early = this.#state === 'starting'
    this.#state = 'ended'
    clearTimeout(this.#startTimer)
    this.#finish()?.reject(error)
    this.#events.gone(why, early)
  }
}

async function fetchModule (run: Run): Promise<Uint8Array> {
  if (typeof run.wasm !== 'function') return run.wasm
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => { late.reject(new InosError('ERR_DEADLINE', 'The module of the job could not be fetched in time.')) }, LIMITS.executor.moduleMsMax)
  try {
    return await Promise.race([run.wasm(), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

function lost (why: string): InosError {
  return new InosError('ERR_EXECUTOR_LOST', `The executor of the job was lost: ${why}.`)
}
