/**
 * A talk is what one stream is used for: a session, a blob, a job of four fields. `sessions.ts`
 * reads the stream and hands each packet to the talk that its first packet chose.
 */
import { InosError, isErrorCode } from '../packet/errors.ts'
import type { Packet } from '../packet/packet.pb.js'
import type { Frames } from './frames.ts'

export interface Talk {
  /** @param bytes on the wire @throws {InosError} ERR_BAD_PACKET, which the peer is told before the stream closes */
  take (packet: Packet, bytes: number): void
  /** The peer half-closed; with `cause`: the stream was lost or refused. Called once. */
  end (cause?: InosError): void
}

/** Read a stream to its end for the sake of `talk`. */
export function converse (frames: Frames, talk: Talk): void {
  frames.read((packet, bytes) => { talk.take(packet, bytes) })
    .then(() => { talk.end() }, (cause: InosError) => { talk.end(cause) })
}

/** Wait for `work`, but no longer than `signal`; the work itself goes on. @throws {InosError} ERR_CANCELLED */
export function unlessAborted<T> (work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const onAbort = (): void => { reject(new InosError('ERR_CANCELLED', 'The wait for a peer was cancelled.', { cause: signal.reason })) }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => { signal.removeEventListener('abort', onAbort) })
  })
}

/** The error a refusal stands for; a code this node does not know counts as the peer's inner failure. */
export function errorOf (refusal: Packet): InosError {
  const code = isErrorCode(refusal.code) ? refusal.code : 'ERR_INTERNAL'
  return new InosError(code, refusal.text === '' ? `The peer refused with ${code}.` : refusal.text)
}
