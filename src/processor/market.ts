/**
 * Price lists: this node's own, signed anew when its load or its owner asks for other prices and
 * before it expires, and those of the peers it has a session with. An offer in a hello is a claim;
 * here it is checked before anyone acts on it.
 */
import { equals } from 'multiformats/bytes'
import { openEnvelope, seal, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { keyOfPeerId } from '../packet/identity.ts'
import { DEFAULT_PRICES, DEFAULT_RELAY_PRICE, LIMITS, type PriceList } from '../packet/limits.ts'
import { scale } from '../credits/pricing.ts'
import { requireNet } from '../packet/mesh.ts'
import { checkOffer, type Offer, type Order } from '../packet/records.ts'
import { PROFILE, type Runtime } from '../wasm/runtime.ts'
import type { Candidate } from './choose.ts'
import { createGauge, type Gauge, isNews, type Machine } from './gauge.ts'
import type { Tariff, TradeView } from './processor.ts'
import type { Platform } from './rooms.ts'

export interface MarketOptions extends Partial<Tariff> {
  /** Whether this node takes work at all. */
  readonly serve: boolean
  /** What is known of the machine. @default nothing */
  readonly machine?: Machine
  /** The mesh of its offers and of those it takes; null: the open one. @default null */
  readonly net?: Uint8Array | null
}

export interface Market {
  /** Own current offer, renewed half-way to its expiry; null when this node takes no work. */
  offer (): Sealed<Offer> | null
  /** Look at the load, and sign another offer if it would tell buyers something new. */
  review (): void
  readonly gauge: Gauge
  view (): TradeView
  /** Take work or none from now on. Without it orders on earlier offers are refused as well. */
  setServing (serve: boolean): void
  /** What tells a peer that there is no offer any more: one that has expired. */
  farewell (): Sealed<Offer>
  /** @throws {InosError} ERR_USAGE; nothing has changed then */
  setTariff (tariff: Tariff): void
  /** @throws {InosError} ERR_POLICY unless this peer may buy here */
  requireBuyer (peer: string): void
  /** The own offer that an order accepts. @throws {InosError} ERR_RECORD_INVALID when it is none of ours, or too old */
  offerOf (order: Sealed<Order>): Sealed<Offer>
  /**
   * Remember a peer's offer, unless it comes too soon after the last.
   * @returns 0, or in how many milliseconds it may come again
   * @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH
   */
  learn (peer: string, bytes: Uint8Array): number
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

export function createMarket (platform: Platform, runtime: Runtime, { serve: servesAtFirst, prices = {}, buyers = null, relayPerMiB, machine, net = null }: MarketOptions): Market {
  const gauge = createGauge(runtime, machine, platform.now)
  let serve = servesAtFirst
  let tariff = checkTariff({ prices, buyers, relayPerMiB })
  const own: Sealed<Offer>[] = []
  const offers = new Map<string, { readonly offer: Sealed<Offer>, readonly at: number }>()
  const jobs = new Map<string, number>()
  const seconds = (): number => Math.floor(platform.now() / 1000)

  const pricesNow = (): PriceList => ({ ...scale(DEFAULT_PRICES, gauge.quarters), ...tariff.prices })
  const draw = (expires: number): Sealed<Offer> => seal<Offer>('offer', {
    net,
    executor: platform.signer.publicKey,
    ...pricesNow(),
    classes: ['deterministic'],
    profile: PROFILE,
    slots: runtime.load().slots,
    ...gauge.capacity(),
    expires,
    nonce: platform.randomBytes(NONCE_BYTES)
  }, platform.signer)
  const sign = (): Sealed<Offer> => {
    const offer = draw(seconds() + LIMITS.market.offerSeconds)
    own.push(offer)
    if (own.length > LIMITS.market.ownOffersMax) own.shift()
    return offer
  }
  const isFresh = ({ payload }: Sealed<Offer>): boolean => payload.expires - seconds() > LIMITS.market.offerSeconds / 2
  const isStale = ({ payload }: Sealed<Offer>): boolean => {
    const { slots } = runtime.load()
    const names = Object.keys(DEFAULT_PRICES) as (keyof PriceList)[]
    return payload.slots !== slots || names.some(name => payload[name] !== pricesNow()[name]) || isNews(payload, gauge.capacity(), slots)
  }

  return {
    gauge,
    view: () => ({
      serving: serve,
      prices: pricesNow(),
      fixed: Object.keys(tariff.prices) as (keyof PriceList)[],
      quarters: gauge.quarters,
      loadPercent: gauge.loadPercent,
      slots: runtime.load().slots,
      ...gauge.capacity(),
      buyers: tariff.buyers,
      relayPerMiB: tariff.relayPerMiB ?? DEFAULT_RELAY_PRICE
    }),
    offer () {
      if (!serve) return null
      const current = own.at(-1)
      return current !== undefined && isFresh(current) ? current : sign()
    },
    review () {
      if (!serve) return
      gauge.sample()
      const current = own.at(-1)
      if (current === undefined || !isFresh(current) || isStale(current)) sign()
    },
    setServing (next) {
      serve = next
      if (!serve) own.length = 0
    },
    farewell: () => draw(seconds()),
    setTariff (next) {
      tariff = checkTariff(next)
      if (serve) sign()
    },
    requireBuyer (peer) {
      if (tariff.buyers !== null && !tariff.buyers.includes(peer)) throw new InosError('ERR_POLICY', 'This node works only for peers that its owner has named.')
    },
    offerOf (order) {
      const found = own.findLast(({ id }) => order.payload.offer?.equals(id))
      if (found === undefined) throw new InosError('ERR_NO_OFFER', 'The order accepts an offer that this node does not make, or no longer.', { hint: 'Ask for its current offer.' })
      return found
    },
    learn (peer, bytes) {
      const known = offers.get(peer)
      // Checking a signature is work that a peer must not be able to ask for without end.
      const early = known === undefined ? 0 : LIMITS.market.offerMsMin - Math.abs(platform.now() - known.at)
      if (early > 0) return early
      const offer = openEnvelope(bytes, 'offer', checkOffer)
      requireNet('offer', offer.payload.net, net)
      if (!equals(offer.payload.executor, keyOfPeerId(peer))) throw new InosError('ERR_RECORD_INVALID', `The offer of ${peer} is somebody else’s.`)
      verifySealed(offer, offer.payload.executor, platform.verify)
      offers.set(peer, { offer, at: platform.now() })
      return 0
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

/** @throws {InosError} ERR_USAGE */
export function checkTariff ({ prices, buyers, relayPerMiB }: Tariff): Tariff {
  for (const [name, price] of Object.entries({ ...prices, ...(relayPerMiB === undefined ? {} : { relay: relayPerMiB }) })) {
    if (name !== 'relay' && !Object.hasOwn(DEFAULT_PRICES, name)) throw new InosError('ERR_USAGE', `"${name}" is no price; there are ${Object.keys(DEFAULT_PRICES).join(', ')}.`)
    if (typeof price !== 'bigint' || price < 0n || price > LIMITS.credits.amountMax) throw new InosError('ERR_USAGE', `A price is 0 to ${LIMITS.credits.amountMax} µcr; "${name}" is not.`)
  }
  if (buyers !== null && (!Array.isArray(buyers) || buyers.length > LIMITS.market.buyersMax)) throw new InosError('ERR_USAGE', `Buyers are a list of at most ${LIMITS.market.buyersMax} PeerIds, or null for anyone.`)
  for (const buyer of buyers ?? []) keyOfPeerId(String(buyer))
  return { prices: { ...prices }, buyers: buyers === null ? null : [...buyers], ...(relayPerMiB === undefined ? {} : { relayPerMiB }) }
}
