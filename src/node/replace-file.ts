/** Small files of the data directory that are read whole and written whole. */
import { open, readFile, rename } from 'node:fs/promises'

/** Whole or not at all: written aside, flushed, then renamed. @throws {Error} of the file system */
export async function replaceFile (path: string, text: string): Promise<void> {
  const aside = `${path}.tmp`
  {
    await using file = await open(aside, 'w', 0o600)
    await file.writeFile(text)
    await file.sync()
  }
  await rename(aside, path)
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
