/**
 * A network within one process, for tests: a hub that nodes join under any name, with the same
 * contract as libp2p and faults that can be switched on. Nothing here is random, and nothing
 * waits unless a delay is set, so that a whole mesh runs the same way every time.
 */
import { InosError } from '../packet/errors.ts'
import type { Network, NetworkEvents, PeerInfo, Timers, Wire } from './network.ts'

const ADDRESS = /^\/memory\/([^/]+)$/
/** As yamux begins: bytes one side may send ahead of the other's reading. */
const WINDOW_BYTES = 256 * 1024

export interface MemoryHubOptions {
  /** Needed for `delay`. */
  timers?: Timers
  /** Bytes a wire takes before `write` says false. @default 262_144 */
  windowBytes?: number
}

export interface MemoryHub {
  /** Join as a node; its address is `/memory/<id>`. */
  network (id: string): Network
  /** Sever two nodes: their wires are lost and no new ones open until `heal`. */
  cut (a: string, b: string): void
  heal (a: string, b: string): void
  /** A node is gone at once, as if its machine had lost power. */
  drop (id: string): void
  /** Every chunk written from now on arrives this many milliseconds later; 0: at once. */
  delay (ms: number): void
}

export function createMemoryHub (options: MemoryHubOptions = {}): MemoryHub {
  return new Hub(options)
}

class Hub implements MemoryHub {
  readonly nodes = new Map<string, Node>()
  readonly providers = new Map<string, Set<string>>()
  readonly #cuts = new Set<string>()
  readonly windowBytes: number
  readonly timers: Timers | undefined
  delayMs = 0

  constructor ({ timers, windowBytes = WINDOW_BYTES }: MemoryHubOptions) {
    this.timers = timers
    this.windowBytes = windowBytes
  }

  network (id: string): Network {
    if (this.nodes.has(id)) throw new Error(`a node named ${id} has joined already`)
    const node = new Node(this, id)
    this.nodes.set(id, node)
    return node
  }

  cut (a: string, b: string): void {
    this.#cuts.add(pairOf(a, b))
    this.nodes.get(a)?.disconnect(b)
  }

  heal (a: string, b: string): void { this.#cuts.delete(pairOf(a, b)) }

  drop (id: string): void {
    const node = this.nodes.get(id)
    this.nodes.delete(id)
    for (const capability of this.providers.values()) capability.delete(id)
    for (const peer of node?.connected() ?? []) node?.disconnect(peer)
  }

  delay (ms: number): void {
    if (this.timers === undefined) throw new Error('a hub without timers cannot delay')
    this.delayMs = ms
  }

  /** @throws {InosError} ERR_NOT_REACHABLE */
  reach (from: string, to: string): Node {
    const node = this.nodes.get(to)
    if (node === undefined || !this.nodes.has(from) || this.#cuts.has(pairOf(from, to)) || from === to) {
      throw new InosError('ERR_NOT_REACHABLE', `${to.slice(0, 80)} cannot be reached.`)
    }
    return node
  }
}

function pairOf (a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}

class Node implements Network {
  readonly id: string
  readonly #hub: Hub
  readonly #links = new Map<string, { direction: 'in' | 'out', wires: Set<MemoryWire> }>()
  readonly #listeners: NetworkEvents[] = []
  #handler: (wire: Wire) => void = wire => { wire.abort(new Error('nobody takes streams')) }

  constructor (hub: Hub, id: string) {
    this.#hub = hub
    this.id = id
  }

  addresses (): string[] { return [`/memory/${this.id}`] }

  async dial (address: string, signal: AbortSignal): Promise<string> {
    const name = ADDRESS.exec(address.replace(/\/p2p\/[^/]+$/, ''))?.[1]
    if (name === undefined) throw new InosError('ERR_USAGE', `"${address.slice(0, 80)}" is not an address of this network.`)
    this.#checkAborted(signal)
    this.#connect(this.#hub.reach(this.id, name))
    return name
  }

  async open (peer: string, signal: AbortSignal): Promise<Wire> {
    this.#checkAborted(signal)
    const other = this.#hub.reach(this.id, peer)
    this.#connect(other)
    const [ours, theirs] = createPair(this.#hub, this.id, peer)
    this.#link(peer, ours)
    other.#link(this.id, theirs)
    // The other side learns of it after this call, as over a real network.
    queueMicrotask(() => { other.#handler(theirs) })
    return ours
  }

  handle (handler: (wire: Wire) => void): void { this.#handler = handler }

  peers (): PeerInfo[] {
    return [...this.#links].map(([id, { direction }]) => ({ id, addresses: [`/memory/${id}`], direction }))
  }

  on (events: NetworkEvents): void { this.#listeners.push(events) }

  async provide (capability: string, signal: AbortSignal): Promise<void> {
    this.#checkAborted(signal)
    const providers = this.#hub.providers.get(capability) ?? new Set()
    this.#hub.providers.set(capability, providers.add(this.id))
  }

  async * find (capability: string, signal: AbortSignal): AsyncIterable<string> {
    for (const id of this.#hub.providers.get(capability) ?? []) {
      if (signal.aborted) return
      if (id !== this.id) yield id
    }
  }

  async hangUp (peer: string): Promise<void> { this.disconnect(peer) }

  async stop (): Promise<void> { this.#hub.drop(this.id) }

  connected (): string[] { return [...this.#links.keys()] }

  /** Lose a peer, on both sides. */
  disconnect (peer: string): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    this.#links.delete(peer)
    const lost = new InosError('ERR_PEER_LOST', `The connection to ${peer} was lost.`)
    for (const wire of link.wires) wire.lose(lost)
    for (const listener of this.#listeners) listener.disconnect(peer)
    link.wires.forEach(wire => { wire.other.lose(lost) })
    this.#hub.nodes.get(peer)?.disconnect(this.id)
  }

  #connect (other: Node): void {
    if (this.#links.has(other.id)) return
    this.#links.set(other.id, { direction: 'out', wires: new Set() })
    other.#links.set(this.id, { direction: 'in', wires: new Set() })
    for (const listener of this.#listeners) listener.connect(other.id)
    for (const listener of other.#listeners) listener.connect(this.id)
  }

  #link (peer: string, wire: MemoryWire): void {
    const wires = this.#links.get(peer)!.wires
    wires.add(wire)
    wire.onOver = () => { wires.delete(wire) }
  }

  #checkAborted (signal: AbortSignal): void {
    if (signal.aborted) throw new InosError('ERR_CANCELLED', 'The dial was cancelled.', { cause: signal.reason })
  }
}

/** What one side has written and the other has not read. */
interface Pipe { chunks: Uint8Array[], bytes: number, ended: boolean }

function createPair (hub: Hub, a: string, b: string): [MemoryWire, MemoryWire] {
  const there: Pipe = { chunks: [], bytes: 0, ended: false }
  const back: Pipe = { chunks: [], bytes: 0, ended: false }
  const ours = new MemoryWire(hub, b, back, there)
  const theirs = new MemoryWire(hub, a, there, back)
  ours.other = theirs
  theirs.other = ours
  return [ours, theirs]
}

class MemoryWire implements Wire {
  readonly peer: string
  readonly #hub: Hub
  readonly #in: Pipe
  readonly #out: Pipe
  #error: Error | null = null
  #ended = false
  #wakeReader: () => void = () => {}
  #wakeWriter: () => void = () => {}
  other: MemoryWire = this
  onOver: () => void = () => {}

  constructor (hub: Hub, peer: string, incoming: Pipe, outgoing: Pipe) {
    this.#hub = hub
    this.peer = peer
    this.#in = incoming
    this.#out = outgoing
  }

  async * read (): AsyncIterable<Uint8Array> {
    for (;;) {
      if (this.#error !== null) throw this.#error
      const chunk = this.#in.chunks.shift()
      if (chunk !== undefined) {
        this.#in.bytes -= chunk.length
        this.other.#wakeWriter()
        yield chunk
      } else if (this.#in.ended) {
        return
      } else {
        await new Promise<void>(resolve => { this.#wakeReader = resolve })
      }
    }
  }

  write (bytes: Uint8Array): boolean {
    if (this.#error !== null || this.#ended) throw this.#error ?? new InosError('ERR_PEER_LOST', 'This side of the stream has ended.')
    this.#out.bytes += bytes.length
    // Copied, as a transport would: the writer may use its buffer again.
    const chunk = bytes.slice()
    this.#arrive(() => { this.#out.chunks.push(chunk) })
    return this.#out.bytes < this.#hub.windowBytes
  }

  async drained (signal: AbortSignal): Promise<void> {
    while (this.#out.bytes >= this.#hub.windowBytes) {
      if (this.#error !== null) throw this.#error
      if (signal.aborted) throw new InosError('ERR_CANCELLED', 'The wait was cancelled.', { cause: signal.reason })
      await new Promise<void>(resolve => {
        this.#wakeWriter = resolve
        signal.addEventListener('abort', () => { resolve() }, { once: true })
      })
    }
    if (this.#error !== null) throw this.#error
  }

  async end (): Promise<void> {
    if (this.#error !== null) throw this.#error
    if (this.#ended) return
    this.#ended = true
    this.#arrive(() => { this.#out.ended = true })
    if (this.#in.ended) this.onOver()
  }

  abort (reason: Error): void {
    this.lose(reason)
    this.#arrive(() => { this.other.lose(new InosError('ERR_PEER_LOST', 'The other side has reset the stream.')) })
  }

  /** The stream is gone for this side. */
  lose (error: Error): void {
    if (this.#error !== null || (this.#ended && this.#in.ended && this.#in.bytes === 0)) return
    this.#error = error
    this.#in.chunks.length = 0
    this.onOver()
    this.#wakeReader()
    this.#wakeWriter()
  }

  #arrive (change: () => void): void {
    const run = (): void => {
      change()
      this.other.#wakeReader()
      if (this.#ended && this.#in.ended) this.onOver()
    }
    const { delayMs, timers } = this.#hub
    if (delayMs === 0 || timers === undefined) run()
    else timers.after(delayMs, run)
  }
}
