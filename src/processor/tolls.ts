/**
 * Paying for what is relayed. A relay asks who holds a reservation there to pay once little is left of
 * what is free or paid (`toll`, with a price list of its own for this); that peer buys so many bytes
 * (`relay`, with an order), and gets a receipt like any other: one that names no module, but `RELAYED`, and says as its
 * result's size how many bytes were sold. So lines, cheques, bills and audits are those of jobs.
 */
import { equals } from 'multiformats/bytes'
import type { Access } from '../network/access.ts'
import { errorOf } from '../network/talk.ts'
import { UNMEASURED } from '../packet/capacity.ts'
import { RELAYED } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed, verifySealed } from '../packet/envelope.ts'
import { InosError, toInosError } from '../packet/errors.ts'
import { keyOfPeerId } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { requireNet } from '../packet/mesh.ts'
import { Packet } from '../packet/packet.pb.js'
import { checkOffer, checkOrder, checkReceipt, type Offer } from '../packet/records.ts'
import { worstCase } from '../credits/pricing.ts'
import { PROFILE } from '../wasm/runtime.ts'
import { within } from './deadline.ts'
import { own } from './job.ts'
import type { Rooms } from './rooms.ts'

export interface Tolls {
  /** Answer a relay that wants to be paid, or who pays this one. @throws {InosError} refusals */
  answer (peer: string, packet: Packet): Promise<Partial<Packet>>
  /** Resolves when nothing is under way. */
  idle (): Promise<void>
}

/** Of a node that neither relays nor is relayed to. */
export const NO_TOLLS: Tolls = {
  async answer () { throw new InosError('ERR_UNKNOWN_KIND', 'This node knows no relays.') },
  async idle () {}
}

const NONCE_BYTES = 16
const KIB_PER_MIB = 1_024n
const { offerSeconds, ownOffersMax } = LIMITS.market

/** All that a slice can cost follows from its size. */
const limitsOf = (bytes: number): { fuelMax: bigint, memoryPagesMax: number, outputBytesMax: number } => ({ fuelMax: 0n, memoryPagesMax: 0, outputBytesMax: bytes })

export function createTolls (node: Rooms, access: Access, net: Uint8Array | null): Tolls {
  const { platform, market, credits } = node
  /** Price lists of this node for relaying, the latest last. */
  const offers: Sealed<Offer>[] = []
  const paying = new Map<string, Promise<void>>()
  const asking = new Set<Promise<void>>()
  const seconds = (): number => Math.floor(platform.now() / 1000)

  const offerNow = (perKiB: bigint): Sealed<Offer> => {
    const last = offers.at(-1)
    if (last !== undefined && last.payload.perKiB === perKiB && last.payload.expires - seconds() > offerSeconds / 2) return last
    const offer = seal<Offer>('offer', {
      net, executor: platform.signer.publicKey, base: 0n, perMFuel: 0n, perPageSec: 0n, perKiB, perMB: 0n, perGiBh: 0n,
      classes: ['deterministic'], profile: PROFILE, slots: 0, ...UNMEASURED, expires: seconds() + offerSeconds, nonce: platform.randomBytes(NONCE_BYTES)
    }, platform.signer)
    offers.push(offer)
    if (offers.length > ownOffersMax) offers.shift()
    return offer
  }

  /** As a relay: tell a peer that it has to pay for so many bytes. */
  const demand = async (peer: string, bytes: number): Promise<void> => {
    const perKiB = (market.view().relayPerMiB + KIB_PER_MIB - 1n) / KIB_PER_MIB
    if (perKiB === 0n) return access.relay.credit(peer, bytes)
    try {
      const answer = await ask(peer, { kind: 'toll', size: BigInt(bytes), records: [own(offerNow(perKiB).bytes)] })
      if (answer.kind === 'refusal') throw errorOf(answer)
    } catch (error) {
      if (!node.stopping.aborted) platform.log(`asking ${peer} to pay for what is relayed to it`, error)
    }
  }
  access.relay.onLow((peer, bytes) => {
    const asked = demand(peer, bytes).finally(() => { asking.delete(asked) })
    asking.add(asked)
  })

  const ask = (peer: string, packet: Partial<Packet>): Promise<Packet> => within(node, LIMITS.relay.tollMsMax, `${peer} did not answer`, signal => node.sessions().request(peer, packet, { signal }), node.stopping)

  /** As who is relayed to: whether to pay a relay, judged by what went through it. @throws {InosError} ERR_POLICY, ERR_RECORD_INVALID */
  const judge = (peer: string, packet: Packet): { readonly offer: Sealed<Offer>, readonly bytes: number } => {
    const bytes = sizeOf(packet)
    const [record] = packet.records
    if (record === undefined) throw new InosError('ERR_BAD_PACKET', 'A toll has no price list.')
    if (!access.view().relays.includes(peer)) throw new InosError('ERR_POLICY', 'This node holds no reservation at you.')
    if (!access.relay.owesFor(peer, bytes)) throw new InosError('ERR_POLICY', 'So much has not been relayed.')
    const offer = openEnvelope(record.slice(), 'offer', checkOffer)
    const { executor, perKiB, base, perMFuel, perPageSec } = offer.payload
    if (!equals(executor, keyOfPeerId(peer))) throw new InosError('ERR_RECORD_INVALID', 'The price list of a toll is somebody else’s.')
    requireNet('offer', offer.payload.net, net)
    verifySealed(offer, executor, platform.verify)
    if (perKiB > LIMITS.relay.perKiBMax || base + perMFuel + perPageSec > 0n) throw new InosError('ERR_POLICY', `This node pays ${LIMITS.relay.perKiBMax} µcr per KiB at most, and for nothing else.`)
    return { offer, bytes }
  }

  const pay = async (peer: string, offer: Sealed<Offer>, bytes: number): Promise<void> => {
    const costMax = worstCase(offer.payload, limitsOf(bytes))
    const order = await credits.placeOrder({ executor: peer, offer, spec: RELAYED, costMax, seconds: LIMITS.job.orderSeconds })
    const id = order.id.toString()
    using _answer = node.settlement.await(id)
    try {
      const answer = await ask(peer, { kind: 'relay', id: own(order.id.bytes), size: BigInt(bytes), cost: costMax, records: [own(order.bytes)] })
      const [record] = answer.records
      if (answer.kind === 'refusal') {
        await credits.refuseOrder(id)
        throw errorOf(answer)
      }
      if (record === undefined) throw new InosError('ERR_VERIFICATION', `${peer} gives no receipt for what it relays.`)
      const receipt = openEnvelope(record.slice(), 'receipt', checkReceipt)
      if (!receipt.payload.module.equals(RELAYED) || receipt.payload.resultBytes !== bytes) throw new InosError('ERR_VERIFICATION', `The receipt of ${peer} is for something else than what it was paid to relay.`)
      const bundle = await credits.acceptReceipt(peer, { receipt, order, offer })
      access.relay.paidFor(peer, bytes)
      node.announce('bought', bundle)
      node.settlement.paySoon(peer)
    } catch (error) {
      await node.settlement.giveUp(peer, id)
      throw error
    } finally {
      node.changed()
    }
  }

  /** Paid beside the answer: one at a time, and what is asked for meanwhile is asked for again. */
  const takeToll = (peer: string, packet: Packet): Partial<Packet> => {
    const { offer, bytes } = judge(peer, packet)
    if (!paying.has(peer)) {
      const paid = pay(peer, offer, bytes).catch(error => { platform.log(`paying ${peer} for what it relays`, error) }).finally(() => { paying.delete(peer) })
      paying.set(peer, paid)
    }
    return { kind: 'answer' }
  }

  const sell = async (peer: string, packet: Packet): Promise<Partial<Packet>> => {
    const bytes = sizeOf(packet)
    const [record] = packet.records
    if (record === undefined) throw new InosError('ERR_BAD_PACKET', 'Who pays a relay sends an order.')
    const order = openEnvelope(record.slice(), 'order', checkOrder)
    if (!order.payload.spec.equals(RELAYED)) throw new InosError('ERR_BAD_PACKET', 'The order is not for what is relayed.')
    const stored = await credits.storedReply(peer, order.id.toString())
    if (stored === 'gone' || stored === 'running') throw new InosError(stored === 'gone' ? 'ERR_GONE' : 'ERR_BUSY', 'This order was answered before, or is being answered.')
    if (stored !== null) return Packet.decode(stored)
    const offer = offers.findLast(({ id }) => order.payload.offer?.equals(id))
    if (offer === undefined) throw new InosError('ERR_NO_OFFER', 'The order accepts a price list for relaying that this node does not have, or no longer.')
    if (!access.relay.sells(peer, bytes)) throw new InosError('ERR_POLICY', 'So much is not sold ahead; what was asked for is paid already.')
    await using hold = await credits.acceptOrder(peer, order, offer, limitsOf(bytes))
    let answer: Partial<Packet> = {}
    const bundle = await hold.settle({
      module: RELAYED, input: RELAYED, outcome: 'ok', exitCode: 0, result: RELAYED, resultBytes: bytes, files: null, filesBytes: 0, fuel: 0n, pages: 0, profile: PROFILE
    }, ({ receipt }) => {
      answer = { kind: 'answer', id: own(order.id.bytes), cost: receipt.payload.charge, records: [own(receipt.bytes)] }
      return Packet.encode(answer)
    })
    access.relay.credit(peer, bytes)
    node.changed()
    node.announce('sold', bundle)
    return answer
  }

  return {
    answer: async (peer, packet) => packet.kind === 'toll' ? takeToll(peer, packet) : await sell(peer, packet),
    async idle () { await Promise.all([...asking, ...paying.values()].map(work => work.catch(error => toInosError(error)))) }
  }
}

/** Bytes to be paid for at once. @throws {InosError} ERR_BAD_PACKET */
function sizeOf ({ size }: Packet): number {
  const { sliceBytes, aheadBytesMax } = LIMITS.relay
  if (size < 1n || size > BigInt(sliceBytes + aheadBytesMax)) throw new InosError('ERR_BAD_PACKET', `A relay is paid for 1 to ${sliceBytes + aheadBytesMax} bytes at once.`)
  return Number(size)
}
