/**
 * Being found and finding others: provider records for `compute`, an offer that is renewed where
 * peers can see it, and the search a buyer makes when nobody it knows takes its job.
 */
import { unlessAborted } from '../network/talk.ts'
import type { Network } from '../network/network.ts'
import type { Sealed } from '../packet/envelope.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Offer } from '../packet/records.ts'
import { own } from './job.ts'
import type { Where } from './processor.ts'
import type { Rooms } from './rooms.ts'

/** The capability every node that takes jobs announces. */
const COMPUTE = 'compute'

/** Announce this node, which takes work, look at its load every few seconds, and send peers each new offer, until `signal` aborts. */
export async function beFound (node: Rooms, network: Network, signal: AbortSignal): Promise<void> {
  let said = node.market.offer()
  if (said === null) return
  tellOffer(node)
  network.provide(COMPUTE, signal).catch(error => { if (!signal.aborted) node.platform.log('announcing this node', error) })
  while (await pause(node, LIMITS.market.measureMs, signal)) {
    node.market.review()
    const offer = node.market.offer()
    if (offer === null || offer.id.equals(said.id)) continue
    said = offer
    tellOffer(node)
  }
}

/** Take no more work: whoever looks for some that does finds others. */
export function beForgotten (node: Rooms, network: Network): void {
  network.withdraw(COMPUTE)
  tell(node, node.market.farewell())
}

/** Send this node's current offer to all peers. */
export function tellOffer (node: Rooms): void {
  const offer = node.market.offer()
  if (offer !== null) tell(node, offer)
}

function tell (node: Rooms, offer: Sealed<Offer>): void {
  for (const { id } of node.sessions().list()) node.sessions().notify(id, { kind: 'offer', records: [own(offer.bytes)] })
}

/** Free what expired, and show the issuer of a mesh what it has not cleared, once a minute, until `signal` aborts. */
export async function keepBooks (node: Rooms, signal: AbortSignal): Promise<void> {
  while (await pause(node, LIMITS.market.renewMs, signal)) {
    const released = await node.credits.expire().catch(error => {
      node.platform.log('releasing what expired', error)
      return []
    })
    if (released.length > 0) node.changed()
    void node.settlement.claim(true)
  }
}

/** As a member of a private mesh, keep a session with its issuer while it is there: grants come over it, and what was earned is cleared. */
export async function meetIssuer (node: Rooms, signal: AbortSignal): Promise<void> {
  const issuer = node.credits.account()?.issuer
  if (issuer === undefined) return
  const { askMsMin, askMsMax } = LIMITS.market
  for (let ms: number = askMsMin; !signal.aborted; ms = Math.min(2 * ms, askMsMax)) {
    await reach(node, issuer, signal)
    // Past the abort each wait would end at once, and nothing else would get a turn to close the session.
    for (; !signal.aborted && node.isOpen(issuer); ms = askMsMin) await unlessAborted(node.change(), signal).catch(() => {})
    await pause(node, ms, signal)
  }
}

/** @returns false when `signal` aborted */
async function pause (node: Rooms, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await node.platform.sleep(ms, signal)
    return true
  } catch {
    return false
  }
}

/**
 * Reach those who could take a job wanted at `where`: that peer, or whoever is connected or announces `compute`. A node
 * that has lost all company waits a while for those it knows; whoever else finds nobody is told at once.
 * @param hasFriends whether somebody is known who is dialled while company is wanted
 * @returns whether anyone new was reached
 */
export async function seek (node: Rooms, network: Network | null, hasFriends: () => boolean, where: Where, signal: AbortSignal): Promise<boolean> {
  if (network === null || where === 'local' || where === network.id) return false
  const enough = new AbortController()
  const bounded = AbortSignal.any([signal, enough.signal])
  const isAlone = (): boolean => network.peers().length === 0
  const waits = isAlone() && hasFriends()
  const { seekMsMax, seekMsBrief } = LIMITS.market
  const stopAfter = (ms: number): Promise<void> => node.platform.sleep(ms, bounded).then(() => { enough.abort() }, () => {})
  // Those that are connected answer soon, and whoever waits for a refusal is told soon.
  const timers = [stopAfter(waits ? seekMsMax : seekMsBrief)]
  try {
    const known = new Set([network.id, ...node.market.candidates().map(({ peer }) => peer)])
    while (waits && isAlone()) await unlessAborted(node.change(), bounded)
    if (where !== 'any' && where !== 'remote') return !known.has(where) && await isSomewhere(network, where) && await reach(node, where, bounded)
    const began = node.platform.now()
    const first = (): void => {
      // Others may be cheaper; who needs twice as long as the first is not waited for.
      if (timers.length === 1) timers.push(stopAfter(Math.max(0, node.platform.now() - began)))
    }
    return await reachAll(node, nearby(network, bounded), known, first, bounded)
  } catch (error) {
    if (!bounded.aborted) node.platform.log('looking for nodes', error)
    return false
  } finally {
    enough.abort()
    await Promise.all(timers)
  }
}

/** Whether there is an address to dial, or somebody to ask for one. */
async function isSomewhere (network: Network, peer: string): Promise<boolean> {
  return network.peers().length > 0 || (await network.routesTo(peer)).length > 0
}

/** @param first called for each peer that was reached @returns whether one was */
async function reachAll (node: Rooms, peers: AsyncIterable<string>, known: Set<string>, first: () => void, signal: AbortSignal): Promise<boolean> {
  const found: Promise<boolean>[] = []
  for await (const peer of peers) {
    if (known.has(peer)) continue
    known.add(peer)
    found.push(reach(node, peer, signal).then(reached => {
      if (reached) first()
      return reached
    }))
    if (found.length >= LIMITS.market.discoveredMax) break
  }
  return (await Promise.all(found)).includes(true)
}

/** Who is connected already may take jobs, however new its announcement is; then those the DHT names. */
async function * nearby (network: Network, signal: AbortSignal): AsyncIterable<string> {
  for (const { id } of network.peers()) yield id
  yield * network.find(COMPUTE, signal)
}

async function reach (node: Rooms, peer: string, signal: AbortSignal): Promise<boolean> {
  try {
    await node.sessions().connect(peer, signal)
    return node.market.offerBy(peer) !== null
  } catch {
    // A provider record is a hint; whoever has left since is simply not there.
    return false
  }
}
