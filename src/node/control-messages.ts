/**
 * What travels over the control socket: a request's body, and the frames of its answer. Server and
 * client share this file, so that neither knows the other.
 *
 *     POST /OPERATION, body: canonical dag-cbor; that of `map` is frames as well (`control-map.ts`), that of `putBlob` bytes (`control-blobs.ts`)
 *     answer: frames, each u32 length (big-endian) | canonical dag-cbor [kind, value]
 *
 * Kinds: any number of `item` (progress of a job, an entry of a list), then one `done` or one `error`.
 */
import { Buffer } from 'node:buffer'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { type Attempt, InosError, isErrorCode, toInosError } from '../packet/errors.ts'
import { DEFAULT_PRICES, LIMITS } from '../packet/limits.ts'
import type { BlobRef, ComputeOptions } from '../processor/processor.ts'
import type { CharterOptions, InviteOptions } from '../network/mesh-views.ts'
import { isContent } from './control-blobs.ts'
import type { SettingsChange } from '../assembly/settings.ts'

/** Counted up when a message changes its meaning; both ends must agree. */
export const CONTROL_VERSION = 5

/** The socket in the data directory, and the file that names it where its path would be too long. */
export const SOCKET_NAME = 'control.sock'
export const PATH_NAME = 'control.path'

export const OPERATIONS = [
  'status', 'run', 'map', 'actor', 'quote', 'connect', 'credits', 'account', 'history', 'explainLine', 'jobs', 'explain', 'cancel', 'frauds',
  'dump', 'audit', 'receipts', 'receipt', 'refund', 'peers', 'reachability', 'testReach', 'knownPeers', 'forget', 'trade', 'setTrade', 'mesh', 'amend', 'invite', 'members', 'grant', 'revoke',
  'putBlob', 'getBlob', 'blobs', 'blobUsage', 'pinBlob', 'unpinBlob', 'removeBlob', 'collectBlobs'
] as const
export type Operation = typeof OPERATIONS[number]

/** Answer of `status`. */
export interface Status { readonly version: number, readonly id: string, readonly pid: number, readonly addresses: readonly string[] }

const FRAME_KINDS = ['item', 'done', 'error'] as const
export interface ControlFrame { readonly kind: typeof FRAME_KINDS[number], readonly value: unknown }

const PREFIX_BYTES = 4

export function encodeFrame ({ kind, value }: ControlFrame): Uint8Array {
  const body = encodeCanonical([kind, value])
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + body.length)
  frame.writeUInt32BE(body.length, 0)
  frame.set(body, PREFIX_BYTES)
  return frame
}

/**
 * Cut a stream into frames; at most one frame is held.
 * @throws {InosError} ERR_BAD_PACKET for what is no frame, or more than the limit
 */
export async function * readFrames (chunks: AsyncIterable<Uint8Array>, bytesMax: number = LIMITS.control.frameBytesMax): AsyncIterable<ControlFrame> {
  let held: Uint8Array[] = []
  let heldBytes = 0
  let wanted = PREFIX_BYTES
  let inBody = false
  for await (const chunk of chunks) {
    held.push(chunk)
    heldBytes += chunk.length
    while (heldBytes >= wanted) {
      const all = held.length === 1 ? held[0]! : Buffer.concat(held)
      const part = all.subarray(0, wanted)
      held = [all.subarray(wanted)]
      heldBytes -= wanted
      if (inBody) yield parseFrame(part)
      wanted = inBody ? PREFIX_BYTES : frameLength(part, bytesMax)
      inBody = !inBody
    }
  }
  if (heldBytes > 0 || inBody) throw new InosError('ERR_BAD_PACKET', 'An answer of the control socket was cut off.')
}

function frameLength (prefix: Uint8Array, bytesMax: number): number {
  const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(0)
  if (length === 0 || length > bytesMax) {
    throw new InosError('ERR_BAD_PACKET', `A frame of the control socket has ${length} bytes; ${bytesMax} are allowed.`)
  }
  return length
}

function parseFrame (bytes: Uint8Array): ControlFrame {
  const value = decodeCanonical(bytes)
  const kind = FRAME_KINDS.find(kind => Array.isArray(value) && value.length === 2 && value[0] === kind)
  if (kind === undefined) throw new InosError('ERR_BAD_PACKET', 'A frame of the control socket has no kind that is known here.')
  return { kind, value: (value as unknown[])[1] }
}

/** Fields that are bigint in the interfaces; dag-cbor gives back a number where it fits one. */
const BIGINT_FIELDS = new Set([
  'balance', 'costMax', 'held', 'due', 'owed', 'earned', 'spent', 'spendable', 'amount', 'charge', 'cost', 'fuel', 'relayPerMiB', ...Object.keys(DEFAULT_PRICES),
  'lineMax', 'net', 'running', 'acceptable', 'poolFree', 'poolMax', 'sold', 'sellerPoolFree', 'sellerPoolMax', 'grant', 'offlineMax', 'account', 'cleared', 'free', 'uncleared', 'promised'
])

/** Give decoded answers their bigints back. But for paths of files, answers have no free-form keys, so a name says the type. */
export function reviveBigints (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reviveBigints)
  if (!isMap(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) =>
    [name, BIGINT_FIELDS.has(name) && typeof field === 'number' ? BigInt(field) : reviveBigints(field)]))
}

export function encodeError (thrown: unknown): Record<string, unknown> {
  const { code, message, hint, attempts } = toInosError(thrown)
  return { code, message, hint: hint ?? null, attempts: attempts.map(({ peer, code, message }) => ({ peer, code, message })) }
}

export function decodeError (value: unknown): InosError {
  const { code, message, hint, attempts } = isMap(value) ? value : {}
  if (typeof code !== 'string' || typeof message !== 'string') {
    return new InosError('ERR_BAD_PACKET', 'The node of this data directory answered with an error that has no code.')
  }
  return new InosError(isErrorCode(code) ? code : 'ERR_INTERNAL', message, {
    ...(typeof hint === 'string' ? { hint } : {}),
    attempts: Array.isArray(attempts) ? attempts.filter(isAttempt) : []
  })
}

function isAttempt (value: unknown): value is Attempt {
  return isMap(value) && ['peer', 'code', 'message'].every(name => typeof value[name] === 'string')
}

/** A job as it travels. */
export interface RunRequest { readonly wasm: Uint8Array | BlobRef, readonly input: Uint8Array | BlobRef, readonly options: ComputeOptions }

export function encodeRun ({ wasm, input, options }: RunRequest): Uint8Array {
  const { signal: _signal, onProgress: _onProgress, ...rest } = options
  return encodeCanonical({ wasm, input, options: withoutUndefined(rest) })
}

function withoutUndefined (options: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, name === 'limits' ? withoutUndefined(value) : value]))
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isAmount = (value: unknown): value is number | bigint => typeof value === 'bigint' || Number.isSafeInteger(value)
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)

/** Every option that may travel, with its check; how far a value may go is the processor's to say. */
const OPTION_CHECKS: Readonly<Record<string, (value: unknown) => boolean>> = {
  entry: isText,
  args: isTexts,
  env: value => isMap(value) && Object.values(value).every(isText),
  files: value => isMap(value) && Object.values(value).every(isContent),
  outputs: isTexts,
  limits: value => isMap(value) && Object.entries(value).every(([name, limit]) =>
    name === 'fuelMax' ? isAmount(limit) : ['memoryPagesMax', 'outputBytesMax', 'descendantsMax', 'levelsMax'].includes(name) && isCount(limit)),
  modules: value => Array.isArray(value) && value.every(module => isBytes(module)),
  seed: value => isBytes(value),
  costMax: isAmount,
  where: isText,
  key: isText,
  avoid: isTexts,
  verify: value => value === 'receipt' || (isMap(value) && Object.keys(value).length === 1 && typeof value['audit'] === 'number'),
  retries: isCount,
  cache: value => typeof value === 'boolean'
}

/** @throws {InosError} ERR_USAGE naming the field that is wrong */
export function decodeRun (body: Uint8Array): RunRequest {
  const request = decodeCanonical(body)
  const { wasm, input, options } = isMap(request) ? request : {}
  if (!isContent(wasm) || !isContent(input) || !isMap(options)) throw new InosError('ERR_USAGE', 'A job for the control socket needs wasm, input and options.')
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTION_CHECKS, name) || !OPTION_CHECKS[name]!(value)) {
      throw new InosError('ERR_USAGE', `The option "${name.slice(0, 40)}" of a job for the control socket is unknown or has the wrong type.`)
    }
  }
  const checked = options as ComputeOptions
  return {
    wasm,
    input,
    options: {
      ...checked,
      ...(checked.costMax === undefined ? {} : { costMax: BigInt(checked.costMax) }),
      ...(checked.limits?.fuelMax === undefined ? {} : { limits: { ...checked.limits, fuelMax: BigInt(checked.limits.fuelMax) } })
    }
  }
}

/** Body of `invite`. @throws {InosError} ERR_USAGE */
export function decodeInvite (body: Uint8Array): InviteOptions {
  const options = decodeCanonical(body)
  const { grant, expires, count, routes, ...rest } = isMap(options) ? options : { unknown: options }
  const right = Object.keys(rest).length === 0 && (grant === undefined || isAmount(grant) || isText(grant)) && (expires === undefined || isText(expires)) &&
    (count === undefined || isCount(count)) && (routes === undefined || isTexts(routes))
  if (!right) throw new InosError('ERR_USAGE', 'An invite takes grant, expires, count and routes.')
  return {
    ...(grant === undefined ? {} : { grant: isText(grant) ? grant : BigInt(grant) }), ...(expires === undefined ? {} : { expires }), ...(count === undefined ? {} : { count }), ...(routes === undefined ? {} : { routes })
  }
}

/** Body of `amend`; what the values may be is the charter's to say. @throws {InosError} ERR_USAGE */
export function decodeCharter (body: Uint8Array): CharterOptions {
  const changes = decodeCanonical(body)
  const { name, feePpm, offlineMax, ...rest } = isMap(changes) ? changes : { unknown: changes }
  const right = Object.keys(rest).length === 0 && (name === undefined || isText(name)) && (feePpm === undefined || isCount(feePpm)) && (offlineMax === undefined || isAmount(offlineMax) || isText(offlineMax))
  if (!right) throw new InosError('ERR_USAGE', 'A charter has name, feePpm and offlineMax to change.')
  return {
    ...(name === undefined ? {} : { name }), ...(feePpm === undefined ? {} : { feePpm }), ...(offlineMax === undefined ? {} : { offlineMax: isText(offlineMax) ? offlineMax : BigInt(offlineMax) })
  }
}

/** Body of `refund`. @throws {InosError} ERR_USAGE */
export function decodeRefund (body: Uint8Array): { order: string, amount: bigint | null } {
  const value = decodeCanonical(body)
  const { order, amount, ...rest } = isMap(value) ? value : { unknown: value }
  if (!isText(order) || order.length > LIMITS.wire.textBytesMax || !(amount === null || isAmount(amount)) || Object.keys(rest).length > 0) throw new InosError('ERR_USAGE', 'A refund takes order and amount.')
  return { order, amount: amount === null ? null : BigInt(amount) }
}

/** Body of `setTrade`; how far a value may go is the settings' to say. @throws {InosError} ERR_USAGE */
export function decodeTradeChange (body: Uint8Array): SettingsChange {
  const value = decodeCanonical(body)
  const { prices, buyers, cpuPercent, relayPerMiB, blobCache, ...rest } = isMap(value) ? value : { unknown: value }
  const right = Object.keys(rest).length === 0 && (prices === undefined || (isMap(prices) && Object.values(prices).every(price => price === null || isAmount(price)))) &&
    (buyers === undefined || buyers === null || isTexts(buyers)) && (cpuPercent === undefined || isCount(cpuPercent)) &&
    (relayPerMiB === undefined || relayPerMiB === null || isAmount(relayPerMiB)) && (blobCache === undefined || blobCache === null || isCount(blobCache))
  if (!right) throw new InosError('ERR_USAGE', 'A trade has prices, buyers, cpuPercent, relayPerMiB and blobCache.')
  return {
    ...(prices === undefined ? {} : { prices: Object.fromEntries(Object.entries(prices as Record<string, number | bigint | null>).map(([name, price]) => [name, price === null ? null : BigInt(price)])) }),
    ...(buyers === undefined ? {} : { buyers }), ...(cpuPercent === undefined ? {} : { cpuPercent }), ...(relayPerMiB === undefined ? {} : { relayPerMiB: relayPerMiB === null ? null : BigInt(relayPerMiB) }),
    ...(blobCache === undefined ? {} : { blobCache })
  }
}

/** Body of `grant`. @throws {InosError} ERR_USAGE */
export function decodeGrant (body: Uint8Array): { peer: string, amount: bigint } {
  const value = decodeCanonical(body)
  const { peer, amount, ...rest } = isMap(value) ? value : { unknown: value }
  if (!isText(peer) || !isAmount(amount) || Object.keys(rest).length > 0) throw new InosError('ERR_USAGE', 'A grant takes peer and amount.')
  return { peer, amount: BigInt(amount) }
}

/** Body of `getBlob`, `pinBlob`, `unpinBlob`, `removeBlob`, `connect`, `receipt`, `explainLine`, `explain`, `cancel`, `testReach`, `forget` and `revoke`: one text. @throws {InosError} ERR_USAGE */
export function decodeText (body: Uint8Array): string {
  const text = decodeCanonical(body)
  if (!isText(text) || text.length > LIMITS.wire.textBytesMax) throw new InosError('ERR_USAGE', 'A request to the control socket needs a short text.')
  return text
}
