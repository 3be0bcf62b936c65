/**
 * One item of a map until it is done: tried, after a passing failure tried again, and where it takes
 * far longer than the others tried at a second node as well. The first right answer wins; the other
 * try is cancelled, and cancelled work is not paid. What was too much for narrowed limits is begun again with the caller's.
 */
import { type Attempt, type ErrorCode, InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'
import type { BlobRef, ComputeOptions, JobState, Module, Processor, Result } from '../processor/processor.ts'
import type { Needs } from './needs.ts'
import { LOST, type Pace } from './pace.ts'

/** What all items of a map have in common. */
export interface Errand {
  readonly node: Processor
  readonly module: Module | BlobRef
  /** Of the map, where it may be begun again. */
  readonly name: string | undefined
  readonly options: Omit<ComputeOptions, 'signal' | 'onProgress' | 'limits' | 'key'>
  readonly pace: Pace
  readonly needs: Needs
  /** Aborts when the map ends. */
  readonly signal: AbortSignal
}

/** How a guest ends by its own doing: charged, and the same wherever it runs. */
const ENDED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['ERR_TRAP', 'ERR_OUT_OF_FUEL', 'ERR_MEMORY_LIMIT', 'ERR_OUTPUT_LIMIT', 'ERR_STACK_LIMIT'])

interface Try {
  readonly cancel: AbortController
  /** Nobody was chosen yet, so that nothing is held. */
  queued: boolean
  /** Who works on it, and since when; null while it waits for a place. */
  place: { readonly peer: string, readonly since: number } | null
}

export class Item {
  readonly #errand: Errand
  readonly #input: Uint8Array | string
  /** Its place among the inputs is its name in a map that has one. */
  readonly #key: { readonly key?: string }
  readonly #tries = new Set<Try>()
  /** The same and those that were cancelled, until their holds are free. */
  readonly #open = new Set<Promise<void>>()
  readonly #attempts: Attempt[] = []
  #once = { taken: false }
  #outcome = Promise.withResolvers<Result>()
  #round = 0
  /** Of all tries of this round: then any answer is the answer. */
  #limits: SpecLimits
  /** Narrowed limits were too little for it. */
  #isLarge = false

  constructor (errand: Errand, input: Uint8Array | string, index: number) {
    this.#errand = errand
    this.#input = input
    this.#key = errand.name === undefined ? {} : { key: `${errand.name}/${index}` }
    this.#limits = errand.needs.limits
  }

  /** How often it was begun again, after a failure, because it took too long, or needed more than the limits it was given. */
  repeats = 0

  /** Whether two nodes are at it. */
  get isHedged (): boolean { return this.#tries.size > 1 }

  /** @throws {InosError} the last failure, with what was tried before */
  async run (): Promise<Result> {
    const { node: { clock }, signal } = this.#errand
    for (;;) {
      try {
        this.#outcome = Promise.withResolvers()
        this.#begin(null)
        const result = await this.#outcome.promise
        await Promise.all(this.#open)
        return { ...result, attempts: [...this.#attempts, ...result.attempts] }
      } catch (thrown) {
        const error = toInosError(thrown)
        await Promise.all(this.#open)
        if (!signal.aborted && this.#takeOtherLimits(error)) continue
        if (signal.aborted || !this.#isPassing(error)) throw this.#withAttempts(error)
        this.repeats++
        await clock.sleep(LIMITS.map.pauseMs * 2 ** this.#round++, signal)
      }
    }
  }

  /** Whether other limits may help: the caller's after narrowed ones, and where the budget does not cover those, the widest narrowed ones by now. */
  #takeOtherLimits ({ code }: InosError): boolean {
    const { needs } = this.#errand
    if (needs.isTooLittle(code, this.#limits)) {
      // That answer was taken, and is paid; the next is another job's.
      this.#once = { taken: false }
      this.#isLarge = true
      this.#limits = needs.allowed
      this.repeats++
      return true
    }
    if (code !== 'ERR_BUDGET' || this.#limits !== needs.allowed || needs.limits === needs.allowed) return false
    this.#limits = needs.limits
    return true
  }

  /** Limits were narrowed: what still waits for a place with the caller's begins again, and holds less. */
  narrow (): void {
    const { needs } = this.#errand
    const [only] = this.#tries
    if (this.#isLarge || this.#limits !== needs.allowed || needs.limits === needs.allowed || this.#tries.size !== 1 || !only!.queued) return
    this.#tries.delete(only!)
    only!.cancel.abort(new InosError('ERR_CANCELLED', 'It is begun again with narrower limits.'))
    this.#limits = needs.limits
    this.#begin(null)
  }

  #isPassing ({ code, retryable }: InosError): boolean {
    if (!retryable || code === 'ERR_STORE' || this.#round + 1 >= LIMITS.map.roundsMax) return false
    // Where nobody has ever taken such an item, waiting brings nobody.
    return code !== 'ERR_NO_OFFER' || this.#errand.pace.hasDone || this.#attempts.some(({ code }) => LOST.has(code))
  }

  #withAttempts (error: InosError): InosError {
    const { code, message, hint } = error
    return new InosError(code, message, { cause: error, attempts: this.#attempts, ...(hint === undefined ? {} : { hint }) })
  }

  /** Whether it has been with one node for too long. */
  isLate (now: number): boolean {
    const [only] = this.#tries
    return this.#tries.size === 1 && only!.place !== null && now - only!.place.since > this.#errand.pace.patience
  }

  /** Ask a second node, if there is one. */
  hedge (): void {
    const [first] = this.#tries
    if (first?.place === undefined || first.place === null) return
    if (!this.#hasPlace([...this.#errand.pace.avoided(true), first.place.peer])) return
    this.repeats++
    this.#begin(first.place.peer)
  }

  /** Whether anybody that takes work is not among these. */
  #hasPlace (avoid: readonly string[]): boolean {
    const { node, options: { where = 'any', avoid: unwanted = [] } } = this.#errand
    const places = node.peers().filter(({ offer }) => offer !== null && offer.slots > 0).map(({ id }) => id)
    return [...(where === 'any' ? [node.id] : []), ...places].some(id => !avoid.includes(id) && !unwanted.includes(id))
  }

  #begin (besides: string | null): void {
    const { node, module, options, pace, signal } = this.#errand
    const attempt: Try = { cancel: new AbortController(), queued: true, place: null }
    this.#tries.add(attempt)
    // Where all that are left only rest, they are asked all the same.
    const rested = [...pace.avoided(true), ...(besides === null ? [] : [besides])]
    const avoid = [...options.avoid ?? [], ...(this.#hasPlace(rested) ? rested : pace.avoided(false))]
    const onProgress = (state: JobState): void => {
      attempt.queued = state.state === 'queued'
      if (state.state === 'queued' || state.state === 'retrying') attempt.place = null
      else if ('peer' in state && attempt.place?.peer !== state.peer) attempt.place = { peer: state.peer, since: node.clock.now() }
    }
    const shared = { ...this.#key, limits: this.#limits, once: this.#once, ...(isBound(options) ? {} : { avoid }) }
    const over = node.compute(module, this.#input, { ...options, ...shared, signal: AbortSignal.any([signal, attempt.cancel.signal]), onProgress })
      .then(result => { this.#won(attempt, result) }, error => { this.#failed(attempt, error) })
      .finally(() => { this.#open.delete(over) })
    this.#open.add(over)
  }

  #won (winner: Try, result: Result): void {
    const { node, pace, needs } = this.#errand
    if (!this.#tries.delete(winner)) return
    pace.learn(result.attempts)
    pace.finished(result.executor, node.clock.now() - (winner.place?.since ?? node.clock.now()))
    needs.finished(result, result.executor !== node.id)
    for (const { place } of this.#tries) if (place !== null) pace.rest(place.peer)
    this.#cancelOthers()
    this.#outcome.resolve(result)
  }

  #cancelOthers (): void {
    for (const { cancel } of this.#tries) cancel.abort()
    this.#tries.clear()
  }

  /** While another try is under way nothing is lost, unless the guest itself has ended: then it would end so again. */
  #failed (attempt: Try, thrown: unknown): void {
    const error = toInosError(thrown)
    // One that was cancelled because another had won says nothing.
    if (!this.#tries.delete(attempt)) return
    this.#errand.pace.learn(error.attempts)
    this.#attempts.push(...error.attempts)
    if (ENDED.has(error.code)) this.#cancelOthers()
    if (this.#tries.size === 0) this.#outcome.reject(error)
  }
}

/** Told where to go, an item has nowhere else. */
export function isBound ({ where = 'any' }: Pick<ComputeOptions, 'where'>): boolean { return where !== 'any' && where !== 'remote' }
