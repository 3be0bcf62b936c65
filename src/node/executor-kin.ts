/**
 * The children of one job, as the main process sees them. It keeps the account of what the guest carves
 * for them a second time, because the executor that says so may have been taken over, and knows when
 * the guest is suspended. Whose turn it is then is left to `assembly/executor-turns.ts`, where children run to whoever
 * gave `compute`.
 */
import { type InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { Carving } from '../wasm/carving.ts'
import type { Child, Compute, Outcome, RunLimits } from '../wasm/runtime.ts'
import { type Frame, FrameError } from './executor-frames.ts'
import { encodeChildEnd } from './executor-messages.ts'

export interface KinEvents {
  /** To the executor. */
  send (frame: Frame): void
  /** The guest is suspended. */
  suspended (): void
  /** What it waits for is there: `go` is to be called as soon as it may run again. */
  wakes (go: () => void): void
  /** It runs again. */
  resumed (): void
  /** A child is lost, and with it the job. */
  fault (error: InosError): void
  /** It was suspended longer than any job may be. */
  expired (): void
}

export class Kin {
  readonly #job: number
  readonly #compute: Compute
  readonly #events: KinEvents
  readonly #carving: Carving
  /** Children it has waited for. */
  readonly #waited = new Set<number>()
  /** Children whose end was told, or that are lost. */
  readonly #told = new Set<number>()
  /** The child it is suspended for. */
  #awaits: number | undefined
  #timer: NodeJS.Timeout | undefined
  #since = 0
  #waitedMs = 0
  #closed = false

  constructor (job: number, limits: RunLimits, compute: Compute, events: KinEvents) {
    this.#job = job
    this.#compute = compute
    this.#events = events
    this.#carving = new Carving(limits)
  }

  get isSuspended (): boolean { return this.#awaits !== undefined }
  /** Whether it has had any. */
  get hasAny (): boolean { return this.#carving.count > 0 }
  /** Fuel burnt by those that are over. */
  get burnt (): bigint { return this.#carving.burnt }

  /** The guest wants a child. @throws {FrameError} when it can have none such */
  want (at: number, child: Child): void {
    const { count, levels, fuelLeft } = this.#carving
    if (this.isSuspended || at !== count || child.limits.levelsMax !== levels - 1 || this.#carving.start(child, fuelLeft) !== null) {
      throw new FrameError('it asks for a child it cannot have')
    }
    void this.#run(at, child)
  }

  /** The guest waits for a child. @throws {FrameError} */
  wait (at: number): void {
    if (this.isSuspended || at >= this.#carving.count || this.#waited.has(at)) throw new FrameError('it waits for a child it does not have')
    this.#waited.add(at)
    // Its end may have crossed this word on the way.
    if (this.#told.has(at)) return
    this.#awaits = at
    this.#since = performance.now()
    this.#timer = setTimeout(() => { this.#events.expired() }, LIMITS.executor.waitMsMax - this.#waitedMs)
    this.#events.suspended()
  }

  /** Whether a run with these children can end so. @throws {FrameError} */
  check ({ fuel }: Outcome): void {
    if (this.#carving.open.length > 0) throw new FrameError('it ends before its children')
    if (fuel < this.#carving.burnt) throw new FrameError('less fuel is burnt than its children have burnt')
  }

  /** The job is over: nothing more is sent, whatever becomes of its children. */
  close (): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  async #run (at: number, child: Child): Promise<void> {
    const end = await this.#compute(child, at).catch((error: unknown) => {
      this.#events.fault(toInosError(error))
      return null
    })
    if (this.#closed) return
    this.#told.add(at)
    if (end !== null) {
      this.#carving.end(at, end)
      this.#carving.drop(at)
    }
    const frame = encodeChildEnd(this.#job, at, end)
    if (this.#awaits === at) this.#events.wakes(() => { this.#resume(frame) })
    else this.#events.send(frame)
  }

  #resume (frame: Frame): void {
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#waitedMs += performance.now() - this.#since
    this.#awaits = undefined
    this.#events.resumed()
    this.#events.send(frame)
  }
}
