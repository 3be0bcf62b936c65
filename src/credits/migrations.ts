/**
 * The schema of the books and the way up to it. Each step reads what the schema before it wrote and
 * says what to write; its rows and the new number are one durable batch, so that a crash in between
 * leaves the old books or the new ones. Signed records are never rewritten.
 */
import { decodeCanonical } from '../packet/cbor.ts'
import { openEnvelope } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { checkCheque, checkHead } from '../packet/records.ts'
import { encodeFraud } from './frauds.ts'
import { decodeText, del, encodeText, KEYS, NOTHING, type Op, put, type Store } from './store.ts'

/** From version n to n + 1, under n. */
const MIGRATIONS: Readonly<Record<number, (store: Store) => Promise<Op[]>>> = {
  // Payments got an index by time; when those before it were made is not known.
  1: async store => {
    const ops: Op[] = []
    for (const direction of ['in', 'out'] as const) {
      for await (const [key] of store.iterator({ gte: `${direction}!`, lt: `${direction}"` })) {
        const [, peer, n] = key.split('!') as [string, string, string]
        ops.push(put(KEYS.paid(0, direction, peer, Number.parseInt(n, 16)), NOTHING))
      }
    }
    return ops
  },
  // A lie about a lane became a proof like the others.
  2: async store => {
    const ops: Op[] = []
    for await (const [key, bytes] of store.iterator({ gte: 'fault!', lt: 'fault"' })) ops.push(del(key), ...proofOf(bytes))
    return ops
  }
}

/** A head, and a second one or a cheque that it denies. A row that says neither proves nothing. */
function proofOf (bytes: Uint8Array): Op[] {
  for (const kind of ['head', 'hidden'] as const) {
    try {
      const [first, second] = decodeCanonical(bytes) as [Uint8Array, Uint8Array]
      const fraud = encodeFraud(kind, openEnvelope(first, 'head', checkHead), kind === 'head' ? openEnvelope(second, kind, checkHead) : openEnvelope(second, 'cheque', checkCheque))
      return [put(KEYS.fraud(fraud.peer, fraud.id.toString()), fraud.bytes)]
    } catch (error) {
      if (!(error instanceof InosError) && !(error instanceof TypeError)) throw error
    }
  }
  return []
}

export const SCHEMA = 3

/**
 * A new store gets the schema's number, an older one is brought up to it.
 * @throws {InosError} ERR_DATA_DIR when a newer version of INOS wrote it, or an import was broken off
 */
export async function migrate (store: Store): Promise<void> {
  if (await store.get(KEYS.importing) !== undefined) {
    throw new InosError('ERR_DATA_DIR', 'An import into these books was broken off.', { hint: 'Run `inos credits import FILE` again.' })
  }
  const found = await store.get(KEYS.version)
  if (found === undefined) return await store.batch([put(KEYS.version, encodeText(String(SCHEMA)))], { sync: true })
  for (let version = readVersion(found); version < SCHEMA; version++) {
    await store.batch([...await MIGRATIONS[version]!(store), put(KEYS.version, encodeText(String(version + 1)))], { sync: true })
  }
}

/** @throws {InosError} ERR_DATA_DIR when this version of INOS does not know the schema */
export function readVersion (bytes: Uint8Array): number {
  const text = decodeText(bytes)
  const version = Number(text)
  if (String(version) === text && (version === SCHEMA || Object.hasOwn(MIGRATIONS, version))) return version
  throw new InosError('ERR_DATA_DIR', `The books have schema "${text.slice(0, 20)}"; this version of INOS reads ${SCHEMA} and those before it.`, {
    hint: 'Use the version of INOS that wrote them, or another data directory.'
  })
}
