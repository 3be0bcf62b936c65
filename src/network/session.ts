/**
 * A session: one lasting stream between two peers. Both greet with a hello, then requests and
 * answers cross it in any order, matched by id, within the window that each side granted.
 *
 * A session neither opens streams nor knows of others to the same peer (`sessions.ts` does), and
 * it does not look inside a request (`serve` does).
 */
import { InosError } from '../packet/errors.ts'
import type { Packet } from '../packet/packet.pb.js'
import type { Frames } from './frames.ts'
import { badPacket, encodePacket, refusalOf } from './framing.ts'
import { decodeHello, encodeHello, type Greeting, type Hello } from './hello.ts'

/** Kinds that are answered, kinds that answer, and kinds that do neither. */
const REQUESTS: readonly string[] = ['job', 'cheque', 'sync', 'due', 'cancelled', 'clear', 'clearing', 'peers', 'toll', 'relay']
const ANSWERS: readonly string[] = ['answer', 'refusal', 'ack']

/** What waits for an answer of the peer. */
interface Pending {
  readonly bytes: number
  resolve: (answer: Packet) => void
  reject: (error: InosError) => void
}

/** What waits for room in the peer's window. */
interface Queued extends Pending {
  readonly key: string
  readonly frame: Uint8Array
  sent: boolean
}

export interface SessionOptions {
  frames: Frames
  /** Who opened the stream. */
  direction: 'in' | 'out'
  greeting: Greeting
  /** @param signal aborts when the peer cancels or is lost */
  serve (packet: Packet, signal: AbortSignal): Promise<Partial<Packet>>
  /** Both hellos have crossed. */
  onOpen (hello: Hello): void
  /** A new offer of the peer. */
  onOffer (offer: Uint8Array): void
}

export class Session {
  readonly direction: 'in' | 'out'
  readonly #frames: Frames
  readonly #options: SessionOptions
  readonly #pending = new Map<string, Pending[]>()
  readonly #queue = new Set<Queued>()
  readonly #serving = new Map<string, AbortController[]>()
  #greeted = false
  #hello: Hello | null = null
  #offer: Uint8Array | null = null
  #over: InosError | null = null
  #counter = 0
  #inFlight = 0
  #inFlightBytes = 0
  #servingCount = 0
  #servingBytes = 0
  /** What the peer said when it closed. */
  farewell = ''

  constructor (options: SessionOptions) {
    this.#options = options
    this.#frames = options.frames
    this.direction = options.direction
  }

  get peer (): string { return this.#frames.peer }
  /** Null until the peer has greeted. */
  get hello (): Hello | null { return this.#hello }
  /** The peer's latest offer, a signed envelope nobody has checked. */
  get offer (): Uint8Array | null { return this.#offer }
  /** Requests of this side that the peer has not answered. */
  get inFlight (): number { return this.#inFlight }
  /** Whether it goes through a third node. */
  get relayed (): boolean { return this.#frames.relayed }
  /** Whether nothing is asked or answered on it. */
  get idle (): boolean { return this.#inFlight === 0 && this.#queue.size === 0 && this.#servingCount === 0 }
  /** Whether it can no longer be used. */
  get over (): boolean { return this.#over !== null }

  /** Send our hello. Whoever opens greets at once; whoever accepts, once it has chosen this stream. */
  greet (): void {
    this.#greeted = true
    this.#frames.send(encodePacket(encodeHello(this.#options.greeting, this.#frames.limits), this.#frames.limits))
    this.#openIfGreeted()
  }

  /**
   * Ask and wait; there is no deadline but `signal`. Fields of the answer are views of what
   * arrived: copy what is kept.
   * @param packet `kind` is one that is answered; `id` is the sender's own (a job: CID of its order), or left out
   * @returns the answer or the refusal
   * @throws {InosError} ERR_PEER_LOST, ERR_CANCELLED, ERR_INPUT_TOO_LARGE, ERR_BUSY when too many requests wait already
   */
  request (packet: Partial<Packet>, signal?: AbortSignal): Promise<Packet> {
    const id = packet.id !== undefined && packet.id.length > 0 ? packet.id : this.#nextId()
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw cancelled(signal)
      const frame = encodePacket({ ...packet, id }, this.#frames.limits)
      this.#checkRoom(frame.length)
      const queued: Queued = { key: keyOf(id), frame, bytes: frame.length, sent: false, resolve, reject }
      if (signal !== undefined) this.#heed(signal, queued, id)
      this.#queue.add(queued)
      this.#pump()
    })
  }

  /** Let `signal` end a request: what has left keeps its place in the window until the peer answers. */
  #heed (signal: AbortSignal, queued: Queued, id: Uint8Array<ArrayBuffer>): void {
    const { resolve, reject } = queued
    const onAbort = (): void => {
      if (queued.sent) this.notify({ kind: 'cancel', id })
      else this.#queue.delete(queued)
      reject(cancelled(signal))
    }
    const settled = (): void => { signal.removeEventListener('abort', onAbort) }
    signal.addEventListener('abort', onAbort, { once: true })
    queued.resolve = answer => { settled(); resolve(answer) }
    queued.reject = error => { settled(); reject(error) }
  }

  /** Send what is not answered; dropped when the session is over or has no room. @returns whether it was sent */
  notify (packet: Partial<Packet>): boolean {
    if (this.#over !== null || this.#hello === null) return false
    const frame = encodePacket(packet, this.#frames.limits)
    if (!this.#hasRoom(frame.length)) return false
    this.#frames.send(frame)
    return true
  }

  /** Take a packet of the peer. @throws {InosError} ERR_BAD_PACKET, after which the stream is closed */
  take (packet: Packet, bytes: number): void {
    if (this.#over !== null) return
    if (this.#hello === null) this.#takeHello(packet)
    else if (REQUESTS.includes(packet.kind)) this.#takeRequest(packet, bytes)
    else if (ANSWERS.includes(packet.kind)) this.#takeAnswer(packet)
    else if (packet.kind === 'offer') this.#takeOffer(packet)
    else if (packet.kind === 'cancel') this.#serving.get(keyOf(packet.id))?.forEach(work => { work.abort() })
    else if (packet.kind === 'hello') throw badPacket('A session has one hello from each side; this is a second.')
    else this.#refuse(packet, new InosError('ERR_UNKNOWN_KIND', `This node knows no packets of kind "${packet.kind}".`))
  }

  /** Nothing more comes: whatever waits fails, whatever works is told to stop. Idempotent. */
  end (cause?: InosError): void {
    if (this.#over !== null) return
    const said = this.farewell === '' ? '' : ` It said: ${this.farewell}`
    const lost = new InosError('ERR_PEER_LOST', `The session with ${this.peer} ended.${said}`, cause === undefined ? {} : { cause })
    this.#over = lost
    for (const waiting of [...this.#pending.values()].flat()) waiting.reject(lost)
    for (const waiting of this.#queue) waiting.reject(lost)
    for (const work of [...this.#serving.values()].flat()) work.abort(lost)
    this.#pending.clear()
    this.#queue.clear()
    this.#serving.clear()
  }

  /** End here and leave the stream, its last writes within `closeMsMax`. */
  close (): Promise<void> {
    this.end()
    return this.#frames.close()
  }

  #takeHello (packet: Packet): void {
    if (packet.kind === 'refusal') {
      this.farewell = packet.text
      return
    }
    if (packet.kind !== 'hello') throw badPacket('A session begins with a hello.')
    this.#hello = decodeHello(packet, this.#frames.limits)
    this.#offer = this.#hello.records[0] ?? null
    this.#frames.expect(null)
    this.#openIfGreeted()
  }

  #openIfGreeted (): void {
    if (!this.#greeted || this.#hello === null) return
    this.#options.onOpen(this.#hello)
    this.#pump()
  }

  #takeOffer (packet: Packet): void {
    const offer = packet.records[0]
    if (offer === undefined) throw badPacket('An offer has no record.')
    this.#offer = offer.slice()
    this.#options.onOffer(this.#offer)
  }

  #takeAnswer (packet: Packet): void {
    const key = keyOf(packet.id)
    const waiting = this.#pending.get(key)
    if (waiting === undefined) {
      if (packet.kind === 'refusal' && packet.id.length === 0) this.farewell = packet.text
      else throw badPacket(`An ${packet.kind} answers no request.`)
      return
    }
    const first = waiting.shift()!
    if (waiting.length === 0) this.#pending.delete(key)
    this.#inFlight--
    this.#inFlightBytes -= first.bytes
    first.resolve(packet)
    this.#pump()
  }

  #takeRequest (packet: Packet, bytes: number): void {
    const { windowPacketsMax, windowBytesMax } = this.#frames.limits
    if (!this.#greeted) throw badPacket('A request came before the hellos had crossed.')
    if (this.#servingCount >= windowPacketsMax || this.#servingBytes + bytes > windowBytesMax) {
      throw badPacket(`More is in flight than this node granted: ${windowPacketsMax} requests, ${windowBytesMax} bytes.`)
    }
    this.#servingCount++
    this.#servingBytes += bytes
    void this.#answer(packet, bytes)
  }

  async #answer (packet: Packet, bytes: number): Promise<void> {
    const key = keyOf(packet.id)
    const work = new AbortController()
    addTo(this.#serving, key, work)
    const frame = await this.#work(packet, work.signal)
    removeFrom(this.#serving, key, work)
    try {
      // A peer that reads slowly holds its own answers back, here, where its window bounds them.
      while (this.#frames.queuedBytes > 0 && !this.#hasRoom(frame.length)) await this.#frames.flushed()
      this.#servingCount--
      this.#servingBytes -= bytes
      this.#frames.send(frame)
    } catch {
      // The stream is lost or closing; `end` tells whom it concerns.
    }
  }

  /** Serve one request; whatever goes wrong becomes a refusal. */
  async #work (packet: Packet, signal: AbortSignal): Promise<Uint8Array> {
    const { limits } = this.#frames
    const { id } = packet
    try {
      const answer = await this.#options.serve(packet, signal)
      const kind = answer.kind !== undefined && ANSWERS.includes(answer.kind) ? answer.kind : 'answer'
      return encodePacket({ ...answer, kind, id }, limits)
    } catch (error) {
      return encodePacket({ kind: 'refusal', ...refusalOf(error, limits), id }, limits)
    }
  }

  #refuse (packet: Packet, error: InosError): void {
    const { limits } = this.#frames
    const frame = encodePacket({ kind: 'refusal', ...refusalOf(error, limits), id: packet.id }, limits)
    if (!this.#hasRoom(frame.length)) throw badPacket('Too many packets of unknown kinds.')
    this.#frames.send(frame)
  }

  /** Send what waits, as far as the peer's window goes. */
  #pump (): void {
    if (this.#hello === null || !this.#greeted) return
    const { windowPackets, windowBytes } = this.#hello
    for (const next of this.#queue) {
      if (this.#inFlight >= windowPackets || this.#inFlightBytes + next.bytes > this.#bytesGranted(windowBytes)) return
      this.#queue.delete(next)
      this.#inFlight++
      this.#inFlightBytes += next.bytes
      addTo<Pending>(this.#pending, next.key, next)
      next.sent = true
      this.#frames.send(next.frame)
    }
  }

  #checkRoom (bytes: number): void {
    const { limits } = this.#frames
    if (this.#over !== null || this.#hello === null) throw this.#over ?? new InosError('ERR_PEER_LOST', `The session with ${this.peer} is not open.`)
    if (this.#queue.size >= limits.requestsQueuedMax) {
      throw new InosError('ERR_BUSY', `${this.#queue.size} requests to ${this.peer} wait already.`)
    }
    const granted = this.#bytesGranted(this.#hello.windowBytes)
    if (bytes > granted) {
      throw new InosError('ERR_INPUT_TOO_LARGE', `${this.peer} takes ${granted} bytes at once; this request has ${bytes}.`)
    }
  }

  /** Whatever a peer grants, requests leave room in the outbox for answers. */
  #bytesGranted (windowBytes: number): number {
    return Math.min(windowBytes, this.#frames.limits.windowBytesMax)
  }

  #hasRoom (bytes: number): boolean {
    const { outboxBytesMax, windowBytesMax } = this.#frames.limits
    return this.#frames.queuedBytes + bytes <= outboxBytesMax - windowBytesMax
  }

  #nextId (): Uint8Array<ArrayBuffer> {
    const id = new Uint8Array(8)
    for (let i = 7, rest = this.#counter++; rest > 0; rest = Math.floor(rest / 256)) id[i--] = rest
    return id
  }
}

/** An id as a key of a map: one character for each byte. */
function keyOf (id: Uint8Array): string {
  return Reflect.apply(String.fromCharCode, null, id) as string
}

function cancelled (signal: AbortSignal): InosError {
  return new InosError('ERR_CANCELLED', 'The request was cancelled.', { cause: signal.reason })
}

function addTo<T> (map: Map<string, T[]>, key: string, item: T): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [item])
  else list.push(item)
}

function removeFrom<T> (map: Map<string, T[]>, key: string, item: T): void {
  const list = map.get(key)?.filter(other => other !== item)
  if (list === undefined) return
  if (list.length === 0) map.delete(key)
  else map.set(key, list)
}
