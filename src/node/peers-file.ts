/**
 * The list of known peers in a data directory: read at the start, written whole and at once
 * whenever it has changed. It is a convenience: where it is damaged or cannot be written, the
 * node says so once and goes on without it.
 */
import { rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { checkKnownPeers, type KnownPeer, KnownPeers } from '../network/known-peers.ts'
import type { Timers } from '../network/network.ts'
import { readText, replaceFile } from './replace-file.ts'

export const PEERS_NAME = 'peers.json'
const VERSION = 1

export interface PeersFile extends AsyncDisposable { readonly known: KnownPeers }

export interface PeersFileOptions {
  /** Own PeerId. */
  readonly self: string
  readonly timers: Timers
  /** Says what went wrong, once for each kind. @default a warning of this process */
  warn? (message: string): void
}

/** The peers that a data directory knows. Leaving the scope writes what has changed. */
export async function openPeersFile (dataDir: string, { self, timers, warn = message => { process.emitWarning(message) } }: PeersFileOptions): Promise<PeersFile> {
  const path = join(dataDir, PEERS_NAME)
  const known = new KnownPeers({ self, now: () => Math.floor(Date.now() / 1000), peers: await readPeers(path, warn) })
  let cancel: (() => void) | null = null
  let warned = false
  let changed = false
  let writing = Promise.resolve()
  const save = (): Promise<void> => {
    cancel = null
    if (!changed) return writing
    changed = false
    writing = writing.then(() => replaceFile(path, `${JSON.stringify({ version: VERSION, peers: known.list() }, null, 1)}\n`)).catch((error: unknown) => {
      if (!warned) warn(`The list of known peers ${path} cannot be written (${reasonOf(error)}); a restarted node may not find them by itself.`)
      warned = true
    })
    return writing
  }
  known.onChange(() => {
    changed = true
    cancel ??= timers.after(LIMITS.peers.saveMs, () => { void save() })
  })
  return {
    known,
    async [Symbol.asyncDispose] () {
      cancel?.()
      await save()
    }
  }
}

async function readPeers (path: string, warn: (message: string) => void): Promise<KnownPeer[]> {
  try {
    const size = await stat(path).then(({ size }) => size, () => 0)
    if (size > LIMITS.peers.fileBytesMax) throw new InosError('ERR_RECORD_INVALID', `It has ${size} bytes; ${LIMITS.peers.fileBytesMax} are allowed.`)
    const text = await readText(path)
    if (text === null) return []
    const value: unknown = JSON.parse(text)
    if (!isMap(value) || value['version'] !== VERSION) throw new InosError('ERR_RECORD_INVALID', `It is not of version ${VERSION}.`)
    return checkKnownPeers(value['peers'])
  } catch (error) {
    const aside = `${path}.damaged`
    const moved = await rename(path, aside).then(() => `It was moved to ${aside}.`, () => 'It will be replaced.')
    warn(`The list of known peers ${path} is damaged: ${reasonOf(error)} ${moved} Peers are learnt anew.`)
    return []
  }
}

function reasonOf (error: unknown): string { return error instanceof Error ? error.message : String(error) }
