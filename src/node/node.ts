/** What `join()` takes and gives in Node beyond what it does everywhere. */
import type { CommonNode, CommonOptions } from '../assembly/node.ts'

export interface JoinOptions extends CommonOptions {
  /** Identity, ledger and caches live here; one writer at a time. @default INOS_HOME, else the user's data directory */
  dataDir?: string
  /** Multiaddrs to listen on, /p2p-circuit: through relays, /webrtc: through relays, and then directly by WebRTC; none: others can't dial this node. @default none */
  listen?: readonly string[]
  /** Find other nodes of the local network by multicast DNS, and be found: all of the open mesh, or those of the same private mesh. @default false */
  mdns?: boolean
  /** Carry connections for nodes that nobody can dial. @default where another machine could dial this node */
  relay?: boolean
  /** Ask the router to forward this node's ports (UPnP). @default where it listens beyond this machine */
  upnp?: boolean
  /** Whether to take others' jobs. @default true when it listens */
  serve?: boolean
  /** Bytes that all blobs of the data directory may take, at least LIMITS.store.blobsBytesMin. @default what `setTrade` has kept, 2 GiB at first */
  blobCache?: number
  /** Tell Prometheus of this node at http://127.0.0.1:PORT/metrics; 0: any free port. One node in a process. @default not at all */
  metrics?: number
}

export interface Node extends CommonNode {
  /** Where its metrics are; null without the option `metrics`. */
  readonly metricsUrl: string | null
}
