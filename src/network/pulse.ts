/**
 * Notices peers that have vanished without a word: a machine that lost power or its cable leaves
 * connections that look alive for many minutes. A peer that has been silent for a while is pinged,
 * and cut when neither the ping nor anything else comes back.
 *
 * libp2p's own monitor is not used for this: its ping waits behind bulk data and would cut peers
 * that are merely busy. Here any byte of a peer, and any byte it takes, counts as life.
 */
import type { WireLimits } from './framing.ts'
import type { Timers } from './network.ts'

export interface PulseOptions {
  timers: Timers
  limits: WireLimits
  /** Who is connected. */
  peers (): string[]
  /** Resolves or rejects when the peer has reacted in any way, or the signal has aborted. */
  ping (peer: string, signal: AbortSignal): Promise<unknown>
  /** Drop the connection to a peer that is gone. */
  cut (peer: string): void
}

export class Pulse {
  readonly #options: PulseOptions
  /** When each peer last showed life. */
  readonly #heard = new Map<string, number>()
  readonly #probes = new Map<string, AbortController>()
  /** How long each peer took to answer the last ping. */
  readonly #latency = new Map<string, number>()
  #cancel: () => void = () => {}

  constructor (options: PulseOptions) {
    this.#options = options
    this.#beat()
  }

  /** The peer has sent or taken bytes. */
  heard (peer: string): void {
    this.#heard.set(peer, this.#options.timers.now())
  }

  /** Ping a peer at once, to learn how far it is. */
  measure (peer: string): void {
    this.heard(peer)
    if (!this.#probes.has(peer)) void this.#probe(peer, this.#options.timers.now())
  }

  latencyMs (peer: string): number | null { return this.#latency.get(peer) ?? null }

  stop (): void {
    this.#cancel()
    for (const probe of this.#probes.values()) probe.abort()
  }

  #beat (): void {
    const { timers, limits, peers } = this.#options
    const connected = new Set(peers())
    for (const peer of this.#heard.keys()) {
      if (connected.has(peer)) continue
      this.#heard.delete(peer)
      this.#latency.delete(peer)
    }
    for (const peer of connected) {
      const at = this.#heard.get(peer)
      if (at === undefined) this.heard(peer)
      else if (timers.now() - at >= limits.pulseMs && !this.#probes.has(peer)) void this.#probe(peer, at)
    }
    this.#cancel = timers.after(limits.pulseMs, () => { this.#beat() })
  }

  async #probe (peer: string, at: number): Promise<void> {
    const { timers, limits, ping, cut } = this.#options
    const probe = new AbortController()
    let late = false
    const cancel = timers.after(limits.pulseMs, () => {
      late = true
      probe.abort()
    })
    this.#probes.set(peer, probe)
    const began = timers.now()
    try {
      await ping(peer, probe.signal)
      this.#latency.set(peer, timers.now() - began)
    } catch {
      // Even a refusal is life; only silence is not, and `late` tells.
    } finally {
      cancel()
      this.#probes.delete(peer)
    }
    if (!late) this.heard(peer)
    else if (this.#heard.get(peer) === at) cut(peer)
  }
}
