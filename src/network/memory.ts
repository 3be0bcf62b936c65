/**
 * A network within one process, for tests: a hub that nodes join under any name, with the same
 * contract as libp2p and faults that can be switched on. Nothing here is random, and nothing
 * waits unless a delay is set, so that a whole mesh runs the same way every time.
 */
import { InosError } from '../packet/errors.ts'
import { toHex } from '../packet/identity.ts'
import type { Admission } from './admission.ts'
import { originOf } from './places.ts'
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
  /** Join as a node; its address is `/memory/<id>`. With an admission only members of its mesh are served. */
  network (id: string, admission?: Admission): Network
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

  network (id: string, admission?: Admission): Network {
    if (this.nodes.has(id)) throw new Error(`a node named ${id} has joined already`)
    const node = new Node(this, id, admission)
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
  readonly #admission: Admission | undefined
  #handler: (wire: Wire) => void = wire => { wire.abort(new Error('nobody takes streams')) }

  constructor (hub: Hub, id: string, admission?: Admission) {
    this.#hub = hub
    this.id = id
    this.#admission = admission
    admission?.attach({
      open: async peer => this.#openExchange(peer),
      cut: peer => { this.disconnect(peer) },
      addresses: () => this.addresses().map(address => `${address}/p2p/${id}`),
      entered: peer => { for (const listener of this.#listeners) listener.connect(peer) },
      left: peer => { for (const listener of this.#listeners) listener.disconnect(peer) }
    })
  }

  addresses (): string[] { return [`/memory/${this.id}`] }

  async dial (address: string, signal: AbortSignal): Promise<string> {
    const name = ADDRESS.exec(address.replace(/\/p2p\/[^/]+$/, ''))?.[1]
    if (name === undefined) throw new InosError('ERR_USAGE', `"${address.slice(0, 80)}" is not an address of this network.`)
    this.#checkAborted(signal)
    this.#connect(this.#hub.reach(this.id, name))
    await this.#admission?.settled(name, signal)
    return name
  }

  async open (peer: string, signal: AbortSignal): Promise<Wire> {
    this.#checkAborted(signal)
    const other = this.#hub.reach(this.id, peer)
    this.#connect(other)
    await this.#admission?.settled(peer, signal)
    const [ours, theirs] = this.#pair(other)
    // The other side learns of it after this call, as over a real network.
    queueMicrotask(() => { other.#incoming(theirs) })
    return ours
  }

  #pair (other: Node): [MemoryWire, MemoryWire] {
    const [ours, theirs] = createPair(this.#hub, this.id, other.id)
    this.#link(other.id, ours)
    other.#link(this.id, theirs)
    return [ours, theirs]
  }

  #incoming (wire: MemoryWire): void {
    if (this.#admission === undefined) this.#handler(wire)
    else this.#admission.pass(wire.peer).then(() => { this.#handler(wire) }, (error: Error) => { wire.abort(error) })
  }

  #openExchange (peer: string): Wire {
    const other = this.#hub.reach(this.id, peer)
    const door = other.#admission
    if (door === undefined) throw new InosError('ERR_NOT_MEMBER', `${peer} belongs to no private mesh.`)
    if (!this.#links.has(peer)) throw new InosError('ERR_PEER_LOST', `The connection to ${peer} was lost.`)
    const [ours, theirs] = this.#pair(other)
    queueMicrotask(() => { door.take(theirs) })
    return ours
  }

  handle (handler: (wire: Wire) => void): void { this.#handler = handler }

  peers (): PeerInfo[] {
    const inside = [...this.#links].filter(([id]) => this.#admission?.isInside(id) ?? true)
    return inside.map(([id, { direction }]) => ({ id, addresses: [`/memory/${id}`], direction, latencyMs: null }))
  }

  async routesTo (peer: string): Promise<string[]> { return this.#links.has(peer) ? [`/memory/${peer}`] : [] }

  on (events: NetworkEvents): void { this.#listeners.push(events) }

  async provide (capability: string, signal: AbortSignal): Promise<void> {
    this.#checkAborted(signal)
    const key = this.#keyOf(capability)
    const providers = this.#hub.providers.get(key) ?? new Set()
    this.#hub.providers.set(key, providers.add(this.id))
  }

  async * find (capability: string, signal: AbortSignal): AsyncIterable<string> {
    for (const id of this.#hub.providers.get(this.#keyOf(capability)) ?? []) {
      if (signal.aborted) return
      if (id !== this.id) yield id
    }
  }

  /** Each mesh has a list of its own. */
  #keyOf (capability: string): string {
    return this.#admission === undefined ? capability : `${toHex(this.#admission.membership.net)} ${capability}`
  }

  async hangUp (peer: string): Promise<void> { this.disconnect(peer) }

  async stop (): Promise<void> {
    this.#hub.drop(this.id)
    this.#admission?.stop()
  }

  connected (): string[] { return [...this.#links.keys()] }

  /** Lose a peer, on both sides. */
  disconnect (peer: string): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    this.#links.delete(peer)
    const lost = new InosError('ERR_PEER_LOST', `The connection to ${peer} was lost.`)
    for (const wire of link.wires) wire.lose(lost)
    if (this.#admission === undefined) for (const listener of this.#listeners) listener.disconnect(peer)
    else this.#admission.closed(peer)
    link.wires.forEach(wire => { wire.other.lose(lost) })
    this.#hub.nodes.get(peer)?.disconnect(this.id)
  }

  #connect (other: Node): void {
    if (this.#links.has(other.id)) return
    this.#links.set(other.id, { direction: 'out', wires: new Set() })
    other.#links.set(this.id, { direction: 'in', wires: new Set() })
    this.#opened(other.id, 'out')
    other.#opened(this.id, 'in')
  }

  #opened (peer: string, direction: 'in' | 'out'): void {
    if (this.#admission === undefined) for (const listener of this.#listeners) listener.connect(peer)
    else this.#admission.opened(peer, direction === 'out' ? null : originOf(`/memory/${peer}`))
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
