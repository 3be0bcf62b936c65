/**
 * Files that come back from a job, written below one directory. Their names are a guest's choice, so the directory
 * must have been empty: nothing of this machine's is overwritten or followed, whatever they are called.
 */
import { access, constants, mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { InosError } from '../src/packet/errors.ts'
import { checkWritable, reasonOf } from './files.ts'

const CHECK = { hint: 'Name a directory that is empty or does not exist yet.' }

/** Before anything is paid for: whether files may be written below it. @throws {InosError} ERR_USAGE */
export async function checkEmpty (folder: string): Promise<void> {
  try {
    if ((await readdir(folder)).length > 0) throw new InosError('ERR_USAGE', `The directory ${folder} is not empty.`, CHECK)
    await access(folder, constants.W_OK)
  } catch (cause) {
    if (cause instanceof InosError) throw cause
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return await checkWritable(resolve(folder))
    throw new InosError('ERR_USAGE', `Files cannot be written to ${folder}: ${reasonOf(cause)}.`, { cause, ...CHECK })
  }
}

/**
 * @param files absolute path → content, as a result has them
 * @throws {InosError} ERR_INTERNAL when one cannot be written, for instance because its name is none on this machine
 */
export async function writeFiles (folder: string, files: Readonly<Record<string, Uint8Array>>): Promise<void> {
  const root = resolve(folder)
  for (const [path, content] of Object.entries(files)) {
    const target = join(root, ...path.split('/'))
    try {
      // Below the root and the same path again, or the name means something else here.
      const isBelow = target.startsWith(join(root, sep))
      if (!isBelow || `/${relative(root, target).split(sep).join('/')}` !== path) throw new Error('it is no name of a file on this machine')
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, content, { flag: 'wx' })
    } catch (cause) {
      throw new InosError('ERR_INTERNAL', `The file ${path} could not be written to ${folder}: ${reasonOf(cause)}.`, { cause, hint: 'The job is done; what was written before stays.' })
    }
  }
}
