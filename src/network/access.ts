/**
 * How others get to this node, and why: asks peers to dial it back (`reach.ts`), lets it be found
 * through relays where nobody can, relays for others where somebody can (`relay.ts`), and tries to turn
 * relayed connections into direct ones (`punch.ts`). What the owner sees of all that is a `Reachability`.
 */
import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { Connection, Libp2p, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Network, Timers } from './network.ts'
import { isRelayed, portOf, relayOf, scopeOf } from './places.ts'
import { type PunchComponents, Puncher, PUNCH_PROTOCOL } from './punch.ts'
import { askDialBack, DialBacks, REACH_PROTOCOL } from './reach.ts'
import type { DialBack, PeerTest, Reachability } from './reachability.ts'
import { Relay, type RelayComponents, type RelayLimits } from './relay.ts'
import { isAtRelays, relaysOf, ROUTER, Shelter, type ShelterComponents } from './shelter.ts'

export interface AccessOptions {
  readonly timers: Timers
  /** Multiaddrs this node was told to listen on. */
  readonly listen: readonly string[]
  /** Whether to relay for others. @default where somebody could dial this node */
  readonly relay?: boolean | undefined
  readonly limits?: RelayLimits | undefined
}

type Components = RelayComponents & PunchComponents & ShelterComponents
/** As libp2p’s own interface of it, as far as it is used here. */
type Node = Pick<Libp2p, 'getConnections' | 'getMultiaddrs' | 'addEventListener' | 'handle' | 'peerStore'>

export class Access {
  readonly relay: Relay
  readonly #options: AccessOptions
  readonly #limits: RelayLimits
  readonly #stopped = new AbortController()
  /** What peers said that were asked to dial back, and when. */
  readonly #answers = new Map<string, DialBack & { readonly at: number }>()
  readonly #asking = new Set<string>()
  /** Addresses at which this node was dialled from elsewhere. */
  readonly #reached = new Set<string>()
  readonly #puncher: Puncher
  readonly #shelter: Shelter
  #components: Components | null = null
  #node: Node | null = null
  #network: Pick<Network, 'provide' | 'find'> | null = null
  #cancel: () => void = () => {}
  #plannedAt = Infinity
  #status: Reachability['status'] = 'unknown'
  readonly #listeners: ((view: Reachability) => void)[] = []
  /** Why the router does not forward ports. */
  #routerProblem: string | null = null
  #isForwarded = false

  constructor (options: AccessOptions) {
    this.#options = options
    this.#limits = options.limits ?? LIMITS.relay
    this.relay = new Relay(options.timers, this.#limits, relay => relaysOf(this.#addresses()).includes(relay))
    this.#puncher = new Puncher(options.timers, this.#limits)
    this.#shelter = new Shelter(options.timers, this.#limits)
  }

  /** Called when the status is another one. */
  onChange (listener: (view: Reachability) => void): void { this.#listeners.push(listener) }

  /** Take the parts of a libp2p node that is being made. */
  attach (components: Components): void {
    this.#components = components
    this.relay.attach(components)
    this.#puncher.attach(components)
    this.#shelter.attach(components)
  }

  /** The node has started. */
  async begin (node: Node): Promise<void> {
    this.#node = node
    const { relay, listen } = this.#options
    this.#trustOwn()
    const backs = new DialBacks(this.#options.timers, (address, signal) => this.#dialOnce(address, signal), this.#limits)
    await node.handle(REACH_PROTOCOL, (stream, connection) => { backs.take(stream, connection) }, { maxInboundStreams: 1, runOnLimitedConnection: true })
    await this.#puncher.start()
    node.addEventListener('connection:open', () => { this.#plan(LIMITS.peers.lookMs) })
    node.addEventListener('peer:disconnect', ({ detail }) => { this.relay.left(detail) })
    node.addEventListener('peer:identify', ({ detail: { connection, observedAddr } }) => {
      if (observedAddr !== undefined && portOf(observedAddr.toString()) !== null && connection.direct && connection.direction === 'outbound') this.#puncher.seen(observedAddr)
      this.#plan(0)
    })
    if (relay === true) await this.relay.start()
    if (listen.some(isAtRelays)) await this.#shelter.seek(node)
    node.addEventListener('self:peer:update', () => { this.#tell() })
    this.#status = this.view().status
    this.#plan(LIMITS.peers.lookMs)
  }

  /** Others are told, and found, over this network. */
  join (network: Pick<Network, 'provide' | 'find'>): void {
    this.#network = network
    this.#shelter.join(network)
    if (this.relay.isRunning) this.#announce()
  }

  /** TCP ports on this machine that others might dial, for whoever has them forwarded. */
  ports (): readonly number[] { return this.#ports() }

  /** What came of asking the router; who is not reached yet has peers dial back at once. */
  forwarded (ports: readonly number[], problem: string | null): void {
    this.#routerProblem = problem
    if (ports.length === 0 || this.#reached.size > 0 || this.#isForwarded) return
    this.#isForwarded = true
    this.#answers.clear()
    this.#plan(LIMITS.peers.lookMs)
  }

  async stop (): Promise<void> {
    this.#stopped.abort()
    this.#cancel()
    this.#shelter.stop()
    await this.#puncher.stop()
    await this.relay.stop()
  }

  view (): Reachability {
    const own = this.#addresses()
    const relays = relaysOf(own)
    const rest = { relays, relaying: this.relay.isRunning, carried: this.relay.accounts() }
    const direct = own.filter(address => !isRelayed(address))
    if (this.#reached.size > 0) {
      return { status: 'public', reason: `Other nodes have dialled it at ${[...this.#reached].join(', ')}.`, next: null, addresses: own, ...rest }
    }
    if (relays.length > 0) return { status: 'relayed', reason: `${this.#whyNot(direct)} It is reached through ${relays.length === 1 ? 'one relay' : `${relays.length} relays`}.`, next: null, addresses: own.filter(isRelayed), ...rest }
    const isOpen = this.#ports().length > 0
    const status = isOpen && this.#answers.size === 0 ? 'unknown' : 'private'
    const next = isOpen ? (status === 'unknown' ? 'Connect to a node on another machine with --peer ADDR; it will be asked to dial back.' : `Forward the TCP port in the router, ${this.#routerProblem === null ? 'try `--upnp`, ' : ''}or connect to a node that relays (\`inos up --relay\` on a machine others can dial).`)
      : 'To be dialled from other machines, listen beyond this one: `inos up --listen /ip4/0.0.0.0/tcp/4001`; through a relay, --listen /p2p-circuit.'
    return { status, reason: this.#whyNot(direct), next, addresses: [], ...rest }
  }

  /** Have a connected peer test this node. @throws {InosError} ERR_NOT_REACHABLE, ERR_PEER_LOST, ERR_BAD_PACKET */
  async test (peer: string, signal: AbortSignal): Promise<PeerTest> {
    const connection = this.#connectionTo(peerIdFromString(peer))
    if (connection === undefined) throw new InosError('ERR_NOT_REACHABLE', `There is no connection to ${peer}.`)
    const ports = this.#portsFor(connection)
    const answer = await this.#question(connection, ports, signal)
    const { protocols } = await this.#node!.peerStore.get(connection.remotePeer)
    const address = connection.remoteAddr.toString()
    return { ...answer, peer, address, via: relayOf(address), ports, relays: protocols.includes(RELAY_V2_HOP_CODEC), punches: protocols.includes(PUNCH_PROTOCOL) }
  }

  #tell (): void {
    const view = this.view()
    if (view.status === this.#status) return
    this.#status = view.status
    for (const listener of this.#listeners) listener(view)
  }

  #whyNot (direct: readonly string[]): string {
    const asked = this.#answers.size
    if (direct.length === 0) return 'It listens on no address of its own.'
    if (this.#ports().length === 0) return 'It listens on this machine only.'
    const said = asked === 0 ? 'Nobody has been asked yet whether it can be dialled.' : `${asked === 1 ? 'One node was' : `${asked} nodes were`} asked to dial it back, and could not.`
    return this.#routerProblem === null ? said : `${said} ${this.#routerProblem}`
  }

  #addresses (): string[] { return (this.#node?.getMultiaddrs() ?? []).map(String) }

  /** Ports that might be dialled from other machines. */
  #ports (): number[] {
    const own = this.#addresses().filter(address => !isRelayed(address) && scopeOf(address) !== 'machine')
    return [...new Set(own.map(portOf).filter(port => port !== null))].slice(0, this.#limits.portsMax)
  }

  /** A peer on this machine can dial what is open to this machine only. */
  #portsFor ({ remoteAddr }: Connection): number[] {
    if (scopeOf(remoteAddr.toString()) !== 'machine') return this.#ports()
    const all = this.#addresses().filter(address => !isRelayed(address)).map(portOf)
    return [...new Set(all.filter(port => port !== null))].slice(0, this.#limits.portsMax)
  }

  /** libp2p tells nobody of a public address it listens on until somebody has confirmed it; whoever dials finds out. */
  #trustOwn (): void {
    const { addressManager } = this.#components!
    for (const { multiaddr: address, type } of addressManager.getAddressesWithMetadata()) {
      if (type === 'transport') addressManager.confirmObservedAddr(address, { type, ttl: this.#limits.askAgainMs })
    }
  }

  #plan (ms: number): void {
    if (this.#stopped.signal.aborted) return
    const at = this.#options.timers.now() + ms
    if (at >= this.#plannedAt) return
    this.#cancel()
    this.#plannedAt = at
    this.#cancel = this.#options.timers.after(ms, () => {
      this.#plannedAt = Infinity
      this.#look()
      this.#plan(this.#limits.retryMs)
    })
  }

  #look (): void {
    this.#trustOwn()
    this.#tell()
    this.#shelter.look(this.#node!).catch(() => {})
    if (this.#ports().length === 0) return
    const { timers } = this.#options
    const isDue = (peer: string): boolean => timers.now() - (this.#answers.get(peer)?.at ?? -Infinity) >= this.#limits.askAgainMs
    const elsewhere = this.#node!.getConnections().filter(({ direct, remoteAddr }) => direct && scopeOf(remoteAddr.toString()) !== 'machine')
    const fresh = [...this.#answers.values()].filter(({ at }) => timers.now() - at < this.#limits.askAgainMs).length + this.#asking.size
    for (const connection of elsewhere.slice(0, Math.max(0, this.#limits.askedMax - fresh))) {
      const peer = connection.remotePeer.toString()
      if (isDue(peer) && !this.#asking.has(peer)) void this.#ask(peer, connection)
    }
  }

  async #ask (peer: string, connection: Connection): Promise<void> {
    this.#asking.add(peer)
    try {
      const answer = await this.#question(connection, this.#ports(), this.#stopped.signal)
      if (answer.seen !== null) await this.#conclude(peer, answer)
    } catch {
      // Busy, or of an older version: others are asked.
    } finally {
      this.#asking.delete(peer)
    }
  }

  /** It has dialled back, or could not. */
  async #conclude (peer: string, answer: DialBack): Promise<void> {
    const { timers, relay } = this.#options
    this.#answers.delete(peer)
    this.#answers.set(peer, { ...answer, at: timers.now() })
    for (const oldest of [...this.#answers.keys()].slice(0, -this.#limits.askedMax)) this.#answers.delete(oldest)
    this.#reached.clear()
    // What neighbours in a local network can dial says nothing where others have been asked as well.
    const answers = [...this.#answers.values()]
    const isWide = answers.some(({ seen }) => scopeOf(seen ?? '') === 'public')
    for (const { reached } of answers) for (const address of reached) if (!isWide || scopeOf(address) === 'public') this.#reached.add(address)
    const known = this.#addresses()
    for (const address of this.#reached) {
      if (!known.some(own => own.startsWith(`${address}/`))) this.#components!.addressManager.confirmObservedAddr(multiaddr(address), { type: 'observed', ttl: 2 * this.#limits.askAgainMs })
    }
    if (this.#reached.size > 0) {
      if (relay !== false && !this.relay.isRunning) {
        await this.relay.start()
        this.#announce()
      }
    } else {
      await this.#shelter.seek(this.#node!)
    }
    this.#tell()
  }

  async #question (connection: Connection, ports: readonly number[], signal: AbortSignal): Promise<DialBack> {
    const late = new AbortController()
    const cancel = this.#options.timers.after(2 * this.#limits.dialBackMsMax, () => { late.abort() })
    try {
      return await askDialBack(connection, ports, AbortSignal.any([signal, late.signal]))
    } catch (error) {
      throw error instanceof InosError ? error : new InosError('ERR_PEER_LOST', `${connection.remotePeer} did not answer whether it can dial this node.`, { cause: error })
    } finally {
      cancel()
    }
  }

  async #dialOnce (address: Parameters<Components['connectionManager']['openConnection']>[0], signal: AbortSignal): Promise<void> {
    const connection = await this.#components!.connectionManager.openConnection(address, { force: true, signal })
    await connection.close({ signal })
  }

  #announce (): void { this.#network?.provide(ROUTER, this.#stopped.signal).catch(() => {}) }

  #connectionTo (peer: PeerId): Connection | undefined { return bestOf(this.#node!.getConnections(peer)) }
}

/** Of several connections to a peer: an open direct one, else an open one. */
export function bestOf (connections: readonly Connection[]): Connection | undefined {
  const open = connections.filter(({ status }) => status === 'open')
  return open.find(({ direct }) => direct) ?? open.find(({ limits }) => limits === undefined) ?? open[0]
}
