/** What a command reads and writes besides its node: modules, inputs, results. Every read has a limit. */
import { access, constants, open, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { InosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { formatBytes } from './units.ts'

/** @throws {InosError} ERR_USAGE when it cannot be read, ERR_INVALID_MODULE when it is too large */
export async function readModule (file: string, signal: AbortSignal): Promise<Uint8Array> {
  return await readWhole(file, LIMITS.wire.blobBytesMax, 'ERR_INVALID_MODULE', signal)
}

/** @throws {InosError} ERR_USAGE when it cannot be read, ERR_INPUT_TOO_LARGE */
export async function readInputFile (file: string, signal: AbortSignal): Promise<Uint8Array> {
  return await readWhole(file, LIMITS.spec.inputBytesMax, 'ERR_INPUT_TOO_LARGE', signal)
}

/** A file of one receipt or of a tree of them. @throws {InosError} ERR_USAGE, ERR_RECEIPT_INVALID */
export async function readReceiptFile (file: string, signal: AbortSignal): Promise<Uint8Array> {
  return await readWhole(file, LIMITS.credits.treeBytesMax, 'ERR_RECEIPT_INVALID', signal)
}

/** A file that should be a proof of fraud. @throws {InosError} ERR_USAGE, ERR_RECORD_INVALID */
export async function readFraudFile (file: string, signal: AbortSignal): Promise<Uint8Array> {
  return await readWhole(file, LIMITS.credits.fraudBytesMax, 'ERR_RECORD_INVALID', signal)
}

/** A stream such as stdin, to its end. @throws {InosError} ERR_INPUT_TOO_LARGE, ERR_USAGE */
export async function readInputStream (stream: NodeJS.ReadableStream & { destroy (error?: Error): void }, signal: AbortSignal): Promise<Uint8Array> {
  const cancel = (): void => stream.destroy(signal.reason as Error)
  signal.addEventListener('abort', cancel, { once: true })
  try {
    signal.throwIfAborted()
    return await collect(stream as unknown as AsyncIterable<Uint8Array>, LIMITS.spec.inputBytesMax, 'ERR_INPUT_TOO_LARGE', 'stdin')
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof InosError ? error : unreadable('stdin', error)
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

type TooLarge = 'ERR_INVALID_MODULE' | 'ERR_INPUT_TOO_LARGE' | 'ERR_RECEIPT_INVALID' | 'ERR_RECORD_INVALID'

async function readWhole (file: string, bytesMax: number, code: TooLarge, signal: AbortSignal): Promise<Uint8Array> {
  try {
    await using handle = await open(file)
    // A pipe or device has no size to trust, so the limit is held while reading.
    return await collect(handle.createReadStream({ signal, autoClose: false, highWaterMark: LIMITS.wire.blobChunkBytes }), bytesMax, code, file)
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof InosError ? error : unreadable(file, error)
  }
}

async function collect (chunks: AsyncIterable<Uint8Array>, bytesMax: number, code: TooLarge, name: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new InosError(code, `${name} has more than ${formatBytes(bytesMax)}, which is the most.`)
    parts.push(chunk)
  }
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function unreadable (name: string, cause: unknown): InosError {
  return new InosError('ERR_USAGE', `${name} cannot be read: ${reasonOf(cause)}.`, { cause, hint: 'Check the path and its permissions.' })
}

/** Before anything is paid for: whether a file could be written there. @throws {InosError} ERR_USAGE */
export async function checkWritable (file: string): Promise<void> {
  try {
    const found = await stat(file).catch(() => null)
    if (found?.isDirectory() === true) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' })
    await access(found === null ? dirname(file) : file, constants.W_OK)
  } catch (cause) {
    throw new InosError('ERR_USAGE', `${file} cannot be written: ${reasonOf(cause)}.`, { cause, hint: 'Check the path and its permissions.' })
  }
}

/** Writes by `write`. @throws {InosError} ERR_USAGE when `file` cannot be written */
export async function writable (file: string, write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (cause) {
    throw new InosError('ERR_USAGE', `${file} cannot be written: ${reasonOf(cause)}.`, { cause, hint: 'Check the path and its permissions.' })
  }
}

/** @throws {InosError} ERR_INTERNAL, for instance when the disk is full */
export async function writeResult (file: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(file, bytes)
  } catch (cause) {
    throw new InosError('ERR_INTERNAL', `${file} could not be written: ${reasonOf(cause)}.`, { cause, hint: 'See how much space is left on its disk.' })
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  EACCES: 'permission is denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is no directory',
  EEXIST: 'a file of that name is there',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only'
}

export function reasonOf (error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error))
}
