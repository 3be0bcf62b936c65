/**
 * The directory where a node keeps itself: its identity, its books, its blobs. One process at a time
 * owns it, by LevelDB's lock. What the books say is the business of `credits/`, blobs that of
 * `blob-cache.ts`.
 *
 *     identity.key   the Ed25519 key, mode 0600
 *     db/            LevelDB: ledger, cheques, receipts
 *     blobs/         modules, inputs and results by CID
 */
import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import { chmod, mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ClassicLevel } from 'classic-level'
import envPaths from 'env-paths'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

const SEED_BYTES = 32
/** Protobuf PrivateKey { type: Ed25519, data: 64 bytes, seed and public key } (libp2p peer-ids spec). */
const KEY_PREFIX = Uint8Array.of(0x08, 0x01, 0x12, 0x40)
const KEY_BYTES = KEY_PREFIX.length + 2 * SEED_BYTES
/** DER of a PKCS #8 Ed25519 private key up to its seed (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

export interface DataDirectory extends AsyncDisposable {
  /** Absolute. */
  readonly path: string
  /** Ed25519 seed, 32 bytes: who this node is. */
  readonly seed: Uint8Array
  readonly db: ClassicLevel<string, Uint8Array>
  /** Where blobs belong; it exists. */
  readonly blobsPath: string
  /** Close the store and let the next process in. */
  close (): Promise<void>
}

/**
 * Where the data directory is: what the caller says, else INOS_HOME, else the place this platform
 * has for a user's data (`~/.local/share/inos` on Linux).
 */
export function resolveDataDir (path?: string | undefined): string {
  return resolve(path || process.env.INOS_HOME || envPaths('inos', { suffix: '' }).data)
}

/**
 * Take possession of a data directory, creating what is missing. A new identity is drawn only where
 * there is none; a broken one is never replaced.
 * @param identity seed to begin with where there is no identity yet
 * @throws {InosError} ERR_DATA_DIR; `isInUse` tells whether another process owns it
 */
export async function openDataDirectory (path?: string | undefined, identity?: Uint8Array | undefined): Promise<DataDirectory> {
  const root = resolveDataDir(path)
  const [dbPath, blobsPath] = [join(root, 'db'), join(root, 'blobs')]
  await createDirectories(root, [root, dbPath, blobsPath])
  // The lock comes first: whoever holds it is alone when the identity is created.
  const db = await openStore(root, dbPath)
  try {
    const seed = await loadIdentity(join(root, 'identity.key'), identity)
    const close = (): Promise<void> => db.close()
    return { path: root, seed, db, blobsPath, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await db.close()
    throw error
  }
}

/** Whether opening failed only because another process has the directory open. */
export function isInUse (error: unknown): boolean {
  return error instanceof InosError && error.code === 'ERR_DATA_DIR' && codeOf(error.cause) === 'LEVEL_LOCKED'
}

async function createDirectories (root: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    try {
      await createDirectory(path)
    } catch (error) {
      const code = codeOf(error)
      const reason = code === 'EEXIST' || code === 'ENOTDIR' ? `a file is in the way of ${path}` : `${path} cannot be created or written (${code})`
      throw new InosError('ERR_DATA_DIR', `The data directory ${root} cannot be used: ${reason}.`, {
        cause: error, hint: 'Choose another place with --data DIR or INOS_HOME.'
      })
    }
  }
}

/**
 * Like `mkdir -p`. Node's own option for it never returns where a file system refuses new names with
 * ENOENT, as /proc does.
 */
async function createDirectory (path: string): Promise<void> {
  const exists = await stat(path).then(found => found.isDirectory(), (error: unknown) => {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  })
  if (exists) return
  if (dirname(path) !== path) await createDirectory(dirname(path))
  // Another command may have created it a moment ago.
  await mkdir(path, { mode: 0o700 }).catch(async (error: unknown) => {
    if (codeOf(error) !== 'EEXIST' || !(await stat(path)).isDirectory()) throw error
  })
}

async function openStore (root: string, path: string): Promise<ClassicLevel<string, Uint8Array>> {
  const db = new ClassicLevel<string, Uint8Array>(path, { valueEncoding: 'view', writeBufferSize: LIMITS.credits.storeBufferBytes })
  try {
    await db.open()
    return db
  } catch (error) {
    // LevelDB's own reason is one level down.
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    if (codeOf(cause) === 'LEVEL_LOCKED') {
      throw new InosError('ERR_DATA_DIR', `The data directory ${root} is in use by another process.`, {
        cause, hint: 'Stop the node that runs there, or choose another place with --data DIR.'
      })
    }
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new InosError('ERR_DATA_DIR', `The store ${path} cannot be opened: ${reason}.`, {
      cause, hint: 'Nothing was changed. Check its permissions, or restore it from a backup.'
    })
  }
}

/** The identity of a data directory whose node may be running. @throws {InosError} ERR_DATA_DIR */
export async function readIdentity (path?: string | undefined): Promise<Uint8Array> {
  const file = join(resolveDataDir(path), 'identity.key')
  return parseKey(file, await readKey(file))
}

async function loadIdentity (path: string, given: Uint8Array | undefined): Promise<Uint8Array> {
  try {
    return parseKey(path, await readKey(path))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return createIdentity(path, given ?? new Uint8Array(randomBytes(SEED_BYTES)))
    if (error instanceof InosError) throw error
    throw new InosError('ERR_DATA_DIR', `The identity ${path} cannot be read (${codeOf(error)}).`, {
      cause: error, hint: 'It is left as it is; make it readable for the user who runs the node.'
    })
  }
}

/** At most one byte more than a key has. */
async function readKey (path: string): Promise<Uint8Array> {
  await using file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(KEY_BYTES + 1), 0, KEY_BYTES + 1, 0)
  if (bytesRead === KEY_BYTES) await chmod(path, 0o600)
  return buffer.subarray(0, bytesRead)
}

/** A key names its public half too, so damage to any byte shows. */
function parseKey (path: string, bytes: Uint8Array): Uint8Array {
  const seed = new Uint8Array(bytes.subarray(KEY_PREFIX.length, KEY_PREFIX.length + SEED_BYTES))
  if (bytes.length === KEY_BYTES && Buffer.compare(encodeKey(seed), bytes) === 0) return seed
  throw new InosError('ERR_DATA_DIR', `The identity ${path} is damaged: it is not an Ed25519 private key.`, {
    hint: 'It is left as it is. Restore it from a backup; or move it away for a new identity, giving up what the old one owns.'
  })
}

function encodeKey (seed: Uint8Array): Uint8Array {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' })
  return Buffer.concat([KEY_PREFIX, seed, Buffer.from(x!, 'base64url')])
}

/** Whole or not at all: written aside, flushed, then renamed, and the directory flushed as well. */
async function createIdentity (path: string, seed: Uint8Array): Promise<Uint8Array> {
  const aside = `${path}.tmp`
  try {
    {
      await using file = await open(aside, 'w', 0o600)
      await file.writeFile(encodeKey(seed))
      await file.sync()
    }
    await rename(aside, path)
    await flushDirectory(path)
  } catch (error) {
    throw new InosError('ERR_DATA_DIR', `The identity ${path} cannot be written (${codeOf(error)}).`, {
      cause: error, hint: 'Check the disk and its permissions, or choose another place with --data DIR.'
    })
  }
  return seed
}

/** Windows cannot open a directory, and needs no flush for a name to last. */
async function flushDirectory (path: string): Promise<void> {
  if (process.platform === 'win32') return
  await using directory = await open(dirname(path), 'r')
  await directory.sync()
}

function codeOf (error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
