/**
 * One QUIC connection: what arrives goes to the readers of its streams as far as they take it, so that
 * flow control reaches the sender; what is written goes out as far as the network takes it, and the rest stays with the
 * writer. What the streams mean is the session's.
 */
import type { MessageStreamDirection } from '@libp2p/interface'
import { LIMITS } from '../../packet/limits.ts'
import type { NativeConnection, Quiche } from './native.ts'

/** Who reads a stream. */
export interface StreamReader {
  /** Whether it takes bytes now; if not, `Link.wake` tells when it does. */
  readonly isReady: boolean
  take (bytes: Uint8Array): void
  end (): void
  /** The sender has given up. */
  reset (): void
}

/** Who waits for a stream to take more bytes. */
export interface StreamWriter { readonly number: number, writable (): void }

export interface LinkEvents {
  /** The handshake is done. */
  established (): void
  /** The peer has opened a stream. */
  accept (stream: number): StreamReader
  closed (): void
}

export interface Place { readonly host: string, readonly port: number }

/** Without the zone of a link-local address (RFC 4007), which sockets need and QUIC knows nothing of. */
export function withoutZone ({ host, port }: Place): Place { return { host: host.replace(/%.*/, ''), port } }

const CHUNK_BYTES = 64 * 1024
/** Of `Shutdown`. */
const READ = 0
const WRITE = 1

export class Link {
  readonly #quic: NativeConnection
  readonly #post: (packet: Uint8Array, to: Place) => void
  readonly #packet: Uint8Array
  readonly #readers = new Map<number, StreamReader>()
  readonly #waiting = new Set<StreamWriter>()
  #unfinished: number[] = []
  #events: LinkEvents | null = null
  #isEstablished = false
  #isClosed = false
  #isScheduled = false
  #timer: NodeJS.Timeout | undefined
  #keeping: NodeJS.Timeout | undefined
  #nextStream: number
  #onClosed: () => void = () => {}

  constructor (quic: NativeConnection, { MAX_DATAGRAM_SIZE }: Pick<Quiche, 'MAX_DATAGRAM_SIZE'>, direction: MessageStreamDirection, post: (packet: Uint8Array, to: Place) => void) {
    this.#nextStream = direction === 'outbound' ? 0 : 1
    this.#quic = quic
    this.#post = post
    this.#packet = new Uint8Array(MAX_DATAGRAM_SIZE)
  }

  get isClosed (): boolean { return this.#isClosed }

  /** The peer's certificate in DER, when the handshake is done; null when it showed none, or more than one. */
  get certificate (): Uint8Array | null {
    const chain = this.#quic.peerCertChain()
    return chain?.length === 1 ? chain[0]! : null
  }

  /** Why the connection ended, as far as one side has said so. */
  get reason (): string {
    const [local, remote] = [this.#quic.localError(), this.#quic.peerError()]
    if (local !== null) return `this node ended it with code ${local.errorCode}`
    return remote === null ? 'nothing was heard' : `the peer ended it with code ${remote.errorCode}`
  }

  begin (events: LinkEvents): void { this.#events = events }

  whenClosed (listener: () => void): this {
    this.#onClosed = listener
    return this
  }

  receive (packet: Uint8Array, from: Place, to: Place): void {
    try {
      this.#quic.recv(packet, { from, to })
    } catch {
      // What cannot be read is dropped; what breaks the protocol has closed the connection.
    }
    this.wake()
  }

  /** Begins the handshake of a connection that this side opens. */
  greet (): void { this.#turn() }

  /** Look at all streams soon, once for all that happens in this turn. */
  wake (): void {
    if (this.#isScheduled || this.#isClosed) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#turn()
    })
  }

  /** @returns how many bytes were taken; the rest may be sent when `writer` is told so @throws when the peer takes no more of this stream */
  send (stream: number, bytes: Uint8Array, writer: StreamWriter): number {
    if (this.#isClosed) throw new Error('the connection is closed')
    const sent = this.#quic.streamSend(stream, bytes, false)
    if (sent === null) this.#mustBeThere(stream)
    if ((sent ?? 0) < bytes.length) this.#waiting.add(writer)
    this.wake()
    return sent ?? 0
  }

  /** A few bytes that have to fit: else the peer lets nothing through, and the connection ends. */
  write (stream: number, bytes: Uint8Array, tooMuch: number, isLast = false): void {
    if (this.#isClosed) return
    let sent: number | null = null
    try {
      sent = this.#quic.streamSend(stream, bytes, isLast)
    } catch {
      // The same as a stream without room.
    }
    if (sent !== bytes.length) this.close(tooMuch)
    this.wake()
  }

  finish (stream: number): void {
    this.#unfinished.push(stream)
    this.#finishStreams()
    this.wake()
  }

  /** No more is read of it, and the peer is told. */
  stop (stream: number, code: number): void { this.#shut(stream, READ, code) }

  reset (stream: number, code: number): void {
    this.#shut(stream, WRITE, code)
    this.#shut(stream, READ, code)
  }

  /** Whoever read it and wrote to it has left. */
  forget (stream: number, code: number): void {
    this.#readers.delete(stream)
    for (const writer of this.#waiting) if (writer.number === stream) this.#waiting.delete(writer)
    this.#shut(stream, READ, code)
  }

  /** A stream of this side, in both directions. @returns null while the peer lets no more be opened */
  open (): number | null {
    if (this.#isClosed || this.#quic.peerStreamsLeftBidi() === 0) return null
    const stream = this.#nextStream
    this.#nextStream += 4
    // It counts from now on, not from its first byte.
    this.#quic.streamSend(stream, new Uint8Array(0), false)
    return stream
  }

  read (stream: number, reader: StreamReader): void { this.#readers.set(stream, reader) }

  close (code: number): void {
    if (this.#isClosed) return
    // What was written just before is on its way first.
    this.#flush()
    try {
      this.#quic.close(true, code, new Uint8Array(0))
    } catch {
      // It is closing already.
    }
    this.#flush()
    this.#end()
  }

  #turn (): void {
    if (this.#isClosed) return
    if (!this.#isEstablished && this.#quic.isEstablished()) {
      this.#isEstablished = true
      // A packet that has to be answered, so that the way stays open.
      this.#keeping = setInterval(() => {
        this.#quic.sendAckEliciting()
        this.wake()
      }, LIMITS.quic.keepMs)
      this.#events?.established()
    }
    for (const stream of [...this.#quic.readable()]) {
      // What one brought may have ended another.
      if (this.#readers.has(stream) || (!this.#isClosed && this.#quic.streamReadable(stream))) this.#read(stream)
    }
    this.#finishStreams()
    for (const writer of [...this.#waiting]) {
      if (!this.#hasRoom(writer.number)) continue
      this.#waiting.delete(writer)
      writer.writable()
    }
    if (this.#isClosed) return
    this.#flush()
    // Draining, the peer has closed it: nothing more goes either way, and who waits for that to be over hears of it late.
    if (this.#quic.isClosed() || this.#quic.isDraining()) this.#end()
    else this.#plan()
  }

  #read (stream: number): void {
    if (this.#isClosed) return
    let reader = this.#readers.get(stream)
    if (reader === undefined) {
      reader = this.#events!.accept(stream)
      this.#readers.set(stream, reader)
    }
    while (reader.isReady && this.#readers.get(stream) === reader) {
      const chunk = new Uint8Array(CHUNK_BYTES)
      let got: [number, boolean] | null
      try {
        got = this.#quic.streamRecv(stream, chunk)
      } catch {
        reader.reset()
        return
      }
      if (got === null) return
      const [bytes, isLast] = got
      // A short read does not hold on to the whole chunk.
      if (bytes > 0) reader.take(bytes < CHUNK_BYTES / 2 ? chunk.slice(0, bytes) : chunk.subarray(0, bytes))
      // A reader may hand the stream over to another one.
      reader = this.#readers.get(stream) ?? reader
      if (isLast) {
        reader.end()
        return
      }
    }
  }

  #hasRoom (stream: number): boolean {
    try {
      return this.#quic.streamCapacity(stream) > 0
    } catch {
      // The writer finds out why when it tries.
      return true
    }
  }

  #finishStreams (): void {
    this.#unfinished = this.#unfinished.filter(stream => {
      try {
        if (this.#isClosed || this.#quic.streamSend(stream, new Uint8Array(0), true) !== null) return false
        this.#mustBeThere(stream)
        return true
      } catch {
        return false
      }
    })
  }

  /** Of a stream that is over on both sides nothing is taken, as of one without room: its writer would wait for ever. @throws when it is */
  #mustBeThere (stream: number): void { this.#quic.streamCapacity(stream) }

  #shut (stream: number, direction: typeof READ | typeof WRITE, code: number): void {
    if (this.#isClosed) return
    try {
      this.#quic.streamShutdown(stream, direction, code)
    } catch {
      // It has ended by itself.
    }
    this.wake()
  }

  #flush (): void {
    for (;;) {
      let sent: ReturnType<NativeConnection['send']>
      try {
        sent = this.#quic.send(this.#packet)
      } catch {
        return
      }
      if (sent === null) return
      const [bytes, { to }] = sent
      this.#post(this.#packet.slice(0, bytes), to)
    }
  }

  #plan (): void {
    clearTimeout(this.#timer)
    const ms = this.#quic.timeout()
    if (ms === null) return
    this.#timer = setTimeout(() => {
      this.#quic.onTimeout()
      this.#turn()
    }, Math.max(1, ms))
  }

  #end (): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#timer)
    clearInterval(this.#keeping)
    this.#readers.clear()
    this.#waiting.clear()
    this.#onClosed()
    this.#events?.closed()
  }
}
