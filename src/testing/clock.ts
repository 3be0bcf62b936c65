/**
 * The clock of a test mesh: time that passes only while somebody waits for it, and then at once, from
 * one timer to the next. Between two instants every promise that can settle does so, so that the
 * order of all that happens follows from the program alone.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Timers } from '../network/network.ts'

interface Alarm { readonly at: number, readonly order: number, run: (() => void) | null }

export class VirtualClock implements Timers {
  readonly #alarms = new Heap()
  #now = 0
  #count = 0
  #driven = 0
  #running = false

  /** Whole milliseconds since the clock was made. */
  now (): number { return this.#now }

  after (ms: number, run: () => void): () => void {
    const alarm: Alarm = { at: this.#now + Math.max(0, Math.ceil(ms)), order: this.#count++, run }
    this.#alarms.push(alarm)
    return () => { alarm.run = null }
  }

  /** @throws the signal's reason when it aborts first */
  async sleep (ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      const onAbort = (): void => {
        cancel()
        reject(signal!.reason as Error)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /**
   * Let time pass until `work` is over; several at a time share it.
   * @param msMax of this clock @default LIMITS.testing.callMsMax
   * @throws {InosError} ERR_DEADLINE when it is not over within `msMax`
   */
  async drive<T> (work: Promise<T>, msMax: number = LIMITS.testing.callMsMax): Promise<T> {
    const late = Promise.withResolvers<never>()
    const cancel = this.after(msMax, () => {
      late.reject(new InosError('ERR_DEADLINE', `A call of the test mesh did not end within ${msMax / 60_000} minutes of its time.`))
    })
    this.#driven++
    void this.#run()
    try {
      return await Promise.race([work, late.promise])
    } finally {
      this.#driven--
      cancel()
    }
  }

  /** Let so many milliseconds pass. */
  async advance (ms: number): Promise<void> { await this.drive(this.sleep(ms), ms + LIMITS.testing.callMsMax) }

  async #run (): Promise<void> {
    if (this.#running) return
    this.#running = true
    for (;;) {
      await turn()
      if (this.#driven === 0) break
      this.#step()
    }
    this.#running = false
  }

  /** Go to the next instant at which something is due, and do all that is due then. */
  #step (): void {
    const next = this.#alarms.peek()
    if (next === undefined) return
    this.#now = Math.max(this.#now, next.at)
    // What is set meanwhile waits for the promises of this instant.
    const end = this.#count
    for (let alarm = this.#alarms.peek(); alarm !== undefined && alarm.at <= this.#now && alarm.order < end; alarm = this.#alarms.peek()) {
      this.#alarms.pop()
      alarm.run?.()
    }
  }
}

/** Alarms by time, those of one instant in the order they were set. */
class Heap {
  readonly #all: Alarm[] = []

  /** The earliest that was not cancelled. */
  peek (): Alarm | undefined {
    while (this.#all.length > 0 && this.#all[0]!.run === null) this.pop()
    return this.#all[0]
  }

  push (alarm: Alarm): void {
    const all = this.#all
    let at = all.length
    for (let above = (at - 1) >> 1; at > 0 && isBefore(alarm, all[above]!); at = above, above = (at - 1) >> 1) all[at] = all[above]!
    all[at] = alarm
  }

  pop (): void {
    const all = this.#all
    const last = all.pop()
    if (last === undefined || all.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below + 1 < all.length && isBefore(all[below + 1]!, all[below]!)) below++
      if (below >= all.length || !isBefore(all[below]!, last)) break
      all[at] = all[below]!
      at = below
    }
    all[at] = last
  }
}

function isBefore (a: Alarm, b: Alarm): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
