/** A stream of a QUIC connection as libp2p's: it reads when its reader has room, and keeps nothing that the network does not take yet. */
import type { Logger, MessageStreamDirection } from '@libp2p/interface'
import { AbstractStream } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import type { Link, StreamReader, StreamWriter } from './link.ts'

export class Channel extends AbstractStream implements StreamReader, StreamWriter {
  readonly number: number
  readonly #link: Link
  readonly #givenUp: number
  /** Bytes arrived while nobody listened; more are asked for when somebody has taken these. */
  #isFull = false

  /** @param givenUp the code for a stream that is given up */
  constructor (link: Link, stream: number, direction: MessageStreamDirection, givenUp: number, log: Logger) {
    super({ id: String(stream), direction, log: log.newScope(`${direction}:${stream}`) })
    this.number = stream
    this.#link = link
    this.#givenUp = givenUp
    link.read(stream, this)
    this.addEventListener('close', () => { link.forget(stream, givenUp) })
  }

  get isReady (): boolean {
    this.#isFull = this.readBufferLength > 0
    return this.readStatus !== 'paused' && !this.#isFull
  }

  take (bytes: Uint8Array): void { this.onData(bytes) }

  end (): void { this.onRemoteCloseWrite() }

  reset (): void {
    this.#link.reset(this.number, this.#givenUp)
    this.onRemoteReset()
  }

  writable (): void { this.safeDispatchEvent('drain') }

  sendData (data: Uint8ArrayList): { sentBytes: number, canSendMore: boolean } {
    let sentBytes = 0
    for (const part of data) {
      const sent = this.#link.send(this.number, part, this)
      sentBytes += sent
      if (sent < part.length) return { sentBytes, canSendMore: false }
    }
    return { sentBytes, canSendMore: true }
  }

  sendReset (): void { this.#link.reset(this.number, this.#givenUp) }

  async sendCloseWrite (): Promise<void> { this.#link.finish(this.number) }

  async sendCloseRead (): Promise<void> { this.#link.stop(this.number, this.#givenUp) }

  sendPause (): void {}

  sendResume (): void { this.#link.wake() }

  protected override dispatchReadBuffer (): void {
    super.dispatchReadBuffer()
    if (this.#isFull && this.readBufferLength === 0) this.#link.wake()
  }
}
