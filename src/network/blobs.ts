/**
 * Blobs by CID, each on a stream of its own so that bulk never waits before small packets:
 * a `want` packet, then `chunk` packets of which the first says the whole size.
 *
 * Who may have which blob is the caller's to say; what was fetched is checked here, byte for byte.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { equals } from 'multiformats/bytes'
import { type CID, decodeCid } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import type { Packet } from '../packet/packet.pb.js'
import type { Frames } from './frames.ts'
import { badPacket, encodePacket, refusalOf } from './framing.ts'
import { errorOf, type Talk } from './talk.ts'

export interface FetchOptions {
  /** Above it the blob is not taken. */
  bytesMax: number
  signal?: AbortSignal | undefined
  /** Bytes so far, and the whole. */
  onBytes?: (bytes: number, total: number) => void
}

/**
 * Answer a `want` on its own stream.
 * @param get the blob, or null when this peer gets nothing
 */
export async function serveBlob (frames: Frames, want: Packet, get: (cid: string) => Promise<Uint8Array | null>): Promise<void> {
  const { limits } = frames
  try {
    const cid = decodeCid(want.id).toString()
    const blob = await get(cid)
    if (blob === null) throw new InosError('ERR_GONE', `This node has no blob ${cid} for you.`)
    for (let at = 0; at === 0 || at < blob.length; at += limits.blobChunkBytes) {
      const result = blob.subarray(at, at + limits.blobChunkBytes) as Uint8Array<ArrayBuffer>
      frames.send(encodePacket(at === 0 ? { kind: 'chunk', size: BigInt(blob.length), result } : { kind: 'chunk', result }, limits))
      // One chunk at a time: what a slow reader costs is its blob, not a second copy of it.
      await frames.flushed()
    }
    await frames.end()
  } catch (error) {
    refuseBlob(frames, error)
  }
}

/** Say no to a `want`. */
export function refuseBlob (frames: Frames, error: unknown): void {
  const { code, text } = refusalOf(error, frames.limits)
  frames.refuse(new InosError(code as InosError['code'], text))
}

interface Waiter extends FetchOptions {
  readonly resolve: (blob: Uint8Array) => void
  readonly reject: (error: InosError) => void
}

/** One blob on its way, for all who wait for it. */
export class BlobFetch implements Talk {
  readonly #cid: CID
  readonly #waiters = new Set<Waiter>()
  readonly #hash = sha256.create()
  readonly #done: () => void
  #frames: Frames | null = null
  #blob: Uint8Array | null = null
  #have = 0
  #over = false

  /** @param done called once, when nobody waits any longer */
  constructor (cid: CID, done: () => void) {
    this.#cid = cid
    this.#done = done
  }

  /**
   * @returns the blob, its hash checked; shared by all who waited for it
   * @throws {InosError} ERR_INPUT_TOO_LARGE, ERR_VERIFICATION, ERR_BAD_PACKET, ERR_GONE, ERR_PEER_LOST, ERR_CANCELLED
   */
  wait (options: FetchOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const { signal } = options
      const onAbort = (): void => { this.#drop(waiter, new InosError('ERR_CANCELLED', 'The fetch was cancelled.', { cause: signal?.reason })) }
      const settled = (): void => { signal?.removeEventListener('abort', onAbort) }
      const waiter: Waiter = {
        ...options,
        resolve: blob => { settled(); resolve(blob) },
        reject: error => { settled(); reject(error) }
      }
      this.#waiters.add(waiter)
      if (signal?.aborted === true) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
      if (this.#blob !== null) this.#dropSmaller(this.#blob.length)
    })
  }

  /** Begin on a stream that is now open. */
  start (frames: Frames): void {
    if (this.#over) {
      frames.abort(new InosError('ERR_CANCELLED', 'The fetch was cancelled.'))
      return
    }
    this.#frames = frames
    frames.send(encodePacket({ kind: 'want', id: Uint8Array.from(this.#cid.bytes) }, frames.limits))
    void frames.end()
    frames.expect(frames.limits.stallMsMax)
  }

  take (packet: Packet): void {
    if (this.#over) return
    if (packet.kind === 'refusal') {
      this.fail(errorOf(packet))
      return
    }
    if (packet.kind !== 'chunk') throw badPacket('A blob comes in chunks.')
    // Only the first may be empty, or a peer could send such chunks forever.
    if (this.#blob !== null && packet.result.length === 0) throw badPacket('A chunk of a blob is empty.')
    const blob = this.#blob ??= this.#begin(packet)
    if (this.#have + packet.result.length > blob.length) throw badPacket(`A blob is longer than the ${blob.length} bytes that were announced.`)
    blob.set(packet.result, this.#have)
    this.#have += packet.result.length
    this.#hash.update(packet.result)
    this.#frames?.expect(this.#frames.limits.stallMsMax)
    for (const { onBytes } of this.#waiters) onBytes?.(this.#have, blob.length)
  }

  end (cause?: InosError): void {
    if (this.#over) return
    if (cause !== undefined) this.fail(cause)
    else if (this.#blob === null || this.#have < this.#blob.length) this.fail(this.#wrong('it ended early'))
    else if (!equals(this.#hash.digest(), this.#cid.multihash.digest)) this.fail(this.#wrong('its bytes have another hash'))
    else this.#finish(waiter => { waiter.resolve(this.#blob!) })
  }

  /** Nobody gets this blob. */
  fail (error: InosError): void {
    this.#finish(waiter => { waiter.reject(error) })
    this.#frames?.abort(error)
  }

  /** The announced size is checked against every waiter before it is allocated. */
  #begin (packet: Packet): Uint8Array {
    const size = Number(packet.size)
    this.#dropSmaller(size)
    return this.#over ? new Uint8Array(0) : new Uint8Array(size)
  }

  #dropSmaller (size: number): void {
    for (const waiter of this.#waiters) {
      if (size > waiter.bytesMax) {
        this.#drop(waiter, new InosError('ERR_INPUT_TOO_LARGE', `The blob ${this.#cid} has ${size} bytes; at most ${waiter.bytesMax} are taken.`))
      }
    }
  }

  #drop (waiter: Waiter, error: InosError): void {
    this.#waiters.delete(waiter)
    waiter.reject(error)
    if (this.#waiters.size === 0) this.fail(error)
  }

  #finish (settle: (waiter: Waiter) => void): void {
    if (this.#over) return
    this.#over = true
    for (const waiter of this.#waiters) settle(waiter)
    this.#waiters.clear()
    this.#done()
  }

  #wrong (why: string): InosError {
    return new InosError('ERR_VERIFICATION', `The blob ${this.#cid} did not arrive whole: ${why}.`)
  }
}
