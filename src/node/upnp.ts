/**
 * Asks the router of a home to forward ports to this node: UPnP's Internet Gateway Device (versions 1 and 2), as far as that takes. A router is found by
 * multicast (SSDP), described by XML over HTTP, and told by SOAP. Forwarding lasts for a lease that is renewed, and is taken back at the stop.
 *
 * Whoever answers in the local network may lie: only the host that answered is talked to, with limits in bytes and time, and what it says is looked at for a few words.
 * Whether others get in that way is found out by dial-backs (`network/access.ts`), not believed.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Timers } from '../network/network.ts'

export type UpnpLimits = { readonly [K in keyof typeof LIMITS.upnp]: number }

export interface PortForwarderOptions {
  readonly timers: Timers
  /** TCP ports to be forwarded, asked anew each time. */
  ports (): readonly number[]
  /** Called after each try: what is forwarded, and why the rest is not; null: nothing is wrong. */
  tell (forwarded: readonly number[], problem: string | null): void
  /** Where routers are looked for. @default SSDP's multicast group */
  readonly group?: { readonly host: string, readonly port: number }
  readonly limits?: UpnpLimits
}

interface Router { readonly host: string, readonly control: URL, readonly service: string, /** Own address towards it. */ readonly own: string }

const GROUP = { host: '239.255.255.250', port: 1900 }
const TARGETS = ['urn:schemas-upnp-org:device:InternetGatewayDevice:1', 'urn:schemas-upnp-org:device:InternetGatewayDevice:2']
const SERVICE = /<service>(?:(?!<\/service>)[\s\S])*?<serviceType>\s*(urn:schemas-upnp-org:service:WAN(?:IP|PPP)Connection:[12])\s*<\/serviceType>(?:(?!<\/service>)[\s\S])*?<controlURL>\s*([^<\s]+)\s*<\/controlURL>/

export class PortForwarder {
  readonly #options: PortForwarderOptions
  readonly #limits: UpnpLimits
  readonly #stopped = new AbortController()
  readonly #forwarded = new Map<number, Router>()
  #cancel: () => void = () => {}
  #work: Promise<void> = Promise.resolve()

  constructor (options: PortForwarderOptions) {
    this.#options = options
    this.#limits = options.limits ?? LIMITS.upnp
  }

  start (): void { this.#work = this.#run() }

  /** Forwarding ends, as far as the router still answers. */
  async stop (): Promise<void> {
    this.#stopped.abort()
    this.#cancel()
    await this.#work
    const late = AbortSignal.timeout(this.#limits.stopMsMax)
    await Promise.all(Array.from(this.#forwarded, ([port, router]) => call(router, 'DeletePortMapping', key(port), late, this.#limits).catch(() => {})))
  }

  async #run (): Promise<void> {
    const { ports, tell, timers } = this.#options
    const { leaseSeconds, retryMs } = this.#limits
    const problems: string[] = []
    try {
      const wanted = ports()
      const router = wanted.length === 0 ? null : await this.#find()
      for (const port of router === null ? [] : wanted) await this.#forward(router!, port).catch((error: unknown) => { problems.push(toInosError(error).message) })
    } catch (error) {
      problems.push(toInosError(error).message)
    }
    if (this.#stopped.signal.aborted) return
    tell([...this.#forwarded.keys()], problems[0] ?? null)
    this.#cancel = timers.after(this.#forwarded.size > 0 && problems.length === 0 ? leaseSeconds * 500 : retryMs, () => { this.start() })
  }

  async #forward (router: Router, port: number): Promise<void> {
    const { leaseSeconds } = this.#limits
    const mapping = { ...key(port), NewInternalPort: port, NewInternalClient: router.own, NewEnabled: 1, NewPortMappingDescription: 'inos', NewLeaseDuration: leaseSeconds }
    this.#forwarded.delete(port)
    await call(router, 'AddPortMapping', mapping, this.#signal(), this.#limits).catch(async (error: unknown) => {
      // Some of version 1 forward for good or not at all; the mapping is taken back at the stop.
      if (!(error instanceof RouterError) || error.number !== '725') throw error
      await call(router, 'AddPortMapping', { ...mapping, NewLeaseDuration: 0 }, this.#signal(), this.#limits)
    })
    this.#forwarded.set(port, router)
  }

  #signal (): AbortSignal { return AbortSignal.any([AbortSignal.timeout(this.#limits.answerMsMax), this.#stopped.signal]) }

  /** The first router that answers and forwards ports. @throws {InosError} ERR_NOT_REACHABLE */
  async #find (): Promise<Router> {
    const { group = GROUP } = this.#options
    let problem: InosError | null = null
    for (const { host, location } of await this.#search(group)) {
      try {
        return await this.#describe(host, location)
      } catch (error) {
        problem ??= toInosError(error)
      }
    }
    throw problem ?? new InosError('ERR_NOT_REACHABLE', 'No router has answered that forwards ports (UPnP).')
  }

  /** Ask the group, and collect who answers for a while. */
  async #search ({ host, port }: { host: string, port: number }): Promise<{ host: string, location: URL }[]> {
    const { searchMs, answersMax, bytesMax } = this.#limits
    const found = new Map<string, { host: string, location: URL }>()
    const socket = createSocket('udp4')
    try {
      socket.on('error', () => {})
      socket.on('message', (message, from) => {
        const [, url = ''] = message.length > bytesMax ? [] : /^location:\s*(\S+)\s*$/im.exec(message.toString('latin1')) ?? []
        const location = URL.parse(url)
        // Nobody sends this node to a third host.
        if (location?.protocol === 'http:' && location.hostname === from.address && found.size < answersMax) found.set(location.href, { host: from.address, location })
      })
      socket.bind(0)
      await once(socket, 'listening')
      for (const target of TARGETS) socket.send(`M-SEARCH * HTTP/1.1\r\nHOST: ${GROUP.host}:${GROUP.port}\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ${target}\r\n\r\n`, port, host, () => {})
      await new Promise<void>(resolve => {
        const cancel = this.#options.timers.after(searchMs, resolve)
        this.#stopped.signal.addEventListener('abort', () => { cancel(); resolve() }, { once: true })
      })
    } finally {
      socket.close()
    }
    return [...found.values()]
  }

  async #describe (host: string, location: URL): Promise<Router> {
    const { text } = await load(host, location, { signal: this.#signal() }, this.#limits)
    const [, service, path] = SERVICE.exec(text) ?? []
    const control = path === undefined ? null : URL.parse(path, location)
    if (control?.protocol !== 'http:' || control.hostname !== host) throw new InosError('ERR_BAD_PACKET', `The router ${host} does not say how it forwards ports.`)
    return { host, control, service: service!, own: await ownAddress(host) }
  }
}

/** What a router refused with: its number and words. */
class RouterError extends InosError {
  readonly number: string
  constructor (host: string, number: string, text: string) {
    super('ERR_POLICY', `The router ${host} refuses to forward the port: ${number} ${text}.`)
    this.number = number
  }
}

const key = (port: number): Record<string, string | number> => ({ NewRemoteHost: '', NewExternalPort: port, NewProtocol: 'TCP' })

async function call (router: Router, action: string, args: Record<string, string | number>, signal: AbortSignal, limits: UpnpLimits): Promise<void> {
  const { host, service, control } = router
  const fields = Object.entries(args).map(([name, value]) => `<${name}>${value}</${name}>`).join('')
  const body = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:${action} xmlns:u="${service}">${fields}</u:${action}></s:Body></s:Envelope>`
  const headers = { 'content-type': 'text/xml; charset="utf-8"', soapaction: `"${service}#${action}"` }
  const { ok, text } = await load(host, control, { method: 'POST', headers, body, signal }, limits)
  const [, number] = /<errorCode>\s*(\d{1,5})\s*<\/errorCode>/.exec(text) ?? []
  const [, words = ''] = /<errorDescription>\s*([\w .,-]{0,80})/.exec(text) ?? []
  if (number !== undefined) throw new RouterError(host, number, words.trim())
  if (!ok || !text.includes(`${action}Response`)) throw new InosError('ERR_BAD_PACKET', `The router ${host} gives no answer that can be read when it is asked to forward a port.`)
}

/** @throws {InosError} ERR_PEER_LOST */
async function load (host: string, url: URL, options: RequestInit, { bytesMax }: UpnpLimits): Promise<{ ok: boolean, text: string }> {
  const parts: Uint8Array[] = []
  let bytes = 0
  try {
    const response = await fetch(url, { ...options, redirect: 'error' })
    for await (const part of response.body ?? []) {
      parts.push(part)
      if ((bytes += part.length) > bytesMax) throw new InosError('ERR_BAD_PACKET', `The router ${host} says too much.`)
    }
    return { ok: response.ok, text: new TextDecoder().decode(Buffer.concat(parts)) }
  } catch (cause) {
    throw cause instanceof InosError ? cause : new InosError('ERR_PEER_LOST', `The router ${host} does not answer when it is asked to forward a port.`, { cause })
  }
}

/** The address from which packets to a host leave. */
async function ownAddress (host: string): Promise<string> {
  const socket = createSocket('udp4')
  try {
    socket.connect(GROUP.port, host)
    await once(socket, 'connect')
    return socket.address().address
  } finally {
    socket.close()
  }
}
