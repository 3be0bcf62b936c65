/**
 * What an executor process is denied, and by which means on this machine: the flags of Node and the
 * small tools of Linux that are put in front of it. Each tool replaces itself by the next, so
 * that the process keeps one id from its birth to its end; only those that build the cell stay, as its parents.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, dirname, extname, isAbsolute, join, sep } from 'node:path'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { LIMITS } from '../packet/limits.ts'
import { canLookInto, cellCommand, FILTER, nodeFiles } from './executor-cell.ts'
import type { Cell } from './executor-cell.ts'
import { callFilter } from './executor-filter.ts'

/** What holds on this machine; `inos doctor` and SECURITY.md speak of it. */
export interface Walls {
  /** Commands in front of all others, each with its arguments. */
  readonly prefix: readonly string[]
  /** It sees no file but Node and its program, and no process but itself, natively too. */
  readonly cell: Cell | null
  /** The kernel caps its memory; otherwise the pool polls it. */
  readonly memory: boolean
  /** It has no network of its own. */
  readonly network: boolean
  /** The kernel kills it when its parent ends; otherwise a watcher does. */
  readonly parentDeath: boolean
}

export const NO_WALLS: Walls = { prefix: [], cell: null, memory: false, network: false, parentDeath: false }

/** npm packages that the engine imports. */
const PACKAGES = ['@noble/hashes']

/**
 * Find the strongest combination of tools that works here for executors of this entry, by running them.
 *
 * - `bwrap` (bubblewrap) builds a cell around it: see `executor-cell.ts`. Without it:
 * - `unshare` gives it an empty network, as another user also a namespace of its own in which it cannot
 *   look into processes outside. Some distributions forbid this and the cell to users.
 * - `setpriv` has the kernel kill it with its parent and takes away what root could do.
 * - `prlimit` caps its memory, and denies core dumps and writing files. RLIMIT_AS is of no use,
 *   since V8 reserves 8 GiB and more of addresses for each memory.
 */
export async function probeWalls (entry: URL): Promise<Walls> {
  if (process.platform !== 'linux') return NO_WALLS
  const isRoot = process.geteuid?.() === 0
  // Only root makes namespaces without one for users, and only without one it keeps its reach to the program's files.
  const users = isRoot ? [] : ['--user', '--map-current-user']
  const [bwrap, prlimit, unshare, setpriv] = await Promise.all([
    find('bwrap'), command('prlimit', ['--core=0', '--fsize=0', `--data=${LIMITS.executor.dataBytesMax + LIMITS.executor.codeRangeBytes}`]),
    command('unshare', users), command('setpriv', ['--pdeathsig', 'KILL', '--no-new-privs'])
  ])
  const none = { ...NO_WALLS, prefix: prlimit, memory: prlimit.length > 0 }
  const candidates: Walls[] = []
  if (bwrap !== undefined && unshare.length > 0 && setpriv.length > 0 && await canLookInto()) {
    const cell = { bwrap: [...unshare, '--pid', '--fork', '--kill-child', bwrap], files: await nodeFiles() }
    for (const filter of callFilter() === undefined ? [false] : [true, false]) {
      candidates.push({ ...none, prefix: [...setpriv, ...prlimit], cell: { ...cell, filter }, network: true, parentDeath: true })
    }
  }
  const powerless = isRoot ? ['--inh-caps=-all', '--bounding-set=-all'] : []
  const alone = setpriv.length === 0 ? [] : [{ ...none, prefix: [...setpriv, ...powerless, ...prlimit], parentDeath: true }]
  if (unshare.length > 0) candidates.push(...[...alone, none].map(walls => ({ ...walls, prefix: [...unshare, '--net', ...walls.prefix], network: true })))
  candidates.push(...alone, none)
  for (const walls of candidates) if (walls.prefix.length > 0 && await stands(walls, entry)) return walls
  return NO_WALLS
}

/** @returns the command with its arguments, or nothing where it is absent */
async function command (name: string, args: readonly string[]): Promise<readonly string[]> {
  const file = await find(name)
  return file === undefined ? [] : [file, ...args]
}

async function find (name: string): Promise<string | undefined> {
  for (const folder of ['/usr/bin', '/bin', ...(process.env.PATH ?? '').split(delimiter)]) {
    const file = join(folder, name)
    // A relative folder would mean another file once the working directory is another.
    if (isAbsolute(file) && await access(file, constants.X_OK).then(() => true, () => false)) return file
  }
  return undefined
}

/** Whether Node runs behind these walls. In a cell it must do more than start, since it lacks /proc and /dev, and find the program. */
async function stands (walls: Walls, entry: URL): Promise<boolean> {
  const inside = walls.cell === null ? [] : await cellCommand(walls.cell, await readablePaths(fileURLToPath(entry)))
  const trial = walls.cell === null ? ['--version'] : ['--eval', '0']
  const { promise, resolve } = Promise.withResolvers<boolean>()
  try {
    const child = spawnLaunch({ walls, argv: [...walls.prefix, ...inside, process.execPath, ...trial] }, 'ignore')
    child.once('error', () => { resolve(false) })
    child.once('exit', code => { resolve(code === 0) })
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      resolve(false)
    }, LIMITS.executor.startMsMax)
    void promise.then(() => { clearTimeout(timer) })
  } catch {
    resolve(false)
  }
  return promise
}

/** A way to start an executor. */
export interface Launch {
  readonly walls: Walls
  /** The whole command. */
  readonly argv: readonly string[]
}

/** How executors of this entry are started behind these walls. */
export async function planLaunch (entry: URL, walls: Walls): Promise<Launch> {
  const file = fileURLToPath(entry)
  const readable = await readablePaths(file)
  const cell = walls.cell === null ? [] : await cellCommand(walls.cell, readable)
  return { walls, argv: [...walls.prefix, ...cell, process.execPath, ...denyingFlags(readable), file] }
}

/**
 * @param pipe what descriptors 2, 3 and 5 are: diagnosis, talk and supply, or nothing for a trial
 * @throws {Error} when the system refuses
 */
export function spawnLaunch ({ walls: { cell }, argv: [file, ...args] }: Launch, pipe: 'pipe' | 'ignore'): ChildProcess {
  const filter = cell?.filter === true ? callFilter() : undefined
  const child = spawn(file!, args, { env: {}, cwd: '/', stdio: ['ignore', 'ignore', pipe, pipe, filter === undefined ? 'ignore' : 'pipe', pipe], windowsHide: true })
  // Absent when the system was out of descriptors; the end of the process follows then, and where it is cut off.
  const input = (child.stdio as readonly unknown[] | undefined)?.[FILTER] as Writable | null | undefined
  input?.on('error', () => {})
  input?.end(filter)
  return child
}

/**
 * Flags under which Node runs the executor: no files but the program's own, no processes, no workers,
 * no addons, no debugger by signal, no code from strings. `gc` is for the executor's own use. From Node 25 on the same permission
 * system denies the network too.
 */
function denyingFlags (readable: readonly string[]): string[] {
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
  const own = ['executor-frames', 'executor-messages', 'executor-pages', 'executor-supply'].map(name => join(folder, name + extname(entry)))
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
