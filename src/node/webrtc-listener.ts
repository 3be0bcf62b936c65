/**
 * A listener for WebRTC as libp2p knows listeners, in a process of its own, which `webrtc-process.ts` is: for each peer that has come and shown who it is, that
 * process brings a local socket with the bytes of one connection. Whether it is let in is decided here, as for every other transport.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type AbortOptions, type ComponentLogger, type Listener, type ListenerEvents, type Logger, TypedEventEmitter, type Upgrader } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { AbstractMultiaddrConnection, getNetConfig } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Uint8ArrayList } from 'uint8arraylist'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { type Answer, readNewcomer, type Task } from './webrtc-bridge.ts'

/** `webrtc-process.ts` beside this file, or `webrtc-process.js` where the program is built. */
const ENTRY = new URL(`./webrtc-process${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
const { startMsMax, newcomerMsMax, closeMsMax, respawnMsBase, respawnMsMax } = LIMITS.webRtc

export class WebRtcListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #log: Logger
  readonly #upgrader: Upgrader
  readonly #seed: Uint8Array
  readonly #stopped = new AbortController()
  /** Of who brings newcomers. */
  readonly #token = randomBytes(32).toString('base64url')
  #server: Server | null = null
  #child: ChildProcess | null = null
  #addresses: Multiaddr[] = []
  #failures = 0
  #respawn: NodeJS.Timeout | undefined

  /** @param seed the node's identity */
  constructor ({ logger }: { readonly logger: ComponentLogger }, upgrader: Upgrader, seed: Uint8Array) {
    super()
    this.#log = logger.forComponent('inos:webrtc')
    this.#upgrader = upgrader
    this.#seed = seed
  }

  /** @throws {InosError} ERR_LISTEN */
  async listen (address: Multiaddr): Promise<void> {
    this.#server = createServer({ highWaterMark: LIMITS.wire.streamWindowBytesMax, noDelay: true }, socket => { this.#arrived(socket) })
    this.#server.maxConnections = LIMITS.wire.connectionsMax
    try {
      await once(this.#server.listen(0, '127.0.0.1'), 'listening')
      const { port } = this.#server.address() as AddressInfo
      this.#addresses = await this.#start({ seed: this.#seed, listen: await freePlace(address), port, token: this.#token })
    } catch (error) {
      await this.close()
      throw error
    }
    this.safeDispatchEvent('listening')
  }

  getAddrs (): Multiaddr[] { return this.#addresses }

  updateAnnounceAddrs (): void {}

  /** The connections it brought end with it. */
  async close (): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#respawn)
    this.#server?.close()
    if (this.#child !== null) await this.#end(this.#child)
    this.safeDispatchEvent('close')
  }

  async #end (child: ChildProcess): Promise<void> {
    // Gone, or never begun.
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const late = setTimeout(() => { child.kill('SIGKILL') }, closeMsMax)
    const gone = once(child, 'exit')
    if (child.connected) child.disconnect()
    await gone
    clearTimeout(late)
  }

  async #start (task: Task): Promise<Multiaddr[]> {
    const child = fork(ENTRY, { cwd: '/', env: {}, execArgv: [], serialization: 'advanced', stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    this.#child = child
    try {
      const answer = await answerOf(child, task)
      if (!('addresses' in answer)) throw new InosError('ERR_LISTEN', answer.message, answer.hint === null ? {} : { hint: answer.hint })
      child.once('exit', () => { this.#startAgain(task) })
      return answer.addresses.map(address => multiaddr(address))
    } catch (error) {
      // One that does not listen would only be in the way of the next.
      child.kill('SIGKILL')
      throw error
    }
  }

  /** At the same port and with the same certificate, so that the addresses that were told are good again. */
  #startAgain (task: Task): void {
    if (this.#stopped.signal.aborted) return
    this.#log.error('the process that speaks WebRTC has ended')
    this.#respawn = setTimeout(() => {
      this.#start(task).then(() => { this.#failures = 0 }, (error: unknown) => {
        this.#log.error('starting it again - %e', error)
        this.#startAgain(task)
      })
    }, Math.min(respawnMsMax, respawnMsBase * 2 ** this.#failures++))
  }

  #arrived (socket: Socket): void {
    socket.on('error', error => { this.#log('a local connection - %e', error) })
    this.#admit(socket).catch((error: unknown) => {
      this.#log('a newcomer was not let in - %e', error)
      socket.destroy()
    })
  }

  async #admit (socket: Socket): Promise<void> {
    const { address, peer } = await readNewcomer(socket, this.#token, AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(newcomerMsMax)]))
    const signal = this.#upgrader.createInboundAbortSignal(this.#stopped.signal)
    try {
      await this.#upgrader.upgradeInbound(new LocalConnection(socket, multiaddr(address), this.#log), { remotePeer: peerIdFromString(peer), skipEncryption: true, skipProtection: true, signal })
    } finally {
      signal.clear()
    }
  }
}

/** The same with a port that is free: native code takes none by itself, and does not say what is wrong with one. @throws what the system says */
async function freePlace (address: Multiaddr): Promise<string> {
  const { type, host, port = 0 } = getNetConfig(address)
  const socket = createSocket(type === 'ip6' ? 'udp6' : 'udp4')
  try {
    socket.bind(port, host)
    await once(socket, 'listening')
    return address.toString().replace(`/udp/${port}/`, `/udp/${socket.address().port}/`)
  } finally {
    socket.close()
  }
}

/** @throws {InosError} ERR_LISTEN */
async function answerOf (child: ChildProcess, task: Task): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const fail = (why: string): void => { reject(new InosError('ERR_LISTEN', `The process that listens for WebRTC ${why}.`)) }
  const late = setTimeout(() => {
    fail('did not begin in time')
  }, startMsMax)
  child.once('message', answer => { resolve(answer as Answer) })
  // Also when it cannot be told anything any more.
  child.on('error', error => { fail(`did not begin: ${error.message}`) })
  child.once('exit', (code, signal) => { fail(`ended at once (${signal ?? code})`) })
  child.send(task)
  try {
    return await promise
  } finally {
    clearTimeout(late)
  }
}

class LocalConnection extends AbstractMultiaddrConnection {
  readonly #socket: Socket

  constructor (socket: Socket, remoteAddr: Multiaddr, log: Logger) {
    super({ remoteAddr, direction: 'inbound', log })
    this.#socket = socket
    socket.on('data', data => { this.onData(data) })
    socket.on('drain', () => { this.safeDispatchEvent('drain') })
    // It waited with what came behind its first line.
    socket.resume()
    socket.once('close', isBroken => { this.onTransportClosed(isBroken ? new Error('the connection was reset') : undefined) })
  }

  sendData (data: Uint8ArrayList): { sentBytes: number, canSendMore: boolean } {
    this.#socket.cork()
    for (const part of data) this.#socket.write(part)
    this.#socket.uncork()
    return { sentBytes: data.byteLength, canSendMore: !this.#socket.writableNeedDrain }
  }

  sendReset (): void { this.#socket.resetAndDestroy() }

  async sendClose (options?: AbortOptions): Promise<void> {
    if (this.#socket.destroyed) return
    const gone = once(this.#socket, 'close', options ?? {})
    this.#socket.destroySoon()
    await gone
  }

  // The muxer's windows limit what comes.
  sendPause (): void {}
  sendResume (): void {}
}
