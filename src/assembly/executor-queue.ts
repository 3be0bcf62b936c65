/**
 * Jobs that wait for an executor, in turns of their payers: who sends a thousand at once delays
 * others by one job and not by a thousand. Of one payer the deepest in its tree comes first, or suspended
 * parents would pile up. Knows nothing of executors.
 */
export class TurnQueue<T extends { readonly payer: string, readonly depth: number }> {
  readonly #waiting = new Map<string, T[]>()
  #size = 0

  get size (): number { return this.#size }

  push (job: T): void {
    const own = this.#waiting.get(job.payer)
    if (own === undefined) this.#waiting.set(job.payer, [job])
    else own.splice(own.findLastIndex(({ depth }) => depth >= job.depth) + 1, 0, job)
    this.#size++
  }

  /** Put a job back in front of all others of its payer that are no deeper, and its payer's turn before all others'. */
  unshift (job: T): void {
    const own = this.#waiting.get(job.payer) ?? []
    own.splice(own.findLastIndex(({ depth }) => depth > job.depth) + 1, 0, job)
    const others = [...this.#waiting].filter(([payer]) => payer !== job.payer)
    this.#waiting.clear()
    for (const [payer, jobs] of [[job.payer, own] as const, ...others]) this.#waiting.set(payer, jobs)
    this.#size++
  }

  /** The next job of one payer, out of turn. */
  peek (payer: string): T | undefined { return this.#waiting.get(payer)?.[0] }

  /** Whether nobody else's job waits. */
  isOnly (payer: string): boolean { return this.#waiting.size <= (this.#waiting.has(payer) ? 1 : 0) }

  /** The next job that may go; its payer goes to the end of the turn. */
  shift (mayGo: (job: T) => boolean = () => true): T | undefined {
    for (const [payer, own] of this.#waiting) {
      if (!mayGo(own[0]!)) continue
      const job = own.shift()
      this.#waiting.delete(payer)
      if (own.length > 0) this.#waiting.set(payer, own)
      this.#size--
      return job
    }
    return undefined
  }

  /** @returns whether the job was waiting here */
  remove (job: T): boolean {
    const own = this.#waiting.get(job.payer)
    const at = own?.indexOf(job) ?? -1
    if (own === undefined || at < 0) return false
    own.splice(at, 1)
    if (own.length === 0) this.#waiting.delete(job.payer)
    this.#size--
    return true
  }

  /** Empty the queue. */
  drain (): T[] {
    const jobs = [...this.#waiting.values()].flat()
    this.#waiting.clear()
    this.#size = 0
    return jobs
  }
}
