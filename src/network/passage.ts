/**
 * The way of a newcomer to the issuer of a private mesh where only a relay leads to it. A relay serves members,
 * and an invite is shown to nobody but the issuer, who alone can turn it into a certificate and whom it would
 * otherwise be stolen from. So the relay lets whoever has shown nothing yet through to the issuer, and nowhere else: no more bytes
 * than an exchange of certificates takes, as long as strangers may stay at all (`admission.ts`). The issuer's door does the rest.
 */
import type { Stream, StreamMiddleware } from '@libp2p/interface'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Admission, MeshLimits } from './admission.ts'
import type { Timers } from './network.ts'
import { count } from './relay.ts'

const HOUR_MS = 3_600_000

export class Passage {
  readonly #admission: Admission
  readonly #timers: Timers
  readonly #limits: MeshLimits
  /** Bytes left for all newcomers, and when they were last filled up. */
  #left: number
  #at: number

  constructor (admission: Admission, timers: Timers, limits: MeshLimits = LIMITS.mesh) {
    this.#admission = admission
    this.#timers = timers
    this.#limits = limits
    this.#left = limits.passageBytesPerHour
    this.#at = timers.now()
  }

  /** Whether a relay is to refuse to connect `source` with `destination`. */
  denies (source: string, destination: string): boolean {
    if (this.#admission.isInside(source)) return false
    return destination !== this.#admission.membership.issuer || this.#refill() < this.#limits.passageBytesMax
  }

  /** Of streams by which a relay is asked for something. */
  readonly middleware: StreamMiddleware = async (stream, connection, next) => {
    const peer = connection.remotePeer.toString()
    const isNewcomer = stream.direction === 'outbound' ? this.#admission.membership.isPending : !this.#admission.isInside(peer)
    if (!isNewcomer) await this.#admission.pass(peer)
    else if (stream.direction === 'inbound') this.#watch(peer, stream)
    next(stream, connection)
  }

  /** Until it has shown at this node, too, that it is a member. */
  #watch (peer: string, stream: Stream): void {
    let bytes = 0
    count(stream, more => {
      if (this.#admission.isInside(peer)) return
      bytes += more
      this.#left = Math.max(0, this.#refill() - more)
      if (bytes > this.#limits.passageBytesMax || this.#left === 0) stream.abort(new InosError('ERR_NOT_MEMBER', 'A relay of a private mesh carries no more than an exchange of certificates for others.'))
    })
  }

  #refill (): number {
    const { passageBytesPerHour } = this.#limits
    const now = this.#timers.now()
    this.#left = Math.min(passageBytesPerHour, this.#left + (now - this.#at) * passageBytesPerHour / HOUR_MS)
    this.#at = now
    return this.#left
  }
}
