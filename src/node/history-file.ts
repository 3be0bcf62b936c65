/**
 * What this node has seen of its peers, kept in the data directory: read at the start, written some
 * seconds after it has changed. Where it is damaged or cannot be written, the node says so once and goes on.
 */
import { join } from 'node:path'
import type { Timers } from '../network/network.ts'
import { LIMITS } from '../packet/limits.ts'
import { createHistory, type History } from '../processor/history.ts'
import { readText, replaceFile } from './replace-file.ts'

export const HISTORY_NAME = 'history.json'

export interface HistoryFile extends AsyncDisposable { readonly history: History }

/** @param warn takes one sentence. @default a warning of this process */
export async function openHistoryFile (dataDir: string, timers: Timers, warn: (message: string) => void = message => { process.emitWarning(message) }): Promise<HistoryFile> {
  const path = join(dataDir, HISTORY_NAME)
  const history = await read(path, warn)
  let cancel: (() => void) | null = null
  let warned = false
  const save = async (): Promise<void> => {
    cancel = null
    try {
      await replaceFile(path, `${history.save()}\n`)
    } catch (error) {
      if (!warned) warn(`What this node has seen of its peers cannot be kept in ${path}: ${(error as Error).message}`)
      warned = true
    }
  }
  let writing = Promise.resolve()
  history.onChange(() => { cancel ??= timers.after(LIMITS.market.historySaveMs, () => { writing = writing.then(save) }) })
  return {
    history,
    async [Symbol.asyncDispose] () {
      cancel?.()
      if (cancel !== null) writing = writing.then(save)
      await writing
    }
  }
}

async function read (path: string, warn: (message: string) => void): Promise<History> {
  try {
    return createHistory(Date.now, await readText(path) ?? undefined)
  } catch (error) {
    warn(`${path} cannot be used and will be replaced: ${(error as Error).message} What this node has seen of its peers is learnt anew.`)
    return createHistory(Date.now)
  }
}
