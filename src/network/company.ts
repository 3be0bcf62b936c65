/**
 * Keeps a node in company: while it has dialled too few connections, it dials the addresses it was
 * given, those of its private mesh, and peers it knows. In the open mesh and in a private one it wants
 * several, so that no single one of them, not even an issuer, is needed by the others.
 *
 * Connections that others opened do not count: whoever opens many could keep a node to itself.
 */
import { LIMITS } from '../packet/limits.ts'
import type { KnownPeers, PeerLimits } from './known-peers.ts'
import type { Membership } from './membership.ts'
import type { Network, Timers } from './network.ts'

export interface CompanyOptions {
  readonly network: Network
  readonly timers: Timers
  /** 0 to 1: spreads the dials of nodes that lost the same peer. */
  random (): number
  readonly known: KnownPeers
  /** Multiaddrs this node was given. */
  readonly given: readonly string[]
  /** Of a private mesh; while it is pending nobody but its issuer can be talked to. */
  readonly membership?: Membership | undefined
  /** How often given addresses are tried. @default LIMITS.wire.bootstrapMs */
  readonly givenMs?: number
  readonly limits?: PeerLimits
}

const MINUTE_MS = 60_000

/** Begin to keep a node in company. @returns what stops it */
export function keepCompany (options: CompanyOptions): () => void {
  const company = new Company(options)
  return () => { company.stop() }
}

class Company {
  readonly #options: CompanyOptions
  readonly #limits: PeerLimits
  readonly #stopped = new AbortController()
  /** PeerIds that are being dialled, and given addresses without one. */
  readonly #dialling = new Set<string>()
  /** When peers that were only heard of were dialled. */
  #heardDials: number[] = []
  #givenAt = -Infinity
  #cancel: () => void = () => {}

  constructor (options: CompanyOptions) {
    this.#options = options
    this.#limits = options.limits ?? LIMITS.peers
    const { network, known, membership } = options
    network.on({ connect: () => {}, disconnect: () => { this.#soon() } })
    known.onChange(() => { this.#soon() })
    membership?.on({ routes: () => { this.#dialGiven() } })
    this.#dialGiven()
    this.#soon()
  }

  stop (): void {
    this.#stopped.abort()
    this.#cancel()
  }

  #soon (): void { this.#plan(this.#limits.lookMs) }

  /** Look again after about `ms`; a look that is planned already is not put off. */
  #plan (ms: number): void {
    if (this.#stopped.signal.aborted) return
    const { timers, random } = this.#options
    this.#cancel()
    this.#cancel = timers.after(ms * (0.5 + random()), () => { this.#look() })
  }

  #look (): void {
    if (this.#stopped.signal.aborted) return
    const { timers, givenMs = LIMITS.wire.bootstrapMs } = this.#options
    if (timers.now() - this.#givenAt >= givenMs) this.#dialGiven()
    this.#dialKnown()
    this.#plan(this.#limits.retryMsMin)
  }

  #wanted (): number {
    const { network, membership } = this.#options
    if (membership?.isPending === true) return 0
    const dialled = network.peers().filter(({ direction }) => direction === 'out').length
    return this.#limits.connectedMin - dialled
  }

  #dialGiven (): void {
    const { network, given, membership, timers } = this.#options
    if (this.#stopped.signal.aborted || this.#wanted() <= 0) return
    this.#givenAt = timers.now()
    const connected = new Set(network.peers().map(({ id }) => id))
    for (const [id, addresses] of Map.groupBy(new Set([...given, ...membership?.routes ?? []]), address => /\/p2p\/([^/]+)$/.exec(address)?.[1] ?? address)) {
      if (this.#dialling.has(id) || connected.has(id)) continue
      this.#dialling.add(id)
      // One that cannot be reached now is tried again; whoever must know dials by itself.
      void this.#dialAny(addresses).finally(() => { this.#dialling.delete(id) })
    }
  }

  #dialKnown (): void {
    const { network, known, timers, random } = this.#options
    const now = timers.now()
    const connected = new Set(network.peers().map(({ id }) => id))
    this.#heardDials = this.#heardDials.filter(at => now - at < MINUTE_MS)
    let wanted = Math.min(this.#wanted(), this.#limits.dialsMax) - this.#dialling.size
    for (const peer of known.due(now)) {
      if (wanted <= 0) return
      if (connected.has(peer.id) || this.#dialling.has(peer.id)) continue
      if (peer.met === null && this.#heardDials.length >= this.#limits.heardDialsPerMinuteMax) return
      if (peer.met === null) this.#heardDials.push(now)
      known.dialled(peer.id, now, random())
      this.#dialling.add(peer.id)
      void this.#dialAny(peer.addresses.map(address => `${address}/p2p/${peer.id}`)).finally(() => { this.#dialling.delete(peer.id) })
      wanted--
    }
  }

  /**
   * Try the addresses of a peer one after another; the handshake proves who answers. Dials of one peer at a time are one dial, which would try
   * the first address alone, be it one that this platform cannot dial.
   */
  async #dialAny (addresses: readonly string[]): Promise<void> {
    const { network } = this.#options
    for (const address of addresses) {
      try {
        await network.dial(address, this.#stopped.signal)
        return
      } catch {
        if (this.#stopped.signal.aborted) return
      }
    }
  }
}
