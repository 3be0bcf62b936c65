/**
 * The cell: bubblewrap (`bwrap`) around an executor, which needs no root. Inside, the root
 * directory holds Node, its libraries and the executor's own program files, all read-only, and
 * nothing else: no home, no /proc, no /dev, no other process, no network. So even native code that got past
 * V8 and Node's permissions finds nothing to read and nobody to signal.
 *
 * `bwrap` stays outside as the parent of the executor, which is process 1 of its own namespace, and
 * tells the executor's real id on a pipe. The end of either is the end of both.
 */
import type { ChildProcess } from 'node:child_process'
import { access, realpath } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { LIMITS } from '../packet/limits.ts'
import { callFilter } from './executor-filter.ts'

/** What a cell is made of on this machine; plain data. */
export interface Cell {
  /** Path of bwrap. */
  readonly bwrap: string
  /** Files that Node needs to start. */
  readonly files: readonly string[]
  /** The kernel looks at every system call. */
  readonly filter: boolean
}

/** Descriptors through which bwrap reads the filter and tells the id. */
const FILTER = 4
const INFO = 5

/** @param files that are to be seen beside Node's own; those that do not exist are left out */
export async function cellCommand ({ bwrap, files: own, filter }: Cell, files: readonly string[]): Promise<string[]> {
  const seen: string[] = []
  // Each under the name by which it is asked for, wherever links lead.
  for (const file of new Set([...own, ...files])) {
    const real = await realpath(file).catch(() => undefined)
    if (real !== undefined) seen.push('--ro-bind', real, file)
  }
  return [
    bwrap, '--unshare-all', '--as-pid-1', '--die-with-parent', '--new-session', '--cap-drop', 'ALL',
    ...(filter ? ['--seccomp', String(FILTER)] : []), '--info-fd', String(INFO),
    ...seen, '--remount-ro', '/', '--chdir', '/'
  ]
}

/** How the two descriptors are passed to `spawn`, behind those of an executor. */
export const CELL_STDIO = ['pipe', 'pipe'] as const

/**
 * Hand bwrap the filter and read what it tells.
 * @returns the id of the process inside; undefined if there is none
 */
export async function enterCell ({ filter }: Cell, child: ChildProcess): Promise<number | undefined> {
  const [input, output] = [FILTER, INFO].map(at => (child.stdio as ChildProcess['stdio'] | undefined)?.[at as 3]) as (Duplex | null | undefined)[]
  // The system was out of descriptors; the end of the process follows.
  if (!input || !output) return undefined
  input.on('error', () => {})
  output.on('error', () => {})
  input.end(filter ? callFilter() : undefined)
  let text = ''
  try {
    for await (const chunk of output) {
      text += String(chunk)
      if (text.length > LIMITS.executor.messageLengthMax) break
    }
  } catch {
    return undefined
  }
  const pid = /"child-pid": *(\d{1,9})\b/.exec(text)?.[1]
  return pid === undefined ? undefined : Number(pid)
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
