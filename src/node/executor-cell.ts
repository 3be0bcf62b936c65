/**
 * The cell: bubblewrap (`bwrap`) around an executor, which needs no root. Inside, the root
 * directory holds Node, its libraries and the executor's own program files, all read-only, and
 * nothing else: no home, no /proc, no /dev, no other process, no network. So even native code that got past
 * V8 and Node's permissions finds nothing to read and nobody to signal.
 *
 * Three processes: `unshare`, our child; `bwrap`, process 1 of a namespace that `unshare` made for it; and the
 * executor, process 1 of one more. bwrap's own child begins by waiting for a word of bwrap, for ever if bwrap is killed in
 * that moment; but when process 1 of a namespace ends, at whatever moment, the kernel kills all in it. Before
 * `unshare` has tied bwrap to its life nobody waits: bwrap goes on, and the executor finds its pipe closed.
 */
import { readFileSync } from 'node:fs'
import { access, realpath } from 'node:fs/promises'

/** What a cell is made of on this machine; plain data. */
export interface Cell {
  /** Commands that end by running bwrap as process 1 of a namespace. */
  readonly bwrap: readonly string[]
  /** Files that Node needs to start. */
  readonly files: readonly string[]
  /** The kernel looks at every system call. */
  readonly filter: boolean
}

/** Descriptor through which bwrap reads the filter. */
export const FILTER = 4

/** @param files that are to be seen beside Node's own; those that do not exist are left out */
export async function cellCommand ({ bwrap, files: own, filter }: Cell, files: readonly string[]): Promise<string[]> {
  const seen: string[] = []
  // Each under the name by which it is asked for, wherever links lead.
  for (const file of new Set([...own, ...files])) {
    const real = await realpath(file).catch(() => undefined)
    if (real !== undefined) seen.push('--ro-bind', real, file)
  }
  return [
    ...bwrap, '--unshare-all', '--as-pid-1', '--die-with-parent', '--new-session', '--cap-drop', 'ALL',
    ...(filter ? ['--seccomp', String(FILTER)] : []), ...seen, '--remount-ro', '/', '--chdir', '/'
  ]
}

/** Ids of the bwrap below our child, whose end is the end of all in it, and of the executor below that; undefined while there is none. */
export function lookInto (child: number): { bwrap: number | undefined, executor: number | undefined } {
  const bwrap = onlyChildOf(child)
  return { bwrap, executor: bwrap === undefined ? undefined : onlyChildOf(bwrap) }
}

/** proc_pid_task_tid_children(5); exact for a process with one thread whose child is not ending. */
function onlyChildOf (pid: number): number | undefined {
  try {
    const id = Number.parseInt(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1'), 10)
    return id > 0 ? id : undefined
  } catch {
    return undefined
  }
}

/** Whether this kernel says whose child a process is. */
export async function canLookInto (): Promise<boolean> {
  return access(`/proc/self/task/${process.pid}/children`).then(() => true, () => false)
}

/** What Node needs to start: itself, the libraries it was linked with, and where the loader looks for them. */
export async function nodeFiles (): Promise<string[]> {
  const files = [process.execPath, ...sharedObjects().filter(file => /^\/.*\.so(\.|$)/.test(file)), '/etc/ld.so.cache']
  const exist = await Promise.all(files.map(file => access(file).then(() => true, () => false)))
  return files.filter((_, at) => exist[at])
}

/** Names under which the loader found the libraries of this process; addons end otherwise and are no part of Node. */
function sharedObjects (): string[] {
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report
  const { excludeNetwork } = report
  // Without this it would ask name servers about open connections.
  report.excludeNetwork = true
  try {
    const { sharedObjects: found } = report.getReport() as { sharedObjects?: unknown }
    return Array.isArray(found) ? found.filter(each => typeof each === 'string') : []
  } finally {
    report.excludeNetwork = excludeNetwork ?? false
  }
}
