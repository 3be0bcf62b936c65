/**
 * Giving blobs to others, chunk by chunk: who may have what, how much an hour, and whom to ask instead.
 * A chunk that was given to somebody who is still there is given to the next by that peer: so a blob
 * that many fetch at once leaves its first holder little more than once.
 */
import type { Giver, Given } from '../network/chunks.ts'
import type { Network } from '../network/network.ts'
import { isShared, scopeOfPeer } from '../network/places.ts'
import { CID, isRaw } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { News } from './blobs.ts'
import type { Manifests } from './manifests.ts'
import type { BlobStore } from './store.ts'

export interface GivingOptions {
  readonly store: BlobStore
  readonly manifests: Manifests
  readonly network: Network
  now (): number
  /** Whether a blob that is not shared was set out for this peer. */
  isSetOut (peer: string, cid: string): boolean
  /** Whether a peer has ever earned this node something. */
  hasPaid (peer: string): boolean
  readonly news: News
}

const { givenMax, referMs, freeBytesPerPeerHour, addressesMax } = LIMITS.blobs
const HOUR_MS = 3_600_000
/** Who insisted so often on what others should give is referred no more for that blob. */
const INSISTS_MAX = 2

export interface Giving extends Giver {
  /** All that was given. */
  readonly bytes: number
}

export function createGiving ({ store, manifests, network, now, isSetOut, hasPaid, news }: GivingOptions): Giving {
  /** Chunk of a blob → to whom it was given last, and when. */
  const given = new Map<string, { readonly peer: string, readonly at: number }>()
  /** Peer and blob → how often it came back because others did not help. */
  const insists = new Map<string, number>()
  let hour = 0
  let total = 0
  let bytesOf = new Map<string, number>()

  const count = (peer: string, bytes: number): void => {
    const current = Math.floor(now() / HOUR_MS)
    if (current !== hour) {
      hour = current
      bytesOf = new Map()
    }
    const before = bytesOf.get(peer) ?? 0
    if (before >= freeBytesPerPeerHour && !hasPaid(peer)) throw new InosError('ERR_ALLOWANCE_SPENT', `${freeBytesPerPeerHour} bytes an hour are what this node gives you for nothing.`, { hint: 'Come back in the next hour, or buy work here.' })
    bytesOf.set(peer, before + bytes)
    total += bytes
  }

  /** Who else was given this chunk and may give it; else it is to come from here, and this peer is named to the next. */
  const otherThan = (peer: string, cid: string, key: string, insist: boolean): string | null => {
    const tired = `${peer}/${cid}`
    if (insist) remember(insists, tired, (insists.get(tired) ?? 0) + 1)
    const last = given.get(key)
    const isKnown = last !== undefined && last.peer !== peer && now() - last.at <= referMs
    if (isKnown && !insist && (insists.get(tired) ?? 0) <= INSISTS_MAX) return last.peer
    remember(given, key, { peer, at: now() })
    return null
  }

  /** Where one peer can reach another that is there now. */
  const routes = async (peer: string, other: string): Promise<string[]> => {
    const present = network.peers()
    const scopes = [other, peer].map(id => present.find(info => info.id === id)).map(info => info === undefined ? null : scopeOfPeer(info.addresses))
    const addresses = scopes.includes(null) ? [] : await network.routesTo(other)
    return addresses.filter(address => scopes.every(scope => isShared(address, scope))).slice(0, addressesMax).map(address => `${address}/p2p/${other}`)
  }

  return {
    get bytes () { return total },
    async give (peer, cid, chunk, insist, room): Promise<Given> {
      const { shared } = store.label(cid)
      const manifest = isRaw(CID.parse(cid)) || !(shared || isSetOut(peer, cid)) ? null : await manifests.get(cid)
      const name = manifest?.chunks[chunk]
      if (manifest === null || name === undefined) throw new InosError('ERR_GONE', `This node has no chunk ${chunk} of a blob ${cid} for you.`)
      const key = `${cid}/${chunk}`
      const other = otherThan(peer, cid, key, insist)
      const others = other === null ? [] : await routes(peer, other)
      if (others.length > 0) return { bytes: null, others, here: null, shared }
      const bytes = await store.get(name, room)
      if (bytes === null) {
        given.delete(key)
        // It has been collected since, or has not come yet.
        news.remove(cid)
        return { bytes: null, others: [], here: bitsOf(manifest.chunks, store), shared }
      }
      count(peer, bytes.length)
      return { bytes, others: [], here: null, shared }
    }
  }
}

/** The oldest go for what is new. */
function remember<V> (map: Map<string, V>, key: string, value: V): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > givenMax) map.delete(map.keys().next().value!)
}

function bitsOf (names: readonly string[], store: BlobStore): Uint8Array {
  const bits = new Uint8Array(Math.ceil(names.length / 8))
  for (const [at, name] of names.entries()) if (store.has(name)) bits[at >> 3]! |= 1 << (at & 7)
  return bits
}
