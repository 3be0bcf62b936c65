/**
 * Jobs that wait for an executor, in turns of their payers: who sends a thousand at once delays
 * others by one job and not by a thousand. Knows nothing of executors.
 */
export class TurnQueue<T extends { readonly payer: string }> {
  readonly #waiting = new Map<string, T[]>()
  #size = 0

  get size (): number { return this.#size }

  push (job: T): void {
    const own = this.#waiting.get(job.payer)
    if (own === undefined) this.#waiting.set(job.payer, [job])
    else own.push(job)
    this.#size++
  }

  /** Put a job back in front of all others of its payer, and its payer's turn before all others'. */
  unshift (job: T): void {
    const own = this.#waiting.get(job.payer) ?? []
    own.unshift(job)
    const others = [...this.#waiting].filter(([payer]) => payer !== job.payer)
    this.#waiting.clear()
    for (const [payer, jobs] of [[job.payer, own] as const, ...others]) this.#waiting.set(payer, jobs)
    this.#size++
  }

  /** The next job of one payer, out of turn. */
  peek (payer: string): T | undefined { return this.#waiting.get(payer)?.[0] }

  /** The next job; its payer goes to the end of the turn. */
  shift (): T | undefined {
    for (const [payer, own] of this.#waiting) {
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
