/**
 * One executor: a child process that runs guests and can always be killed. This file starts it, talks
 * frames with it over one pipe and says why it ended. Which job it gets is left to
 * `executor-pool.ts`, what it is denied to `executor-walls.ts`.
 */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import type { Duplex, Readable } from 'node:stream'
import { promisify } from 'node:util'
import { LIMITS } from '../packet/limits.ts'
import { lookInto } from './executor-cell.ts'
import { FrameReader, writeFrame } from './executor-frames.ts'
import type { Frame, FrameLimits } from './executor-frames.ts'
import { IDLE_LIMITS, parseAnswer } from './executor-messages.ts'
import type { Answer } from './executor-messages.ts'
import { SUPPLY, supply } from './executor-supply.ts'
import { spawnLaunch } from './executor-walls.ts'
import type { Launch } from './executor-walls.ts'

/** File descriptor of the pipe in the child. */
const PIPE = 3

/** `executor.ts` beside this file, or `executor.js` where the program is built. */
export const EXECUTOR_ENTRY = new URL(`./executor${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

export interface ExecutorEvents {
  answer (answer: Answer): void
  /** It waits for a chunk of the input or a file of its job. @throws whatever ends the executor */
  wish (job: number, part: number, chunk: number): Promise<Uint8Array>
  /** The process is gone; `why` is half a sentence: "it reached its memory cap". */
  exit (why: string): void
}

/** Start an executor. @throws {Error} when the system refuses; also by `exit` */
export function startExecutor (launch: Launch, events: ExecutorEvents): ExecutorProcess {
  const child = spawnLaunch(launch, 'pipe')
  const executor = new ExecutorProcess(child, launch.walls.cell !== null, events)
  // On Windows the system ends children with their parent; elsewhere somebody must see it happen.
  if (!launch.walls.parentDeath && process.platform !== 'win32' && child.pid !== undefined) watchParent(child, child.pid)
  return executor
}

/** A busy guest cannot see its parent die. A shell that waits on a pipe of ours does, and kills it. */
function watchParent (child: ChildProcess, pid: number): void {
  const watcher = spawn('/bin/sh', ['-c', 'read -r line; kill -9 "$1"', 'sh', String(pid)], { env: {}, cwd: '/', stdio: ['pipe', 'ignore', 'ignore'] })
  watcher.on('error', () => { child.kill('SIGKILL') })
  watcher.stdin.on('error', () => {})
  child.once('exit', () => { watcher.kill('SIGKILL') })
}

export class ExecutorProcess {
  readonly #child: ChildProcess
  /** Absent when the system was out of descriptors. */
  readonly #pipe: Duplex | undefined
  readonly #events: ExecutorEvents
  readonly #isCell: boolean
  #pid: number | undefined
  #limits: FrameLimits = IDLE_LIMITS
  #why: string | undefined
  #diagnosis = ''
  /** Settles when the process is gone. */
  readonly exited: Promise<void>

  constructor (child: ChildProcess, isCell: boolean, events: ExecutorEvents) {
    this.#child = child
    this.#isCell = isCell
    this.#pid = isCell ? undefined : child.pid
    this.#events = events
    this.#pipe = (child.stdio as ChildProcess['stdio'] | undefined)?.[PIPE] as Duplex | undefined
    const reader = new FrameReader(() => this.#limits, frame => { this.#answer(frame) })
    this.#pipe?.on('data', (chunk: Uint8Array) => { this.#read(reader, chunk) })
    // A broken pipe has no news of its own: the end of the process follows.
    this.#pipe?.on('error', () => {})
    const chunks = (child.stdio as readonly unknown[] | undefined)?.[SUPPLY] as Duplex | null | undefined
    if (chunks) this.#supply(chunks)
    if (child.stderr !== undefined && child.stderr !== null) this.#keepDiagnosis(child.stderr)
    this.exited = this.#watchEnd()
  }

  /** Of the process that runs guests, as soon as it has said something; until then of what starts it. Undefined when the system refused to. */
  get pid (): number | undefined { return this.#pid ?? this.#child.pid }

  /** How large the next answers may be. */
  allow (limits: FrameLimits): void { this.#limits = limits }

  send (frame: Frame): void {
    if (this.#pipe !== undefined) writeFrame(this.#pipe, frame)
  }

  /** Send what `work` sends in one write. */
  together (work: () => void): void {
    this.#pipe?.cork()
    work()
    this.#pipe?.uncork()
  }

  /** SIGKILL; nothing is heard of it afterwards but its exit, for the first reason given. */
  kill (why: string): void {
    this.#why ??= why
    if (!this.#killCell()) this.#child.kill('SIGKILL')
  }

  /** With bwrap ends all in it, and our child after it, which collects it; so no dead process is left to whoever adopts orphans. */
  #killCell (): boolean {
    const child = this.#child
    if (!this.#isCell || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return false
    const { bwrap } = lookInto(child.pid)
    if (bwrap === undefined) return false
    try {
      process.kill(bwrap, 'SIGKILL')
    } catch {
      return false
    }
    const timer = setTimeout(() => { child.kill('SIGKILL') }, LIMITS.executor.drainMsMax)
    child.once('exit', () => { clearTimeout(timer) })
    return true
  }

  #supply (pipe: Duplex): void {
    const { wish } = this.#events
    supply(pipe, wish, error => { this.kill(`its input failed: ${error instanceof Error ? error.message : 'unreadable'}`) })
    this.#child.once('exit', () => { pipe.destroy() })
  }

  #read (reader: FrameReader, chunk: Uint8Array): void {
    if (this.#why !== undefined) return
    try {
      reader.push(chunk)
    } catch (error) {
      this.kill(`it broke the protocol: ${error instanceof Error ? error.message : 'unreadable'}`)
    }
  }

  #answer (frame: Frame): void {
    if (this.#why !== undefined) return
    if (this.#pid === undefined && this.#child.pid !== undefined) this.#pid = lookInto(this.#child.pid).executor
    this.#events.answer(parseAnswer(frame))
  }

  /** What V8 prints when it gives up. A sound executor prints nothing, so whoever prints without end is none. */
  #keepDiagnosis (stderr: Readable): void {
    const utf8 = new TextDecoder()
    stderr.on('error', () => {})
    stderr.on('data', (chunk: Uint8Array) => {
      if (this.#why !== undefined) return
      this.#diagnosis += utf8.decode(chunk, { stream: true })
      if (this.#diagnosis.length > LIMITS.executor.diagnosticBytesMax) this.kill('it printed without end')
    })
  }

  async #watchEnd (): Promise<void> {
    const child = this.#child
    const closed = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<string>()
    child.once('error', error => { gone.resolve(`it could not be started (${error.message})`) })
    child.once('exit', (code, signal) => { gone.resolve(describeEnd(code, signal)) })
    child.once('close', closed.resolve)
    const ending = await gone.promise
    // Its last answer may still be on the way, but a descendant that holds the pipe must not delay us.
    const timer = setTimeout(closed.resolve, LIMITS.executor.drainMsMax)
    await closed.promise
    clearTimeout(timer)
    this.#why ??= explain(ending, this.#diagnosis)
    this.#pipe?.destroy()
    child.stderr?.destroy()
    this.#events.exit(this.#why)
  }
}

/** bwrap gives the signal that ended the process inside as a shell does, by 128 and its number. */
function describeEnd (code: number | null, signal: NodeJS.Signals | null): string {
  const name = signal ?? Object.entries(constants.signals).find(([, number]) => code === 128 + number)?.[0]
  return name === undefined ? `it exited with code ${code}` : `it was ended by ${name}`
}

/** V8 aborts by one of several signals when memory is refused, and says so on stderr. */
function explain (ending: string, diagnosis: string): string {
  if (/out of memory|allocation fail|cannot allocate|bad_alloc/i.test(diagnosis)) return `it reached its memory cap (${ending})`
  // The last line of a crash is Node's version; the one that names the error begins with its class.
  const error = /^\w*Error\b.*$/m.exec(diagnosis)
  return error === null ? ending : `${ending}: ${error[0].slice(0, LIMITS.executor.messageLengthMax)}`
}

/** Resident bytes of processes by id, for systems without RLIMIT_DATA; those it cannot find are left out. */
export async function residentBytes (pids: readonly number[]): Promise<Map<number, number>> {
  if (process.platform === 'win32' || pids.length === 0) return new Map()
  if (process.platform === 'linux') return readStatus(pids)
  // `ps` fails when one of the processes is gone, yet prints the others.
  const listed = await promisify(execFile)('ps', ['-o', 'pid=,rss=', '-p', pids.join(',')], { timeout: LIMITS.executor.startMsMax }).catch((error: { stdout?: string }) => error)
  const rows = (listed.stdout ?? '').trim().split('\n').map(row => row.trim().split(/\s+/).map(Number))
  return new Map(rows.map(([pid, kibibytes]) => [pid!, (kibibytes ?? 0) * 1024]))
}

/** proc_pid_status(5): VmRSS is in KiB whatever the size of a page. */
async function readStatus (pids: readonly number[]): Promise<Map<number, number>> {
  const sizes = new Map<number, number>()
  for (const pid of pids) {
    const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    if (kibibytes !== undefined) sizes.set(pid, Number(kibibytes) * 1024)
  }
  return sizes
}
