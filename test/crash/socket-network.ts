/**
 * A `Network` over plain TCP on loopback, for campaigns that start a process every few hundred
 * milliseconds. Between two nodes lies one link, which says by its end that the peer is lost, and a
 * connection for each wire. It keeps the contract of every network but two points: a peer is
 * believed who it says it is, and nobody is found who was not dialled.
 */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { InosError } from '../../src/packet/errors.ts'
import type { Network, NetworkEvents, PeerInfo, Wire } from '../../src/network/network.ts'
import { type Chunks, readChunks, SocketWire, writeChunk } from './socket-wire.ts'

const HOST = '127.0.0.1'
const ADDRESS = /^\/ip4\/127\.0\.0\.1\/tcp\/(\d{1,5})$/

/** The first chunk either side of a link, and the opener of a wire, sends. */
interface Hello { readonly id: string, readonly port: number, readonly kind: 'link' | 'wire' }
/** Two nodes that dial one another at once have two connections. */
interface Link { readonly direction: 'in' | 'out', readonly sockets: Set<Socket>, readonly wires: Set<Socket> }

export async function createSocketNetwork (id: string): Promise<Network> {
  const server = createServer({ allowHalfOpen: true, noDelay: true })
  server.listen(0, HOST)
  await once(server, 'listening')
  return new SocketNetwork(id, server)
}

class SocketNetwork implements Network {
  readonly id: string
  readonly #server: Server
  readonly #port: number
  readonly #links = new Map<string, Link>()
  readonly #ports = new Map<string, number>()
  /** Every connection that is not closed. */
  readonly #open = new Set<Socket>()
  readonly #listeners: NetworkEvents[] = []
  #handler: (wire: Wire) => void = wire => { wire.abort(new Error('nobody takes streams')) }

  constructor (id: string, server: Server) {
    this.id = id
    this.#server = server
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('a server without a port')
    this.#port = address.port
    server.on('connection', socket => { this.#incoming(socket).catch(() => { socket.destroy() }) })
  }

  addresses (): string[] { return [`/ip4/${HOST}/tcp/${this.#port}`] }

  async dial (address: string, signal: AbortSignal): Promise<string> {
    const port = ADDRESS.exec(address.replace(/\/p2p\/[^/]+$/, ''))?.[1]
    if (port === undefined) throw new InosError('ERR_USAGE', `"${address.slice(0, 80)}" is not an address of this network.`)
    return await this.#link(Number(port), signal)
  }

  async open (peer: string, signal: AbortSignal): Promise<Wire> {
    const port = this.#ports.get(peer)
    if (port === undefined) throw new InosError('ERR_NOT_REACHABLE', `${peer.slice(0, 80)} has no known address.`)
    if (!this.#links.has(peer)) await this.#link(port, signal)
    const socket = await this.#connect(port, 'wire', signal)
    return this.#wire(peer, socket, readChunks(socket))
  }

  handle (handler: (wire: Wire) => void): void { this.#handler = handler }

  peers (): PeerInfo[] {
    return Array.from(this.#links, ([id, { direction }]) => ({ id, addresses: [`/ip4/${HOST}/tcp/${this.#ports.get(id)}`], direction, latencyMs: null }))
  }

  async routesTo (): Promise<string[]> { return [] }

  on (events: NetworkEvents): void { this.#listeners.push(events) }

  async provide (): Promise<void> {}

  withdraw (): void {}

  async * find (): AsyncIterable<string> {}

  async hangUp (peer: string): Promise<void> {
    const link = this.#links.get(peer)
    for (const socket of [...link?.wires ?? [], ...link?.sockets ?? []]) socket.destroy()
    if (link !== undefined) this.#lost(peer, link)
  }

  async stop (): Promise<void> {
    this.#server.close()
    await Promise.all([...this.#links.keys()].map(peer => this.hangUp(peer)))
    for (const socket of this.#open) socket.destroy()
  }

  /** @returns who is there */
  async #link (port: number, signal: AbortSignal): Promise<string> {
    const socket = await this.#connect(port, 'link', signal)
    const chunks = readChunks(socket)
    const hello = await readHello(chunks).catch((cause: unknown) => {
      socket.destroy()
      throw new InosError('ERR_NOT_REACHABLE', `Nobody answers at port ${port}.`, { cause })
    })
    this.#linked(hello, socket, chunks, 'out')
    return hello.id
  }

  async #connect (port: number, kind: Hello['kind'], signal: AbortSignal): Promise<Socket> {
    if (signal.aborted) throw new InosError('ERR_CANCELLED', 'The dial was cancelled.', { cause: signal.reason })
    const socket = connect({ host: HOST, port, allowHalfOpen: true, noDelay: true })
    this.#keep(socket)
    try {
      await once(socket, 'connect', { signal })
    } catch (cause) {
      socket.destroy()
      throw new InosError(signal.aborted ? 'ERR_CANCELLED' : 'ERR_NOT_REACHABLE', `Port ${port} was not reached.`, { cause })
    }
    this.#greet(socket, kind)
    return socket
  }

  #keep (socket: Socket): void {
    this.#open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => { this.#open.delete(socket) })
  }

  #greet (socket: Socket, kind: Hello['kind']): void {
    writeChunk(socket, Buffer.from(JSON.stringify({ id: this.id, port: this.#port, kind } satisfies Hello)))
  }

  async #incoming (socket: Socket): Promise<void> {
    this.#keep(socket)
    const chunks = readChunks(socket)
    const hello = await readHello(chunks)
    if (hello.kind === 'wire') {
      this.#handler(this.#wire(hello.id, socket, chunks))
    } else {
      this.#greet(socket, 'link')
      this.#linked(hello, socket, chunks, 'in')
    }
  }

  #linked ({ id, port }: Hello, socket: Socket, chunks: Chunks, direction: 'in' | 'out'): void {
    this.#ports.set(id, port)
    const link = this.#links.get(id) ?? { direction, sockets: new Set(), wires: new Set() }
    const isNew = !this.#links.has(id)
    this.#links.set(id, link)
    link.sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      link.sockets.delete(socket)
      if (link.sockets.size === 0) this.#lost(id, link)
    })
    // Nothing more comes on a link: its end is all it says.
    chunks.next().catch(() => {}).finally(() => { socket.destroy() })
    if (isNew) for (const listener of this.#listeners) listener.connect(id)
  }

  #lost (peer: string, link: Link): void {
    if (this.#links.get(peer) !== link) return
    this.#links.delete(peer)
    for (const socket of link.wires) socket.destroy()
    for (const listener of this.#listeners) listener.disconnect(peer)
  }

  #wire (peer: string, socket: Socket, chunks: Chunks): Wire {
    const wires = this.#links.get(peer)?.wires
    wires?.add(socket)
    socket.on('close', () => { wires?.delete(socket) })
    return new SocketWire(peer, socket, chunks)
  }
}

async function readHello (chunks: Chunks): Promise<Hello> {
  const first = await chunks.next()
  if (first.done === true) throw new Error('the other side said nothing')
  return JSON.parse(Buffer.from(first.value).toString()) as Hello
}
