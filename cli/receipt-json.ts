/**
 * What the records of a receipt file say, as JSON: CIDs and PeerIds as text, amounts and fuel as
 * decimal text, other bytes as base64. Nothing is verified here.
 */
import { readFiles } from '../src/credits/tree.ts'
import { isBytes, isLink, isMap } from '../src/packet/envelope.ts'
import { decodeCanonical } from '../src/packet/cbor.ts'
import { InosError } from '../src/packet/errors.ts'
import { peerIdOfKey } from '../src/packet/identity.ts'

const PARTIES = ['executor', 'payer']
/** int on the wire, decimal text in JSON, whatever their size. */
const AMOUNTS = new Set(['charge', 'fuel', 'costMax', 'tick', 'base', 'perMFuel', 'perPageSec', 'perKiB', 'perMB', 'perGiBh'])

/** @throws {InosError} ERR_RECEIPT_INVALID when the bytes are no bundle of envelopes */
export function describeBundle (bytes: Uint8Array): unknown {
  try {
    const [first, ...below] = readFiles(bytes)
    const root = describeFile(first!)
    return below.length === 0 ? root : { ...root, below: below.map(file => describeFile(file)) }
  } catch (cause) {
    throw new InosError('ERR_RECEIPT_INVALID', 'This is not a receipt file.', { cause, hint: '`inos run --receipt FILE` writes one.' })
  }
}

/** @param original whether it is the run that another file repeats */
function describeFile (bytes: Uint8Array, original = false): Record<string, unknown> {
  const bundle = decodeCanonical(bytes)
  if (!isMap(bundle)) throw new Error('it is not a map')
  return Object.fromEntries(['receipt', 'order', 'offer', ...(original || !('original' in bundle) ? [] : ['original'])].map(name => {
    const part = bundle[name]
    return [name, part === null ? null : name === 'original' ? describeFile(part as Uint8Array, true) : describeField(name, decodeCanonical(part as Uint8Array))]
  }))
}

function describeField (name: string, value: unknown): unknown {
  if (isLink(value)) return value.toString()
  if (isBytes(value)) return PARTIES.includes(name) && value.length === 32 ? peerIdOfKey(value) : value
  if (Array.isArray(value)) return value.map(item => describeField('', item))
  if (isMap(value)) return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, describeField(key, field)]))
  return AMOUNTS.has(name) ? String(value) : value
}
