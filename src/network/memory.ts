/**
 * A network within one process, for tests: a hub that nodes join under any name, with the same
 * contract as libp2p and faults that can be switched on. Nothing here is random, and nothing
 * waits unless bytes are carried, so that a whole mesh runs the same way every time.
 */
import { InosError } from '../packet/errors.ts'
import { toHex } from '../packet/identity.ts'
import type { Admission } from './admission.ts'
import { createPair, type Ether, type MemoryWire } from './memory-wire.ts'
import type { Network, NetworkEvents, PeerInfo, Timers, Wire } from './network.ts'
import { originOf } from './places.ts'

/** What becomes of bytes on their way from one node to another; null: the connection breaks. Empty bytes stand for what the transport says itself. */
export type Carry = NonNullable<Ether['carry']>

const ADDRESS = /^\/memory\/([^/]+)$/
/** As yamux begins: bytes one side may send ahead of the other's reading. */
const WINDOW_BYTES = 256 * 1024
/** A new connection: TCP, Noise, and agreeing on muxer and protocol. */
const CONNECT_TRIPS = 3
/** As the DHT's k: how many providers one lookup names, and of how many nodes each step knows. */
const NEIGHBOURS = 20

export interface MemoryHubOptions {
  /** Needed for `carry`. */
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
  /** Sever all nodes of each group from those of every other; who is in none is a group of the rest. No groups: whole again. */
  part (groups: readonly (readonly string[])[]): void
  /** A node is gone at once, as if its machine had lost power. */
  drop (id: string): void
  /** From now on connections, lookups and bytes take their way as `carry` says; null: all is there at once. */
  carry (carry: Carry | null): void
}

export function createMemoryHub (options: MemoryHubOptions = {}): MemoryHub {
  return new Hub(options)
}

class Hub implements MemoryHub {
  /** What the streams see of it. */
  readonly ether: Ether & { carry: Carry | null }
  readonly nodes = new Map<string, Node>()
  readonly providers = new Map<string, Set<string>>()
  readonly #cuts = new Set<string>()
  readonly #groups = new Map<string, number>()

  constructor ({ timers, windowBytes = WINDOW_BYTES }: MemoryHubOptions) {
    this.ether = { timers, windowBytes, carry: null, sever: (a, b) => { this.nodes.get(a)?.disconnect(b) } }
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

  part (groups: readonly (readonly string[])[]): void {
    this.#groups.clear()
    for (const [index, group] of groups.entries()) for (const id of group) this.#groups.set(id, index)
    for (const node of this.nodes.values()) {
      for (const peer of node.connected()) if (this.#isParted(node.id, peer)) node.disconnect(peer)
    }
  }

  #isParted (a: string, b: string): boolean { return this.#groups.get(a) !== this.#groups.get(b) }

  #isSevered (a: string, b: string): boolean { return this.#isParted(a, b) || this.#cuts.has(pairOf(a, b)) }

  drop (id: string): void {
    const node = this.nodes.get(id)
    // Its provider records stay, as in the DHT, where they are a hint until they expire.
    this.nodes.delete(id)
    for (const peer of node?.connected() ?? []) node?.disconnect(peer)
  }

  carry (carry: Carry | null): void {
    if (this.ether.timers === undefined) throw new Error('a hub without timers cannot carry')
    this.ether.carry = carry
  }

  /** The first node that can be reached. */
  bootstrapOf (id: string): string | undefined {
    return this.nodes.keys().find(other => other !== id && !this.#isSevered(id, other))
  }

  /** There and back so many times, at once where nothing is carried. @throws {InosError} ERR_NOT_REACHABLE when the way breaks */
  async trip (a: string, b: string, times: number): Promise<void> {
    const { carry, timers } = this.ether
    if (carry === null || timers === undefined) return
    let ms = 0
    for (let i = 0; i < times; i++) {
      const passages = [carry(a, b, NOTHING), carry(b, a, NOTHING)]
      if (passages.includes(null)) throw new InosError('ERR_NOT_REACHABLE', `${b.slice(0, 80)} did not answer.`)
      for (const passage of passages) ms += passage!.ms
    }
    await new Promise<void>(resolve => { timers.after(ms, resolve) })
  }

  /** @throws {InosError} ERR_NOT_REACHABLE */
  reach (from: string, to: string): Node {
    const node = this.nodes.get(to)
    if (node === undefined || !this.nodes.has(from) || this.#isSevered(from, to) || from === to) {
      throw new InosError('ERR_NOT_REACHABLE', `${to.slice(0, 80)} cannot be reached.`)
    }
    return node
  }
}

const NOTHING = new Uint8Array(0)

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
    await this.#meet(name, signal)
    await this.#admission?.settled(name, signal)
    return name
  }

  async open (peer: string, signal: AbortSignal): Promise<Wire> {
    const other = await this.#meet(peer, signal)
    await this.#admission?.settled(peer, signal)
    const [ours, theirs] = this.#pair(other)
    // The other side learns of it after this call, as over a real network.
    queueMicrotask(() => { other.#incoming(theirs) })
    return ours
  }

  /** Be connected. @throws {InosError} ERR_NOT_REACHABLE, ERR_CANCELLED */
  async #meet (name: string, signal: AbortSignal): Promise<Node> {
    this.#checkAborted(signal)
    if (this.#admission?.isShunned(name) === true) throw new InosError('ERR_NOT_MEMBER', `${name} was revoked from this mesh.`)
    this.#hub.reach(this.id, name)
    if (!this.#links.has(name)) {
      await this.#hub.trip(this.id, name, CONNECT_TRIPS)
      this.#checkAborted(signal)
    }
    // It may have left meanwhile, and another of its name have come.
    const found = this.#hub.reach(this.id, name)
    this.#connect(found)
    return found
  }

  #pair (other: Node): [MemoryWire, MemoryWire] {
    const [ours, theirs] = createPair(this.#hub.ether, this.id, other.id)
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

  withdraw (capability: string): void { this.#hub.providers.get(this.#keyOf(capability))?.delete(this.id) }

  /**
   * As a lookup in the DHT: begun at a connected node, else at whoever it would bootstrap from, so many steps long as the mesh is large, and it
   * names a part of those who announced it, another for each who asks; some may have left.
   */
  async * find (capability: string, signal: AbortSignal): AsyncIterable<string> {
    const first = this.connected()[0] ?? this.#hub.bootstrapOf(this.id)
    if (first === undefined) return
    const steps = Math.max(1, Math.ceil(Math.log2(this.#hub.nodes.size / NEIGHBOURS)))
    await this.#hub.trip(this.id, first, steps)
    const providers = [...this.#hub.providers.get(this.#keyOf(capability)) ?? []].filter(id => id !== this.id)
    for (const [, id] of providers.map(id => [scatter(`${this.id} ${id}`), id] as const).sort(([a], [b]) => a - b).slice(0, NEIGHBOURS)) {
      if (signal.aborted) return
      yield id
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

/** 32 bits of a text that say nothing of it (FNV-1a). */
function scatter (text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
