/**
 * How many requests are worked on at once, and how many bytes they bring: the others wait in
 * their order. The control socket uses it; it knows nothing of what passes.
 */
import { InosError } from '../packet/errors.ts'

export interface Gate {
  /**
   * Wait for a turn; disposing of it gives it back.
   * @param bytes what the request will hold in memory
   * @throws {InosError} ERR_BUSY when too many wait; the signal's reason when it aborts first
   */
  enter (bytes: number, signal: AbortSignal): Promise<Disposable>
}

interface Waiting { readonly bytes: number, readonly admit: () => void }

export function createGate ({ requestsMax, bodiesBytesMax, waitingMax }: { requestsMax: number, bodiesBytesMax: number, waitingMax: number }): Gate {
  const queue: Waiting[] = []
  let requests = 0
  let bytesHeld = 0

  const fits = (bytes: number): boolean => requests < requestsMax && bytesHeld + bytes <= bodiesBytesMax
  const take = (bytes: number): void => { requests++; bytesHeld += bytes }
  const admitNext = (): void => {
    while (queue.length > 0 && fits(queue[0]!.bytes)) {
      take(queue[0]!.bytes)
      queue.shift()!.admit()
    }
  }

  return {
    enter: async (bytes, signal) => {
      signal.throwIfAborted()
      if (queue.length === 0 && fits(bytes)) take(bytes)
      else await waitInLine(queue, waitingMax, bytes, signal, admitNext)
      return {
        [Symbol.dispose]: () => {
          requests--
          bytesHeld -= bytes
          admitNext()
        }
      }
    }
  }
}

async function waitInLine (queue: Waiting[], waitingMax: number, bytes: number, signal: AbortSignal, admitNext: () => void): Promise<void> {
  if (queue.length >= waitingMax) throw new InosError('ERR_BUSY', `More than ${waitingMax} commands wait for this node already.`)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const entry = { bytes, admit: resolve }
  const leave = (): void => {
    const at = queue.indexOf(entry)
    if (at === -1) return
    queue.splice(at, 1)
    reject(signal.reason as Error)
    // The next in line may be smaller than the one that left.
    admitNext()
  }
  queue.push(entry)
  signal.addEventListener('abort', leave, { once: true })
  try {
    await promise
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
