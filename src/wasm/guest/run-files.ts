/**
 * The files a run brings along, put into the guest's tree before it starts. Their bytes are shared with
 * the run until the guest changes them.
 */
import { InosError } from '../../packet/errors.ts'
import { LIMITS } from '../../packet/limits.ts'
import { type Ranges, rangesOf } from '../ranges.ts'
import type { Run } from '../runtime.ts'
import type { DirectoryInode, FileSystem } from './file-system.ts'
import { checkName } from './path.ts'
import { Refusal, refuse } from './refusal.ts'
import { ERRNO } from './wasi-abi.ts'

const limits = LIMITS.guest

/** Puts the files of a run into the tree. Each directory is made once, whatever lies in it. */
class Planter {
  readonly #files: FileSystem
  readonly #directories: Map<string, DirectoryInode>

  constructor (files: FileSystem) {
    this.#files = files
    this.#directories = new Map([['', files.root]])
  }

  plant (path: string, content: Uint8Array | Ranges): void {
    if (path.length > limits.pathBytesMax) refuse(ERRNO.nametoolong)
    const [parent, name] = this.#locate(path)
    if (parent.entries.has(name)) refuse(ERRNO.exist)
    this.#files.createFile(parent, name, content)
  }

  /** The directory a path lies in, and its name there. */
  #locate (path: string): [parent: DirectoryInode, name: string] {
    const end = path.lastIndexOf('/')
    const name = path.slice(end + 1)
    if (end < 0 || name === '' || name === '.' || name === '..' || name.includes('\0')) refuse(ERRNO.inval)
    checkName(name)
    return [this.#directory(path.slice(0, end)), name]
  }

  #directory (path: string): DirectoryInode {
    const known = this.#directories.get(path)
    if (known !== undefined) return known
    const [parent, name] = this.#locate(path)
    if (parent.entries.has(name)) refuse(ERRNO.notdir)
    const made = this.#files.createDirectory(parent, name)
    this.#directories.set(path, made)
    return made
  }
}

/** @throws {InosError} ERR_INVALID_SPEC when a path is none, stands in another's way, or all is too much */
export function plantFiles (files: FileSystem, content: Run['files']): void {
  const planter = new Planter(files)
  for (const path of Object.keys(content).sort()) {
    try {
      planter.plant(path, content[path] instanceof Uint8Array ? content[path] : rangesOf(content[path]!))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const reason = error.errno === ERRNO.nospc
        ? `does not fit into ${limits.fsBytesMax} bytes and ${limits.fsNodesMax} names`
        : 'is no absolute path of a file, or another file stands in its way'
      throw new InosError('ERR_INVALID_SPEC', `The file ${JSON.stringify(path)} ${reason}.`)
    }
  }
}
