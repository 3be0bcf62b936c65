/**
 * The byte streams of the in-process network: two ends that share two pipes. How long bytes are on
 * their way, and whether they arrive once, is the hub's to say.
 */
import { InosError } from '../packet/errors.ts'
import type { Timers, Wire } from './network.ts'

/** What becomes of bytes: they arrive after `ms` whole milliseconds, never before those sent earlier; a copy more than once breaks what the stream promises. */
export interface Passage { readonly ms: number, readonly copies: number }

/** What the ends need of the hub. */
export interface Ether {
  readonly windowBytes: number
  readonly timers: Timers | undefined
  /** Null: bytes arrive at once. */
  readonly carry: ((from: string, to: string, bytes: Uint8Array) => Passage | null) | null
  /** The connection is lost, on both sides. */
  sever (a: string, b: string): void
}

/** What one side has written and the other has not read. */
interface Pipe { chunks: Uint8Array[], bytes: number, ended: boolean }

const NOTHING = new Uint8Array(0)

/** Two ends of one stream: the first is `a`'s. */
export function createPair (hub: Ether, a: string, b: string): [MemoryWire, MemoryWire] {
  const there: Pipe = { chunks: [], bytes: 0, ended: false }
  const back: Pipe = { chunks: [], bytes: 0, ended: false }
  const ours = new MemoryWire(hub, a, b, back, there)
  const theirs = new MemoryWire(hub, b, a, there, back)
  ours.other = theirs
  theirs.other = ours
  return [ours, theirs]
}

export class MemoryWire implements Wire {
  readonly peer: string
  readonly #self: string
  readonly #hub: Ether
  readonly #in: Pipe
  readonly #out: Pipe
  readonly #onTheWay: (() => void)[] = []
  /** When the last bytes sent so far will be there. */
  #arrival = 0
  #error: Error | null = null
  #ended = false
  #wakeReader: () => void = () => {}
  #wakeWriter: () => void = () => {}
  other: MemoryWire = this
  onOver: () => void = () => {}

  constructor (hub: Ether, self: string, peer: string, incoming: Pipe, outgoing: Pipe) {
    this.#hub = hub
    this.#self = self
    this.peer = peer
    this.#in = incoming
    this.#out = outgoing
  }

  async * read (): AsyncIterable<Uint8Array> {
    for (;;) {
      if (this.#error !== null) throw this.#error
      const chunk = this.#in.chunks.shift()
      if (chunk !== undefined) {
        this.#in.bytes -= chunk.length
        this.other.#wakeWriter()
        yield chunk
      } else if (this.#in.ended) {
        return
      } else {
        await new Promise<void>(resolve => { this.#wakeReader = resolve })
      }
    }
  }

  write (bytes: Uint8Array): boolean {
    if (this.#error !== null || this.#ended) throw this.#error ?? new InosError('ERR_PEER_LOST', 'This side of the stream has ended.')
    // Copied, as a transport would: the writer may use its buffer again.
    const chunk = bytes.slice()
    this.#out.bytes += chunk.length
    this.#arrive(chunk, copies => {
      this.#out.bytes += (copies - 1) * chunk.length
      for (let i = 0; i < copies; i++) this.#out.chunks.push(chunk)
    })
    return this.#out.bytes < this.#hub.windowBytes
  }

  async drained (signal: AbortSignal): Promise<void> {
    while (this.#out.bytes >= this.#hub.windowBytes) {
      if (this.#error !== null) throw this.#error
      if (signal.aborted) throw new InosError('ERR_CANCELLED', 'The wait was cancelled.', { cause: signal.reason })
      await new Promise<void>(resolve => {
        this.#wakeWriter = resolve
        signal.addEventListener('abort', () => { resolve() }, { once: true })
      })
    }
    if (this.#error !== null) throw this.#error
  }

  async end (): Promise<void> {
    if (this.#error !== null) throw this.#error
    if (this.#ended) return
    this.#ended = true
    this.#arrive(NOTHING, () => { this.#out.ended = true })
    if (this.#in.ended) this.onOver()
  }

  abort (reason: Error): void {
    this.lose(reason)
    this.#arrive(NOTHING, () => { this.other.lose(new InosError('ERR_PEER_LOST', 'The other side has reset the stream.')) })
  }

  /** The stream is gone for this side. */
  lose (error: Error): void {
    if (this.#error !== null || (this.#ended && this.#in.ended && this.#in.bytes === 0)) return
    this.#error = error
    this.#in.chunks.length = 0
    this.onOver()
    this.#wakeReader()
    this.#wakeWriter()
  }

  #arrive (bytes: Uint8Array, change: (copies: number) => void): void {
    const run = (copies: number): void => {
      change(copies)
      this.other.#wakeReader()
      if (this.#ended && this.#in.ended) this.onOver()
    }
    const { carry, timers } = this.#hub
    if (carry === null || timers === undefined) {
      run(1)
      return
    }
    const passage = carry(this.#self, this.peer, bytes)
    if (passage === null) {
      this.#hub.sever(this.#self, this.peer)
      return
    }
    const now = timers.now()
    this.#arrival = Math.max(this.#arrival, now + passage.ms)
    // Whichever timer is first, what was sent first arrives first.
    this.#onTheWay.push(() => { run(passage.copies) })
    timers.after(this.#arrival - now, () => { this.#onTheWay.shift()!() })
  }
}
