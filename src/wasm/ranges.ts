/**
 * Content that a guest reads piece by piece: bytes in memory, or bytes that lie elsewhere and come when
 * they are asked for. A guest cannot tell one from the other.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

/** As a guest sees it: at once. */
export interface Ranges {
  readonly length: number
  /** Copy what is at `at` to the beginning of `target`. @returns how many bytes there were, fewer only at the end */
  read (at: number, target: Uint8Array): number
}

/** As the main process has it: in chunks of `LIMITS.blobs.chunkBytes`, each checked, in their order. */
export interface Stored {
  readonly length: number
  chunk (at: number): Promise<Uint8Array>
}

export type Content = Uint8Array | Ranges | Stored

export function isStored (content: Content): content is Stored { return 'chunk' in content }

/** @throws {InosError} ERR_EXECUTOR_LOST for what has not been brought here; whoever runs guests brings it */
export function rangesOf (content: Content): Ranges {
  if (content instanceof Uint8Array) return { length: content.length, read: (at, target) => copy(content, at, target) }
  if (isStored(content)) throw new InosError('ERR_EXECUTOR_LOST', 'The input of a job has not been brought to its engine.')
  return content
}

function copy (content: Uint8Array, at: number, target: Uint8Array): number {
  const part = content.subarray(at, at + target.length)
  target.set(part)
  return part.length
}

/** All of it in memory. @throws {InosError} ERR_INPUT_TOO_LARGE when it is more than a job may have there */
export function wholeOf (ranges: Ranges): Uint8Array {
  const whole = new Uint8Array(roomFor(ranges.length))
  ranges.read(0, whole)
  return whole
}

/** All of it in memory, wherever it lies. @throws {InosError} as `wholeOf`, and what `chunk` throws */
export async function load (content: Content): Promise<Uint8Array> {
  if (content instanceof Uint8Array) return content
  if (!isStored(content)) return wholeOf(content)
  const whole = new Uint8Array(roomFor(content.length))
  for (let at = 0, chunk = 0; at < whole.length; chunk++) {
    const bytes = await content.chunk(chunk)
    whole.set(bytes, at)
    at += bytes.length
  }
  return whole
}

function roomFor (length: number): number {
  if (length <= LIMITS.spec.inputBytesMax) return length
  throw new InosError('ERR_INPUT_TOO_LARGE', `${length} bytes are needed in memory at once, where ${LIMITS.spec.inputBytesMax} are allowed.`)
}
