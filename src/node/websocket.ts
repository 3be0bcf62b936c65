/**
 * WebSocket: what tabs, and nodes behind proxies that only let HTTP pass, dial. libp2p's own listener takes any number
 * of sockets that say nothing and messages of 100 MiB before anybody has said who it is; here both have limits.
 * Encryption is Noise's, as on TCP; who wants wss:// puts a web server with its certificate in front.
 */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerOptions } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Listener } from '@libp2p/interface'
import { webSockets } from '@libp2p/websockets'
import { LIMITS } from '../packet/limits.ts'

const { connectionsMax, dialMsMax, streamWindowBytesMax } = LIMITS.wire
const { messageBytesMax, headersBytesMax } = LIMITS.webSocket

/** What libp2p's listener is made of: it takes none of these limits as an option. */
interface Inside {
  server: Server
  wsServer: { options: { maxPayload: number }, handleUpgrade (request: IncomingMessage, socket: Duplex, head: Uint8Array, done: Upgraded): void }
}

type Upgraded = (webSocket: EventEmitter, request: IncomingMessage) => void

const HTTP: ServerOptions = { headersTimeout: dialMsMax, requestTimeout: dialMsMax, connectionsCheckingInterval: dialMsMax / 4, maxHeaderSize: headersBytesMax, keepAliveTimeout: 1 }

export function webSocket (): ReturnType<typeof webSockets> {
  return components => {
    const transport = webSockets({ http: HTTP, maxBufferedAmount: streamWindowBytesMax })(components)
    const createListener = transport.createListener.bind(transport)
    const filter = transport.listenFilter.bind(transport)
    transport.dialFilter = filter
    transport.createListener = options => limit(createListener(options))
    // Without a certificate a listener for wss:// would accept and never answer.
    transport.listenFilter = addresses => filter(addresses).filter(address => !/\/(tls|wss)/.test(address.toString()))
    return transport
  }
}

function limit (listener: Listener): Listener {
  const { server, wsServer } = listener as Listener & Inside
  server.maxConnections = connectionsMax
  wsServer.options.maxPayload = messageBytesMax
  const waiting = new Map<Socket, NodeJS.Timeout>()
  const forget = (socket: Socket): void => {
    clearTimeout(waiting.get(socket))
    waiting.delete(socket)
  }
  // From its first byte on it is HTTP's to hurry; nobody else looks at a socket that sends none.
  server.on('connection', socket => {
    waiting.set(socket, setTimeout(() => { socket.destroy() }, dialMsMax))
    socket.once('close', () => { forget(socket) })
    socket.on('error', () => { socket.destroy() })
  })
  const handleUpgrade = wsServer.handleUpgrade.bind(wsServer)
  wsServer.handleUpgrade = (request, socket, head, done) => {
    handleUpgrade(request, socket, head, webSocket => {
      // A frame that breaks the protocol closes the socket, and would end the process where nobody listens for the error.
      webSocket.on('error', () => {})
      forget(request.socket)
      done(webSocket, request)
    })
  }
  return listener
}
