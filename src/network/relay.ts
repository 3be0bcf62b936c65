/**
 * What this node carries for peers that nobody can dial: libp2p's circuit relay, with limits of our
 * own, counted for each peer that holds a reservation. Each hour a little is free; the rest has to be
 * paid, or the relayed connections of that peer are closed. How it is paid is the processor's.
 *
 * The limits are kept here and not told as libp2p's `limit`: a connection with such a limit counts as
 * second-class there, and a new one would be opened for each ping.
 */
import { type CircuitRelayService, circuitRelayServer, RELAY_V2_STOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { PeerId, Startable, Stream, StreamMiddleware } from '@libp2p/interface'
import type { LIMITS } from '../packet/limits.ts'
import type { Timers } from './network.ts'
import type { RelayAccount } from './reachability.ts'

export type RelayLimits = { readonly [K in keyof typeof LIMITS.relay]: (typeof LIMITS.relay)[K] extends bigint ? bigint : number }
export type RelayComponents = Parameters<ReturnType<typeof circuitRelayServer>>[0]

interface Account {
  bytes: number
  paid: number
  /** Of what was paid. */
  credit: number
  /** Of what is free in this hour, and when it was last filled up. */
  free: number
  at: number
  circuits: Set<Circuit>
  /** It was asked to pay then; null when it has, or never was. */
  askedAt: number | null
}

interface Circuit { bytes: number, readonly stream: Stream, readonly cancel: () => void }

const HOUR_MS = 3_600_000
const KIB = 1_024

export class Relay {
  readonly #timers: Timers
  readonly #limits: RelayLimits
  readonly #isShelter: (relay: string) => boolean
  readonly #accounts = new Map<string, Account>()
  #free: number
  #freeAt: number
  #components: RelayComponents | null = null
  /** Of a node that relays, or has. */
  #server: (CircuitRelayService & Startable) | null = null
  #running = false
  /** Nothing is charged where it is null. */
  #ask: ((peer: string, bytes: number) => void) | null = null

  /** @param isShelter whether a relay leads to this node: no other may say that it relays somebody */
  constructor (timers: Timers, limits: RelayLimits, isShelter: (relay: string) => boolean) {
    this.#timers = timers
    this.#limits = limits
    this.#isShelter = isShelter
    this.#free = limits.freeBytesAllPerHour
    this.#freeAt = timers.now()
  }

  /** What went through relays to this node, and what it has paid them for: bytes by PeerId. */
  readonly #used = new Map<string, { bytes: number, paid: number }>()

  get isRunning (): boolean { return this.#running }

  attach (components: RelayComponents): void { this.#components = components }

  /** Begin to give reservations. */
  async start (): Promise<void> {
    if (this.#running || this.#components === null) return
    this.#running = true
    const { reservationsMax, reservationMs, openedPerPeerMax } = this.#limits
    this.#server ??= circuitRelayServer({
      maxInboundHopStreams: openedPerPeerMax,
      reservations: { maxReservations: reservationsMax, reservationTtl: reservationMs, applyDefaultLimit: false }
    })(this.#components) as CircuitRelayService & Startable
    await this.#server.start()
  }

  async stop (): Promise<void> {
    for (const { circuits } of this.#accounts.values()) for (const { cancel } of circuits) cancel()
    if (this.#running) await this.#server?.stop()
    this.#running = false
  }

  /** @param ask called when a peer has little left, with the bytes it should pay for; again only after a while */
  onLow (ask: (peer: string, bytes: number) => void): void { this.#ask = ask }

  /** Whether this relay sells so many bytes now: never more than a slice ahead, because what is bought is lost when it starts again. */
  sells (peer: string, bytes: number): boolean { return (this.#accounts.get(peer)?.credit ?? 0) + bytes <= this.#limits.sliceBytes }

  /** A peer has paid for so many bytes. */
  credit (peer: string, bytes: number): void {
    const account = this.#account(peer)
    account.credit += bytes
    account.paid += bytes
    account.askedAt = null
  }

  /** Whether a relay can ask this node to pay for so many bytes: for what went through it, and as much ahead, a slice at most; what is under way is not counted here yet. */
  owesFor (relay: string, bytes: number): boolean {
    const { bytes: used, paid } = this.#used.get(relay) ?? { bytes: 0, paid: 0 }
    return paid + bytes <= used + Math.min(this.#limits.sliceBytes, used + this.#limits.lowBytes)
  }

  paidFor (relay: string, bytes: number): void { this.#usedAt(relay).paid += bytes }

  accounts (): RelayAccount[] {
    return Array.from(this.#accounts, ([peer, account]) => ({ peer, bytes: account.bytes, paid: account.paid, left: this.#left(account), connections: account.circuits.size }))
  }

  /** A peer has left: its place is somebody else’s. */
  left (peer: PeerId): void { this.#server?.reservations.delete(peer) }

  /** Whether a connection to this peer is not to be relayed. */
  refuses (peer: string): boolean {
    const account = this.#accounts.get(peer)
    return account !== undefined && this.#isSpent(account)
  }

  /** What counts the streams over which connections are relayed to their holders. */
  middleware (protocol: string): StreamMiddleware[] {
    if (protocol !== RELAY_V2_STOP_CODEC) return []
    return [(stream, connection, next) => {
      const peer = connection.remotePeer.toString()
      if (stream.direction === 'outbound') this.#watch(peer, stream)
      else if (!this.#isShelter(peer)) return stream.abort(new Error('This node has no place at that relay.'))
      else count(stream, bytes => { this.#usedAt(peer).bytes += bytes })
      next(stream, connection)
    }]
  }

  #watch (peer: string, stream: Stream): void {
    const account = this.#account(peer)
    const circuit: Circuit = { bytes: 0, stream, cancel: this.#timers.after(this.#limits.connectionMsMax, () => { stream.abort(new Error('This relayed connection has lasted long enough.')) }) }
    account.circuits.add(circuit)
    stream.addEventListener('close', () => {
      circuit.cancel()
      account.circuits.delete(circuit)
    })
    count(stream, bytes => { this.#carry(peer, account, circuit, bytes) })
  }

  #carry (peer: string, account: Account, circuit: Circuit, bytes: number): void {
    account.bytes += bytes
    circuit.bytes += bytes
    this.#take(account, bytes)
    if (circuit.bytes > this.#limits.bytesMax) circuit.stream.abort(new Error(`A relayed connection carries ${this.#limits.bytesMax} bytes.`))
    if (this.#left(account) < Math.min(this.#limits.lowBytes, account.bytes)) this.#demand(peer, account)
  }

  #demand (peer: string, account: Account): void {
    const now = this.#timers.now()
    if (this.#isSpent(account)) {
      for (const { stream } of account.circuits) stream.abort(new Error('What was relayed is not paid.'))
    } else if (this.#ask !== null && (account.askedAt === null || now - account.askedAt >= this.#limits.tollMsMax)) {
      account.askedAt = now
      const { sliceBytes, aheadBytesMax } = this.#limits
      // As much ahead as was carried: who is new to this relay need not trust it with a whole slice. A KiB is what has a price.
      const due = Math.min(sliceBytes + aheadBytesMax, Math.min(sliceBytes, account.bytes) - account.credit)
      this.#ask(peer, Math.max(1, Math.floor(due / KIB)) * KIB)
    }
  }

  /** What is free goes first, while there is any for all. */
  #take (account: Account, bytes: number): void {
    this.#refill(account)
    const free = Math.min(bytes, Math.floor(Math.min(account.free, this.#free)))
    account.free -= free
    this.#free -= free
    account.credit -= bytes - free
  }

  #refill (account: Account): void {
    const { freeBytesPerHour, freeBytesAllPerHour } = this.#limits
    const now = this.#timers.now()
    account.free = Math.min(freeBytesPerHour, account.free + (now - account.at) * freeBytesPerHour / HOUR_MS)
    this.#free = Math.min(freeBytesAllPerHour, this.#free + (now - this.#freeAt) * freeBytesAllPerHour / HOUR_MS)
    account.at = this.#freeAt = now
  }

  #left (account: Account): number { return Math.floor(account.credit + Math.min(account.free, this.#free)) }

  #isSpent (account: Account): boolean { return this.#left(account) < -this.#limits.aheadBytesMax }

  #usedAt (relay: string): { bytes: number, paid: number } {
    const known = this.#used.get(relay)
    if (known !== undefined) return known
    if (this.#used.size >= this.#limits.reservationsMax) this.#used.delete(this.#used.keys().next().value!)
    const used = { bytes: 0, paid: 0 }
    this.#used.set(relay, used)
    return used
  }

  #account (peer: string): Account {
    const known = this.#accounts.get(peer)
    if (known !== undefined) return known
    const account: Account = { bytes: 0, paid: 0, credit: 0, free: this.#limits.freeBytesPerHour, at: this.#timers.now(), circuits: new Set(), askedAt: null }
    this.#trim()
    this.#accounts.set(peer, account)
    return account
  }

  /** Of more accounts than reservations the oldest is forgotten that has nothing open, and owes nothing if there is one. */
  #trim (): void {
    if (this.#accounts.size < 2 * this.#limits.reservationsMax) return
    const idle = [...this.#accounts].filter(([, { circuits }]) => circuits.size === 0)
    const [oldest] = idle.filter(([, { credit }]) => credit === 0).concat(idle)
    if (oldest !== undefined) this.#accounts.delete(oldest[0])
  }
}

/** Bytes that leave by a stream pass `send`, those that come `onData`; a listener would take them from whoever reads. */
export function count (stream: Stream, carried: (bytes: number) => void): void {
  const ends = stream as Stream & { onData (data: { readonly byteLength: number }): void }
  const [send, onData] = [ends.send.bind(ends), ends.onData.bind(ends)]
  ends.send = data => {
    carried(data.byteLength)
    return send(data)
  }
  ends.onData = data => {
    carried(data.byteLength)
    onData(data)
  }
}
