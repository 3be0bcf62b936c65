/**
 * Blobs over the control socket: a blob to be put is the body of its request, behind one byte of flags;
 * one that is read comes as items of bytes. Progress comes as items of numbers.
 */
import { encodeCanonical } from '../packet/cbor.ts'
import { isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { cutChunks } from '../processor/cut.ts'
import type { BlobOptions, BlobProgress, Blobs, BlobSource, BlobView, PutOptions, StoreView } from '../processor/blob-views.ts'
import type { ControlFrame, Operation } from './control-messages.ts'

/** What a command can do with the blobs of a node. */
export interface OperatorBlobs extends Omit<Blobs, 'usage'> { usage (): Promise<StoreView> }

/** Bits of the first byte of a put. */
const PIN = 1
const SHARE = 2

type Send = (frame: ControlFrame) => Promise<void>

/** Read the body of a put and store it. @returns its CID */
export async function servePut (body: AsyncIterable<Uint8Array>, blobs: OperatorBlobs, signal: AbortSignal): Promise<string> {
  const pieces = body[Symbol.asyncIterator]()
  const first = await pieces.next()
  if (first.done === true || first.value.length === 0) throw new InosError('ERR_USAGE', 'A blob to be put begins with its flags.')
  const flags = first.value[0]!
  const rest = async function * (): AsyncIterable<Uint8Array> {
    yield first.value.subarray(1)
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value
  }
  return await blobs.put(rest(), { pin: (flags & PIN) !== 0, share: (flags & SHARE) !== 0, signal })
}

/** Send a blob,with its progress. */
export async function serveGet (cid: string, blobs: OperatorBlobs, signal: AbortSignal, send: Send, isFull: () => boolean): Promise<null> {
  for await (const bytes of blobs.get(cid, { signal, onProgress: progressTo(send, isFull) })) await send({ kind: 'item', value: bytes })
  return null
}

export async function servePin (cid: string, blobs: OperatorBlobs, signal: AbortSignal, send: Send, isFull: () => boolean): Promise<null> {
  await blobs.pin(cid, { signal, onProgress: progressTo(send, isFull) })
  return null
}

/** Only the latest matters: a client that does not read misses the others. */
function progressTo (send: Send, isFull: () => boolean): (progress: BlobProgress) => void {
  return ({ bytes, total }) => { if (!isFull()) void send({ kind: 'item', value: { bytes, total } }).catch(() => {}) }
}

type Ask = (operation: Operation, body?: Uint8Array | AsyncIterable<Uint8Array>, signal?: AbortSignal) => AsyncGenerator<unknown, unknown, void>

/** The client's side. */
export function blobsBehind (ask: Ask): OperatorBlobs {
  const last = async (events: AsyncGenerator<unknown, unknown, void>, { onProgress }: BlobOptions = {}): Promise<unknown> => {
    for (;;) {
      const { done, value } = await events.next()
      if (done === true) return value
      onProgress?.(value as BlobProgress)
    }
  }
  return {
    put: async (source, options = {}) => await last(ask('putBlob', bodyOf(source, options), options.signal)) as string,
    async * get (cid, options = {}) {
      for await (const item of ask('getBlob', encodeCanonical(cid), options.signal)) {
        if (item instanceof Uint8Array) yield item
        else options.onProgress?.(item as BlobProgress)
      }
    },
    ls: async () => await Array.fromAsync(ask('blobs')) as BlobView[],
    usage: async () => await last(ask('blobUsage')) as StoreView,
    pin: async (cid, options = {}) => { await last(ask('pinBlob', encodeCanonical(cid), options.signal), options) },
    unpin: async cid => { await last(ask('unpinBlob', encodeCanonical(cid))) },
    rm: async cid => { await last(ask('removeBlob', encodeCanonical(cid))) },
    gc: async () => await last(ask('collectBlobs')) as { bytes: number }
  }
}

async function * bodyOf (source: BlobSource, { pin = true, share = true, onProgress }: PutOptions): AsyncIterable<Uint8Array> {
  yield Uint8Array.of((pin ? PIN : 0) | (share ? SHARE : 0))
  let bytes = 0
  for await (const chunk of cutChunks(source)) {
    yield chunk
    bytes += chunk.length
    onProgress?.({ bytes, total: bytes })
  }
}

/** A module or an input on its way: its bytes, or the name of a blob. */
export function isContent (value: unknown): value is Uint8Array | { readonly cid: string } {
  return value instanceof Uint8Array || (isMap(value) && Object.keys(value).length === 1 && typeof value['cid'] === 'string' && value['cid'].length <= LIMITS.wire.nameBytesMax * 2)
}
