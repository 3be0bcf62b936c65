/** Typed events without a platform: a set of listeners per name, each call guarded. */

export interface Events<Names extends object> {
  on<E extends keyof Names> (event: E, listener: (detail: Names[E]) => void): () => void
  /** @param describe asked only if somebody listens: most events of most nodes are heard by nobody */
  emit<E extends keyof Names> (event: E, describe: () => Names[E]): void
}

export function createEvents<Names extends object> (): Events<Names> {
  const listeners = new Map<keyof Names, Set<(detail: never) => void>>()
  return {
    on (event, listener) {
      const set = listeners.get(event) ?? new Set()
      listeners.set(event, set.add(listener))
      return () => { set.delete(listener) }
    },
    emit (event, describe) {
      const heard = listeners.get(event)
      if (heard === undefined || heard.size === 0) return
      const detail = describe()
      for (const listener of heard) {
        try {
          listener(detail as never)
        } catch {
          // A listener's fault is its author's; a job must not fail by it.
        }
      }
    }
  }
}
