/**
 * What a node and the process that listens for WebRTC in its place say to each other: where to listen, and for each peer that has come a local socket
 * with one line about it before its bytes. Who the peer is was shown in the other process; what it may do is the node's to decide.
 */
import { timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
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

/** @throws {InosError} ERR_BAD_PACKET from whoever does not have the token; {DOMException} when the signal says so */
export async function readNewcomer (socket: Socket, token: string, signal: AbortSignal): Promise<Newcomer> {
  const length = (await take(socket, LENGTH_BYTES, signal)).readUInt32BE()
  if (length === 0 || length > BYTES_MAX) throw new InosError('ERR_BAD_PACKET', 'A local connection does not say who has come.')
  const line = parse(await take(socket, length, signal))
  if (typeof line.token !== 'string' || !isSame(line.token, token)) throw new InosError('ERR_BAD_PACKET', 'A local connection comes from somebody else.')
  return line as Line
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

async function take (socket: Socket, length: number, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read(length) as Buffer | null
    if (bytes !== null && bytes.length === length) return bytes
    if (socket.readableEnded) throw new InosError('ERR_BAD_PACKET', 'A local connection ended before it said who has come.')
    await once(socket, 'readable', { signal })
  }
}
