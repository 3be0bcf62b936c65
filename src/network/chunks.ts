/**
 * Chunks of a blob that has a manifest, on a stream of their own: `want` packets with the blob's CID
 * and the number of a chunk, answered in their order by `chunk` packets with its bytes, or with the
 * addresses of others who have it. Several may be on their way. Whether bytes are right is the
 * asker's to check; who may have which is the holder's.
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { type CID, decodeCid } from '../packet/cid.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { refuseBlob } from './blobs.ts'
import type { Frames } from './frames.ts'
import { badPacket, encodePacket, encodeWithResult } from './framing.ts'
import { errorOf, type Talk } from './talk.ts'

/** What a holder says to a wish for a chunk. */
export interface Given {
  /** The chunk; null where others are to be asked. */
  readonly bytes: Uint8Array | null
  /** Multiaddrs of peers that have it; none where this holder knows nobody. */
  readonly others: readonly string[]
  /** Where it is not here: a bit for each chunk that is, from the lowest bit of the first byte; null: not told. */
  readonly here: Uint8Array | null
  /** Whether whoever has the blob from here may give it to anybody. */
  readonly shared: boolean
}

/** A holder's side. */
export interface Giver {
  /**
   * @param insist the others that were named did not help
   * @param room where the bytes may be put, `LIMITS.blobs.chunkBytes` long
   * @throws {InosError} ERR_GONE when this peer gets nothing of the blob, ERR_ALLOWANCE_SPENT
   */
  give (peer: string, cid: string, chunk: number, insist: boolean, room: Uint8Array<ArrayBuffer>): Promise<Given>
}

const { windowChunks, stallMsMax, chunkBytes, addressesMax, addressBytesMax } = LIMITS.blobs

const NOTHING = new Uint8Array(0)
/** Where one chunk is put: the whole packet, whose other fields are small. */
export const ROOM_BYTES = chunkBytes + 4 * addressesMax * addressBytesMax
/** One bit for each chunk of the largest blob. */
const HERE_BYTES_MAX = LIMITS.blobs.bytesMax / chunkBytes / 8

/** Whether a `want` asks for a chunk, not for the whole. */
export function wantsChunk (want: Packet): boolean { return want.body.length > 0 }

/** Answers the wishes of one stream, one after the other. */
export class ChunkService implements Talk {
  readonly #frames: Frames
  readonly #giver: Giver
  /** Chunks on their way from the disk, in the order of the wishes. */
  readonly #waiting: Promise<readonly Uint8Array[]>[] = []
  /**
   * Where chunks are read to, in turn: whoever asks for one has received the one asked for `windowChunks` earlier, whose
   * room it gets. An asker that claims so too early spoils only what it gets itself.
   */
  readonly #rooms: Uint8Array<ArrayBuffer>[] = []
  #wishes = 0
  #working = false
  #ended = false

  constructor (frames: Frames, giver: Giver) {
    this.#frames = frames
    this.#giver = giver
  }

  take (want: Packet): void {
    if (want.kind !== 'want' || !wantsChunk(want)) throw badPacket('A stream of chunks takes wishes for chunks.')
    if (this.#waiting.length >= windowChunks) throw badPacket(`More than ${windowChunks} chunks are asked for at once.`)
    const reading = this.#answer(want)
    // Whoever waits for it is told; until then it is nobody's fault.
    reading.catch(() => {})
    this.#waiting.push(reading)
    if (!this.#working) void this.#work()
  }

  end (): void {
    this.#ended = true
    if (!this.#working) void this.#frames.end()
  }

  async #work (): Promise<void> {
    this.#working = true
    const { limits } = this.#frames
    this.#frames.expect(null)
    try {
      for (let reading = this.#waiting[0]; reading !== undefined; reading = this.#waiting[0]) {
        for (const part of await reading) this.#frames.send(part)
        await this.#frames.flushed()
        this.#waiting.shift()
      }
      if (this.#ended) await this.#frames.end()
      // A stream that is left idle is closed, and its rooms go with it.
      else this.#frames.expect(limits.stallMsMax)
    } catch (error) {
      refuseBlob(this.#frames, error)
    }
    this.#working = false
  }

  #room (): Uint8Array<ArrayBuffer> {
    return this.#rooms[this.#wishes++ % windowChunks] ??= new Uint8Array(chunkBytes)
  }

  async #answer (want: Packet): Promise<readonly Uint8Array[]> {
    // Both copied before anything is waited for: what arrived is overwritten by what comes next.
    const [{ chunk, insist }, cid] = [readWant(want), decodeCid(want.id.slice()).toString()]
    const given = await this.#giver.give(this.#frames.peer, cid, chunk, insist, this.#room())
    return encodeWithResult({ kind: 'chunk', body: bodyOf(given, chunk) }, given.bytes ?? NOTHING, this.#frames.limits)
  }
}

function readWant ({ body }: Packet): { chunk: number, insist: boolean } {
  const value = readBody(body)
  const { chunk, insist, ...rest } = value
  if (!Number.isSafeInteger(chunk) || (chunk as number) < 0 || typeof insist !== 'boolean' || Object.keys(rest).length > 0) throw badPacket('A wish for a chunk has chunk and insist.')
  return { chunk: chunk as number, insist }
}

function bodyOf ({ others, here, shared }: Given, chunk: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(encodeCanonical({ chunk, here, others: others.filter(address => address.length <= addressBytesMax).slice(0, addressesMax), shared }))
}

function readGiven ({ body, result }: Packet, { chunk: expected, room }: Wish): Given {
  const { chunk, here, others, shared } = readBody(body)
  if (chunk !== expected) throw badPacket('A chunk comes that was not asked for now.')
  if (typeof shared !== 'boolean' || !isAddresses(others) || !(here === null || (isBytes(here) && here.length <= HERE_BYTES_MAX))) throw badPacket('A chunk does not say whose it is.')
  if (result.length > chunkBytes) throw badPacket(`A chunk has more than ${chunkBytes} bytes.`)
  return { bytes: result.length === 0 ? null : placed(result, room), others, here, shared }
}

/** Bytes in `room`, where they mostly are already; elsewhere they are overwritten by what comes next. */
function placed (bytes: Uint8Array, room: Uint8Array): Uint8Array {
  if (bytes.buffer === room.buffer) return bytes
  room.set(bytes)
  return room.subarray(0, bytes.length)
}

function isAddresses (value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= addressesMax && value.every(text => typeof text === 'string' && text.length <= addressBytesMax)
}

function readBody (body: Uint8Array): Record<string, unknown> {
  try {
    const value = decodeCanonical(body)
    if (isMap(value)) return value
  } catch {
    // Said below.
  }
  throw badPacket('A wish for a chunk, or what came of it, has no body that can be read.')
}

interface Wish {
  readonly chunk: number
  readonly room: Uint8Array<ArrayBuffer>
  readonly resolve: (given: Given) => void
  readonly reject: (error: InosError) => void
}

/** The asker's side: one stream to one holder. */
export class ChunkTap implements Talk {
  readonly #frames: Frames
  readonly #id: Uint8Array<ArrayBuffer>
  readonly #wishes: Wish[] = []
  #over: InosError | null = null

  /** @param frames a stream that is open */
  constructor (cid: CID, frames: Frames) {
    this.#id = Uint8Array.from(cid.bytes)
    this.#frames = frames
    frames.expect(null)
  }

  /**
   * At most `LIMITS.blobs.windowChunks` at once.
   * @param room where a chunk is put, `ROOM_BYTES` long, with a buffer of its own
   * @returns its bytes, not checked, are a view of `room`
   * @throws {InosError} what the holder refused with, ERR_PEER_LOST, ERR_BAD_PACKET; the stream is over then
   */
  ask (chunk: number, insist: boolean, room: Uint8Array<ArrayBuffer>): Promise<Given> {
    return new Promise((resolve, reject) => {
      if (this.#over !== null) throw this.#over
      this.#wishes.push({ chunk, room, resolve, reject })
      this.#frames.send(encodePacket({ kind: 'want', id: this.#id, body: Uint8Array.from(encodeCanonical({ chunk, insist })) }, this.#frames.limits))
      if (this.#wishes.length > 1) return
      this.#frames.expect(stallMsMax)
      this.#frames.lend(room)
    })
  }

  take (packet: Packet): void {
    if (this.#over !== null) return
    if (packet.kind === 'refusal') {
      this.#fail(errorOf(packet))
      return
    }
    const wish = this.#wishes[0]
    if (packet.kind !== 'chunk' || wish === undefined) throw badPacket('A stream of chunks brings what was asked for.')
    const given = readGiven(packet, wish)
    this.#wishes.shift()
    this.#frames.expect(this.#wishes.length === 0 ? null : stallMsMax)
    this.#frames.lend(this.#wishes[0]?.room ?? null)
    wish.resolve(given)
  }

  end (cause?: InosError): void {
    this.#fail(cause ?? new InosError('ERR_PEER_LOST', `${this.#frames.peer} ended a stream of chunks.`))
  }

  /** Leave; what was asked for and has not come is rejected. */
  close (): void {
    const leaving = new InosError('ERR_CANCELLED', 'Nobody wants the blob any longer.')
    const isIdle = this.#wishes.length === 0
    this.#fail(leaving)
    if (isIdle) void this.#frames.close()
    else this.#frames.abort(leaving)
  }

  #fail (error: InosError): void {
    if (this.#over !== null) return
    this.#over = error
    for (const wish of this.#wishes.splice(0)) wish.reject(error)
    if (error.code !== 'ERR_CANCELLED') void this.#frames.close()
  }
}
