/** How jobs end, for whoever counts them: each job is told of once, with its end and the time it took. */
import { toInosError } from '../packet/errors.ts'
import type { OutcomeKind } from '../wasm/runtime.ts'
import type { ProcessorEvents } from './processor.ts'
import type { Rooms } from './rooms.ts'

/** Do the work of a job and tell how it ended: by what its guest did, else by the code of what is thrown. */
export async function telling<T extends { readonly outcome: OutcomeKind }> (
  { events, platform }: Rooms, role: ProcessorEvents['job:end']['role'], work: () => Promise<T>
): Promise<T> {
  const began = platform.now()
  const tell = (end: ProcessorEvents['job:end']['end']): void => { events.emit('job:end', () => ({ role, end, ms: Math.max(0, platform.now() - began) })) }
  try {
    const done = await work()
    tell(done.outcome)
    return done
  } catch (error) {
    tell(toInosError(error).code)
    throw error
  }
}
