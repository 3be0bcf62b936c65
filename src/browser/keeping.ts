/**
 * Small things a tab keeps in its database: who it is, what its owner decided, the peers it knows, what it has seen of them. Identity and
 * decisions are promises; the rest is a convenience, and where it is damaged it is learnt anew.
 */
import { DEFAULT_SETTINGS, formatSettings, parseSettings, type Settings } from '../assembly/settings.ts'
import type { Timers } from '../network/network.ts'
import { checkKnownPeers, type KnownPeer, KnownPeers } from '../network/known-peers.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createHistory, type History } from '../processor/history.ts'
import type { Database } from './database.ts'
import { randomBytes } from './platform.ts'

const SEED_BYTES = 32
const DAMAGED = 'It is left as it is. Delete what the browser keeps of this site to begin anew, without what was earned here; or join with another dataDir.'

/** A new one is drawn only where there is none. @throws {InosError} ERR_STORE, also for one that is damaged */
export async function loadIdentity (database: Database): Promise<Uint8Array> {
  const kept = database.rows<unknown>('kept')
  const found = await kept.get('identity')
  if (found instanceof Uint8Array && found.length === SEED_BYTES) return found
  if (found !== undefined) throw new InosError('ERR_STORE', `The identity of the node "${database.name}" is damaged.`, { hint: DAMAGED })
  const seed = randomBytes(SEED_BYTES)
  await kept.batch([{ type: 'put', key: 'identity', value: seed }], { sync: true })
  return seed
}

/** @throws {InosError} ERR_STORE, also for what is damaged */
export async function readSettings (database: Database): Promise<Settings> {
  const text = await database.rows<string>('kept').get('settings')
  try {
    return text === undefined ? DEFAULT_SETTINGS : parseSettings(text)
  } catch (cause) {
    throw new InosError('ERR_STORE', `The settings of the node "${database.name}" cannot be used.`, { cause, hint: DAMAGED })
  }
}

/** @throws {InosError} ERR_STORE */
export async function keepSettings (database: Database, settings: Settings): Promise<void> {
  await database.rows<string>('kept').batch([{ type: 'put', key: 'settings', value: formatSettings(settings) }], { sync: false })
}

export interface Keeping extends AsyncDisposable { readonly known: KnownPeers, readonly history: History }

/** @param log takes one line about what could not be used or kept */
export async function openKeeping (database: Database, self: string, timers: Timers, log: (what: string, error: unknown) => void): Promise<Keeping> {
  const kept = database.rows<string>('kept')
  const read = async <T>(key: string, use: (text: string) => T, fresh: T): Promise<T> => {
    try {
      const text = await kept.get(key)
      return text === undefined ? fresh : use(text)
    } catch (error) {
      log(`reading ${key}, which is learnt anew`, error)
      return fresh
    }
  }
  const peers = await read<KnownPeer[]>('peers', text => checkKnownPeers(JSON.parse(text)), [])
  const known = new KnownPeers({ self, now: () => Math.floor(Date.now() / 1000), peers })
  const history = await read('history', text => createHistory(Date.now, text), createHistory(Date.now))
  const keep = (key: string, text: () => string, ms: number): { changed: () => void, save: () => Promise<void> } => {
    let cancel: (() => void) | null = null
    const save = async (): Promise<void> => {
      if (cancel === null) return
      cancel()
      cancel = null
      await kept.batch([{ type: 'put', key, value: text() }], { sync: false }).catch((error: unknown) => { log(`keeping ${key}`, error) })
    }
    return { changed: () => { cancel ??= timers.after(ms, () => { void save() }) }, save }
  }
  const [ofPeers, ofHistory] = [keep('peers', () => JSON.stringify(known.list()), LIMITS.peers.saveMs), keep('history', () => history.save(), LIMITS.market.historySaveMs)]
  known.onChange(ofPeers.changed)
  history.onChange(ofHistory.changed)
  return { known, history, async [Symbol.asyncDispose] () { await Promise.all([ofPeers.save(), ofHistory.save()]) } }
}
