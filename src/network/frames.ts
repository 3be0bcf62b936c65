/**
 * Packets over one `Wire`, under deadlines: what arrives is decoded, what is sent is batched by
 * tick, and a peer that dribbles, stalls or sends nonsense is cut. Who talks about what is left
 * to sessions, blobs and one-shots.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { badPacket, decodePacket, encodePacket, FrameDecoder, refusalOf, type WireLimits } from './framing.ts'
import type { Timers, Wire } from './network.ts'
import { type Pace, Watch } from './watch.ts'

export interface FramesOptions {
  timers: Timers
  limits?: WireLimits
  /** Shared by all streams of a peer. */
  pace?: Pace
}

export class Frames {
  readonly peer: string
  readonly relayed: boolean
  readonly limits: WireLimits
  readonly #wire: Wire
  readonly #timers: Timers
  readonly #pace: Pace | null
  readonly #decoder: FrameDecoder
  readonly #watch: Watch
  #outbox: Uint8Array[] = []
  #flushing: Promise<void> | null = null
  #idleMs: number
  #since: number
  #framesSeen = 0
  #begun = false
  #ending: Promise<void> | null = null
  #ended = false
  #leaving = false
  #cancelCut: () => void = () => {}
  #peerEnded = false
  #failure: InosError | null = null
  readonly #closed = Promise.withResolvers<void>()
  /** Bytes sent that the transport has not taken. */
  queuedBytes = 0
  /** Whether the stream was cut because a packet did not come in time. */
  late = false

  constructor (wire: Wire, { timers, limits = LIMITS.wire, pace }: FramesOptions) {
    this.peer = wire.peer
    this.relayed = wire.relayed === true
    this.limits = limits
    this.#wire = wire
    this.#timers = timers
    this.#pace = pace ?? null
    this.#decoder = new FrameDecoder(limits)
    this.#watch = new Watch(timers, () => {
      this.late = true
      this.abort(badPacket('A packet did not arrive in time.'))
    })
    this.#idleMs = limits.helloMsMax
    this.#since = timers.now()
  }

  /** Resolves when both directions are over, however. */
  get closed (): Promise<void> { return this.#closed.promise }

  /** Queue bytes of `encodePacket`; all of one tick leave together. @throws {InosError} ERR_PEER_LOST once closed */
  send (frame: Uint8Array): void {
    if (this.#failure !== null || this.#ending !== null) throw this.#lost()
    this.#push(frame)
  }

  /** Resolves when the transport has taken all that was sent. @throws {InosError} ERR_PEER_LOST */
  async flushed (): Promise<void> {
    await this.#flushing
    if (this.#failure !== null) throw this.#lost()
  }

  /** Room for the next packet that arrives in pieces, so that none is allocated for it; null: none. */
  lend (room: Uint8Array<ArrayBuffer> | null): void { this.#decoder.lend(room) }

  /** The next frame must begin within `ms`, counted from now; null: whenever it likes. At first: `helloMsMax`. */
  expect (ms: number | null): void {
    this.#idleMs = ms ?? Infinity
    this.#since = this.#timers.now()
    if (!this.#decoder.begun) this.#watch.set(this.#since + this.#idleMs)
  }

  /**
   * Hand over packets until the peer half-closes. To be called once.
   * @param take gets a packet and its bytes on the wire; what it throws ends the reading
   * @throws {InosError} ERR_BAD_PACKET, of which the peer has been told; ERR_PEER_LOST
   */
  async read (take: (packet: Packet, bytes: number) => void): Promise<void> {
    const chunks = this.#wire.read()[Symbol.asyncIterator]()
    this.expect(this.#idleMs)
    try {
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
        await this.#feed(next.value, take)
      }
      if (this.#decoder.begun) throw badPacket('The stream ended inside a packet.')
      this.#peerDone()
    } catch (error) {
      if (this.#failure === null && error instanceof InosError && error.code === 'ERR_BAD_PACKET') {
        this.refuse(error)
        void this.#discard(chunks)
        throw error
      }
      this.abort(error instanceof InosError ? error : new InosError('ERR_PEER_LOST', 'A stream was lost.', { cause: error }))
      throw this.#failure!
    }
  }

  /** Tell the peer what was wrong and close. */
  refuse (error: InosError): void {
    if (this.#failure !== null || this.#ending !== null) return
    this.#push(encodePacket({ kind: 'refusal', ...refusalOf(error, this.limits) }, this.limits))
    void this.close()
  }

  /** Half-close once everything is written; reading goes on. Settles then, never rejects. */
  end (): Promise<void> {
    return this.#ending ??= this.#end()
  }

  /** Leave: as `end`, but the peer has `closeMsMax` to read the rest and end its side. */
  close (): Promise<void> {
    if (!this.#leaving && this.#failure === null) {
      this.#leaving = true
      this.#cancelCut = this.#timers.after(this.limits.closeMsMax, () => { this.abort(this.#lost()) })
    }
    return this.end()
  }

  /** Reset the stream at once. */
  abort (reason: InosError): void {
    if (this.#failure !== null) return
    this.#failure = reason
    this.#outbox = []
    this.queuedBytes = 0
    this.#watch.stop()
    this.#cancelCut()
    this.#wire.abort(reason)
    this.#closed.resolve()
  }

  async #end (): Promise<void> {
    try {
      await this.#flushing
      if (this.#failure !== null) return
      await this.#unlessStalled(() => this.#wire.end())
    } catch {
      this.abort(this.#lost())
    }
    this.#ended = true
    this.#release()
  }

  #push (frame: Uint8Array): void {
    this.#outbox.push(frame)
    this.queuedBytes += frame.length
    this.#flushing ??= Promise.resolve().then(() => this.#flush())
  }

  async #flush (): Promise<void> {
    try {
      while (this.#outbox.length > 0) {
        const frames = this.#outbox
        this.#outbox = []
        for (let at = 0; at < frames.length && this.#failure === null;) at = await this.#writeBatch(frames, at)
      }
    } catch (cause) {
      this.abort(new InosError('ERR_PEER_LOST', `The stream to ${this.peer} was lost.`, { cause }))
    } finally {
      this.#flushing = null
    }
  }

  /** Write frames from `start` as one buffer; where the next batch starts. */
  async #writeBatch (frames: readonly Uint8Array[], start: number): Promise<number> {
    let bytes = 0
    let end = start
    do bytes += frames[end++]!.length
    while (end < frames.length && bytes + frames[end]!.length <= this.limits.batchBytesMax)
    const batch = end === start + 1 ? frames[start]! : join(frames, start, end, bytes)
    if (!this.#wire.write(batch)) await this.#unlessStalled(signal => this.#wire.drained(signal))
    this.queuedBytes = Math.max(0, this.queuedBytes - bytes)
    return end
  }

  async #unlessStalled (wait: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const stalled = new AbortController()
    const cancel = this.#timers.after(this.limits.stallMsMax, () => {
      this.abort(new InosError('ERR_PEER_LOST', `${this.peer} has read nothing for ${this.limits.stallMsMax} ms.`))
      stalled.abort()
    })
    try {
      await wait(stalled.signal)
    } finally {
      cancel()
    }
  }

  async #feed (chunk: Uint8Array, take: (packet: Packet, bytes: number) => void): Promise<void> {
    this.#decoder.feed(chunk, (frame, bytes) => {
      // Between two packets of one chunk the stream may have been aborted.
      if (this.#failure === null) take(decodePacket(frame, this.limits), bytes)
    })
    // What was aborted meanwhile waits for nothing more.
    if (this.#failure !== null) return
    const packets = this.#decoder.frames - this.#framesSeen
    this.#await(packets)
    const waitMs = this.#pace?.take(packets) ?? 0
    if (waitMs > 0) await new Promise<void>(resolve => { this.#timers.after(waitMs, resolve) })
  }

  /**
   * Set the deadline for the frame that has begun, or for the next to begin. A frame has as long as
   * its bytes take at `bytesPerSecondMin`, after a hello's time for the way, and never above `frameMsMax`.
   */
  #await (packets: number): void {
    const { begun, size } = this.#decoder
    this.#framesSeen += packets
    if (packets > 0 || begun !== this.#begun) this.#since = this.#timers.now()
    this.#begun = begun
    const { frameMsMax, helloMsMax, bytesPerSecondMin } = this.limits
    const ms = begun ? Math.min(frameMsMax, helloMsMax + size * 1000 / bytesPerSecondMin) : this.#idleMs
    this.#watch.set(this.#since + ms)
  }

  /** After a refusal: drop what still comes, until the peer ends or `close` cuts it. */
  async #discard (chunks: AsyncIterator<Uint8Array>): Promise<void> {
    try {
      while ((await chunks.next()).done !== true);
    } catch {
      // Lost or ended: both are the end of a stream that is being closed.
    }
    this.#peerDone()
  }

  #peerDone (): void {
    this.#peerEnded = true
    this.#watch.stop()
    this.#release()
  }

  #release (): void {
    if (!this.#ended || !this.#peerEnded) return
    this.#cancelCut()
    this.#closed.resolve()
  }

  #lost (): InosError {
    const cause = this.#failure ?? undefined
    return new InosError('ERR_PEER_LOST', `The stream to ${this.peer} is closed.`, cause === undefined ? {} : { cause })
  }
}

function join (frames: readonly Uint8Array[], start: number, end: number, bytes: number): Uint8Array {
  const batch = new Uint8Array(bytes)
  for (let i = start, at = 0; i < end; i++) {
    batch.set(frames[i]!, at)
    at += frames[i]!.length
  }
  return batch
}
