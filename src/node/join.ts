/** `join()`: how a program becomes a node. What it is made of is in `parts.ts`. */
import type { MeshMethods } from '../assembly/mesh-methods.ts'
import type { ActorMethods } from '../emergent/actors.ts'
import type { MapMethod } from '../emergent/map.ts'
import type { PriceList } from '../packet/limits.ts'
import type { Processor } from '../processor/processor.ts'
import type { KnownPeer } from '../network/known-peers.ts'
import { openParts, start } from './parts.ts'
import type { SettingsChange } from '../assembly/settings.ts'
import type { NodeTrade } from '../assembly/trade.ts'

export interface JoinOptions {
  /** Identity, ledger and caches live here; one writer at a time. @default INOS_HOME, else the user's data directory */
  dataDir?: string
  /** Multiaddrs to listen on, /p2p-circuit: through relays, /webrtc: through relays, and then directly by WebRTC; none: others can't dial this node. @default none */
  listen?: readonly string[]
  /** STUN servers, such as "stun:192.0.2.1:3478", which tell a node behind a router its address, for WebRTC. @default nobody is asked */
  stun?: readonly string[]
  /** Multiaddrs of nodes to connect to. One that can't be reached fails the join. */
  peers?: readonly string[]
  /** An invite, by which this data directory becomes a member of a private mesh; one that is a member already needs none. @default none */
  mesh?: string
  /** Find other nodes of the local network by multicast DNS, and be found: all of the open mesh, or those of the same private mesh. @default false */
  mdns?: boolean
  /** False: no network at all, a mesh of one. @default true */
  network?: boolean
  /** Carry connections for nodes that nobody can dial. @default where another machine could dial this node */
  relay?: boolean
  /** Ask the router to forward this node's ports (UPnP). @default where it listens beyond this machine */
  upnp?: boolean
  /** Whether to take others' jobs. @default true when it listens */
  serve?: boolean
  /** Jobs that run at once. @default the number of cores */
  slots?: number
  /** Prices to take, µcr; those not named move with the load around DEFAULT_PRICES. @default what `setTrade` has kept in the data directory, none at first */
  prices?: Partial<PriceList>
  /** PeerIds that may buy; null: anyone. @default what `setTrade` has kept, anyone at first */
  buyers?: readonly string[] | null
  /** Part of all cores that jobs may have on average, 1 to 100. @default what `setTrade` has kept, 100 at first */
  cpuPercent?: number
  /** Bytes that all blobs of the data directory may take, at least LIMITS.store.blobsBytesMin. @default what `setTrade` has kept, 2 GiB at first */
  blobCache?: number
  /** False: every job is run; else one that ran here before, with the same module, input and limits, is answered from memory at the base price. @default true */
  resultCache?: boolean
  /** What one peer may owe this node, and all strangers together, µcr. */
  lineMax?: bigint
  poolMax?: bigint
  /** Tell Prometheus of this node at http://127.0.0.1:PORT/metrics; 0: any free port. One node in a process. @default not at all */
  metrics?: number
  /** What this node promises all sellers together that are new to it, on the open mesh, µcr; see `src/credits/strangers.ts`. @default LIMITS.credits.sellerPoolMax */
  sellerPoolMax?: bigint
  signal?: AbortSignal
}

/** A processor with the layers that grow on it. */
export interface Node extends Processor, ActorMethods, MeshMethods {
  /** Run a module once per input, across the mesh; see `map.ts`. */
  readonly map: MapMethod
  /** Where its metrics are; null without the option `metrics`. */
  readonly metricsUrl: string | null
  /** Peers it knows: those it has met, the latest first, then those it has only heard of. They are dialled at the next start. */
  knownPeers (): KnownPeer[]
  /** Dial a peer no more by itself, until it is met again. @returns whether it was known */
  forget (peer: string): boolean
  /** What this node takes for work now, from whom, and how much of the CPU it gives. */
  trade (): NodeTrade
  /**
   * Change prices, buyers, the share of the CPU or the room for blobs from now on, and keep that in the data directory.
   * @throws {InosError} ERR_USAGE, ERR_DATA_DIR
   */
  setTrade (change: SettingsChange): Promise<NodeTrade>
}

/**
 * Become part of the mesh. Alone, it is a mesh of one on the same code path.
 * @throws {InosError} ERR_DATA_DIR, ERR_LISTEN, ERR_NOT_REACHABLE, ERR_USAGE, ERR_INVITE, ERR_NOT_MEMBER; nothing is left open then
 */
export async function join (options: JoinOptions = {}): Promise<Node> {
  return await start(await openParts(options), options)
}
