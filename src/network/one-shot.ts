/**
 * Peers of four fields: one job on a stream of its own, asked with wasm, input and cost, answered
 * with result and cost. The end of their side ends the request. A refusal adds code and text,
 * which those who know four fields ignore.
 */
import { InosError } from '../packet/errors.ts'
import type { Packet } from '../packet/packet.pb.js'
import type { Frames } from './frames.ts'
import { badPacket, encodePacket, refusalOf } from './framing.ts'
import type { Talk } from './talk.ts'

/** Whether a packet carries fields 1, 2 and 4 only. */
export function isFourFields (packet: Packet): boolean {
  const { kind, id, byReference, size, spec, files, records, code, text, body, stderr, result, state } = packet
  return byReference === 0 && size === 0n && kind === '' && code === '' && text === '' &&
    [id, spec, files, records, body, stderr, result, state].every(({ length }) => length === 0)
}

export class OneShot implements Talk {
  readonly #frames: Frames
  readonly #job: Packet
  readonly #work = new AbortController()
  readonly #serve: (job: Packet, signal: AbortSignal) => Promise<Partial<Packet>>
  readonly #done: () => void

  /** @param done called once, when the job no longer counts */
  constructor (frames: Frames, job: Packet, serve: (job: Packet, signal: AbortSignal) => Promise<Partial<Packet>>, done: () => void) {
    this.#frames = frames
    this.#job = job
    this.#serve = serve
    this.#done = done
    frames.expect(frames.limits.frameMsMax)
  }

  take (): void {
    throw badPacket('A stream of four fields carries one job.')
  }

  end (cause?: InosError): void {
    if (cause === undefined) void this.#answer().finally(this.#done)
    else this.#done()
  }

  /** The peer is gone: nobody waits for the answer. */
  lost (reason: InosError): void {
    this.#work.abort(reason)
  }

  async #answer (): Promise<void> {
    const { limits } = this.#frames
    let frame: Uint8Array
    try {
      const { result, cost } = await this.#serve(this.#job, this.#work.signal)
      frame = encodePacket({ result: result ?? new Uint8Array(0), cost: cost ?? 0n }, limits)
    } catch (error) {
      frame = encodePacket(refusalOf(error, limits), limits)
    }
    try {
      this.#frames.send(frame)
      await this.#frames.end()
    } catch (cause) {
      this.#frames.abort(new InosError('ERR_PEER_LOST', 'A peer left before its answer.', { cause }))
    }
  }
}
