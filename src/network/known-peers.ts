/**
 * The peers a node knows: those it has met, and those it has only heard of, with the addresses where
 * they can be dialled. In memory, bounded, and always in an order worth trying; who dials is
 * `company.ts`, what rests on disk the platform's business.
 */
import { InosError } from '../packet/errors.ts'
import { keyOfPeerId } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { isMap } from '../packet/envelope.ts'
import { bareAddress } from './places.ts'

/** What is kept of a peer, for people and for the disk. */
export interface KnownPeer {
  /** PeerId. */
  readonly id: string
  /** Multiaddrs without their /p2p part, the latest first. */
  readonly addresses: readonly string[]
  /** Unix seconds of the last time it was connected and spoke our protocol; null: others said that it is there. */
  readonly met: number | null
}

export interface KnownPeersOptions {
  /** Own PeerId, which is never kept. */
  readonly self: string
  /** Unix seconds. */
  now (): number
  /** What was kept before, as `list` gave it. */
  readonly peers?: readonly KnownPeer[]
  readonly limits?: PeerLimits
}

export type PeerLimits = { readonly [K in keyof typeof LIMITS.peers]: number }

interface Entry { addresses: string[], met: number | null, failures: number, /** On the clock of whoever dials. */ nextTry: number }

export class KnownPeers {
  readonly #options: KnownPeersOptions
  readonly #limits: PeerLimits
  /** The one that was changed longest ago comes first. */
  readonly #peers = new Map<string, Entry>()
  readonly #listeners: (() => void)[] = []

  constructor (options: KnownPeersOptions) {
    this.#options = options
    this.#limits = options.limits ?? LIMITS.peers
    for (const { id, addresses, met } of (options.peers ?? []).toReversed()) {
      if (id !== options.self) this.#peers.set(id, { addresses: [...addresses], met, failures: 0, nextTry: -Infinity })
    }
    this.#trim()
  }

  /** Called when there is something to dial or to store that was not there before. */
  onChange (listener: () => void): void { this.#listeners.push(listener) }

  /** This peer is connected and speaks our protocol; `addresses` are where it can be dialled. */
  meet (id: string, addresses: readonly string[]): void {
    const now = this.#options.now()
    const before = this.#peers.get(id)
    const isNews = this.#note(id, addresses, now)
    const after = this.#peers.get(id)
    if (after === undefined) return
    after.failures = 0
    if (isNews || (before?.met ?? 0) + this.#limits.metSeconds < now) this.#tell()
  }

  /** Somebody says that this peer is there. What is known better is not replaced. */
  hear (id: string, addresses: readonly string[]): void {
    if (this.#note(id, addresses, null)) this.#tell()
  }

  /** Whom to dial: who was met last comes first, who failed waits for its turn. @param now on the clock of `dialled` */
  due (now: number): KnownPeer[] {
    this.#trim()
    return this.list().filter(({ id }) => this.#peers.get(id)!.nextTry <= now)
  }

  /**
   * A dial of this peer is under way or has ended in vain: it is due again after a while that doubles each time.
   * @param now on the clock of `due` @param random 0 to 1, so that many nodes do not dial in step
   */
  dialled (id: string, now: number, random: number): void {
    const entry = this.#peers.get(id)
    if (entry === undefined) return
    const { retryMsMin, retryMsMax, heardFailuresMax } = this.#limits
    entry.nextTry = now + Math.min(retryMsMin * 2 ** entry.failures, retryMsMax) * (0.5 + random)
    entry.failures++
    if (entry.met === null && entry.failures > heardFailuresMax) this.#peers.delete(id)
  }

  /** @returns whether it was known */
  forget (id: string): boolean {
    const known = this.#peers.delete(id)
    if (known) this.#tell()
    return known
  }

  /** Who was met last comes first, those only heard of last. */
  list (): KnownPeer[] {
    const all = Array.from(this.#peers, ([id, { addresses, met }]) => ({ id, addresses: [...addresses], met }))
    return all.toReversed().sort((a, b) => (b.met ?? -1) - (a.met ?? -1))
  }

  #note (id: string, addresses: readonly string[], met: number | null): boolean {
    const { addressesMax, addressCharsMax } = this.#limits
    if (id === this.#options.self) return false
    const before = this.#peers.get(id)
    // Hearsay about a peer that was met would let anybody push its true addresses out.
    if (before !== undefined && before.met !== null && met === null) return false
    const given = addresses.filter(address => address.length <= addressCharsMax).map(bareAddress)
    const all = [...new Set([...given, ...before?.addresses ?? []])].slice(0, addressesMax)
    if (all.length === 0) return false
    this.#peers.delete(id)
    this.#peers.set(id, { addresses: all, met: met ?? before?.met ?? null, failures: before?.failures ?? 0, nextTry: before?.nextTry ?? -Infinity })
    this.#trim()
    return before === undefined || (before.met === null && met !== null) || all.some(address => !before.addresses.includes(address))
  }

  #trim (): void {
    const { knownMax, heardMax, forgetSeconds } = this.#limits
    const oldest = this.#options.now() - forgetSeconds
    for (const [id, { met }] of this.#peers) if (met !== null && met < oldest) this.#peers.delete(id)
    const heard = [...this.#peers].filter(([, { met }]) => met === null).map(([id]) => id)
    const fromHeard = Math.max(heard.length - heardMax, Math.min(heard.length, this.#peers.size - knownMax), 0)
    for (const id of heard.slice(0, fromHeard)) this.#peers.delete(id)
    const excess = this.#peers.size - knownMax
    if (excess <= 0) return
    const longestAgo = [...this.#peers].sort(([, a], [, b]) => (a.met ?? -1) - (b.met ?? -1))
    for (const [id] of longestAgo.slice(0, excess)) this.#peers.delete(id)
  }

  #tell (): void {
    for (const listener of this.#listeners) listener()
  }
}

/** A list that comes from outside. @throws {InosError} ERR_RECORD_INVALID saying what is wrong */
export function checkKnownPeers (value: unknown, limits: PeerLimits = LIMITS.peers): KnownPeer[] {
  const bad = (what: string): InosError => new InosError('ERR_RECORD_INVALID', `A list of peers ${what}.`)
  if (!Array.isArray(value) || value.length > limits.knownMax) throw bad(`is no list of at most ${limits.knownMax}`)
  return value.map((peer: unknown) => {
    const { id, addresses, met } = isMap(peer) ? peer : {}
    if (typeof id !== 'string') throw bad('names one without an id')
    keyOfPeerId(id)
    if (!isAddresses(addresses, limits) || addresses.length === 0) throw bad(`has no good addresses of ${id}`)
    if (met !== null && !(Number.isSafeInteger(met) && (met as number) >= 0)) throw bad(`does not say when ${id} was met`)
    return { id, addresses, met: met as number | null }
  })
}

export function isAddresses (value: unknown, limits: PeerLimits = LIMITS.peers): value is string[] {
  return Array.isArray(value) && value.length <= limits.addressesMax && value.every(address => typeof address === 'string' && address.startsWith('/') && address.length <= limits.addressCharsMax)
}
