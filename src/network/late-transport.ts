/**
 * A transport whose program is loaded when an address first needs it: what a page loads stays small, and a node starts where an optional
 * native part is missing. Which addresses are a transport's is known before, so nothing is loaded to find that out.
 */
import { type CreateListenerOptions, isStartable, type Listener, type ListenerEvents, serviceCapabilities, type Startable, type Transport, transportSymbol, TypedEventEmitter } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'

export interface LateTransport<Components> {
  readonly name: string
  /** Of whole addresses, with the PeerId at their end. */
  readonly dials: RegExp
  /** @default it never listens */
  readonly listens?: RegExp
  load (): Promise<(components: Components) => Transport>
  /** Called when a node that has loaded it has stopped, and all its connections with it. @default nothing is left to do */
  readonly release?: (() => void) | undefined
}

const NONE = /$^/

/** A transport that can be loaded before somebody needs it. */
export interface Late extends Transport, Startable { load (): Promise<void> }

export function lateTransport<Components> ({ name, dials, listens = NONE, load, release }: LateTransport<Components>): (components: Components) => Late {
  const matching = (pattern: RegExp) => (addresses: Multiaddr[]) => addresses.filter(address => pattern.test(address.toString()))
  return components => {
    let loaded: Promise<Transport> | null = null
    const get = (): Promise<Transport> => {
      loaded ??= load().then(async create => {
        const transport = create(components)
        if (isStartable(transport)) await transport.start()
        return transport
      })
      // What could not be loaded now may be later: a page was offline.
      loaded.catch(() => { loaded = null })
      return loaded
    }
    const transport: Late & { readonly [serviceCapabilities]: string[] } = {
      [transportSymbol]: true,
      [Symbol.toStringTag]: name,
      [serviceCapabilities]: ['@libp2p/transport'],
      listenFilter: matching(listens),
      dialFilter: matching(dials),
      dial: async (address, options) => await (await get()).dial(address, options),
      createListener: options => new LateListener(get, options),
      load: async () => { await get() },
      start () {},
      async stop () {
        const transport = await loaded?.catch(() => null)
        if (isStartable(transport)) await transport.stop()
      },
      afterStop () {
        if (loaded !== null) release?.()
        loaded = null
      }
    }
    return transport
  }
}

class LateListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #get: () => Promise<Transport>
  readonly #options: CreateListenerOptions
  #listener: Listener | null = null

  constructor (get: () => Promise<Transport>, options: CreateListenerOptions) {
    super()
    this.#get = get
    this.#options = options
  }

  async listen (address: Multiaddr): Promise<void> {
    const listener = (await this.#get()).createListener(this.#options)
    this.#listener = listener
    listener.addEventListener('listening', () => { this.safeDispatchEvent('listening') })
    listener.addEventListener('close', () => { this.safeDispatchEvent('close') })
    await listener.listen(address)
  }

  getAddrs (): Multiaddr[] { return this.#listener?.getAddrs() ?? [] }

  updateAnnounceAddrs (addresses: Multiaddr[]): void { this.#listener?.updateAnnounceAddrs(addresses) }

  async close (): Promise<void> { await this.#listener?.close() }
}
