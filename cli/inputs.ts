/** What `inos map` runs over: files, or the lines, JSON lines or NUL-ended pieces of files or of stdin, read as they are wanted. */
import { Buffer } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { InosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { readInputFile, reasonOf } from './files.ts'
import { formatBytes } from './units.ts'

export const PIECES = ['line', 'jsonl', 'null', 'file'] as const
export type Piece = typeof PIECES[number]

/** @param files names, `-` for stdin @throws {InosError} ERR_USAGE, ERR_INPUT_TOO_LARGE */
export async function * readInputs (files: readonly string[], piece: Piece, signal: AbortSignal): AsyncIterable<Uint8Array> {
  for (const file of files) {
    if (piece === 'file' && file !== '-') yield await readInputFile(file, signal)
    else yield * piecesOf(file, piece, signal)
  }
}

async function * piecesOf (file: string, piece: Piece, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const name = file === '-' ? 'stdin' : file
  const chunks = file === '-' ? process.stdin : createReadStream(file)
  const stop = (): void => { chunks.destroy(signal.reason as Error) }
  signal.addEventListener('abort', stop, { once: true })
  let number = 0
  try {
    for await (const bytes of split(chunks as AsyncIterable<Uint8Array>, piece, name)) {
      number++
      if (piece === 'jsonl') requireJson(bytes, `${name}, line ${number},`)
      if (piece !== 'jsonl' || bytes.some(byte => byte > 0x20)) yield bytes
    }
  } catch (cause) {
    signal.throwIfAborted()
    throw cause instanceof InosError ? cause : new InosError('ERR_USAGE', `${name} cannot be read: ${reasonOf(cause)}.`, { cause })
  } finally {
    signal.removeEventListener('abort', stop)
    chunks.destroy()
  }
}

/** Pieces without their ends; one is held at a time. What follows the last end is a piece if it is not empty. */
async function * split (chunks: AsyncIterable<Uint8Array>, piece: Piece, name: string): AsyncIterable<Uint8Array> {
  const end = piece === 'file' ? -1 : piece === 'null' ? 0 : 0x0a
  let held: Uint8Array[] = []
  let bytes = 0
  const take = (): Uint8Array => {
    const whole = Buffer.concat(held)
    held = []
    bytes = 0
    // Lines of Windows end with two characters.
    const isReturn = end === 0x0a && whole.at(-1) === 0x0d
    return new Uint8Array(isReturn ? whole.subarray(0, -1) : whole)
  }
  for await (const chunk of chunks) {
    let from = 0
    for (let at = chunk.indexOf(end); end !== -1 && at !== -1; at = chunk.indexOf(end, from)) {
      held.push(chunk.subarray(from, at))
      from = at + 1
      yield take()
    }
    held.push(chunk.subarray(from))
    bytes += chunk.length - from
    if (bytes > LIMITS.spec.inputBytesMax) throw new InosError('ERR_INPUT_TOO_LARGE', `A piece of ${name} has more than ${formatBytes(LIMITS.spec.inputBytesMax)}, which is the most.`)
  }
  if (piece === 'file' || held.some(({ length }) => length > 0)) yield take()
}

function requireJson (bytes: Uint8Array, where: string): void {
  const text = new TextDecoder().decode(bytes)
  if (text.trim() === '') return
  try {
    JSON.parse(text)
  } catch (cause) {
    throw new InosError('ERR_USAGE', `${where} is not JSON.`, { cause, hint: 'Use --each line for lines of any kind.' })
  }
}
