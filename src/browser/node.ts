/** What `join()` takes and gives in a browser beyond what it does everywhere. */
import type { CommonNode, CommonOptions } from '../assembly/node.ts'
import type { PauseOptions, Work } from './serving.ts'

export interface JoinOptions extends CommonOptions {
  /** Name under which this origin keeps identity, ledger and caches; one page at a time has it. @default "inos" */
  dataDir?: string
  /** `['/webrtc']`: be reachable through relays, and directly where the two browsers find a way; `['/p2p-circuit']`: through relays alone; none: others can't dial this tab. @default none */
  listen?: readonly string[]
  /** True only where the user of this page has said so: then it works for others from the start. @default false */
  serve?: boolean
  /** What pauses that work. @default nothing */
  pause?: PauseOptions
  /** Bytes that all blobs may take, at least LIMITS.store.blobsBytesMin. @default what `setTrade` has kept, LIMITS.browser.blobsBytesMax at first */
  blobCache?: number
  /** Where the script of executors is served, for pages whose policy allows no workers from blob:. @default the one in the bundle */
  executor?: string | URL
  /** Takes one line about each fault of the background. @default nobody */
  log?: (line: string) => void
}

export interface Node extends CommonNode {
  /** Whether it works for others, which it does as long as `serve(true)` holds and nothing pauses it. */
  work (): Work
  /** Called when that changes. @returns ends it */
  onWork (listener: (work: Work) => void): () => void
  /** Choose anew what pauses that work. */
  pause (options: PauseOptions): void
  /** Whether the browser has promised to keep what this node keeps; else it may clear it when room gets short. */
  readonly persistent: boolean
  /** What this browser lacks, one sentence each. */
  readonly lacks: readonly string[]
}
