/** What a program gives `join()`, and the node it gets, as far as both are the same on every platform. */
import type { ActorMethods } from '../emergent/actors.ts'
import type { MapMethod } from '../emergent/map.ts'
import type { KnownPeer } from '../network/known-peers.ts'
import type { PriceList } from '../packet/limits.ts'
import type { Processor } from '../processor/processor.ts'
import type { MeshMethods } from './mesh-methods.ts'
import type { SettingsChange } from './settings.ts'
import type { NodeTrade } from './trade.ts'

export interface CommonOptions {
  /** STUN servers, such as "stun:192.0.2.1:3478", which tell a node behind a router its address, for WebRTC. @default nobody is asked */
  stun?: readonly string[]
  /** Multiaddrs of nodes to connect to. One that can't be reached fails the join. */
  peers?: readonly string[]
  /** An invite, by which this identity becomes a member of a private mesh; one that is a member already needs none. @default none */
  mesh?: string
  /** False: no network at all, a mesh of one. @default true */
  network?: boolean
  /** Jobs that run at once. @default the number of cores */
  slots?: number
  /** Prices to take, µcr; those not named move with the load around DEFAULT_PRICES. @default what `setTrade` has kept, none at first */
  prices?: Partial<PriceList>
  /** PeerIds that may buy; null: anyone. @default what `setTrade` has kept, anyone at first */
  buyers?: readonly string[] | null
  /** Part of all cores that jobs may have on average, 1 to 100. @default what `setTrade` has kept, 100 at first */
  cpuPercent?: number
  /** False: every job is run; else one that ran here before, with the same module, input and limits, is answered from memory at the base price. @default true */
  resultCache?: boolean
  /** What one peer may owe this node, µcr. @default LIMITS.credits.strangerLineMax */
  lineMax?: bigint
  /** What all strangers together may owe this node, µcr. @default LIMITS.credits.strangerPoolMax */
  poolMax?: bigint
  /** What this node promises all sellers together that are new to it, on the open mesh, µcr; see `src/credits/strangers.ts`. @default LIMITS.credits.sellerPoolMax */
  sellerPoolMax?: bigint
  signal?: AbortSignal
}

/** A processor with the layers that grow on it. */
export interface CommonNode extends Processor, ActorMethods, MeshMethods {
  /** Run a module once per input, across the mesh; see `map.ts`. */
  readonly map: MapMethod
  /** Peers it knows: those it has met, the latest first, then those it has only heard of. They are dialled at the next start. */
  knownPeers (): KnownPeer[]
  /** Dial a peer no more by itself, until it is met again. @returns whether it was known */
  forget (peer: string): boolean
  /** What this node takes for work now, from whom, and how much of the CPU it gives. */
  trade (): NodeTrade
  /**
   * Change prices, buyers, the share of the CPU or the room for blobs from now on, and keep that with the identity.
   * @throws {InosError} ERR_USAGE, and ERR_DATA_DIR (in a tab ERR_STORE) when it cannot be kept
   */
  setTrade (change: SettingsChange): Promise<NodeTrade>
}
