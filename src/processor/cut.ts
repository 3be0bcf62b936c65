/** Bytes from anywhere, cut into the chunks a blob consists of; no more than one and what came last are held. */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { BlobSource } from './blob-views.ts'

const { chunkBytes } = LIMITS.blobs

/**
 * Each chunk is a buffer of its own, all full but the last; of nothing there is one empty one.
 * @throws {InosError} ERR_USAGE for what is no bytes
 */
export async function * cutChunks (source: BlobSource): AsyncIterable<Uint8Array> {
  let chunk = new Uint8Array(chunkBytes)
  let have = 0
  let count = 0
  for await (const piece of piecesOf(source)) {
    if (!(piece instanceof Uint8Array)) throw new InosError('ERR_USAGE', 'A blob is put as bytes, as text, or as a stream of bytes.')
    for (let at = 0; at < piece.length;) {
      const taken = Math.min(chunkBytes - have, piece.length - at)
      chunk.set(piece.subarray(at, at + taken), have)
      have += taken
      at += taken
      if (have < chunkBytes) continue
      yield chunk
      count++
      chunk = new Uint8Array(chunkBytes)
      have = 0
    }
  }
  if (have > 0 || count === 0) yield chunk.subarray(0, have)
}

async function * piecesOf (source: BlobSource): AsyncIterable<Uint8Array> {
  if (typeof source === 'string') yield new TextEncoder().encode(source)
  else if (source instanceof Uint8Array) yield source
  else if (typeof source?.[Symbol.asyncIterator] === 'function') yield * source
  else throw new InosError('ERR_USAGE', 'A blob is put as bytes, as text, or as a stream of bytes.')
}
