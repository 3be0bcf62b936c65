/**
 * The desk: orders this node is working on as a seller. A repeat of one joins the work on it, a
 * peer has only so many at a time, and the bytes that wait here with them have a limit. What the
 * work is stands in `serve.ts`.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'

type Answer = Partial<Packet>

export interface Desk {
  /**
   * Work on an order, or join the work on it.
   * @param signal of this one request; its cancel ends the work, its lost connection does not: the
   * order binds its payer, who may come back for the answer
   * @param start called at once, unless the order is at work already
   * @throws {InosError} ERR_BUSY
   */
  work (peer: string, order: string, signal: AbortSignal, start: (cancel: AbortSignal) => Promise<Answer>): Promise<Answer>
  /** Its payer has given an order up: work on it ends. */
  cancel (peer: string, order: string): void
  /**
   * Wait until so many bytes may be held for a peer; leaving the scope of what comes back frees them.
   * @throws {InosError} ERR_CANCELLED
   */
  room (peer: string, bytes: number, signal: AbortSignal): Promise<Disposable>
  /** Orders at work. */
  readonly size: number
  /** Resolves when nothing is at work. */
  idle (): Promise<void>
}

export interface DeskLimits { readonly jobsPerPeerMax: number, readonly inputBytesPerPeerMax: number, readonly inputBytesMax: number }

export function createDesk (limits: DeskLimits = LIMITS.market): Desk {
  const atWork = new Map<string, { readonly answer: Promise<Answer>, readonly cancel: AbortController }>()
  const jobs = new Count()
  const space = new Space(limits)

  return {
    get size () { return atWork.size },
    async work (peer, order, signal, start) {
      const key = `${peer}/${order}`
      // No await between looking and setting: two copies of a packet must meet here.
      let work = atWork.get(key)
      if (work === undefined) {
        if (jobs.of(peer) >= limits.jobsPerPeerMax) throw new InosError('ERR_BUSY', `${limits.jobsPerPeerMax} of your jobs are at work here already.`)
        const cancel = new AbortController()
        jobs.add(peer, 1)
        const answer = start(cancel.signal).finally(() => {
          atWork.delete(key)
          jobs.add(peer, -1)
        })
        work = { answer, cancel }
        atWork.set(key, work)
      }
      const { answer, cancel } = work
      const onAbort = (): void => { if (!(signal.reason instanceof InosError)) cancel.abort(signal.reason) }
      if (signal.aborted) onAbort()
      signal.addEventListener('abort', onAbort, { once: true })
      try {
        return await answer
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    },
    cancel (peer, order) { atWork.get(`${peer}/${order}`)?.cancel.abort(new InosError('ERR_CANCELLED', 'The payer has given this order up.')) },
    room: (peer, bytes, signal) => space.take(peer, bytes, signal),
    async idle () {
      while (atWork.size > 0) await Promise.allSettled(Array.from(atWork.values(), ({ answer }) => answer))
    }
  }
}

interface Waiter { readonly peer: string, readonly bytes: number, readonly enter: () => void }

/** Bytes in memory. Whoever fits comes in; a peer at its own limit lets the others pass, nobody else is overtaken. */
class Space {
  readonly #limits: DeskLimits
  readonly #taken = new Count()
  readonly #waiting = new Set<Waiter>()
  #all = 0

  constructor (limits: DeskLimits) { this.#limits = limits }

  async take (peer: string, bytes: number, signal: AbortSignal): Promise<Disposable> {
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        if (!this.#waiting.delete(waiter)) return
        reject(new InosError('ERR_CANCELLED', 'The work was cancelled.', { cause: signal.reason }))
        this.#admit()
      }
      const waiter: Waiter = { peer, bytes, enter: () => { signal.removeEventListener('abort', onAbort); resolve() } }
      this.#waiting.add(waiter)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      this.#admit()
    })
    return { [Symbol.dispose]: () => { this.#change(peer, -bytes); this.#admit() } }
  }

  #admit (): void {
    const { inputBytesPerPeerMax, inputBytesMax } = this.#limits
    const full = new Set<string>()
    for (const waiter of this.#waiting) {
      const { peer, bytes } = waiter
      if (full.has(peer)) continue
      if (this.#taken.of(peer) + bytes > inputBytesPerPeerMax) {
        full.add(peer)
        continue
      }
      if (this.#all + bytes > inputBytesMax) return
      this.#waiting.delete(waiter)
      this.#change(peer, bytes)
      waiter.enter()
    }
  }

  #change (peer: string, bytes: number): void {
    this.#taken.add(peer, bytes)
    this.#all += bytes
  }
}

/** How much of something each peer has. */
class Count {
  readonly #by = new Map<string, number>()

  of (peer: string): number { return this.#by.get(peer) ?? 0 }

  add (peer: string, change: number): void {
    const left = this.of(peer) + change
    if (left === 0) this.#by.delete(peer)
    else this.#by.set(peer, left)
  }
}
