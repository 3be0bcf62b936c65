/**
 * The books as one file: what `inos credits export` writes and `import` reads.
 *
 *     "INOS ledger 1\n"
 *     frames, each u32 length (big-endian) | canonical dag-cbor: the header, then [key, value] in order of keys
 *     u32 0 | sha2-256 of everything before it
 *
 * The header is { at, id, identity }: when it was written, whose books they are, the seed of that identity
 * or null. The schema is the row `version`. Whoever imports checks the hash first and the rows while they are
 * written; whether the records are true is the audit's to say.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { newLine, readLanes } from '../credits/line.ts'
import { readVersion } from '../credits/migrations.ts'
import { del, KEYS, type Op, put, type Store } from '../credits/store.ts'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { keyOfPeerId } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'

const MAGIC = Buffer.from('INOS ledger 1\n')
const HASH_BYTES = 32

export interface LedgerHeader {
  /** Unix seconds. */
  readonly at: number
  /** PeerId. */
  readonly id: string
  /** Ed25519 seed, 32 bytes, when the identity travels along. */
  readonly identity: Uint8Array | null
}

/** @returns rows written @throws {InosError} ERR_USAGE when the file is there already or cannot be written */
export async function writeLedger (file: string, header: LedgerHeader, rows: AsyncIterable<readonly [string, Uint8Array]>): Promise<number> {
  const hash = createHash('sha256')
  let count = 0
  try {
    // An identity is nobody else's to read, and no copy of books is overwritten.
    await using handle = await open(file, 'wx', 0o600)
    const write = async (bytes: Uint8Array): Promise<void> => {
      hash.update(bytes)
      await handle.appendFile(bytes)
    }
    await write(MAGIC)
    const frames: Uint8Array[] = []
    let held = 0
    const add = async (value: unknown): Promise<void> => {
      const body = encodeCanonical(value)
      frames.push(uint32(body.length), body)
      held += body.length
      if (held < LIMITS.wire.blobChunkBytes) return
      held = 0
      await write(Buffer.concat(frames.splice(0)))
    }
    await add({ ...header })
    for await (const [key, value] of rows) {
      await add([key, value])
      count++
    }
    await write(Buffer.concat([...frames, uint32(0)]))
    await handle.appendFile(hash.digest())
    await handle.sync()
  } catch (cause) {
    throw cause instanceof InosError ? cause : new InosError('ERR_USAGE', `${file} cannot be written: ${(cause as Error).message}.`, { cause, hint: 'Name a file that does not exist yet.' })
  }
  return count
}

/**
 * Check a file whole and read its header.
 * @throws {InosError} ERR_USAGE when it cannot be read, ERR_VERIFICATION when it is damaged or no ledger
 */
export async function checkLedger (file: string): Promise<LedgerHeader> {
  try {
    await using handle = await open(file)
    const { size } = await handle.stat()
    const end = size - HASH_BYTES
    if (end <= MAGIC.length) throw damaged(file)
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(file, { end: end - 1 })) hash.update(chunk as Uint8Array)
    if (!hash.digest().equals(await readAt(handle, end, HASH_BYTES)) || !MAGIC.equals(await readAt(handle, 0, MAGIC.length))) throw damaged(file)
    return await readHeader(file, handle)
  } catch (cause) {
    throw cause instanceof InosError ? cause : new InosError('ERR_USAGE', `${file} cannot be read: ${(cause as Error).message}.`, { cause })
  }
}

async function readHeader (file: string, handle: FileHandle): Promise<LedgerHeader> {
  const length = (await readAt(handle, MAGIC.length, 4)).readUInt32BE()
  if (length > LIMITS.wire.textBytesMax) throw damaged(file)
  const header = decodeCanonical(new Uint8Array(await readAt(handle, MAGIC.length + 4, length)))
  const { at, id, identity } = isMap(header) ? header : {}
  if (!Number.isSafeInteger(at) || typeof id !== 'string' || (identity !== null && !isBytes(identity, 32))) throw damaged(file)
  keyOfPeerId(id)
  return { at: at as number, id, identity }
}

async function readAt (handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}

/** Rows of a file that was checked. @throws {InosError} ERR_VERIFICATION */
async function * rowsOf (file: string): AsyncIterable<readonly [string, Uint8Array]> {
  await using handle = await open(file)
  let at = MAGIC.length
  for (let first = true; ; first = false) {
    const length = (await readAt(handle, at, 4)).readUInt32BE()
    if (length === 0) return
    if (length > LIMITS.wire.frameBytesMax) throw damaged(file)
    const body = new Uint8Array(await readAt(handle, at + 4, length))
    at += 4 + length
    if (first) continue
    const row = decodeCanonical(body)
    if (!Array.isArray(row) || row.length !== 2 || typeof row[0] !== 'string' || !isBytes(row[1])) throw damaged(file)
    yield [row[0], row[1]]
  }
}

/**
 * Put the rows of a checked file in place of those in a store, which nobody else has open. Broken off, the
 * store is refused until an import went through.
 * @returns rows written
 * @throws {InosError} ERR_DATA_DIR when the store knows of a payment that the file does not
 */
export async function importLedger (file: string, store: Store): Promise<number> {
  await refuseOlder(file, store)
  await store.batch([put(KEYS.importing, new Uint8Array(0))], { sync: true })
  for await (const ops of chunks(keysOf(store))) await store.batch(ops, { sync: false })
  let count = 0
  for await (const ops of chunks(putsOf(file))) {
    count += ops.length
    await store.batch(ops, { sync: false })
  }
  await store.batch([del(KEYS.importing)], { sync: true })
  return count
}

async function * keysOf (store: Store): AsyncIterable<Op> {
  for await (const [key] of store.iterator({ gte: '', lt: '~' })) if (key !== KEYS.importing) yield del(key)
}

async function * putsOf (file: string): AsyncIterable<Op> {
  for await (const [key, value] of rowsOf(file)) yield put(key, value)
}

async function * chunks (items: AsyncIterable<Op>): AsyncIterable<Op[]> {
  let ops: Op[] = []
  for await (const op of items) {
    if (ops.push(op) < LIMITS.credits.rowsPerBatchMax) continue
    yield ops
    ops = []
  }
  if (ops.length > 0) yield ops
}

/** Each lane here must be known to the file at least as far: what was paid or taken since is not thrown away. */
async function refuseOlder (file: string, store: Store): Promise<void> {
  const known = new Map<string, { out: number, in: number }>()
  let versioned = false
  for await (const [key, value] of rowsOf(file)) {
    if (key === KEYS.version) {
      readVersion(value)
      versioned = true
    } else if (key.startsWith('line!')) known.set(key, lanesOf(key, value))
  }
  if (!versioned) throw damaged(file)
  for await (const [key, value] of store.iterator({ gte: 'line!', lt: 'line"' })) {
    const [here, there] = [lanesOf(key, value), known.get(key) ?? { out: 0, in: 0 }]
    if (here.out <= there.out && here.in <= there.in) continue
    throw new InosError('ERR_DATA_DIR', `The books here are newer: they know cheques with ${key.slice(5)} that the file does not.`, {
      hint: 'Keep them; or import into an empty data directory.'
    })
  }
}

function lanesOf (key: string, value: Uint8Array): { out: number, in: number } {
  const peer = key.slice('line!'.length)
  const line = newLine(peer, keyOfPeerId(peer))
  readLanes(line, value)
  return { out: line.out.n, in: line.in.n }
}

function uint32 (value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function damaged (file: string): InosError {
  return new InosError('ERR_VERIFICATION', `${file} is damaged, or no ledger of INOS.`, { hint: 'Nothing was changed. Use another copy.' })
}
