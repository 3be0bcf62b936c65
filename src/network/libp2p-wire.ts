/**
 * A libp2p stream as a `Wire`. It reads ahead only what the muxer's window lets through, and tells
 * a stream that has ended from one that was lost.
 */
import type { Connection, Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { InosError } from '../packet/errors.ts'
import type { WireLimits } from './framing.ts'
import type { Wire } from './network.ts'

export class StreamWire implements Wire {
  readonly peer: string
  readonly relayed: boolean
  readonly #stream: Stream
  readonly #limits: WireLimits
  #chunks: Uint8Array[] = []
  #bytes = 0
  /** The other side has half-closed, and all it sent is in `#chunks`. */
  #complete = false
  #finished = false
  #closed = false
  #error: InosError | null = null
  #wake: () => void = () => {}

  constructor (stream: Stream, { remotePeer, direct }: Pick<Connection, 'remotePeer' | 'direct'>, limits: WireLimits) {
    this.peer = remotePeer.toString()
    this.relayed = !direct
    this.#stream = stream
    this.#limits = limits
    // Listening at once: without a listener the stream would buffer without telling its sender.
    stream.addEventListener('message', event => { this.#arrived(event) })
    stream.addEventListener('remoteCloseWrite', () => {
      this.#finished = true
      this.#settle()
    })
    stream.addEventListener('close', event => { this.#over(event) })
    this.#catchUp()
  }

  /** What happened to the stream before anybody listened: a door may have kept it waiting. */
  #catchUp (): void {
    const { status, remoteWriteStatus } = this.#stream
    if (status === 'reset' || status === 'aborted') {
      this.#closed = true
      this.#error = this.#lost()
    } else if (remoteWriteStatus === 'closed') {
      this.#finished = true
      this.#closed = status === 'closed'
      this.#settle()
    }
  }

  async * read (): AsyncIterable<Uint8Array> {
    for (;;) {
      const chunks = this.#chunks
      if (chunks.length > 0) {
        this.#chunks = []
        this.#bytes = 0
        yield * chunks
      } else if (this.#complete) {
        return
      } else if (this.#error !== null) {
        throw this.#error
      } else if (this.#stream.readStatus === 'paused') {
        this.#resume()
      } else if (this.#closed) {
        throw this.#lost()
      } else {
        await new Promise<void>(resolve => { this.#wake = resolve })
      }
    }
  }

  write (bytes: Uint8Array): boolean {
    if (this.#error !== null) throw this.#error
    try {
      return this.#stream.send(bytes)
    } catch (cause) {
      throw this.#lost(cause)
    }
  }

  async drained (signal: AbortSignal): Promise<void> {
    while (this.#stream.writableNeedsDrain) {
      if (this.#error !== null || this.#closed) throw this.#error ?? this.#lost()
      if (signal.aborted) throw new InosError('ERR_CANCELLED', 'The wait was cancelled.', { cause: signal.reason })
      await nextEvent(this.#stream, signal)
      // The stream sends what it had queued in a microtask after `drain`; only then is the answer true.
      await Promise.resolve()
    }
    if (this.#error !== null) throw this.#error
  }

  async end (): Promise<void> {
    try {
      await this.#stream.close()
    } catch (cause) {
      throw this.#lost(cause)
    }
  }

  abort (reason: Error): void {
    this.#stream.abort(reason)
  }

  #arrived ({ data }: StreamMessageEvent): void {
    // A list holds several chunks; taking them one by one copies nothing.
    for (const chunk of data instanceof Uint8Array ? [data] : data) {
      this.#chunks.push(chunk)
      this.#bytes += chunk.length
    }
    if (this.#bytes >= this.#limits.batchBytesMax && this.#stream.readStatus === 'readable') this.#stream.pause()
    this.#settle()
  }

  #resume (): void {
    try {
      this.#stream.resume()
    } catch {
      // The connection has gone; what was buffered has been handed over, and `close` follows.
      if (this.#stream.readStatus === 'paused') this.#error ??= this.#lost()
    }
    this.#settle()
  }

  #over (event: StreamCloseEvent): void {
    this.#closed = true
    if (event.error !== undefined && !this.#complete) this.#error = this.#lost(event.error)
    this.#settle()
  }

  #settle (): void {
    if (this.#finished && this.#stream.readBufferLength === 0 && this.#error === null) this.#complete = true
    this.#wake()
  }

  #lost (cause?: unknown): InosError {
    return new InosError('ERR_PEER_LOST', `The stream to ${this.peer} was lost.`, cause === undefined ? {} : { cause })
  }
}

/** Wait until a stream drains or closes, or the signal aborts. */
function nextEvent (stream: Stream, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      stream.removeEventListener('drain', done)
      stream.removeEventListener('close', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    stream.addEventListener('drain', done)
    stream.addEventListener('close', done)
    signal.addEventListener('abort', done)
  })
}
