/**
 * One executor at work: hands it jobs of one payer, supplies the module if asked, keeps the lease, and lets only
 * an answer through that this job can have. Who works when is left to `assembly/executor-turns.ts`.
 */
import { estimateMs, Lease } from '../assembly/executor-lease.ts'
import { fetchModule, type Finding, lost, outlived, type Performance, Recalled, type Seat, type Task, waitedTooLong } from '../assembly/executor-seat.ts'
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { isStored } from '../wasm/ranges.ts'
import type { Compute, Run } from '../wasm/runtime.ts'
import { Burn, cpuMsOf } from './executor-burn.ts'
import { FrameError } from './executor-frames.ts'
import type { FrameLimits } from './executor-frames.ts'
import { Kin } from './executor-kin.ts'
import { heldAfter, NONE } from './executor-pages.ts'
import { answerLimits, checkOutcome, contentsOf, encodeRun, IDLE_LIMITS, REPORT_LIMITS, storedBytes } from './executor-messages.ts'
import type { Answer, Ending } from './executor-messages.ts'
import type { ExecutorEvents, ExecutorProcess } from './executor-process.ts'

export interface WorkerEvents {
  /** It started and takes jobs. */
  ready (): void
  /** All it was sent is done, also what nobody waited for any longer. */
  idle (): void
  /** It is idle and asks to be replaced. */
  retire (): void
  /** A job has had the executor for so long; its fuel where it was a run of a module that was compiled already, else null. */
  worked (ms: number, fuel: bigint | null): void
  /** The guest at work, of this module, is suspended: others may run in its place. */
  suspended (moduleId: string): void
  /** It could go on; `go` is to be called when it may. */
  wakes (go: () => void): void
  /** The process has ended, or is killed and about to; told once. `early`: before it was ready. */
  gone (why: string, early: boolean): void
}

interface Call {
  readonly id: number
  /** What its answers may be. */
  readonly limits: FrameLimits
  readonly task: Task
  readonly lease: Lease
  readonly resolve: (finding: Finding) => void
  readonly reject: (error: InosError | Recalled) => void
  /** Whether nobody waits for it any more. */
  isForgotten: boolean
  /** What it said during the job, each of it once: no flood of true words may keep the main process busy. */
  readonly heard: Set<Answer['kind']>
  /** Why the module could not be had, or a child not be computed. */
  fault?: InosError
  /** Its guest's children, where it may have any. */
  kin?: Kin
}

export class Worker implements Seat {
  readonly #process: ExecutorProcess
  readonly #events: WorkerEvents
  readonly #startTimer: NodeJS.Timeout
  /** Modules it was sent, oldest first, with what a job of theirs lately took here in milliseconds. Where this is wrong it asks. */
  readonly #modules = new Map<string, number>()
  /** What it holds of a state. */
  #held = NONE
  readonly #burn = new Burn()
  #state: 'starting' | 'working' | 'ended' = 'starting'
  #count = 0
  /** The first is the one that runs. */
  readonly #calls: Call[] = []
  /** When the first one began, or was last resumed, and how long it had run before. */
  #since = 0
  #ranMs = 0
  #recallTimer: NodeJS.Timeout | undefined

  /** @param start makes the process that reports to the given events */
  constructor (start: (events: ExecutorEvents) => ExecutorProcess, events: WorkerEvents) {
    this.#events = events
    this.#process = start({
      answer: answer => { this.#hear(answer) },
      wish: (job, part, chunk) => this.#chunkOf(job, part, chunk),
      exit: why => { this.#leave(why, lost(why)) }
    })
    this.#startTimer = setTimeout(() => { this.end('it did not start in time') }, LIMITS.executor.startMsMax)
  }

  get idle (): boolean { return this.#state === 'working' && this.#calls.length === 0 }
  get busy (): boolean { return this.#calls.length > 0 }
  /** Whether the job it has waits for its children. */
  get waiting (): boolean { return this.#calls[0]?.kin?.isSuspended === true }
  get starting (): boolean { return this.#state === 'starting' }
  get pid (): number | undefined { return this.#process.pid }
  /** Whether it burns no CPU and has no job. */
  get quiet (): boolean { return this.#burn.isQuiet }
  /** Settles when the process is gone. */
  get exited (): Promise<void> { return this.#process.exited }

  knows (task: Task): boolean { return task.kind === 'run' && this.#modules.has(task.run.moduleId) }

  /** What a job is expected to take here, in milliseconds; undefined if that is not known or its message is large. */
  expects (task: Task): number | undefined {
    if (task.kind !== 'run' || task.run.state !== undefined) return undefined
    const { run: { moduleId, input, files } } = task
    const bytes = Object.values(files).reduce((sum, file) => sum + file.length, input.length)
    return bytes <= LIMITS.executor.batchBytesMax ? this.#modules.get(moduleId) : undefined
  }

  /** Kill it. The job that runs, if any, ends with `error`, and those behind it are recalled. */
  end (why: string, error: InosError = lost(why)): void {
    this.#process.kill(why)
    this.#leave(why, error)
  }

  /** Look at the CPU it has used, and end it if it burns what nothing it runs can earn. */
  audit (nowMs: number): void {
    const { pid } = this
    const cpuMs = this.#state !== 'working' || pid === undefined ? undefined : cpuMsOf(pid)
    if (pid === undefined || cpuMs === undefined || !this.#burn.measure(pid, cpuMs, nowMs)) return
    this.end('it burnt CPU beside its jobs', new InosError('ERR_DEADLINE', 'The job was stopped: compiling its module goes on in the background far beyond what its size allows.'))
  }

  /**
   * Run or inspect, one after the other. Several may be sent only if they are one payer's.
   * They end with a Finding, or with an InosError (a refusal of the engine, ERR_DEADLINE, ERR_EXECUTOR_LOST), or Recalled.
   */
  perform (tasks: readonly Task[]): Performance[] {
    const performances: Performance[] = []
    this.#process.together(() => { for (const task of tasks) performances.push(this.#add(task)) })
    this.#awaitTurns()
    return performances
  }

  #add (task: Task): Performance {
    const { promise: found, resolve, reject } = Promise.withResolvers<Finding>()
    const lease = new Lease(task.kind === 'run' ? task.run.limits.fuelMax : 0n, () => { this.end(...outlived(lease)) }, setImmediate)
    const limits = task.kind === 'run' ? answerLimits(task.run, task.compute !== undefined) : REPORT_LIMITS
    const call: Call = { id: ++this.#count, limits, task, lease, resolve, reject, heard: new Set(), isForgotten: false }
    if (task.kind === 'run' && task.compute !== undefined) call.kin = this.#kinOf(call, task.run, task.compute)
    try {
      if (task.kind === 'run') this.#sendRun(call.id, task.run, lease, call.kin !== undefined)
      else this.#sendInspection(call.id, task.wasm, lease)
    } catch (error) {
      // It could not be written down, so nothing of it has left, and those beside it go on.
      this.#forget(call, toInosError(error))
      return { found, cancel: () => {} }
    }
    this.#calls.push(call)
    if (this.#calls.length === 1) this.#turnTo(call)
    return { found, cancel: (why, error) => { this.#cancel(call, why, error) } }
  }

  /** While it is suspended, neither lease nor CPU are the job's. */
  #kinOf (call: Call, { limits, moduleId }: Run, compute: Compute): Kin {
    return new Kin(call.id, limits, compute, {
      send: frame => { this.#process.send(frame) },
      suspended: () => {
        call.lease.pause()
        this.#ranMs = this.#ranFor()
        this.#burn.end(performance.now())
        this.#events.suspended(moduleId)
      },
      wakes: go => { this.#events.wakes(go) },
      resumed: () => {
        this.#since = performance.now()
        this.#burn.begin(this.#since)
        call.lease.resume()
      },
      fault: error => { call.fault ??= error },
      expired: () => { this.end(...waitedTooLong()) }
    })
  }

  #sendRun (id: number, run: Run, lease: Lease, kin: boolean): void {
    const wasm = typeof run.wasm === 'function' || this.#modules.has(run.moduleId) ? undefined : run.wasm
    if (wasm !== undefined) lease.expect(estimateMs(wasm.length))
    lease.read(storedBytes(run))
    this.#process.send(encodeRun(id, run, wasm, kin, this.#held))
    this.#held = NONE
    this.#noteModule(run.moduleId, this.#modules.get(run.moduleId) ?? Infinity)
  }

  /** What a job lets its executor read that is not in its message. */
  async #chunkOf (job: number, part: number, chunk: number): Promise<Uint8Array> {
    const call = this.#calls[0]
    if (call === undefined || call.id !== job || call.task.kind !== 'run') throw new FrameError('it asks for what is no part of its job')
    const content = contentsOf(call.task.run)[part]
    if (content === undefined || !isStored(content) || chunk * LIMITS.blobs.chunkBytes >= content.length) throw new FrameError('it asks for what is no part of its job')
    return await content.chunk(chunk)
  }

  #sendInspection (id: number, wasm: Uint8Array, lease: Lease): void {
    lease.expect(estimateMs(wasm.length))
    this.#process.send({ header: { kind: 'inspect', job: id }, parts: [wasm] })
  }

  /** From now on this call runs. */
  #turnTo (call: Call): void {
    this.#since = performance.now()
    this.#ranMs = 0
    this.#burn.begin(this.#since)
    this.#process.allow(call.limits)
    call.lease.resume()
  }

  /** Milliseconds that the first call has run, while it does. */
  #ranFor (): number { return this.#ranMs + performance.now() - this.#since }

  /** What waits behind a job that takes longer than all were expected to is taken back, and no sooner: what it has done by then is done again. */
  #awaitTurns (): void {
    clearTimeout(this.#recallTimer)
    if (this.#calls.length > 1) this.#recallTimer = setTimeout(() => { this.#recall() }, LIMITS.executor.recallMs)
  }

  /** The executor is not told: a run changes nothing, and what comes of it is not looked at. */
  #recall (): void {
    for (const call of this.#calls.slice(1)) this.#forget(call, new Recalled())
  }

  #forget (call: Call, error: InosError | Recalled): void {
    if (call.isForgotten) return
    call.isForgotten = true
    call.reject(error)
  }

  #cancel (call: Call, why: string, error: InosError): void {
    if (call === this.#calls[0]) this.end(why, error)
    else this.#forget(call, error)
  }

  /** Keep the names of as many modules as an executor keeps compiled. */
  #noteModule (id: string, ms: number): void {
    this.#modules.delete(id)
    this.#modules.set(id, ms)
    for (const oldest of this.#modules.keys()) {
      if (this.#modules.size <= LIMITS.executor.moduleCacheMax) break
      this.#modules.delete(oldest)
    }
  }

  /** @throws {FrameError} when the answer is not one it can give now; the process is then killed */
  #hear (answer: Answer): void {
    if (this.#state === 'ended') return
    const call = this.#calls[0]
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
    if (answer.kind === 'child' || answer.kind === 'wait') {
      this.#hearOfKin(call, answer)
      return
    }
    if (call.kin?.isSuspended === true) throw new FrameError('it speaks while its guest is suspended')
    if (call.heard.has(answer.kind)) throw new FrameError(`it says ${answer.kind} twice`)
    call.heard.add(answer.kind)
    if (answer.kind === 'need') this.#need(call)
    else if (answer.kind === 'estimate') this.#expect(call, answer.cpuMs)
    // The job was on its way when it asked to be replaced: it works on, and asks again later.
    else if (answer.kind !== 'retire') this.#settle(call, answer)
  }

  #hearOfKin (call: Call, answer: Extract<Answer, { kind: 'child' | 'wait' }>): void {
    const { kin } = call
    if (kin === undefined) throw new FrameError('a job without children speaks of them')
    if (answer.kind === 'wait') kin.wait(answer.at)
    // Nobody is there for whom they would be computed.
    else if (call.isForgotten) this.end('its job was taken back')
    else kin.want(answer.at, answer.child)
  }

  #expect ({ lease }: Call, cpuMs: number): void {
    lease.expect(cpuMs)
    this.#burn.expect(Math.min(cpuMs, LIMITS.executor.estimateMsMax))
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
      checkOutcome(answer.outcome, call.task.run)
      call.kin?.check(answer.outcome)
      // A run that has left behind this one was told that nothing is held.
      if (this.#calls.length === 1) this.#held = heldAfter(call.task.run.state, answer.outcome.state)
      this.#finish(answer.outcome.fuel - (call.kin?.burnt ?? 0n))?.resolve(answer.outcome)
    } else if (answer.kind === 'report' && call.task.kind === 'inspect') {
      this.#finish()?.resolve(answer.report)
    } else {
      throw new FrameError('an answer is of another kind than its job')
    }
  }

  /** The first call is over; the next one's turn has come. @param fuel what a run has burnt */
  #finish (fuel?: bigint): Call | undefined {
    const call = this.#calls.shift()
    call?.lease.pause()
    call?.kin?.close()
    const ms = this.#ranFor()
    const known = call?.task.kind === 'run' ? this.#modules.get(call.task.run.moduleId) : undefined
    this.#events.worked(ms, fuel === undefined || known === undefined || known === Infinity ? null : fuel)
    if (call?.task.kind === 'run' && known !== undefined) this.#noteModule(call.task.run.moduleId, ms)
    const [next] = this.#calls
    this.#awaitTurns()
    if (next !== undefined) {
      this.#turnTo(next)
    } else {
      this.#burn.end(performance.now())
      this.#process.allow(IDLE_LIMITS)
      this.#events.idle()
    }
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
    if (this.#calls[0] !== call) return
    if (wasm !== undefined) call.lease.expect(estimateMs(wasm.length))
    call.lease.resume()
    this.#process.send({ header: { kind: wasm === undefined ? 'absent' : 'module', job: call.id }, parts: wasm === undefined ? [] : [wasm] })
  }

  #leave (why: string, error: InosError): void {
    if (this.#state === 'ended') return
    const early = this.#state === 'starting'
    this.#state = 'ended'
    clearTimeout(this.#startTimer)
    clearTimeout(this.#recallTimer)
    const [call, ...others] = this.#calls.splice(0)
    call?.lease.pause()
    if (call !== undefined) {
      this.#events.worked(call.kin?.isSuspended === true ? this.#ranMs : this.#ranFor(), null)
      call.kin?.close()
      this.#forget(call, error)
    }
    // Those behind it have done nothing, and never will here.
    for (const other of others) this.#forget(other, new Recalled())
    this.#events.gone(why, early)
  }
}
