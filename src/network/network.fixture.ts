/** For tests of this room: a clock turned by hand, nodes with sessions, and a peer that may send anything. */
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { decodePacket, encodePacket, FrameDecoder, type WireLimits } from './framing.ts'
import { encodeHello, type Greeting } from './hello.ts'
import type { MemoryHub } from './memory.ts'
import type { Network, Timers, Wire } from './network.ts'
import { createSessions, type Blobs, type Serve, type Sessions } from './sessions.ts'

export const never = new AbortController().signal

export class HandClock implements Timers {
  #now = 0
  readonly #alarms = new Set<{ at: number, run: () => void }>()

  now (): number { return this.#now }

  after (ms: number, run: () => void): () => void {
    const alarm = { at: this.#now + ms, run }
    this.#alarms.add(alarm)
    return () => { this.#alarms.delete(alarm) }
  }

  /** Let `ms` pass; what is due runs in order, and what follows from it runs before this resolves. */
  async turn (ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await settle()
      const next = [...this.#alarms].sort((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > end) break
      this.#alarms.delete(next)
      this.#now = next.at
      next.run()
    }
    this.#now = end
    await settle()
  }

  /** Alarms that are set: what a node that is idle keeps alive. */
  get pending (): number { return this.#alarms.size }
}

/** Let all promises that can settle do so. */
export function settle (): Promise<void> {
  return new Promise(resolve => { setImmediate(resolve) })
}

export interface TestNode {
  readonly network: Network
  readonly sessions: Sessions
  /** What happened, in order: "open:b", "close:b", "offer:b". */
  readonly events: string[]
}

export interface TestNodeOptions {
  timers: Timers
  limits?: Partial<WireLimits>
  serve?: Partial<Serve>
  blobs?: Blobs
  greeting?: Greeting
}

/** A node that answers every request with its input, unless told otherwise. */
export function joinNode (hub: MemoryHub, id: string, { timers, limits, serve, blobs, greeting }: TestNodeOptions): TestNode {
  const network = hub.network(id)
  const events: string[] = []
  const sessions = createSessions({
    network,
    timers,
    limits: { ...LIMITS.wire, ...limits },
    hello: () => greeting ?? { profile: 'inos/1', net: 'test', records: [Uint8Array.of(1)] },
    serve: {
      request: async (_peer, { input }) => ({ result: input }),
      oneShot: async (_peer, { input }) => ({ result: input, cost: 7n }),
      ...serve
    },
    blobs: blobs ?? { get: async () => null }
  })
  sessions.on({
    open: peer => { events.push(`open:${peer}`) },
    close: peer => { events.push(`close:${peer}`) },
    offer: (peer, offer) => { events.push(`offer:${peer}:${offer.join()}`) }
  })
  return { network, sessions, events }
}

/** One raw stream: sends any bytes, keeps the packets that come. */
export class RawStream {
  readonly wire: Wire
  readonly packets: Packet[] = []
  /** null while open, then 'end' or the error. */
  over: 'end' | Error | null = null

  constructor (wire: Wire, reads = true) {
    this.wire = wire
    if (reads) void this.#read()
  }

  send (packet: Partial<Packet>): void { this.wire.write(encodePacket(packet)) }

  /** Greet, with what a well-behaved node would say unless told otherwise. */
  greet (limits: Partial<WireLimits> = {}): void {
    this.send(encodeHello({ profile: 'inos/1', net: 'test', records: [] }, { ...LIMITS.wire, ...limits }))
  }

  async #read (): Promise<void> {
    const decoder = new FrameDecoder()
    try {
      for await (const chunk of this.wire.read()) decoder.feed(chunk, frame => { this.packets.push(decodePacket(frame)) })
      this.over = 'end'
    } catch (error) {
      this.over = error as Error
    }
  }
}

export async function openRaw (network: Network, peer: string, reads = true): Promise<RawStream> {
  return new RawStream(await network.open(peer, never), reads)
}
