/**
 * What was begun and bought for the children of a job that may have to run again, after a crash of its executor: under
 * keys of their own (`keys.ts`) until the job is over. Who asks for what again, and what it computes, is the processor's.
 */
import type { CID } from '../packet/cid.ts'
import { openEnvelope, type Sealed } from '../packet/envelope.ts'
import { checkOffer, checkOrder, type Offer, type Order } from '../packet/records.ts'
import type { Books } from './books.ts'
import { readBundle } from './bundle.ts'
import { keyBelow } from './keys.ts'
import { KEYS, put } from './store.ts'

/** The order of a job of one's own under a key: the one that was kept, or a new one, kept before any order of its children is. */
export async function keepOrder ({ journal, keys, ledger, signer, now }: Books, key: string, spec: CID, make: () => Sealed<Order>): Promise<Sealed<Order>> {
  const [placed] = keys.orders(key, spec)
  const kept = placed === undefined ? undefined : await journal.read(KEYS.offer(placed.order))
  if (kept !== undefined) return openEnvelope(kept, 'order', checkOrder)
  const order = make()
  const id = order.id.toString()
  // What is bought for its children is written after it, in the same queue.
  await journal.commit([...keys.add(key, spec, { order: id, peer: signer.id }, now(), other => ledger.openOrder(other) !== undefined), put(KEYS.offer(id), order.bytes)])
  return order
}

/** The offer that a sold order accepts, kept as soon as something is bought for the order: the node makes another one when it starts again. */
export async function keepOffer ({ journal, keys, ledger, now }: Books, peer: string, { id, payload: { spec } }: Sealed<Order>, offer: Sealed<Offer>): Promise<void> {
  const order = id.toString()
  const key = keyBelow(order, 'offer')
  if (keys.orders(key, spec).length > 0) return
  await journal.commit([...keys.add(key, spec, { order, peer }, now(), other => ledger.openOrder(other) !== undefined), put(KEYS.offer(order), offer.bytes)])
}

/** @returns null where none is kept */
export async function keptOffer ({ journal, keys }: Books, { id, payload: { spec } }: Sealed<Order>): Promise<Sealed<Offer> | null> {
  const order = id.toString()
  const bytes = keys.orders(keyBelow(order, 'offer'), spec).length === 0 ? undefined : await journal.read(KEYS.offer(order))
  return bytes === undefined ? null : openEnvelope(bytes, 'offer', checkOffer)
}

/** By key, µcr: what was charged for the children of a job, and what orders for them may still cost; nothing for what was begun here. */
export async function boughtBelow ({ journal, keys, ledger, signer }: Books, base: string): Promise<ReadonlyMap<string, bigint>> {
  const bought = new Map<string, bigint>()
  for (const [key, orders] of keys.below(base)) {
    let sum = 0n
    for (const { order, peer } of orders) {
      const receipt = peer === signer.id ? undefined : await journal.read(KEYS.receipt(order))
      sum += receipt === undefined ? ledger.openOrder(order)?.order.payload.costMax ?? 0n : readBundle(receipt).receipt.payload.charge
    }
    bought.set(key, sum)
  }
  return bought
}

/** The job is over: nobody asks for its children again. */
export async function forgetBelow ({ journal, keys }: Books, base: string): Promise<void> {
  const ops = keys.forgetBelow(base)
  if (ops.length > 0) await journal.commit(ops)
}
