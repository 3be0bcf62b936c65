/** Small files of the data directory that are read whole and written whole. */
import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Whole or not at all, also when the power fails: written aside, flushed, then renamed, and the rename flushed. @throws {Error} of the file system */
export async function replaceFile (path: string, text: string): Promise<void> {
  const aside = `${path}.tmp`
  {
    await using file = await open(aside, 'w', 0o600)
    await file.writeFile(text)
    await file.sync()
  }
  await rename(aside, path)
  // Windows opens no directories, and flushes a rename by itself.
  if (process.platform !== 'win32') await syncFile(dirname(path))
}

/** Bring a file, or the names in a directory, to the disk. @throws {Error} of the file system */
export async function syncFile (path: string): Promise<void> {
  await using file = await open(path)
  await file.sync()
}

/** Null when there is none. @throws {Error} of the file system */
export async function readText (path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
