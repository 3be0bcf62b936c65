/** Values in memory by name, within a number and a size; what was used longest ago goes first. What may be kept at all is its user's to say. */
export interface LruLimits { readonly entriesMax: number, readonly bytesMax: number }

export class Lru<T> {
  readonly #limits: LruLimits
  /** Least lately used first. */
  readonly #entries = new Map<string, { readonly value: T, readonly bytes: number }>()
  #held = 0

  constructor (limits: LruLimits) { this.#limits = limits }

  get (key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  /** Keep it in the place of what was there; others go for it, and where they are not enough it goes itself. */
  keep (key: string, value: T, bytes: number): void {
    const { entriesMax, bytesMax } = this.#limits
    this.#drop(key)
    this.#entries.set(key, { value, bytes })
    this.#held += bytes
    while (this.#entries.size > entriesMax || this.#held > bytesMax) this.#drop(this.#entries.keys().next().value!)
  }

  /** All values; to look at them is no use. */
  * values (): Iterable<T> {
    for (const { value } of this.#entries.values()) yield value
  }

  #drop (key: string): void {
    this.#held -= this.#entries.get(key)?.bytes ?? 0
    this.#entries.delete(key)
  }
}
