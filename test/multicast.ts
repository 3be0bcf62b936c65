/** Tells tests whether this machine can do what multicast DNS needs. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/** Whether what a process sends to the group of multicast DNS reaches another one of this machine. */
export async function hasMulticast (): Promise<boolean> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  try {
    socket.bind(0)
    await once(socket, 'listening')
    socket.addMembership('224.0.0.251')
    const heard = once(socket, 'message', { signal: AbortSignal.timeout(2_000) })
    socket.send('?', socket.address().port, '224.0.0.251')
    await heard
    return true
  } catch {
    return false
  } finally {
    socket.close()
  }
}
