/** The way out: a connection has a UDP socket of its own, which only hears whom it was opened to. */
import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type Application, Configuration } from './application.ts'
import { ID_BYTES } from './endpoint.ts'
import { Link, type LinkEvents, type Place, withoutZone } from './link.ts'
import type { Quiche } from './native.ts'

/**
 * @param events as of `Link.begin`; the handshake begins at once
 * @throws when there is no way there, the handshake fails, or the signal says so; nothing is left then
 */
export async function connect (quiche: Quiche, application: Application, to: Place, family: 4 | 6, events: (link: Link) => LinkEvents, signal: AbortSignal): Promise<Link> {
  const socket = createSocket(family === 4 ? { type: 'udp4' } : { type: 'udp6', ipv6Only: true })
  try {
    socket.connect(to.port, to.host)
    await once(socket, 'connect', { signal })
    return await greet(socket, quiche, application, events, signal)
  } catch (error) {
    // The packet that says so goes first.
    setImmediate(() => { socket.close() })
    throw error
  }
}

async function greet (socket: Socket, quiche: Quiche, application: Application, events: (link: Link) => LinkEvents, signal: AbortSignal): Promise<Link> {
  const [here, there] = [socket.address(), socket.remoteAddress()].map(({ address: host, port }) => withoutZone({ host, port })) as [Place, Place]
  const connection = quiche.Connection.connect(null, randomBytes(ID_BYTES), here, there, new Configuration(quiche, application).current)
  const link = new Link(connection, quiche, 'outbound', packet => {
    try {
      socket.send(packet, () => {})
    } catch {
      // What cannot be sent is lost, as any packet may be.
    }
  })
  const { promise, resolve, reject } = Promise.withResolvers<Link>()
  let isEstablished = false
  const { established, accept, closed } = events(link)
  link.whenClosed(() => {
    if (isEstablished) setImmediate(() => { socket.close() })
    else reject(new Error(`no QUIC connection: ${link.reason}`))
  }).begin({
    established: () => {
      isEstablished = true
      established()
      resolve(link)
    },
    accept,
    closed
  })
  // That nobody is there is only believed of a place that never answered: anybody can write such a packet.
  socket.on('error', error => {
    if (isEstablished) return
    reject(error)
    link.close(application.codes.end)
  })
  socket.on('message', packet => { link.receive(packet, there, here) })
  const giveUp = (): void => {
    reject(signal.reason)
    link.close(application.codes.end)
  }
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    if (signal.aborted) giveUp()
    else link.greet()
    return await promise
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
