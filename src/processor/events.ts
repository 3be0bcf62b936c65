/** Typed events without a platform: a set of listeners per name, each call guarded. */

export interface Events<Names extends object> {
  on<E extends keyof Names> (event: E, listener: (detail: Names[E]) => void): () => void
  emit<E extends keyof Names> (event: E, detail: Names[E]): void
}

export function createEvents<Names extends object> (): Events<Names> {
  const listeners = new Map<keyof Names, Set<(detail: never) => void>>()
  return {
    on (event, listener) {
      const set = listeners.get(event) ?? new Set()
      listeners.set(event, set.add(listener))
      return () => { set.delete(listener) }
    },
    emit (event, detail) {
      for (const listener of listeners.get(event) ?? []) {
        try {
          listener(detail as never)
        } catch {
          // A listener's fault is its author's; a job must not fail by it.
        }
      }
    }
  }
}
