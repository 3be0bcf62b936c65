/**
 * The process that listens for WebRTC in a node's place. Its native listener can be stopped by nothing but the end of its process: `stop` leaves what it has freed
 * registered for the next packet (libdatachannel 0.24: the flag `mStopped` is never set at the beginning), and then one packet of a stranger ends the process. Here
 * that ends nothing else: ledger and keys are used elsewhere, and the node starts another one.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { MultiaddrConnection, Transport, Upgrader, UpgraderWithoutEncryptionOptions } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { createLibp2p } from 'libp2p'
import { bareAddress } from '../network/places.ts'
import { lend } from '../network/punch.ts'
import { toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { directOf, loadWebRtc } from './webrtc.ts'
import { type Answer, type Task, tellNewcomer } from './webrtc-bridge.ts'
import { limitNewcomers } from './webrtc-newcomers.ts'

/** Those that were brought to the node. */
const connections = new Set<MultiaddrConnection>()

// Nobody is left to listen for. Who is connected is told, because silence would be found out late.
process.once('disconnect', () => {
  for (const connection of connections) connection.abort(new Error('the node has stopped'))
  setTimeout(() => { process.kill(process.pid, 'SIGKILL') }, LIMITS.webRtc.lastMs)
})
process.once('message', (task: Task) => {
  listen(task).then(addresses => { answer({ addresses }) }, (thrown: unknown) => {
    const { message, hint } = toInosError(thrown)
    answer({ message, hint: hint ?? null })
  })
})

function answer (told: Answer): void { process.send!(told) }

async function listen ({ seed, listen, port, token }: Task): Promise<string[]> {
  const create = directOf(await loadWebRtc(), seed)
  const node = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
    addresses: { listen: [listen] },
    connectionManager: { maxConnections: LIMITS.wire.connectionsMax },
    connectionEncrypters: [noise()],
    transports: [components => limitNewcomers(bridged(create(components), port, token))]
  })
  return node.getMultiaddrs().map(address => bareAddress(address.toString()))
}

/** Who has shown who it is goes on to the node as it is. */
function bridged (transport: Transport, port: number, token: string): Transport {
  const handing = (upgrader: Upgrader): Upgrader => lend(upgrader, {
    async upgradeInbound (connection, options) {
      // WebRTC has encryption of its own, and before it Noise has shown who this is.
      const { remotePeer, signal } = options as UpgraderWithoutEncryptionOptions
      const socket = connect({ host: '127.0.0.1', port, noDelay: true })
      socket.on('error', error => { connection.abort(error) })
      await once(socket, 'connect', { signal })
      tellNewcomer(socket, { address: connection.remoteAddr.toString(), peer: `${remotePeer}` }, token)
      join(connection, socket)
    }
  })
  return lend(transport, { createListener: options => transport.createListener({ ...options, upgrader: handing(options.upgrader) }) })
}

/** Bytes both ways. The channel holds back who sends to it; who sends from it is held back by the muxer's windows, whose ends are not here. */
function join (connection: MultiaddrConnection, socket: Socket): void {
  connections.add(connection)
  connection.addEventListener('message', ({ data }) => {
    for (const part of data instanceof Uint8Array ? [data] : data) socket.write(part)
    if (socket.writableLength > LIMITS.webRtc.heldBytesMax) connection.abort(new Error('the node does not keep up with what comes'))
  })
  connection.addEventListener('drain', () => { socket.resume() })
  connection.addEventListener('close', ({ error }) => {
    connections.delete(connection)
    if (error === undefined) socket.destroySoon()
    else socket.resetAndDestroy()
  })
  socket.on('data', data => {
    if (connection.status === 'open' && !connection.send(data)) socket.pause()
  })
  socket.on('close', () => { connection.close().catch((error: Error) => { connection.abort(error) }) })
}
