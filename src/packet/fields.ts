/**
 * What every check of a record from outside is made of: a reader that takes a payload field by
 * field and refuses it by field name, and the shapes that a field may have.
 */
import type { CID } from './cid.ts'
import { isBytes, isLink, isMap } from './envelope.ts'
import { InosError } from './errors.ts'
import { isPartyKey } from './identity.ts'
import { LIMITS } from './limits.ts'

/** Reads one payload field by field; every refusal names type and field. */
export class Fields {
  readonly #type: string
  readonly #map: Record<string, unknown>
  #read = 0

  constructor (type: string, payload: unknown) {
    this.#type = type
    if (!isMap(payload)) throw new InosError('ERR_RECORD_INVALID', `A ${type} is not a map.`)
    this.#map = payload
  }

  get<T> (name: string, check: (value: unknown) => value is T): T {
    const value = this.#map[name]
    if (!Object.hasOwn(this.#map, name) || !check(value)) this.refuse(name)
    this.#read++
    return value as T
  }

  hasAny (names: readonly string[]): boolean { return names.some(name => Object.hasOwn(this.#map, name)) }

  uint (name: string, max: number): number {
    return this.get(name, (value): value is number => isUint(value) && value <= max)
  }

  amount (name: string): bigint {
    const value = this.get(name, isInteger)
    const amount = BigInt(value)
    if (amount < 0n || amount > LIMITS.credits.amountMax) this.refuse(name)
    return amount
  }

  party (name: string): Uint8Array {
    return this.get(name, (value): value is Uint8Array => isBytes(value) && isPartyKey(value))
  }

  refuse (name: string): never {
    throw new InosError('ERR_RECORD_INVALID', `The field "${name}" of a ${this.#type} is missing or out of range.`)
  }

  /** No field beyond those read. */
  end (): void {
    if (Object.keys(this.#map).length !== this.#read) {
      throw new InosError('ERR_RECORD_INVALID', `A ${this.#type} has fields that do not belong to it.`)
    }
  }
}

export const isInteger = (value: unknown): value is number | bigint => typeof value === 'bigint' || Number.isSafeInteger(value)
export const isUint = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
export const isUintOrNull = (value: unknown): value is number | null => value === null || isUint(value)
export const isNull = (value: unknown): value is null => value === null
export const isNonce = (value: unknown): value is Uint8Array => isBytes(value, 16)
export const isNet = (value: unknown): value is Uint8Array | null => value === null || isBytes(value, 32)
export const isLinkOrNull = (value: unknown): value is CID | null => value === null || isLink(value)
export const isMeshId = (value: unknown): value is Uint8Array => isBytes(value, 32)
export const isPartyOrNull = (value: unknown): value is Uint8Array | null => value === null || (isBytes(value) && isPartyKey(value))
export const isOneOf = <T extends string>(all: readonly T[]) => (value: unknown): value is T => (all as readonly unknown[]).includes(value)
export const isName = (value: unknown): value is string => typeof value === 'string' && value.length > 0 && value.length <= 64
export const isNameOrNull = (value: unknown): value is string | null => value === null || isName(value)
export const isListOf = <T>(check: (value: unknown) => value is T, max: number) =>
  (value: unknown): value is T[] => Array.isArray(value) && value.length <= max && value.every(check)

/** Unix seconds up to the year 9999. */
export const TIME_MAX = 253_402_300_799
