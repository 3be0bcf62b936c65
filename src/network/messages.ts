/**
 * Short messages on a stream of their own, for protocols beside that of packets: canonical dag-cbor,
 * each behind its length (u32, big-endian). What they mean is left to whoever speaks them.
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Wire } from './network.ts'

const PREFIX_BYTES = 4

export class Messages {
  readonly #wire: Wire
  readonly #name: string
  readonly #chunks: AsyncIterator<Uint8Array>
  #held = new Uint8Array(0)

  /** @param name of the protocol in errors, such as "the exchange of certificates" */
  constructor (wire: Wire, name: string) {
    this.#wire = wire
    this.#name = name
    this.#chunks = wire.read()[Symbol.asyncIterator]()
  }

  send (message: object): void {
    const body = encodeCanonical(message)
    const frame = new Uint8Array(PREFIX_BYTES + body.length)
    new DataView(frame.buffer).setUint32(0, body.length)
    frame.set(body, PREFIX_BYTES)
    // The window of a stream holds every message of such a protocol, so there is nothing to wait for.
    this.#wire.write(frame)
  }

  /** @throws {InosError} ERR_BAD_PACKET, ERR_PEER_LOST */
  async receive (): Promise<Record<string, unknown>> {
    const prefix = await this.#take(PREFIX_BYTES)
    const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(0)
    if (length > LIMITS.mesh.messageBytesMax) throw this.#bad(`has ${length} bytes; ${LIMITS.mesh.messageBytesMax} are allowed`)
    const message = decodeCanonical(await this.#take(length))
    if (!isMap(message)) throw this.#bad('is not a map')
    return message
  }

  async #take (length: number): Promise<Uint8Array> {
    while (this.#held.length < length) {
      const { done, value } = await this.#chunks.next()
      if (done === true) throw new InosError('ERR_PEER_LOST', `A stream of ${this.#name} was broken off.`)
      const held = new Uint8Array(this.#held.length + value.length)
      held.set(this.#held)
      held.set(value, this.#held.length)
      this.#held = held
    }
    const taken = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    return taken
  }

  #bad (what: string): InosError { return new InosError('ERR_BAD_PACKET', `A message of ${this.#name} ${what}.`) }
}
