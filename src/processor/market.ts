/**
 * Price lists: this node's own, signed anew before it expires, and those of the peers it has a
 * session with. An offer in a hello is a claim; here it is checked before anyone acts on it.
 */
import { equals } from 'multiformats/bytes'
import { openEnvelope, seal, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { keyOfPeerId } from '../packet/identity.ts'
import { DEFAULT_PRICES, LIMITS, type PriceList } from '../packet/limits.ts'
import { requireNet } from '../packet/mesh.ts'
import { checkOffer, type Offer, type Order } from '../packet/records.ts'
import { PROFILE } from '../wasm/runtime.ts'
import type { Candidate } from './choose.ts'
import type { Platform } from './rooms.ts'

export interface MarketOptions {
  /** Whether this node takes work at all. */
  readonly serve: boolean
  /** Jobs that can run at once, said in the offer. */
  readonly slots: number
  readonly prices?: Partial<PriceList>
  /** The mesh of its offers and of those it takes; null: the open one. @default null */
  readonly net?: Uint8Array | null
}

export interface Market {
  /** Own current offer, renewed half-way to its expiry; null when this node takes no work. */
  offer (): Sealed<Offer> | null
  /** The own offer that an order accepts. @throws {InosError} ERR_RECORD_INVALID when it is none of ours, or too old */
  offerOf (order: Sealed<Order>): Sealed<Offer>
  /** Remember a peer's offer, unless it comes too soon after the last. @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH */
  learn (peer: string, bytes: Uint8Array): void
  forget (peer: string): void
  offerBy (peer: string): Sealed<Offer> | null
  /** Peers with an offer, and how many of our jobs each has. */
  candidates (): Candidate[]
  /** Jobs of ours a peer has not answered. */
  inFlight (peer: string): number
  /** A job goes to a peer, and is over. */
  begin (peer: string): void
  end (peer: string): void
}

const NONCE_BYTES = 16

export function createMarket (platform: Platform, { serve, slots, prices, net = null }: MarketOptions): Market {
  const own: Sealed<Offer>[] = []
  const offers = new Map<string, { readonly offer: Sealed<Offer>, readonly at: number }>()
  const jobs = new Map<string, number>()
  const seconds = (): number => Math.floor(platform.now() / 1000)

  const sign = (): Sealed<Offer> => seal<Offer>('offer', {
    net,
    executor: platform.signer.publicKey,
    ...DEFAULT_PRICES,
    ...prices,
    classes: ['deterministic'],
    profile: PROFILE,
    slots,
    expires: seconds() + LIMITS.market.offerSeconds,
    nonce: platform.randomBytes(NONCE_BYTES)
  }, platform.signer)

  return {
    offer () {
      if (!serve) return null
      const current = own.at(-1)
      if (current !== undefined && current.payload.expires - seconds() > LIMITS.market.offerSeconds / 2) return current
      own.push(sign())
      if (own.length > LIMITS.market.ownOffersMax) own.shift()
      return own.at(-1)!
    },
    offerOf (order) {
      const found = own.find(({ id }) => order.payload.offer?.equals(id))
      if (found === undefined) throw new InosError('ERR_NO_OFFER', 'The order accepts an offer that this node does not make, or no longer.', { hint: 'Ask for its current offer.' })
      return found
    },
    learn (peer, bytes) {
      const known = offers.get(peer)
      // Checking a signature is work that a peer must not be able to ask for without end.
      if (known !== undefined && Math.abs(platform.now() - known.at) < LIMITS.market.offerMsMin) return
      const offer = openEnvelope(bytes, 'offer', checkOffer)
      requireNet('offer', offer.payload.net, net)
      if (!equals(offer.payload.executor, keyOfPeerId(peer))) throw new InosError('ERR_RECORD_INVALID', `The offer of ${peer} is somebody else’s.`)
      verifySealed(offer, offer.payload.executor, platform.verify)
      offers.set(peer, { offer, at: platform.now() })
    },
    forget (peer) { offers.delete(peer) },
    offerBy (peer) { return offers.get(peer)?.offer ?? null },
    candidates () {
      return Array.from(offers, ([peer, { offer }]) => ({ peer, offer, inFlight: jobs.get(peer) ?? 0 }))
    },
    inFlight (peer) { return jobs.get(peer) ?? 0 },
    begin (peer) { jobs.set(peer, (jobs.get(peer) ?? 0) + 1) },
    end (peer) {
      const left = (jobs.get(peer) ?? 1) - 1
      if (left === 0) jobs.delete(peer)
      else jobs.set(peer, left)
    }
  }
}
