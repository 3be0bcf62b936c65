/**
 * Who burns CPU without earning it. V8's optimising compiler works in the background, for as long as
 * it likes: 40 KB of nested loops keep it busy for many seconds, during and after the job that brought
 * them, and only the end of the process stops it. So the CPU time of each executor, all its threads
 * together, is held against what its jobs give it reason to burn; what is to be done is
 * left to `executor-pool.ts`.
 *
 * An executor earns the time in which a job runs, since the job's own thread is bounded by the lease,
 * which follows from fuel; a share of all time, for collecting garbage; and a multiple of the
 * estimated cost of each module that is new to it, for compiling that better. The rest is debt.
 */
import { readFileSync } from 'node:fs'
import { LIMITS } from '../packet/limits.ts'

/** USER_HZ, the unit of times in /proc, is 100 on every Linux that runs Node. */
const TICK_MS = 10

/** CPU milliseconds of a process with all its threads; undefined where that cannot be read. */
export function cpuMsOf (pid: number): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    // proc_pid_stat(5): utime and stime are the fields 14 and 15; the second, a name, may hold anything but ends at the last parenthesis.
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  } catch {
    return undefined
  }
}

/** The account of one executor. Times come as arguments, in milliseconds. */
export class Burn {
  /** Of what is measured; what it used before, such as its start, does not count. */
  #pid: number | undefined
  #cpuMs = 0
  #atMs = 0
  #busySince: number | undefined
  #busyMs = 0
  /** Earned by estimates and not used yet. */
  #creditMs = 0
  #debtMs = 0
  #quiet = 0

  /** A job begins. */
  begin (nowMs: number): void {
    this.#busySince ??= nowMs
    this.#quiet = 0
  }

  /** The job has ended. */
  end (nowMs: number): void {
    if (this.#busySince !== undefined) this.#busyMs += nowMs - Math.max(this.#busySince, this.#atMs)
    this.#busySince = undefined
  }

  /** A module that is new to it takes so much CPU to compile once. */
  expect (cpuMs: number): void {
    const { burnEstimateFactor, burnCreditMsMax } = LIMITS.executor
    this.#creditMs = Math.min(burnCreditMsMax, this.#creditMs + cpuMs * burnEstimateFactor)
  }

  /** Whether it does nothing, so that looking again can wait for the next job. */
  get isQuiet (): boolean { return this.#busySince === undefined && this.#quiet >= 3 }

  /** Take notice of the CPU used so far by the process. @returns whether the debt is too high */
  measure (pid: number, cpuMs: number, nowMs: number): boolean {
    if (this.#pid !== pid) {
      this.#pid = pid
      this.#cpuMs = cpuMs
      this.#atMs = nowMs
      this.#busyMs = 0
      return false
    }
    const { burnShareFree, burnMsMax } = LIMITS.executor
    const usedMs = cpuMs - this.#cpuMs
    const busyMs = this.#busyMs + (this.#busySince === undefined ? 0 : nowMs - Math.max(this.#busySince, this.#atMs))
    const burntMs = usedMs - busyMs - (nowMs - this.#atMs) * burnShareFree
    this.#quiet = busyMs === 0 && usedMs <= TICK_MS ? this.#quiet + 1 : 0
    const covered = Math.min(this.#creditMs, Math.max(0, burntMs))
    this.#creditMs -= covered
    this.#debtMs = Math.max(0, this.#debtMs + burntMs - covered)
    this.#cpuMs = cpuMs
    this.#atMs = nowMs
    this.#busyMs = 0
    return this.#debtMs > burnMsMax
  }
}
