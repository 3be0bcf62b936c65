/**
 * What a node and the process that listens for WebRTC in its place say to each other: where to listen, and for each peer that has come a local socket
 * with one line about it before its bytes. Who the peer is was shown in the other process; what it may do is the node's to decide.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { InosError } from '../packet/errors.ts'

/** To the process, once. */
export interface Task {
  /** The node's identity. */
  readonly seed: Uint8Array
  /** Multiaddr to listen on. */
  readonly listen: string
  /** Of this machine's loopback, where the node waits for who has come. */
  readonly port: number
  /** Shown there: others on this machine could come, too. */
  readonly token: string
}

/** From the process, once. */
export type Answer = { readonly addresses: readonly string[] } | { readonly message: string, readonly hint: string | null }

export interface Newcomer {
  /** Multiaddr it comes from. */
  readonly address: string
  /** PeerId. */
  readonly peer: string
}

interface Line extends Newcomer { readonly token: string }

const LENGTH_BYTES = 4
const BYTES_MAX = 1_024

export function tellNewcomer (socket: Socket, newcomer: Newcomer, token: string): void {
  const text = Buffer.from(JSON.stringify({ ...newcomer, token } satisfies Line))
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(text.length)
  socket.write(Buffer.concat([length, text]))
}

/**
 * What comes behind the line is left in the socket, which is paused.
 * @throws {InosError} ERR_BAD_PACKET from whoever does not have the token; {DOMException} when the signal says so
 */
export async function readNewcomer (socket: Socket, token: string, signal: AbortSignal): Promise<Newcomer> {
  const line = parse(await readLine(socket, signal))
  if (typeof line.token !== 'string' || !isSame(line.token, token)) throw new InosError('ERR_BAD_PACKET', 'A local connection comes from somebody else.')
  return line as Line
}

function readLine (socket: Socket, signal: AbortSignal): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  let came = Buffer.alloc(0)
  const take = (bytes: Buffer): void => {
    came = Buffer.concat([came, bytes])
    if (came.length < LENGTH_BYTES) return
    const length = came.readUInt32BE()
    const end = LENGTH_BYTES + length
    if (length > BYTES_MAX) reject(new InosError('ERR_BAD_PACKET', 'A local connection does not say who has come.'))
    if (length > BYTES_MAX || came.length < end) return
    leave()
    socket.unshift(came.subarray(end))
    resolve(came.subarray(LENGTH_BYTES, end))
  }
  const over = (): void => { reject(new InosError('ERR_BAD_PACKET', 'A local connection ended before it said who has come.')) }
  const giveUp = (): void => { reject(signal.reason) }
  const leave = (): void => {
    socket.pause().off('data', take).off('end', over).off('close', over)
    signal.removeEventListener('abort', giveUp)
  }
  signal.addEventListener('abort', giveUp)
  socket.on('data', take).on('end', over).on('close', over)
  return promise.finally(leave)
}

/** What is no line is one without a token. */
function parse (text: Buffer): Partial<Line> {
  try {
    return Object(JSON.parse(text.toString())) as Partial<Line>
  } catch {
    return {}
  }
}

function isSame (one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
