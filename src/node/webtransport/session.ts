/**
 * HTTP/3 as far as one WebTransport session needs it: settings, the request that opens the session, its streams, its
 * end. One connection carries one session; a second is refused, as are streams that belong to none.
 * https://datatracker.ietf.org/doc/html/draft-ietf-webtrans-http3, in the draft 02 that browsers speak as well.
 */
import { LIMITS } from '../../packet/limits.ts'
import type { Link, StreamReader } from '../quic/link.ts'
import { H3 } from './codes.ts'
import { Frames } from './frames.ts'
import { BadFields, decodeFields, encodeStatus, STATUS } from './qpack.ts'
import { readVarint, varint } from './varint.ts'

const { controlBytesMax, headerBytesMax } = LIMITS.webTransport
/** https://github.com/libp2p/specs/tree/master/webtransport */
const PATH = '/.well-known/libp2p-webtransport?type=noise'
/** Frame types; the last opens a stream of a session instead of a frame. */
const [DATA, HEADERS, SETTINGS, STREAM] = [0, 1, 4, 0x41] as const
const CLOSE_SESSION = 0x2843
/** Types of one-way streams. */
const [CONTROL, ENCODER, DECODER] = [0, 2, 3] as const
/** The first stream of this side in one direction. */
const OWN_CONTROL = 3
/** No dynamic table; extended CONNECT, datagrams by their RFC and their draft, WebTransport by its drafts, one session. */
const OWN_SETTINGS = [[1, 0], [7, 0], [8, 1], [0x33, 1], [0xffd277, 1], [0x2b603742, 1], [0xc671706a, 1], [0x14e9cd29, 1]]
/** The session a stream names is not there (WEBTRANSPORT_BUFFERED_STREAM_REJECTED). */
const NO_SESSION = 0x3994bd84

export interface SessionEvents {
  /** The peer opened a stream of it, of which `head` has been read. */
  stream (stream: number, head: Uint8Array): void
}

export class Session {
  readonly #link: Link
  readonly #events: SessionEvents
  #request: number | null = null
  #hasControl = false
  #bytes = 0

  constructor (link: Link, events: SessionEvents) {
    this.#link = link
    this.#events = events
  }

  begin (): void {
    const settings = Buffer.concat(OWN_SETTINGS.flat().map(varint))
    this.#link.write(OWN_CONTROL, Buffer.concat([varint(CONTROL), varint(SETTINGS), varint(settings.length), settings]), H3.excessiveLoad)
  }

  /** A stream the peer opened: its first bytes say what it is for. */
  accept (stream: number): StreamReader {
    const isOneWay = (stream & 2) !== 0
    let head: Uint8Array = new Uint8Array(0)
    return {
      isReady: true,
      take: bytes => {
        head = head.length === 0 ? bytes : Buffer.concat([head, bytes])
        if (isOneWay ? this.#routeOneWay(stream, head) : this.#route(stream, head)) head = new Uint8Array(0)
        else if (head.length > headerBytesMax) this.#refuse(stream, H3.excessiveLoad)
      },
      end: () => { if (!isOneWay) this.#refuse(stream, H3.messageError) },
      reset: () => { this.#refuse(stream, H3.messageError) }
    }
  }

  /** Begins a stream of this side. */
  head (): Uint8Array { return Buffer.concat([varint(STREAM), varint(this.#request ?? 0)]) }

  /** @returns whether the stream has another reader now */
  #route (stream: number, head: Uint8Array): boolean {
    const type = readVarint(head, 0)
    const second = type === null ? null : readVarint(head, type.end)
    if (type === null || second === null) return false
    if (type.value === STREAM) {
      if (second.value !== this.#request) this.#refuse(stream, NO_SESSION)
      else this.#events.stream(stream, head.subarray(second.end))
      return true
    }
    const end = second.end + second.value
    if (type.value !== HEADERS || second.value > headerBytesMax) {
      this.#refuse(stream, type.value === HEADERS ? H3.excessiveLoad : H3.frameUnexpected)
      return true
    }
    if (head.length < end) return false
    this.#answer(stream, head.subarray(second.end, end), head.subarray(end))
    return true
  }

  #answer (stream: number, block: Uint8Array, rest: Uint8Array): void {
    let fields: Map<string, string>
    try {
      fields = decodeFields(block)
    } catch (error) {
      if (!(error instanceof BadFields)) throw error
      this.#refuse(stream, H3.messageError)
      return
    }
    const isSession = fields.get(':method') === 'CONNECT' && fields.get(':protocol') === 'webtransport' && fields.get(':scheme') === 'https' && fields.get(':authority') !== undefined
    if (!isSession || this.#request !== null) {
      this.#refuse(stream, isSession ? H3.rejected : H3.messageError)
    } else if (fields.get(':path') !== PATH) {
      this.#respond(stream, STATUS.notFound, true)
      this.#link.forget(stream, H3.noError)
    } else {
      this.#open(stream, rest)
    }
  }

  #open (stream: number, rest: Uint8Array): void {
    this.#request = stream
    this.#respond(stream, STATUS.ok, false)
    const reader = this.#capsules()
    this.#link.read(stream, reader)
    if (rest.length > 0) reader.take(rest)
  }

  #respond (stream: number, status: number, isLast: boolean): void {
    const fields = encodeStatus(status)
    this.#link.write(stream, Buffer.concat([varint(HEADERS), varint(fields.length), fields]), H3.excessiveLoad, isLast)
  }

  /** What follows the request: capsules in frames, of which only the end of the session means anything. */
  #capsules (): StreamReader {
    const frames = new Frames()
    const capsules = new Frames()
    const close = (): void => { this.#link.close(H3.noError) }
    return {
      isReady: true,
      take: bytes => {
        if (this.#isTooMuch(bytes)) return
        for (const { type, content } of frames.feed(bytes)) {
          if (type === DATA && capsules.feed(content).some(capsule => capsule.type === CLOSE_SESSION)) close()
        }
      },
      end: close,
      reset: close
    }
  }

  #routeOneWay (stream: number, head: Uint8Array): boolean {
    const type = readVarint(head, 0)
    if (type === null) return false
    const isKnown = type.value === CONTROL ? !this.#hasControl : type.value === ENCODER || type.value === DECODER
    if (type.value === CONTROL && this.#hasControl) {
      this.#link.close(H3.streamCreation)
    } else if (isKnown) {
      const reader = type.value === CONTROL ? this.#control() : this.#ignored()
      this.#link.read(stream, reader)
      if (head.length > type.end) reader.take(head.subarray(type.end))
    } else {
      this.#link.forget(stream, H3.streamCreation)
    }
    return true
  }

  /** The peer's settings come first; what else it says there changes nothing here. */
  #control (): StreamReader {
    this.#hasControl = true
    const frames = new Frames()
    let isFirst = true
    return {
      isReady: true,
      take: bytes => {
        if (this.#isTooMuch(bytes)) return
        for (const { type } of frames.feed(bytes)) {
          if (isFirst && type !== SETTINGS) this.#link.close(H3.missingSettings)
          isFirst = false
        }
      },
      end: () => { this.#link.close(H3.closedCritical) },
      reset: () => { this.#link.close(H3.closedCritical) }
    }
  }

  /** Of a table that this side does not keep. */
  #ignored (): StreamReader {
    return { isReady: true, take: bytes => { this.#isTooMuch(bytes) }, end: () => { this.#link.close(H3.closedCritical) }, reset: () => { this.#link.close(H3.closedCritical) } }
  }

  /** All that is said beside the streams of a session has one limit. */
  #isTooMuch (bytes: Uint8Array): boolean {
    this.#bytes += bytes.length
    if (this.#bytes > controlBytesMax) this.#link.close(H3.excessiveLoad)
    return this.#link.isClosed
  }

  #refuse (stream: number, code: number): void {
    this.#link.reset(stream, code)
    this.#link.forget(stream, code)
  }
}
