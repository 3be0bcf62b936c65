/**
 * What this room needs from a network: peers named by PeerId, byte streams between them, and
 * provider records. js-libp2p fulfils it in `libp2p.ts`, `memory.ts` within one process for tests;
 * `test/suites/network.ts` holds both to the same contract.
 */
import type { Access } from './access.ts'

/** Clock and timers of the platform, handed in so that a whole mesh can run under a clock of its own. */
export interface Timers {
  /** Milliseconds that never go back; only differences mean anything. */
  now (): number
  /** Run once after `ms` milliseconds. @returns what cancels it */
  after (ms: number, run: () => void): () => void
}

/** One bidirectional byte stream to an authenticated peer. */
export interface Wire {
  /** PeerId of the other end, proven by the transport's handshake. */
  readonly peer: string
  /** It goes through a third node. @default false */
  readonly relayed?: boolean
  /**
   * Chunks as they arrive. Ends when the other side half-closes; throws when the stream is reset.
   * Nothing is read ahead beyond the transport's own window. To be called once.
   */
  read (): AsyncIterable<Uint8Array>
  /** Hand over bytes. False means full: await `drained` before writing more. Throws when closed. */
  write (bytes: Uint8Array): boolean
  /** @throws {InosError} ERR_PEER_LOST when the stream ends first */
  drained (signal: AbortSignal): Promise<void>
  /** Half-close: nothing more will be written. */
  end (): Promise<void>
  /** Reset both directions at once. */
  abort (reason: Error): void
}

export interface NetworkEvents {
  connect (peer: string): void
  disconnect (peer: string): void
  /** A peer to which there was a relayed connection has a direct one as well. */
  direct? (peer: string): void
}

export interface PeerInfo {
  readonly id: string
  /** Of the connections, as seen from here. */
  readonly addresses: readonly string[]
  readonly direction: 'in' | 'out'
  /** How long a ping took to come back, when it was last measured; null: not yet, or not on this network. */
  readonly latencyMs: number | null
}

export interface Network {
  /** Own PeerId. */
  readonly id: string
  /** How others get here; absent where everybody is reached by name. */
  readonly access?: Access | undefined
  /** Where others reach this node; empty when it does not listen. */
  addresses (): string[]
  /**
   * Connect to a multiaddr, with or without its /p2p part.
   * @returns the PeerId found there
   * @throws {InosError} ERR_NOT_REACHABLE, ERR_USAGE for text that is no address
   */
  dial (address: string, signal: AbortSignal): Promise<string>
  /**
   * Open a stream of `/inos/packet/1`, dialling known addresses of the peer where needed.
   * @throws {InosError} ERR_NOT_REACHABLE, ERR_PEER_LOST
   */
  open (peer: string, signal: AbortSignal): Promise<Wire>
  /** Take incoming streams; one handler for the life of the network. */
  handle (handler: (wire: Wire) => void): void
  /** Connected peers. */
  peers (): PeerInfo[]
  /** Multiaddrs at which a connected peer can be dialled: where this node dialled it, and what it says itself. */
  routesTo (peer: string): Promise<string[]>
  on (events: NetworkEvents): void
  /** Announce that this node offers a capability such as `compute`; renewed until stop. */
  provide (capability: string, signal: AbortSignal): Promise<void>
  /** Announce it no more; others may remember it for a while. */
  withdraw (capability: string): void
  /** PeerIds that announced it; a hint, possibly stale. Break off after enough. It ends at once where nobody can be asked. */
  find (capability: string, signal: AbortSignal): AsyncIterable<string>
  /** Close the connection to one peer. */
  hangUp (peer: string): Promise<void>
  stop (): Promise<void>
}
