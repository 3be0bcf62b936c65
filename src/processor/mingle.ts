/**
 * Getting to know others. A node opens a session with peers it has dialled, keeps in mind where those it has a
 * session with can be reached, and asks them for others that take work; it tells those who
 * ask of some of its own. Whom to dial and when is decided in `network/company.ts`.
 */
import type { KnownPeers } from '../network/known-peers.ts'
import type { Network, PeerInfo, Timers } from '../network/network.ts'
import { isShared, scopeOfPeer } from '../network/places.ts'
import { decodeReferrals, encodeReferrals, type Referral } from '../network/referrals.ts'
import { openEnvelope, verifySealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import { requireNet } from '../packet/mesh.ts'
import type { Packet } from '../packet/packet.pb.js'
import { checkOffer } from '../packet/records.ts'
import type { Rooms } from './rooms.ts'

export interface MingleOptions {
  readonly network: Network
  readonly known: KnownPeers
  readonly timers: Timers
  /** The mesh whose offers count; null: the open one. */
  readonly net: Uint8Array | null
}

export interface Mingling {
  /** Tell a peer of others. @throws {InosError} ERR_BUSY when it asks too often */
  answer (peer: string): Promise<Partial<Packet>>
  /** A session has opened or closed. */
  opened (): void
  closed (peer: string): void
  /** Before the sessions close: who came a moment ago is known at the next start, too. */
  leave (): Promise<void>
  /** Go on until `signal` aborts; never rejects. */
  run (signal: AbortSignal): Promise<void>
}

const { connectedMin, lookMs, askMs, answerMsMin, answerMsMax, toldMax, addressesMax } = LIMITS.peers

export function createMingling (node: Rooms, { network, known, timers, net }: MingleOptions): Mingling {
  /** When each peer was greeted or asked, and was answered. */
  const greeted = new Map<string, number>()
  const asked = new Map<string, number>()
  const answered = new Map<string, number>()
  let woken = Promise.withResolvers<void>()
  network.on({
    connect: () => { woken.resolve() },
    disconnect: peer => { greeted.delete(peer) }
  })

  const isLongAgo = (at: number | undefined, ms: number): boolean => at === undefined || timers.now() - at >= ms

  const round = async (signal: AbortSignal): Promise<void> => {
    const dialled = network.peers().filter(({ direction }) => direction === 'out')
    // Who has dialled this node opens the session itself, if it speaks our protocol and wants one.
    const open = dialled.filter(({ id }) => node.isOpen(id)).length
    const strange = dialled.filter(({ id }) => !node.isOpen(id) && isLongAgo(greeted.get(id), askMs)).slice(0, Math.max(connectedMin - open, 0))
    await Promise.all(strange.map(({ id }) => greet(id, signal)))
    const present = await remember()
    if (present.filter(({ direction }) => direction === 'out').length >= connectedMin) return
    const longest = present.filter(({ id }) => isLongAgo(asked.get(id), askMs)).sort((a, b) => (asked.get(a.id) ?? 0) - (asked.get(b.id) ?? 0))
    await Promise.all(longest.slice(0, connectedMin).map(peer => ask(peer, signal)))
  }

  /** Keep in mind those that are present. @returns them */
  const remember = async (): Promise<PeerInfo[]> => {
    const present = network.peers().filter(({ id }) => node.isOpen(id))
    for (const peer of present) known.meet(peer.id, await routesOf(peer))
    return present
  }

  const greet = async (peer: string, signal: AbortSignal): Promise<void> => {
    greeted.set(peer, timers.now())
    await node.sessions().connect(peer, signal).catch((error: unknown) => { node.platform.log(`opening a session with ${peer}`, error) })
  }

  /** Where a peer can be dialled, as far as that means anything here. */
  const routesOf = async ({ id, addresses }: PeerInfo): Promise<string[]> => {
    const scope = scopeOfPeer(addresses)
    return (await network.routesTo(id)).filter(address => isShared(address, scope)).slice(0, addressesMax)
  }

  const ask = async (peer: PeerInfo, signal: AbortSignal): Promise<void> => {
    asked.set(peer.id, timers.now())
    const late = new AbortController()
    const cancel = timers.after(answerMsMax, () => { late.abort() })
    try {
      const answer = await node.sessions().request(peer.id, { kind: 'peers' }, { signal: AbortSignal.any([signal, late.signal]) })
      if (answer.kind === 'answer') for (const referral of decodeReferrals(answer)) hear(peer, referral)
    } catch (error) {
      if (!signal.aborted) node.platform.log(`asking ${peer.id} for other peers`, error)
    } finally {
      cancel()
    }
  }

  /** Keep what the offer proves: that a node of this mesh takes work. @throws {InosError} ERR_RECORD_INVALID, ERR_WRONG_MESH */
  const hear = (teller: PeerInfo, { offer: bytes, addresses }: Referral): void => {
    const offer = openEnvelope(bytes, 'offer', checkOffer)
    const { executor, expires } = offer.payload
    requireNet('offer', offer.payload.net, net)
    verifySealed(offer, executor, node.platform.verify)
    const scope = scopeOfPeer(teller.addresses)
    const dialable = addresses.filter(address => isShared(address, scope))
    if (expires * 1000 > node.platform.now() && dialable.length > 0) known.hear(peerIdOfKey(executor), dialable)
  }

  return {
    async leave () { await remember() },
    async answer (peer) {
      if (!isLongAgo(answered.get(peer), answerMsMin)) throw new InosError('ERR_BUSY', `This node tells of others once in ${answerMsMin / 1000} seconds.`)
      answered.set(peer, timers.now())
      const peers = network.peers()
      const scope = scopeOfPeer(peers.find(({ id }) => id === peer)?.addresses ?? [])
      const told: Referral[] = []
      for (const other of shuffle(peers, node.platform.randomBytes)) {
        const offer = node.isOpen(other.id) && other.id !== peer ? node.market.offerBy(other.id) : null
        if (offer === null) continue
        const addresses = (await routesOf(other)).filter(address => isShared(address, scope))
        if (addresses.length > 0) told.push({ offer: offer.bytes, addresses })
        if (told.length >= toldMax) break
      }
      return encodeReferrals(told)
    },
    opened () { woken.resolve() },
    closed (peer) {
      asked.delete(peer)
      answered.delete(peer)
    },
    async run (signal) {
      const failed = (error: unknown): void => { node.platform.log('getting to know others', error) }
      while (!signal.aborted) {
        await wakeOrWait(node, woken.promise, signal)
        woken = Promise.withResolvers()
        // What comes soon after is looked at together, and a node that leaves at once asks nobody.
        await node.platform.sleep(lookMs, signal).catch(() => {})
        if (!signal.aborted) await round(signal).catch(failed)
      }
    }
  }
}

/** Until something has happened, at the latest when those who were asked may be asked again. */
async function wakeOrWait (node: Rooms, woken: Promise<void>, signal: AbortSignal): Promise<void> {
  const enough = new AbortController()
  const wait = node.platform.sleep(askMs, AbortSignal.any([signal, enough.signal])).catch(() => {})
  await Promise.race([woken, wait])
  enough.abort()
}

/** In random order, so that no peer is told of more often than others (Fisher and Yates). */
function shuffle<T> (items: readonly T[], randomBytes: (length: number) => Uint8Array): T[] {
  const all = [...items]
  const random = randomBytes(4 * all.length)
  const view = new DataView(random.buffer, random.byteOffset)
  for (let i = all.length - 1; i > 0; i--) {
    const j = view.getUint32(4 * i) % (i + 1)
    ;[all[i], all[j]] = [all[j]!, all[i]!]
  }
  return all
}
