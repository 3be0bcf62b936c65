/**
 * What an executor process is denied, and by which means on this machine: the flags of Node and the
 * small tools of Linux that are put in front of it. Each tool replaces itself by the next, so
 * that the process keeps one id from its birth to its end.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, dirname, extname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { LIMITS } from '../packet/limits.ts'

/** What holds on this machine; `inos doctor` and SECURITY.md speak of it. */
export interface Walls {
  /** Commands in front of Node, each with its arguments. */
  readonly prefix: readonly string[]
  /** The kernel caps its memory; otherwise the pool polls it. */
  readonly memory: boolean
  /** It has no network of its own. */
  readonly network: boolean
  /** The kernel kills it when its parent ends; otherwise a watcher does. */
  readonly parentDeath: boolean
}

export const NO_WALLS: Walls = { prefix: [], memory: false, network: false, parentDeath: false }

/** npm packages that the engine imports. */
const PACKAGES = ['@noble/hashes']

/**
 * Find the strongest combination of tools that works here, by running each.
 *
 * - `unshare` gives it an empty network, as another user also a namespace of its own in which it cannot
 *   look into processes outside. Some distributions forbid this to users.
 * - `setpriv` has the kernel kill it with its parent and takes away what root could do.
 * - `prlimit` caps its memory, and denies core dumps and writing files. RLIMIT_AS is of no use,
 *   since V8 reserves 8 GiB and more of addresses for each memory.
 */
export async function probeWalls (): Promise<Walls> {
  if (process.platform !== 'linux') return NO_WALLS
  const isRoot = process.geteuid?.() === 0
  const unshare = await tool('unshare', isRoot ? ['--net'] : ['--user', '--map-current-user', '--net'])
  const setpriv = await tool('setpriv', ['--pdeathsig', 'KILL', '--no-new-privs', ...(isRoot ? ['--inh-caps=-all', '--bounding-set=-all'] : [])])
  const prlimit = await tool('prlimit', ['--core=0', '--fsize=0', `--data=${LIMITS.executor.dataBytesMax + LIMITS.executor.codeRangeBytes}`])
  for (const tools of [[unshare, setpriv, prlimit], [setpriv, prlimit], [prlimit]]) {
    const prefix = tools.flat()
    if (prefix.length > 0 && await works(prefix)) {
      return {
        prefix,
        memory: prlimit.length > 0,
        network: tools.includes(unshare) && unshare.length > 0,
        parentDeath: tools.includes(setpriv) && setpriv.length > 0
      }
    }
  }
  return NO_WALLS
}

/** @returns the command with its arguments, or nothing where it is absent or refuses */
async function tool (name: string, args: readonly string[]): Promise<readonly string[]> {
  for (const folder of ['/usr/bin', '/bin', ...(process.env.PATH ?? '').split(delimiter)]) {
    const file = join(folder, name)
    const executable = await access(file, constants.X_OK).then(() => true, () => false)
    if (executable) return await works([file, ...args]) ? [file, ...args] : []
  }
  return []
}

async function works (prefix: readonly string[]): Promise<boolean> {
  const [command, ...args] = prefix
  try {
    await promisify(execFile)(command!, [...args, process.execPath, '--version'], { env: {}, cwd: '/', timeout: LIMITS.executor.startMsMax })
    return true
  } catch {
    return false
  }
}

/**
 * Flags under which Node runs the executor: no files but the program's own, no processes, no workers,
 * no addons, no debugger by signal, no code from strings. `gc` is for the executor's own use. From Node 25 on the same permission
 * system denies the network too.
 */
export async function denyingFlags (entry: URL): Promise<string[]> {
  const readable = await readablePaths(fileURLToPath(entry))
  return [
    '--permission', ...readable.map(path => `--allow-fs-read=${path}`),
    // Packages are read under the name the resolver finds first, wherever an installer's links lead.
    '--preserve-symlinks',
    '--no-addons', '--disable-sigusr1', '--disable-proto=throw', '--disallow-code-generation-from-strings', '--no-warnings', '--expose-gc',
    `--max-old-space-size=${LIMITS.executor.heapMiBMax}`, `--wasm-max-committed-code-mb=${LIMITS.executor.codeMiBMax}`
  ]
}

/** The program's files that an executor imports, as narrow as Node's resolver allows. */
async function readablePaths (entry: string): Promise<string[]> {
  const folder = dirname(entry)
  const room = dirname(folder)
  const own = ['executor-frames', 'executor-messages'].map(name => join(folder, name + extname(entry)))
  const paths = [entry, ...own, join(room, 'wasm') + sep, join(room, 'packet') + sep]
  for (const name of PACKAGES) paths.push(...await packagePaths(folder, name))
  // The nearest package.json decides that a .js file is a module.
  for (const above of ancestors(folder)) paths.push(join(above, 'package.json'))
  return paths
}

/**
 * Where the resolver looks for a package, from the folder upwards until it is there. The places
 * without it are listed as well, since a denied look is an error and not an absence.
 */
async function packagePaths (folder: string, name: string): Promise<string[]> {
  const paths: string[] = []
  for (const above of ancestors(folder)) {
    const path = join(above, 'node_modules', name)
    paths.push(path + sep)
    if (await access(path).then(() => true, () => false)) break
  }
  return paths
}

function ancestors (folder: string): string[] {
  const above = dirname(folder)
  return above === folder ? [folder] : [folder, ...ancestors(above)]
}
