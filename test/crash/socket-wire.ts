/**
 * One stream of the socket network. Each chunk goes under its length and an empty one says that
 * this side has ended, for the kernel ends the connections of a process that was killed just as if
 * it had finished.
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { InosError } from '../../src/packet/errors.ts'
import type { Wire } from '../../src/network/network.ts'

const LENGTH_BYTES = 4

export type Chunks = AsyncGenerator<Uint8Array, void, undefined>

/** @returns false when full */
export function writeChunk (socket: Socket, bytes: Uint8Array): boolean {
  const frame = Buffer.alloc(LENGTH_BYTES + bytes.length)
  frame.writeUInt32BE(bytes.length)
  frame.set(bytes, LENGTH_BYTES)
  return socket.write(frame)
}

/** Whole chunks until the empty one; throws when the connection ends before it. */
export async function * readChunks (socket: Socket): Chunks {
  let rest: Buffer = Buffer.alloc(0)
  for await (const data of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? data : Buffer.concat([rest, data])
    while (rest.length >= LENGTH_BYTES) {
      const length = rest.readUInt32BE()
      if (rest.length < LENGTH_BYTES + length) break
      const chunk = rest.subarray(LENGTH_BYTES, LENGTH_BYTES + length)
      rest = rest.subarray(LENGTH_BYTES + length)
      if (length === 0) return
      yield chunk
    }
  }
  throw new Error('the connection ended amid the stream')
}

export class SocketWire implements Wire {
  readonly peer: string
  readonly #socket: Socket
  readonly #chunks: Chunks
  #ended = false
  #heardAll = false
  #error: InosError | null = null

  constructor (peer: string, socket: Socket, chunks: Chunks) {
    this.peer = peer
    this.#socket = socket
    this.#chunks = chunks
    socket.on('error', cause => { this.#error ??= this.#lost(cause) })
    socket.on('close', () => { this.#error ??= this.#lost() })
  }

  async * read (): AsyncIterable<Uint8Array> {
    try {
      yield * this.#chunks
    } catch (cause) {
      throw this.#error ??= this.#lost(cause)
    }
    this.#heardAll = true
    this.#leave()
  }

  write (bytes: Uint8Array): boolean {
    if (this.#error !== null || this.#ended) throw this.#error ?? this.#lost()
    return bytes.length === 0 ? !this.#socket.writableNeedDrain : writeChunk(this.#socket, bytes)
  }

  async drained (signal: AbortSignal): Promise<void> {
    while (this.#error === null && this.#socket.writableNeedDrain) {
      if (signal.aborted) throw new InosError('ERR_CANCELLED', 'The wait was cancelled.', { cause: signal.reason })
      const over = new AbortController()
      const either = AbortSignal.any([signal, over.signal])
      await Promise.race(['drain', 'close'].map(event => once(this.#socket, event, { signal: either }).catch(() => {})))
      over.abort()
    }
    if (this.#error !== null) throw this.#error
  }

  async end (): Promise<void> {
    if (this.#error !== null) throw this.#error
    if (this.#ended) return
    writeChunk(this.#socket, new Uint8Array(0))
    this.#ended = true
    this.#leave()
  }

  /** Who has ended and been told of the end needs the connection no more. */
  #leave (): void {
    if (this.#ended && this.#heardAll) this.#socket.end(() => { this.#socket.destroy() })
  }

  abort (reason: Error): void {
    this.#error ??= this.#lost(reason)
    this.#socket.destroy()
  }

  #lost (cause?: unknown): InosError {
    return new InosError('ERR_PEER_LOST', `The stream to ${this.peer} was lost.`, cause === undefined ? {} : { cause })
  }
}
