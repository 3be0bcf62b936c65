/** Actors of a node on this platform: their rows lie in a LevelDB of their own, opened when the first actor is asked for. */
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { type ActorMethods, actorsOf } from '../emergent/actors.ts'
import type { ActorStore } from '../emergent/actor-log.ts'
import { InosError } from '../packet/errors.ts'
import type { Processor } from '../processor/processor.ts'
import type { Platform } from '../processor/rooms.ts'

export interface NodeActors extends ActorMethods {
  /** Close the rows; the actors are not asked any more. */
  close (): Promise<void>
}

/** @param dataDir whose lock this process holds */
export function openActors (dataDir: string, processor: Processor, { digest, randomBytes }: Platform): NodeActors {
  let opened: Promise<ClassicLevel<string, Uint8Array>> | undefined
  const open = async (): Promise<ClassicLevel<string, Uint8Array>> => {
    const db = new ClassicLevel<string, Uint8Array>(join(dataDir, 'actors'), { valueEncoding: 'view' })
    await written(() => db.open())
    return db
  }
  const store = async (): Promise<ActorStore> => {
    const db = await (opened ??= open())
    return {
      get: key => written(() => db.get(key)),
      batch: (ops, options) => written(() => db.batch(ops, options)),
      iterator: range => db.iterator(range)
    }
  }
  return {
    ...actorsOf({ processor, store, digest, randomBytes }),
    close: async () => { await (await opened)?.close() }
  }
}

async function written<T> (work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new InosError('ERR_STORE', `The rows of actors cannot be read or written: ${cause instanceof Error ? cause.message : String(cause)}.`, { cause })
  }
}
