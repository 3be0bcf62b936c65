/**
 * The UDP socket of a listener: who sends from an address it made up gets no more bytes back than it sent
 * and leaves nothing here (a retry token, RFC 9000, section 8.1.2), and only so many connections there are at once.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { LIMITS } from '../../packet/limits.ts'
import { type Application, Configuration } from './application.ts'
import { Link, type Place, withoutZone } from './link.ts'
import type { Header, Quiche } from './native.ts'

const { wire, quic } = LIMITS
/** Of the ids of connections here. */
export const ID_BYTES = 16
const MAC_BYTES = 32
/** Of `Type`. */
const INITIAL = 0

export interface Arrival { readonly link: Link, readonly from: Place, /** It has shown who it is: its time is no longer short. */ readonly settle: () => void }

export class Endpoint {
  readonly #quiche: Quiche
  readonly #codes: Application['codes']
  readonly #configuration: Configuration
  readonly #arrived: (arrival: Arrival) => void
  readonly #secret = randomBytes(32)
  readonly #links = new Map<string, { readonly link: Link, readonly from: Place }>()
  readonly #unsettled = new Set<Link>()
  readonly #socket: Socket
  #place: Place = { host: '', port: 0 }

  constructor (quiche: Quiche, family: 4 | 6, application: Application, arrived: (arrival: Arrival) => void) {
    this.#quiche = quiche
    this.#codes = application.codes
    this.#configuration = new Configuration(quiche, application)
    this.#arrived = arrived
    this.#socket = createSocket(family === 4 ? { type: 'udp4' } : { type: 'udp6', ipv6Only: true })
    this.#socket.on('message', (packet, remote) => { this.#received(packet, remote) })
  }

  get port (): number { return this.#place.port }

  /** @throws as the socket does, such as EADDRINUSE */
  async listen (host: string, port: number): Promise<void> {
    this.#socket.bind({ address: host, port, exclusive: true })
    await once(this.#socket, 'listening')
    // An unreachable peer is no reason to end.
    this.#socket.on('error', () => {})
    this.#place = { host, port: this.#socket.address().port }
  }

  async close (): Promise<void> {
    for (const { link } of [...this.#links.values()]) link.close(this.#codes.end)
    // Packets that say so are sent when the next turn is over.
    await new Promise(setImmediate)
    const closed = once(this.#socket, 'close')
    this.#socket.close()
    await closed
  }

  #received (packet: Uint8Array, { address: host, port }: RemoteInfo): void {
    const from = { host, port }
    let link: Link | null
    try {
      const header = this.#quiche.Header.fromSlice(packet, ID_BYTES)
      const known = this.#links.get(nameOf(header.dcid))
      // Nobody moves: whatever was decided about a peer was about the place it came from.
      if (known !== undefined && (known.from.host !== host || known.from.port !== port)) return
      link = known?.link ?? this.#greet(packet, header, from)
    } catch {
      // What can be neither read nor answered is dropped.
      return
    }
    link?.receive(packet, withoutZone(from), this.#place)
  }

  /** A first packet: asked to come again with a token, and with one taken in. */
  #greet (packet: Uint8Array, { ty, version, dcid, scid, token }: Header, from: Place): Link | null {
    if (ty !== INITIAL || packet.length < this.#quiche.MIN_CLIENT_INITIAL_LEN || this.#links.size >= wire.connectionsMax || this.#unsettled.size >= quic.unsettledMax) return null
    const answer = new Uint8Array(this.#quiche.MAX_DATAGRAM_SIZE)
    if (!this.#quiche.versionIsSupported(version)) {
      this.#post(answer.subarray(0, this.#quiche.negotiateVersion(scid, dcid, answer)), from)
      return null
    }
    if (token === undefined || token.length === 0) {
      const id = randomBytes(ID_BYTES)
      this.#post(answer.subarray(0, this.#quiche.retry(scid, dcid, id, this.#mint(dcid, id, from), version, answer)), from)
      return null
    }
    const original = this.#check(token, dcid, from)
    return original === null ? null : this.#take(dcid, original, from)
  }

  #take (id: Uint8Array, original: Uint8Array, from: Place): Link {
    const there = withoutZone(from)
    const zone = from.host.slice(there.host.length)
    const connection = this.#quiche.Connection.accept(id, original, this.#place, there, this.#configuration.current)
    const link = new Link(connection, this.#quiche, 'inbound', (packet, { host, port }) => { this.#post(packet, { host: host + zone, port }) })
    const name = nameOf(id)
    const late = setTimeout(() => { link.close(this.#codes.late) }, wire.dialMsMax)
    const settle = (): void => {
      clearTimeout(late)
      this.#unsettled.delete(link)
    }
    this.#links.set(name, { link, from })
    this.#unsettled.add(link)
    this.#arrived({ link: link.whenClosed(() => {
      settle()
      this.#links.delete(name)
    }), from, settle })
    return link
  }

  /** Until when, the id the client chose first, and a proof that this node wrote that for this address. */
  #mint (original: Uint8Array, id: Uint8Array, from: Place): Uint8Array {
    const until = Buffer.alloc(8)
    until.writeDoubleBE(Date.now() + wire.dialMsMax)
    return Buffer.concat([until, original, this.#prove(until, original, id, from)])
  }

  /** @returns the id the client chose first; null for a token that is not of this node, too old, or somebody else's */
  #check (token: Uint8Array, id: Uint8Array, from: Place): Uint8Array | null {
    const bytes = Buffer.from(token)
    if (bytes.length < 8 + MAC_BYTES || bytes.length > 8 + 20 + MAC_BYTES) return null
    const [until, original, proof] = [bytes.subarray(0, 8), bytes.subarray(8, -MAC_BYTES), bytes.subarray(-MAC_BYTES)]
    return timingSafeEqual(proof, this.#prove(until, original, id, from)) && until.readDoubleBE() >= Date.now() ? original : null
  }

  #prove (until: Uint8Array, original: Uint8Array, id: Uint8Array, { host, port }: Place): Buffer {
    return createHmac('sha256', this.#secret).update(until).update(Uint8Array.of(original.length)).update(original).update(id).update(`${host} ${port}`).digest()
  }

  #post (packet: Uint8Array, { host, port }: Place): void {
    try {
      this.#socket.send(packet, port, host, () => {})
    } catch {
      // What cannot be sent is lost, as any packet may be.
    }
  }
}

function nameOf (id: Uint8Array): string { return Buffer.from(id).toString('hex') }
