/**
 * Answers of a node as JSON and back, for the dashboard: amounts and fuel as decimal text, bytes as DAG-JSON writes
 * them, `{"/":{"bytes":"base64"}}`. Whoever reads checks what it got; this is form alone.
 */
import { Buffer } from 'node:buffer'
import { isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'

export function toJson (value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, name, plain: unknown) {
    // A Buffer has its own idea of JSON, which has been asked before this function is.
    const own = this[name]
    if (typeof own === 'bigint') return String(own)
    return own instanceof Uint8Array ? { '/': { bytes: Buffer.from(own).toString('base64') } } : plain
  })
}

/** @throws {InosError} ERR_USAGE for what is no JSON */
export function fromJson (text: string): unknown {
  try {
    return JSON.parse(text, (_name, value: unknown) => {
      if (!isMap(value) || Object.keys(value).length !== 1 || !isMap(value['/'])) return value
      const { bytes } = value['/']
      return typeof bytes === 'string' ? new Uint8Array(Buffer.from(bytes, 'base64')) : value
    })
  } catch (cause) {
    throw new InosError('ERR_USAGE', 'The body of this request is no JSON.', { cause })
  }
}
