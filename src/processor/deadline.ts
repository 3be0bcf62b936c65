/** Waiting for a peer, but only so long. */
import { InosError } from '../packet/errors.ts'
import type { Rooms } from './rooms.ts'

/**
 * Do work that `signal` can end: it aborts when the time is up, or with `cancel`.
 * @param fault what to say when the time was up, such as "It did not come"
 * @throws {InosError} ERR_DEADLINE when the time was up; else what the work throws
 */
export async function within<T> ({ platform }: Rooms, ms: number, fault: string, work: (signal: AbortSignal) => Promise<T>, cancel?: AbortSignal): Promise<T> {
  const late = new AbortController()
  const done = new AbortController()
  void platform.sleep(ms, done.signal).then(() => { late.abort() }, () => {})
  try {
    return await work(cancel === undefined ? late.signal : AbortSignal.any([cancel, late.signal]))
  } catch (cause) {
    if (late.signal.aborted && cancel?.aborted !== true) throw new InosError('ERR_DEADLINE', `${fault} within ${ms} ms.`, { cause })
    throw cause
  } finally {
    done.abort()
  }
}
