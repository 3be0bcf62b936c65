/** How others get to a node, as its owner sees it. Found out in `access.ts`. */

/** What a peer says after it has dialled back. */
export interface DialBack {
  /** Where it sees this node, without a PeerId; null: through a relay. */
  readonly seen: string | null
  /** Multiaddrs at which its dial came through. */
  readonly reached: readonly string[]
}

/** What was carried for one peer since this node has started. */
export interface RelayAccount {
  /** PeerId of who holds the reservation, and pays. */
  readonly peer: string
  /** Bytes in both directions; of these paid for. */
  readonly bytes: number
  readonly paid: number
  /** Bytes it may still send without paying; below zero: carried ahead of a payment. */
  readonly left: number
  /** Relayed connections that are open. */
  readonly connections: number
}

/** `public`: somebody has dialled it; `relayed`: only through relays; `private`: nobody could; `unknown`: nobody was asked. */
export interface Reachability {
  readonly status: 'public' | 'relayed' | 'private' | 'unknown'
  /** Why it is taken to be so, and what would make it better; null: nothing needs to be. */
  readonly reason: string
  readonly next: string | null
  /** Multiaddrs at which others get here. */
  readonly addresses: readonly string[]
  /** PeerIds of relays through which others get here. */
  readonly relays: readonly string[]
  /** Whether it relays for others, and what for whom. */
  readonly relaying: boolean
  readonly carried: readonly RelayAccount[]
}

/** The answer of one peer that tested a node with it. */
export interface PeerTest extends DialBack {
  /** PeerId. */
  readonly peer: string
  /** Multiaddr of the connection the question went over, and the relay it goes through; null: it is direct. */
  readonly address: string
  readonly via: string | null
  /** Ports it was asked to dial. */
  readonly ports: readonly number[]
  readonly relays: boolean
  readonly punches: boolean
}
