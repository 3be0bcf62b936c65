/**
 * What two nodes of a mesh say to each other on a stream of `/inos/member/1`, the one protocol that
 * is open to strangers. Canonical dag-cbor, each message behind its length (u32, big-endian).
 *
 *     who dials    { version, certificate, redeem }            its certificate, or an invite to redeem
 *     who answers  { certificate, granted, rules } | { refusal }
 *     who dials    { rules }                                    once the other has proven itself too
 *
 * Rules are { charter, revoked, routes }; only members get them.
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError, isErrorCode } from '../packet/errors.ts'
import { isRoutes } from '../packet/invite.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Wire } from './network.ts'

export const MEMBER_PROTOCOL = '/inos/member/1'
const VERSION = 1
const PREFIX_BYTES = 4

export interface Rules { readonly charter: Uint8Array, readonly revoked: Uint8Array | null, readonly routes: readonly string[] }
export interface Introduction { readonly certificate: Uint8Array | null, readonly redeem: Uint8Array | null }
export interface Welcome { readonly certificate: Uint8Array | null, readonly granted: Uint8Array | null, readonly rules: Rules }

/** One exchange: messages out and in, each bounded. */
export class Talk {
  readonly wire: Wire
  readonly #chunks: AsyncIterator<Uint8Array>
  #held = new Uint8Array(0)

  constructor (wire: Wire) {
    this.wire = wire
    this.#chunks = wire.read()[Symbol.asyncIterator]()
  }

  introduce (introduction: Introduction): void { this.#send({ version: VERSION, ...introduction }) }
  welcome (welcome: Welcome): void { this.#send(welcome) }
  refuse ({ code, message, hint }: InosError): void { this.#send({ refusal: { code, text: message.slice(0, LIMITS.wire.textBytesMax / 4), hint: (hint ?? '').slice(0, LIMITS.wire.textBytesMax / 4) } }) }
  rules (rules: Rules): void { this.#send({ rules }) }

  /** @throws {InosError} ERR_BAD_PACKET, ERR_PEER_LOST */
  async readIntroduction (): Promise<Introduction> {
    const { version, certificate, redeem } = await this.#receive()
    if (version !== VERSION) throw bad(`is of version ${String(version).slice(0, 16)}; this node speaks ${VERSION}`)
    if (!isBytesOrNull(certificate) || !isBytesOrNull(redeem)) throw bad('is no introduction')
    return { certificate, redeem }
  }

  /** @throws {InosError} the other side's refusal, or as above */
  async readWelcome (): Promise<Welcome> {
    const { certificate, granted, rules, refusal } = await this.#receive()
    if (refusal !== undefined) throw refusalOf(refusal)
    if (!isBytesOrNull(certificate) || !isBytesOrNull(granted) || !isRules(rules)) throw bad('is no welcome')
    return { certificate, granted, rules }
  }

  async readRules (): Promise<Rules> {
    const { rules } = await this.#receive()
    if (!isRules(rules)) throw bad('holds no rules')
    return rules
  }

  #send (message: object): void {
    const body = encodeCanonical(message)
    const frame = new Uint8Array(PREFIX_BYTES + body.length)
    new DataView(frame.buffer).setUint32(0, body.length)
    frame.set(body, PREFIX_BYTES)
    // The window of a stream holds every message of this protocol, so there is nothing to wait for.
    this.wire.write(frame)
  }

  async #receive (): Promise<Record<string, unknown>> {
    const prefix = await this.#take(PREFIX_BYTES)
    const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(0)
    if (length > LIMITS.mesh.messageBytesMax) throw bad(`has ${length} bytes; ${LIMITS.mesh.messageBytesMax} are allowed`)
    const message = decodeCanonical(await this.#take(length))
    if (!isMap(message)) throw bad('is not a map')
    return message
  }

  async #take (length: number): Promise<Uint8Array> {
    while (this.#held.length < length) {
      const { done, value } = await this.#chunks.next()
      if (done === true) throw new InosError('ERR_PEER_LOST', 'The exchange of certificates was broken off.')
      const held = new Uint8Array(this.#held.length + value.length)
      held.set(this.#held)
      held.set(value, this.#held.length)
      this.#held = held
    }
    const taken = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    return taken
  }
}

const isBytesOrNull = (value: unknown): value is Uint8Array | null => value === null || isBytes(value)
const isRules = (value: unknown): value is Rules => isMap(value) && isBytes(value['charter']) && isBytesOrNull(value['revoked']) && isRoutes(value['routes'])

function refusalOf (value: unknown): InosError {
  const { code, text, hint } = isMap(value) ? value : {}
  if (typeof code !== 'string' || typeof text !== 'string' || typeof hint !== 'string') return bad('is a refusal without a reason')
  return new InosError(isErrorCode(code) ? code : 'ERR_NOT_MEMBER', text, hint === '' ? {} : { hint })
}

function bad (what: string): InosError {
  return new InosError('ERR_BAD_PACKET', `A message of the exchange of certificates ${what}.`)
}
