/**
 * What a pool of executors and one executor say to each other, be it a process or a Web Worker: the task, how it is
 * followed, and the errors it ends with. Who works when is left to `executor-turns.ts`; how an executor is started, heard and ended is the platform's.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Compute, ModuleReport, Outcome, Run } from '../wasm/runtime.ts'
import type { Lease } from './executor-lease.ts'

export type Task =
  | { readonly kind: 'run', readonly run: Run, readonly compute?: Compute | undefined }
  | { readonly kind: 'inspect', readonly wasm: Uint8Array }

/** An outcome for a run, a report for an inspection. */
export type Finding = Outcome | ModuleReport

/** An executor as its pool sees it. */
export interface Seat {
  /** Whether a job may be given to it now. */
  readonly idle: boolean
  /** Whether it has a job. */
  readonly busy: boolean
  /** Whether the job it has waits for its children: then others may run in its place. */
  readonly waiting: boolean
  /** Whether it has probably compiled the module. */
  knows (task: Task): boolean
  /** End it for good. The job that runs, if any, ends with `error`. @default ERR_EXECUTOR_LOST */
  end (why: string, error?: InosError): void
}

/** A job at an executor. */
export interface Performance {
  /** Rejects with an InosError (a refusal of the engine, ERR_DEADLINE, ERR_EXECUTOR_LOST), or Recalled. */
  readonly found: Promise<Finding>
  /** Forget the job, which ends with `error`; if it runs, only the end of the executor stops it. */
  cancel (why: string, error: InosError): void
}

/** A job was sent ahead and did not get its turn: the executor was lost before, or another job takes longer than expected. */
export class Recalled extends Error {
  override readonly name = 'Recalled'
}

/** The module of a run, which may lie elsewhere. @throws ERR_DEADLINE when it does not come in time, and what its source throws */
export async function fetchModule ({ wasm }: Run): Promise<Uint8Array> {
  if (typeof wasm !== 'function') return wasm
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => { late.reject(new InosError('ERR_DEADLINE', 'The module of the job could not be fetched in time.')) }, LIMITS.executor.moduleMsMax)
  try {
    return await Promise.race([wasm(), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

export function lost (why: string): InosError { return new InosError('ERR_EXECUTOR_LOST', `The executor of the job was lost: ${why}.`) }

/** Why a seat is ended whose job outlived its lease, and what the job ends with. */
export function outlived ({ ms }: Lease): [why: string, error: InosError] {
  return ['its job outlived its lease', new InosError('ERR_DEADLINE', `The job was stopped after ${Math.round(ms)} ms, the most that its fuel and its module can take.`)]
}

/** The same for a guest that was suspended for too long. */
export function waitedTooLong (): [why: string, error: InosError] {
  return ['its job waited too long for its children', new InosError('ERR_DEADLINE', 'The job was stopped: its children took longer than an order binds.')]
}
