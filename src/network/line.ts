/**
 * The line to one peer: at most one session, whoever opens it and however often.
 *
 * When both sides open at once, the stream of the smaller PeerId (compared as text) stays. The
 * smaller side parks the other's stream meanwhile: its opener drops it as soon as it sees the
 * winner. A parked stream that is not dropped belongs to a peer that has lost the session this
 * side still believes in, and takes its place.
 *
 * A session that goes through a relay moves to a direct connection when there is one: the smaller side opens
 * another, what is asked from then on goes there, and the old one stays for what it has begun.
 */
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import type { Frames } from './frames.ts'
import type { WireLimits } from './framing.ts'
import type { Greeting, Hello } from './hello.ts'
import type { Timers } from './network.ts'
import { Session } from './session.ts'
import { converse, unlessAborted, type Talk } from './talk.ts'

export interface LineOptions {
  /** PeerIds of this node and of the other end. */
  self: string
  peer: string
  timers: Timers
  limits: WireLimits
  open (signal: AbortSignal): Promise<Frames>
  greeting (): Greeting
  serve (packet: Packet, signal: AbortSignal): Promise<Partial<Packet>>
  onOpen (hello: Hello): void
  onClose (): void
  onOffer (offer: Uint8Array): void
  /** A try to open has failed. */
  onIdle (): void
}

interface End { readonly session: Session, readonly frames: Frames }
interface Live extends End { readonly hello: Hello, readonly at: number }
interface Parked extends End { readonly cancel: () => void }
interface Opening extends PromiseWithResolvers<Session> { end: End | null }

export class Line {
  readonly #options: LineOptions
  #live: Live | null = null
  #parked: Parked | null = null
  #opening: Opening | null = null
  /** Sessions that have moved, each until it has been idle for a while. */
  readonly #retired = new Set<End>()
  /** Whether the last try to open found a peer that does not greet: it speaks four fields. */
  fourFields = false

  constructor (options: LineOptions) { this.#options = options }

  get live (): Live | null { return this.#live }
  get idle (): boolean { return this.#live === null && this.#parked === null && this.#opening === null && this.#retired.size === 0 }

  /** The session, opened where needed. @throws {InosError} ERR_NOT_REACHABLE, ERR_PEER_LOST, ERR_CANCELLED */
  async reach (signal?: AbortSignal): Promise<Session> {
    if (this.#live !== null) return this.#live.session
    this.#opening ??= this.#open()
    return unlessAborted(this.#opening.promise, signal)
  }

  /** There is a direct connection to the peer. */
  move (): void {
    const { self, peer } = this.#options
    if (this.#live?.frames.relayed === true && this.#opening === null && self < peer) this.#opening = this.#open()
  }

  /** Take a stream of the peer that began with a hello. @throws {InosError} ERR_BAD_PACKET */
  accept (frames: Frames, hello: Packet, bytes: number): Talk {
    const end = this.#end(frames, 'in')
    end.session.take(hello, bytes)
    const { self, peer } = this.#options
    const rival = this.#opening !== null || this.#live?.session.direction === 'out'
    if (rival && self < peer) this.#park(end)
    else this.#greet(end)
    return this.#talk(end)
  }

  /** Close whatever there is, writes within their bound. */
  async close (): Promise<void> {
    const ends = [this.#opening?.end, this.#parked, this.#live, ...this.#retired].filter(end => end !== null && end !== undefined)
    this.#parked?.cancel()
    this.#parked = null
    this.#opening?.reject(new InosError('ERR_PEER_LOST', 'This node is leaving.'))
    this.#opening = null
    this.#drop()
    await Promise.all(ends.map(async ({ session, frames }) => {
      await session.close()
      await frames.closed
    }))
  }

  #open (): Opening {
    const opening: Opening = { ...Promise.withResolvers<Session>(), end: null }
    // Whoever waited may have gone by the time it fails.
    opening.promise.catch(() => {})
    void this.#dial(opening)
    return opening
  }

  async #dial (opening: Opening): Promise<void> {
    const { timers, limits } = this.#options
    const late = new AbortController()
    const cancel = timers.after(limits.dialMsMax, () => { late.abort() })
    try {
      const frames = await this.#options.open(late.signal)
      if (this.#live !== null && frames.relayed) throw this.#dropped(frames, 'The direct connection is gone again.')
      if (this.#opening !== opening) {
        frames.abort(new InosError('ERR_PEER_LOST', 'Another session to this peer has opened.'))
        return
      }
      opening.end = this.#end(frames, 'out')
      converse(frames, this.#talk(opening.end))
      opening.end.session.greet()
    } catch (error) {
      this.#failed(opening, this.#reason(error, late.signal))
    } finally {
      cancel()
    }
  }

  #reason (error: unknown, late: AbortSignal): InosError {
    if (!late.aborted) return toInosError(error)
    return new InosError('ERR_NOT_REACHABLE', `${this.#options.peer} did not answer within ${this.#options.limits.dialMsMax} ms.`, { cause: error })
  }

  #end (frames: Frames, direction: 'in' | 'out'): End {
    const { serve, onOffer, greeting } = this.#options
    const session: Session = new Session({
      frames, direction, serve, onOffer, greeting: greeting(), onOpen: hello => { this.#opened({ session, frames }, hello) }
    })
    return { session, frames }
  }

  #talk (end: End): Talk {
    return {
      take: (packet, bytes) => {
        if (packet.kind === '' && end.session.hello === null) this.#ended(end)
        else end.session.take(packet, bytes)
      },
      end: cause => { this.#ended(end, cause) }
    }
  }

  #greet (end: End): void {
    try {
      end.session.greet()
    } catch (error) {
      this.#ended(end, toInosError(error))
    }
  }

  #park (end: End): void {
    this.#unpark()
    const cancel = this.#options.timers.after(this.#options.limits.parkMsMax, () => { this.#promote() })
    this.#parked = { ...end, cancel }
  }

  #unpark (): void {
    this.#parked?.cancel()
    this.#parked?.frames.abort(new InosError('ERR_PEER_LOST', 'A newer stream to this peer has come.'))
    this.#parked = null
  }

  /** The parked stream becomes the session. */
  #promote (): void {
    const parked = this.#parked
    if (parked === null) return
    parked.cancel()
    this.#parked = null
    this.#greet(parked)
  }

  #opened (end: End, hello: Hello): void {
    const moved = this.#live?.frames.relayed === true && !end.frames.relayed
    if (moved) this.#retire(this.#live!)
    else this.#drop(new InosError('ERR_PEER_LOST', 'The peer has opened a new session.'))
    this.#live = { ...end, hello, at: this.#options.timers.now() }
    this.fourFields = false
    const opening = this.#opening
    this.#opening = null
    if (opening !== null && opening.end?.session !== end.session) {
      opening.end?.frames.abort(new InosError('ERR_PEER_LOST', 'The peer’s own session stays.'))
    }
    opening?.resolve(end.session)
    if (!moved) this.#options.onOpen(hello)
  }

  /** The other side may not have seen the move yet, so only a session that stays idle is over. */
  #retire ({ session, frames }: End): void {
    const { timers, limits } = this.#options
    const end = { session, frames }
    this.#retired.add(end)
    let idleAt = timers.now()
    const look = (): void => {
      if (!this.#retired.has(end)) return
      if (!session.idle) idleAt = timers.now()
      if (timers.now() - idleAt >= limits.closeMsMax) void session.close()
      else timers.after(LIMITS.relay.drainMs, look)
    }
    look()
  }

  /** Forget the live session; with a reason, reset its stream. */
  #drop (reason?: InosError): void {
    const live = this.#live
    if (live === null) return
    this.#live = null
    live.session.end(reason)
    if (reason !== undefined) live.frames.abort(reason)
    this.#options.onClose()
  }

  #ended (end: End, cause?: InosError): void {
    end.session.end(cause)
    void end.frames.close()
    for (const retired of this.#retired) if (retired.session === end.session) this.#retired.delete(retired)
    if (this.#parked?.session === end.session) {
      this.#parked.cancel()
      this.#parked = null
    } else if (this.#opening?.end?.session === end.session) {
      this.#failed(this.#opening, this.#noSession(end, cause))
    } else if (this.#live?.session === end.session) {
      this.#drop()
      this.#promote()
    }
  }

  #failed (opening: Opening, error: InosError): void {
    if (this.#opening !== opening) return
    if (this.#parked === null) {
      this.#opening = null
      opening.reject(error)
      this.#options.onIdle()
    } else {
      // Opening it settles whoever waits; should it fail as well, they learn that.
      opening.end = this.#parked
      this.#promote()
    }
  }

  #dropped (frames: Frames, why: string): InosError {
    const error = new InosError('ERR_PEER_LOST', why)
    frames.abort(error)
    return error
  }

  #noSession ({ session, frames }: End, cause?: InosError): InosError {
    if (session.farewell !== '') return new InosError('ERR_NOT_REACHABLE', `${this.#options.peer} refused a session: ${session.farewell}`)
    this.fourFields = cause === undefined || frames.late
    if (!this.fourFields) return cause!
    return new InosError('ERR_NOT_REACHABLE', `${this.#options.peer} opens no session; it seems to speak four fields only.`)
  }
}
