/**
 * What two nodes of a mesh say to each other on a stream of `/inos/member/1`, the one protocol that
 * is open to strangers, as `messages.ts` frames it.
 *
 *     who dials    { version, certificate, redeem }            its certificate, or an invite to redeem
 *     who answers  { certificate, granted, rules } | { refusal }
 *     who dials    { rules }                                    once the other has proven itself too
 *
 * Rules are { charter, revoked, routes }; only members get them.
 */
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError, isErrorCode } from '../packet/errors.ts'
import { isRoutes } from '../packet/invite.ts'
import { LIMITS } from '../packet/limits.ts'
import { Messages } from './messages.ts'
import type { Wire } from './network.ts'

export const MEMBER_PROTOCOL = '/inos/member/1'
const VERSION = 1

export interface Rules { readonly charter: Uint8Array, readonly revoked: Uint8Array | null, readonly routes: readonly string[] }
export interface Introduction { readonly certificate: Uint8Array | null, readonly redeem: Uint8Array | null }
export interface Welcome { readonly certificate: Uint8Array | null, readonly granted: Uint8Array | null, readonly rules: Rules }

/** One exchange: messages out and in, each bounded. */
export class Talk {
  readonly wire: Wire
  readonly #messages: Messages

  constructor (wire: Wire) {
    this.wire = wire
    this.#messages = new Messages(wire, 'the exchange of certificates')
  }

  introduce (introduction: Introduction): void { this.#messages.send({ version: VERSION, ...introduction }) }
  welcome (welcome: Welcome): void { this.#messages.send(welcome) }
  refuse ({ code, message, hint }: InosError): void { this.#messages.send({ refusal: { code, text: message.slice(0, LIMITS.wire.textBytesMax / 4), hint: (hint ?? '').slice(0, LIMITS.wire.textBytesMax / 4) } }) }
  rules (rules: Rules): void { this.#messages.send({ rules }) }

  /** @throws {InosError} ERR_BAD_PACKET, ERR_PEER_LOST */
  async readIntroduction (): Promise<Introduction> {
    const { version, certificate, redeem } = await this.#messages.receive()
    if (version !== VERSION) throw bad(`is of version ${String(version).slice(0, 16)}; this node speaks ${VERSION}`)
    if (!isBytesOrNull(certificate) || !isBytesOrNull(redeem)) throw bad('is no introduction')
    return { certificate, redeem }
  }

  /** @throws {InosError} the other side's refusal, or as above */
  async readWelcome (): Promise<Welcome> {
    const { certificate, granted, rules, refusal } = await this.#messages.receive()
    if (refusal !== undefined) throw refusalOf(refusal)
    if (!isBytesOrNull(certificate) || !isBytesOrNull(granted) || !isRules(rules)) throw bad('is no welcome')
    return { certificate, granted, rules }
  }

  async readRules (): Promise<Rules> {
    const { rules } = await this.#messages.receive()
    if (!isRules(rules)) throw bad('holds no rules')
    return rules
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
