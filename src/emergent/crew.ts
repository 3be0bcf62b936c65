/** Items of a map: those at work, those that are done and not taken, and the sums over all. */
import { type InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Result } from '../processor/processor.ts'
import { type Errand, Item, isBound } from './item.ts'
import type { MapFailure, MapItem, MapProgress } from './map.ts'
import type { Budget } from './purse.ts'

export interface CrewOptions {
  /** In the order of the inputs, else as they are done. */
  readonly ordered: boolean
  /** An item's failure is taken like an item; else it is the end. */
  readonly yields: boolean
  readonly hedge: boolean
  readonly budget: Budget
  readonly onProgress: ((progress: MapProgress) => void) | undefined
}

export class Crew {
  readonly #options: CrewOptions
  readonly #cancel = new AbortController()
  readonly #running = new Map<Item, Promise<void>>()
  readonly #done = new Map<number, MapItem | MapFailure>()
  readonly #total = { done: 0, failed: 0, repeats: 0, fuel: 0n }
  #fault: InosError | null = null
  #started = 0
  #taken = 0
  #wake = (): void => {}

  constructor (options: CrewOptions) {
    this.#options = options
  }

  get signal (): AbortSignal { return this.#cancel.signal }
  get size (): number { return this.#running.size + this.#done.size }

  start (errand: Errand, input: Uint8Array | string): void {
    const index = this.#started++
    const item = new Item(errand, input, index)
    const work = item.run()
      .then(result => {
        this.#keep(index, result)
        for (const other of this.#running.keys()) other.narrow()
      }, error => { this.#lose(index, toInosError(error)) })
      .finally(() => {
        this.#running.delete(item)
        this.#total.repeats += item.repeats
        this.#report()
        this.wake()
      })
    this.#running.set(item, work)
    this.#report()
  }

  #keep (index: number, result: Result): void {
    this.#total.done++
    this.#total.fuel += result.fuel
    this.#done.set(index, { ...result, index })
  }

  #lose (index: number, error: InosError): void {
    this.#total.failed++
    if (this.#options.yields) this.#done.set(index, { index, error })
    else this.fail(error)
  }

  /** Ask second nodes for items that take far longer than the others, until the map ends. */
  async watch ({ node: { clock }, options }: Errand): Promise<void> {
    if (!this.#options.hedge || isBound(options)) return
    try {
      for (;;) {
        await clock.sleep(LIMITS.map.lookMs, this.signal)
        const items = [...this.#running.keys()]
        const room = Math.max(1, Math.floor(items.length * LIMITS.map.hedgedShareMax)) - items.filter(({ isHedged }) => isHedged).length
        for (const item of items.filter(item => item.isLate(clock.now())).slice(0, Math.max(0, room))) item.hedge()
      }
    } catch (error) {
      if (!this.signal.aborted) this.fail(toInosError(error))
    }
  }

  /** The next item, or null when there is none yet. @throws {InosError} what failed first */
  take (): MapItem | MapFailure | null {
    if (this.#fault !== null) throw this.#fault
    const index = this.#options.ordered ? this.#taken : this.#done.keys().next().value
    const item = index === undefined ? undefined : this.#done.get(index)
    if (item === undefined) return null
    this.#done.delete(item.index)
    this.#taken++
    return item
  }

  fail (error: InosError): void {
    this.#fault ??= error
    this.wake()
  }

  wake (): void { this.#wake() }

  /** Resolves when there is something new to look at. */
  change (): Promise<void> {
    return new Promise(resolve => { this.#wake = resolve })
  }

  /** Cancel what runs, and wait for its end. */
  async dismiss (): Promise<void> {
    this.#cancel.abort()
    await Promise.all(this.#running.values())
  }

  #report (): void {
    if (this.#cancel.signal.aborted) return
    try {
      const { charged, held } = this.#options.budget
      this.#options.onProgress?.({ ...this.#total, running: this.#running.size, cost: charged, held })
    } catch {
      // A listener's fault must not fail the map.
    }
  }
}
