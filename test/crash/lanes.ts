/** The latest cheques and acks of a node's books, by peer: whatever one side was given must lie on the other's disk. */
import { openEnvelope } from '../../src/packet/envelope.ts'
import { checkAck } from '../../src/packet/records.ts'
import { KEYS, type Store } from '../../src/credits/store.ts'

export interface Lane {
  /** Number of the latest cheque to this peer, and from it. */
  readonly out: number
  readonly in: number
  /** Number of the latest cheque that this peer has acknowledged. */
  readonly acked: number
}
export type Lanes = Readonly<Record<string, Lane>>

const NOTHING: Lane = { out: 0, in: 0, acked: 0 }

export async function readLanes (store: Store): Promise<Lanes> {
  const lanes: Record<string, Lane> = {}
  for (const way of ['out', 'in'] as const) {
    for await (const [key] of store.iterator({ gte: `${way}!`, lt: `${way}~` })) {
      const [, peer = '', n = ''] = key.split('!')
      lanes[peer] = { ...NOTHING, ...lanes[peer], [way]: Number.parseInt(n, 16) }
    }
  }
  for (const [peer, lane] of Object.entries(lanes)) {
    const bytes = await store.get(KEYS.acked(peer))
    if (bytes !== undefined) lanes[peer] = { ...lane, acked: openEnvelope(bytes, 'ack', checkAck).payload.n }
  }
  return lanes
}

/** What `survivor` was given and `dead`, read from its disk, would not know of. */
export function unsaid (dead: { id: string, lanes: Lanes }, survivor: { id: string, lanes: Lanes }): string[] {
  const kept = dead.lanes[survivor.id] ?? NOTHING
  const given = survivor.lanes[dead.id] ?? NOTHING
  return [
    ...(given.in > kept.out ? [`cheque ${given.in} had left and was not on disk, where the last is ${kept.out}`] : []),
    ...(given.acked > kept.in ? [`cheque ${given.acked} was acknowledged and was not on disk, where the last is ${kept.in}`] : [])
  ]
}
