/** The owner's decisions about trade in the data directory: `settings.json`. What they are is the business of `assembly/settings.ts`. */
import { join } from 'node:path'
import { DEFAULT_SETTINGS, formatSettings, parseSettings, type Settings } from '../assembly/settings.ts'
import { InosError } from '../packet/errors.ts'
import { readText, replaceFile } from './replace-file.ts'

export const SETTINGS_NAME = 'settings.json'

/** @throws {InosError} ERR_DATA_DIR when the file is there and cannot be used */
export async function readSettings (dataDir: string): Promise<Settings> {
  const path = join(dataDir, SETTINGS_NAME)
  try {
    const text = await readText(path)
    return text === null ? DEFAULT_SETTINGS : parseSettings(text)
  } catch (cause) {
    throw new InosError('ERR_DATA_DIR', `The settings ${path} cannot be used: ${(cause as Error).message}`, { cause, hint: 'Mend the file, or delete it and set prices again with `inos price set`.' })
  }
}

/** @throws {InosError} ERR_DATA_DIR */
export async function writeSettings (dataDir: string, settings: Settings): Promise<void> {
  const path = join(dataDir, SETTINGS_NAME)
  try {
    await replaceFile(path, formatSettings(settings))
  } catch (cause) {
    throw new InosError('ERR_DATA_DIR', `The settings ${path} cannot be written: ${(cause as Error).message}`, { cause, hint: 'Check the disk and its permissions.' })
  }
}
