/**
 * The door of a private mesh: before a peer has shown a certificate, no stream of it or to it gets
 * past the network, whatever its protocol or transport; only the exchange of certificates does.
 * What papers say is judged in `membership.ts`; here is who waits, how long, and who is cut.
 *
 * Whoever dials begins the exchange, and a newcomer where the issuer has dialled it. When charter or revocations change, members tell each other in
 * a new exchange, and cut those who are members no more.
 */
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Membership } from './membership.ts'
import type { Timers, Wire } from './network.ts'
import { type Rules, Talk } from './papers.ts'
import { unlessAborted } from './talk.ts'

/** What the admission asks of the network it guards. */
export interface Door {
  /** Open a stream of `MEMBER_PROTOCOL` over the connection that is there. */
  open (peer: string, signal: AbortSignal): Promise<Wire>
  /** Close every connection to a peer. */
  cut (peer: string, reason: InosError): void
  addresses (): readonly string[]
  /** A peer has shown its certificate, and: an admitted one is connected no more. */
  entered (peer: string): void
  left (peer: string): void
}

/** A connected peer. */
interface Visitor {
  admitted: boolean
  /** The network it came from; null: this node has dialled it. */
  readonly origin: string | null
  /** Settles when it is admitted, or is not going to be. */
  readonly verdict: PromiseWithResolvers<void>
  /** Streams that wait for the verdict. */
  streams: number
  /** Exchanges it has begun since `minute`. */
  exchanges: number
  minute: number
  /** The exchange this node has begun. */
  exchange: Promise<void> | null
  cancel (): void
}

export type MeshLimits = { readonly [K in keyof typeof LIMITS.mesh]: (typeof LIMITS.mesh)[K] extends bigint ? bigint : number }

const MINUTE_MS = 60_000
/** What a peer says that ends every talk with it. */
const FINAL = ['ERR_NOT_MEMBER', 'ERR_INVITE', 'ERR_WRONG_MESH', 'ERR_RECORD_INVALID', 'ERR_BAD_PACKET']

export class Admission {
  readonly membership: Membership
  readonly #timers: Timers
  readonly #limits: MeshLimits
  readonly #visitors = new Map<string, Visitor>()
  #door: Door | null = null

  constructor (membership: Membership, timers: Timers, limits: MeshLimits = LIMITS.mesh) {
    this.membership = membership
    this.#timers = timers
    this.#limits = limits
    membership.on({ rules: from => { this.#spread(from) } })
  }

  attach (door: Door): void { this.#door = door }

  /** Admitted peers that are connected. */
  isInside (peer: string): boolean { return this.#visitors.get(peer)?.admitted === true }

  /** Whether nothing of this node dials it: who was revoked would be shown a certificate, and let this node in until it is cut. */
  isShunned (peer: string): boolean { return this.membership.isRevoked(peer) }

  /** A connection has opened: from a peer in the network `origin` (see `originOf`), or, null, by a dial of this node. */
  opened (peer: string, origin: string | null): void {
    const visitor = this.#visitors.get(peer) ?? this.#admit(peer, origin)
    if (visitor === null) return
    // A newcomer has something to show to the issuer alone, whoever of the two has dialled; others it has dialled lead there.
    const { isPending, issuer } = this.membership
    if (isPending ? peer === issuer : origin === null) this.#greet(peer, visitor).catch(() => {})
  }

  /** Its last connection has closed. */
  closed (peer: string): void {
    const visitor = this.#visitors.get(peer)
    if (visitor === undefined) return
    this.#visitors.delete(peer)
    visitor.cancel()
    visitor.verdict.reject(new InosError('ERR_PEER_LOST', `The connection to ${peer} was closed.`))
    if (visitor.admitted) this.#door?.left(peer)
  }

  /**
   * Wait until a stream of a peer, or to it, may go on.
   * @throws {InosError} ERR_NOT_MEMBER, ERR_PEER_LOST
   */
  async pass (peer: string): Promise<void> {
    const visitor = this.#visitors.get(peer)
    if (visitor === undefined) throw new InosError('ERR_PEER_LOST', `There is no connection to ${peer}.`)
    if (visitor.admitted) {
      if (this.membership.isMember(peer)) return
      throw this.#expel(peer, 'is not a member of this mesh any more')
    }
    if (visitor.streams >= this.#limits.strangerStreamsMax) throw notMember(peer, 'has shown no certificate and opens many streams')
    visitor.streams++
    try {
      await visitor.verdict.promise
    } finally {
      visitor.streams--
    }
  }

  /**
   * Wait for the outcome of the exchange that a dial has begun.
   * @throws {InosError} what the peer or this node refused with; ERR_PEER_LOST, ERR_CANCELLED
   */
  async settled (peer: string, signal: AbortSignal): Promise<void> {
    const visitor = this.#visitors.get(peer)
    if (visitor === undefined) throw new InosError('ERR_PEER_LOST', `The connection to ${peer} was closed.`)
    if (!visitor.admitted || visitor.exchange !== null) await unlessAborted(visitor.exchange ?? visitor.verdict.promise, signal)
  }

  /** An incoming stream of `MEMBER_PROTOCOL`. */
  take (wire: Wire): void {
    const visitor = this.#visitors.get(wire.peer)
    if (visitor === undefined || !this.#mayExchange(visitor)) {
      wire.abort(new InosError('ERR_BUSY', 'Too many exchanges of certificates.'))
      return
    }
    this.#answer(wire, visitor).catch(() => {})
  }

  stop (): void {
    for (const visitor of this.#visitors.values()) visitor.cancel()
  }

  /** A peer is at the door. @returns null when there are too many */
  #admit (peer: string, origin: string | null): Visitor | null {
    const strangers = [...this.#visitors].filter(([, { admitted }]) => !admitted)
    if (strangers.length >= this.#limits.strangersMax) {
      const yielding = whoYields(strangers.map(([id, visitor]) => [id, visitor.origin]), origin) ?? peer
      this.#door?.cut(yielding, notMember(yielding, 'has shown no certificate, and many others neither'))
      if (yielding === peer) return null
      this.closed(yielding)
    }
    const visitor: Visitor = { admitted: false, origin, verdict: Promise.withResolvers(), streams: 0, exchanges: 0, minute: this.#timers.now(), exchange: null, cancel: () => {} }
    // Nobody may be waiting for it.
    visitor.verdict.promise.catch(() => {})
    visitor.cancel = this.#timers.after(this.#limits.exchangeMsMax, () => { this.#expel(peer, 'has shown no certificate in time') })
    this.#visitors.set(peer, visitor)
    return visitor
  }

  #enter (peer: string): void {
    const visitor = this.#visitors.get(peer)
    if (visitor === undefined || visitor.admitted) return
    visitor.cancel()
    visitor.admitted = true
    this.#door?.entered(peer)
    visitor.verdict.resolve()
  }

  #expel (peer: string, why: string, reason: InosError = notMember(peer, why)): InosError {
    const visitor = this.#visitors.get(peer)
    visitor?.verdict.reject(reason)
    this.#door?.cut(peer, reason)
    return reason
  }

  #mayExchange (visitor: Visitor): boolean {
    const now = this.#timers.now()
    if (now - visitor.minute >= MINUTE_MS) Object.assign(visitor, { minute: now, exchanges: 0 })
    return ++visitor.exchanges <= this.#limits.exchangesPerMinuteMax
  }

  /** Those who know the old rules learn the new ones; those who may not stay are cut. */
  #spread (from: string | null): void {
    for (const [peer, visitor] of this.#visitors) {
      if (!visitor.admitted) continue
      if (!this.membership.isMember(peer)) this.#expel(peer, 'was revoked from this mesh')
      else if (peer !== from) this.#greet(peer, visitor).catch(() => {})
    }
  }

  /** Begin an exchange; one that is under way is followed by another, because it may have told the old rules. */
  #greet (peer: string, visitor: Visitor): Promise<void> {
    const exchange = (visitor.exchange ?? Promise.resolve()).then(() => this.#introduce(peer)).catch((error: unknown) => {
      const reason = toInosError(error)
      if (!visitor.admitted || FINAL.includes(reason.code)) this.#expel(peer, '', reason)
      throw reason
    }).finally(() => { if (visitor.exchange === exchange) visitor.exchange = null })
    visitor.exchange = exchange
    return exchange
  }

  /** A newcomer is a member now, and shows its certificate to those it has dialled on its way. */
  #greetRest (issuer: string): void {
    for (const [peer, visitor] of this.#visitors) {
      if (peer !== issuer && !visitor.admitted && visitor.origin === null) this.#greet(peer, visitor).catch(() => {})
    }
  }

  async #introduce (peer: string): Promise<void> {
    const { membership } = this
    await this.#inTime(async (signal, watch) => {
      const talk = new Talk(watch(await this.#door!.open(peer, signal)))
      talk.introduce({ certificate: membership.certificate?.bytes ?? null, redeem: peer === membership.issuer ? membership.invite?.bytes ?? null : null })
      const { certificate, granted, rules } = await talk.readWelcome()
      await membership.meet(peer, certificate)
      if (granted !== null && membership.invite !== null && peer === membership.issuer) {
        await membership.accept(granted)
        this.#greetRest(peer)
      }
      await this.#learn(peer, rules)
      talk.rules(this.#rules())
      await talk.wire.end()
      if (!membership.isMember(membership.id)) throw notMember(membership.id, 'is not a member of this mesh')
      this.#enter(peer)
    })
  }

  async #answer (wire: Wire, visitor: Visitor): Promise<void> {
    const { membership } = this
    await this.#inTime(async (_signal, watch) => {
      const talk = new Talk(watch(wire))
      let granted: Uint8Array | null = null
      try {
        // The issuer has dialled a newcomer, which is redeeming its invite over the same connection.
        if (membership.isPending && wire.peer === membership.issuer) await visitor.exchange
        if (!membership.isMember(membership.id)) throw notMember(membership.id, 'is not a member itself')
        const { certificate, redeem } = await talk.readIntroduction()
        if (certificate === null && redeem !== null) granted = (await membership.redeem(wire.peer, redeem)).bytes
        else await membership.meet(wire.peer, certificate)
      } catch (error) {
        await this.#refuse(talk, visitor, error)
        return
      }
      talk.welcome({ certificate: membership.certificate?.bytes ?? null, granted, rules: this.#rules() })
      this.#enter(wire.peer)
      await this.#learn(wire.peer, await talk.readRules())
      await wire.end()
    })
  }

  /** Say why, and leave the peer a moment to read it. */
  async #refuse (talk: Talk, visitor: Visitor, error: unknown): Promise<void> {
    const { peer } = talk.wire
    const reason = toInosError(error)
    visitor.verdict.reject(reason)
    visitor.cancel()
    if (visitor.admitted) this.#door?.left(peer)
    visitor.admitted = false
    visitor.cancel = this.#timers.after(this.#limits.farewellMs, () => { this.#expel(peer, '', reason) })
    // What went wrong inside this node is nothing for strangers.
    talk.refuse(reason.code === 'ERR_INTERNAL' || reason.code === 'ERR_STORE' ? new InosError('ERR_BUSY', 'The certificate could not be looked at; try again later.') : reason)
    await talk.wire.end()
  }

  async #learn (peer: string, { charter, revoked, routes }: Rules): Promise<void> {
    await this.membership.learn(peer, charter, revoked)
    await this.membership.addRoutes(routes)
  }

  #rules (): Rules {
    const { charter, revocations, routes } = this.membership
    const all = [...this.#door?.addresses() ?? [], ...routes.toReversed()].filter(route => route.length <= this.#limits.routeCharsMax)
    return { charter: charter.bytes, revoked: revocations?.bytes ?? null, routes: all.slice(0, this.#limits.routesMax) }
  }

  /** Every exchange has an end: its stream is reset when it takes too long. */
  async #inTime (work: (signal: AbortSignal, watch: (wire: Wire) => Wire) => Promise<void>): Promise<void> {
    const late = new AbortController()
    const wires: Wire[] = []
    const end = (reason: InosError): void => { for (const wire of wires) wire.abort(reason) }
    const cancel = this.#timers.after(this.#limits.exchangeMsMax, () => {
      late.abort()
      end(new InosError('ERR_PEER_LOST', 'The exchange of certificates took too long.'))
    })
    try {
      await work(late.signal, wire => { wires.push(wire); return wire })
    } catch (error) {
      end(toInosError(error))
      throw error
    } finally {
      cancel()
    }
  }
}

function notMember (peer: string, why: string): InosError {
  return new InosError('ERR_NOT_MEMBER', `${peer} ${why}.`, { hint: 'A private mesh serves its members only; ask its issuer for an invite.' })
}

/**
 * Who gives way to a newcomer when all places are taken: whoever has waited longest of the network that holds
 * the most of them, so that no one network keeps the others out.
 * @param strangers PeerId and origin, oldest first @returns null when the newcomer's own network holds as many
 */
function whoYields (strangers: readonly (readonly [string, string | null])[], origin: string | null): string | null {
  const counts = new Map<string, number>()
  for (const [, from] of strangers) if (from !== null) counts.set(from, (counts.get(from) ?? 0) + 1)
  const most = Math.max(0, ...counts.values())
  // Its coming must leave that network no worse off than its own.
  if (origin !== null && (counts.get(origin) ?? 0) + 1 >= most) return null
  return strangers.find(([, from]) => from !== null && counts.get(from) === most)?.[0] ?? null
}
