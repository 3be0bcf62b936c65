/** A stream of a WebTransport session as libp2p's: it reads when its reader has room, and keeps nothing that the network does not take yet. */
import type { Logger, MessageStreamDirection } from '@libp2p/interface'
import { AbstractStream } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import type { Link, StreamReader, StreamWriter } from './link.ts'

/** A stream was given up: code 0 of WebTransport among HTTP/3's (draft-ietf-webtrans-http3, section 4.4). */
const GIVEN_UP = 0x52e4a40fa8db

export class Channel extends AbstractStream implements StreamReader, StreamWriter {
  readonly number: number
  readonly #link: Link
  /** Bytes arrived while nobody listened; more are asked for when somebody has taken these. */
  #isFull = false

  constructor (link: Link, stream: number, direction: MessageStreamDirection, log: Logger) {
    super({ id: String(stream), direction, log: log.newScope(`${direction}:${stream}`) })
    this.number = stream
    this.#link = link
    link.read(stream, this)
    this.addEventListener('close', () => { link.forget(stream, GIVEN_UP) })
  }

  get isReady (): boolean {
    this.#isFull = this.readBufferLength > 0
    return this.readStatus !== 'paused' && !this.#isFull
  }

  take (bytes: Uint8Array): void { this.onData(bytes) }

  end (): void { this.onRemoteCloseWrite() }

  reset (): void {
    this.#link.reset(this.number, GIVEN_UP)
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

  sendReset (): void { this.#link.reset(this.number, GIVEN_UP) }

  async sendCloseWrite (): Promise<void> { this.#link.finish(this.number) }

  async sendCloseRead (): Promise<void> { this.#link.stop(this.number, GIVEN_UP) }

  sendPause (): void {}

  sendResume (): void { this.#link.wake() }

  protected override dispatchReadBuffer (): void {
    super.dispatchReadBuffer()
    if (this.#isFull && this.readBufferLength === 0) this.#link.wake()
  }
}
