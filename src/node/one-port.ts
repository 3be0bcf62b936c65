/**
 * TCP whose dials leave from one local port, as far as they can: the port a router has opened for one
 * of them is then the port at which another peer may dial this node back at the same moment (`network/punch.ts`).
 * Not the port it listens on, which the kernel keeps for that alone; and not on loopback, where no router is.
 */
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tcp } from '@libp2p/tcp'
import type { Transport, Upgrader } from '@libp2p/interface'
import { staysHere } from '../network/places.ts'
import { LIMITS } from '../packet/limits.ts'
import { lend } from '../network/punch.ts'

/**
 * What a socket queues before it asks to wait. libp2p hands over one buffer after the other and stops at the first that
 * makes it wait: above the most that is under way at once, they leave together in one vectored write.
 */
const SOCKET_OPTIONS = { noDelay: true, highWaterMark: LIMITS.wire.streamWindowBytesMax }

type Create = ReturnType<typeof tcp>
type DialOptions = Parameters<Transport['dial']>[1]

/** What the kernel says when the port leads to that address already, or did a moment ago. */
const TAKEN = ['EADDRINUSE', 'EADDRNOTAVAIL']

export function tcpFromOnePort (): Create {
  return components => {
    const transport = tcp({ dialOpts: SOCKET_OPTIONS, listenOpts: SOCKET_OPTIONS })(components)
    const dial = transport.dial.bind(transport)
    let port: Promise<number> | null = null
    transport.dial = async (address, options) => {
      const text = address.toString()
      if (!text.startsWith('/ip4/') || staysHere(text)) return await dial(address, options)
      port ??= freePort()
      const given = { ...options, upgrader: answering(options.upgrader) }
      try {
        return await dial(address, { ...given, localPort: await port } as DialOptions)
      } catch (error) {
        if (!TAKEN.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
        return await dial(address, given)
      }
    }
    return transport
  }
}

/** Where both sides dial, one has to be who answers, for the muxer as well, which looks at the direction of the socket. */
function answering (upgrader: Upgrader): Upgrader {
  return lend(upgrader, {
    upgradeOutbound (socket, options) {
      if (options.initiator === false) Object.assign(socket, { direction: 'inbound' })
      return upgrader.upgradeOutbound(socket, options)
    }
  })
}

/** A port that nobody listens on. */
async function freePort (): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}
