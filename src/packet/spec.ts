/**
 * A spec: everything that decides what a job computes, by hashes. Its CID stands in order and
 * receipt. It travels as canonical dag-cbor beside the bytes that its links name.
 */
import { type CID, recordCid, sha256 } from './cid.ts'
import { decodeCanonical, encodeCanonical } from './cbor.ts'
import { isBytes, isLink, isMap } from './envelope.ts'
import { InosError } from './errors.ts'
import { canonicalOutputs, isOutput } from './files.ts'
import { LIMITS } from './limits.ts'
import type { SpecLimits } from './spec-limits.ts'

export interface Spec {
  /** Raw CID of the module's bytes, or CID of a manifest of them. */
  module: CID
  /** Raw CID of the input's bytes, or CID of a manifest of them. */
  input: CID
  /** Exported function to call; '' means `_start`, else `run`. */
  entry: string
  args: string[]
  env: Record<string, string>
  /** Raw CID of the files archive: canonical dag-cbor of absolute path → bytes. Null: no files. */
  files: CID | null
  /** Where to look for the files it leaves: what is at or below one of these paths comes back, as `canonicalOutputs` writes them. */
  outputs: string[]
  limits: SpecLimits
  /** 32 bytes that randomness is drawn from; null derives them from the rest of the spec. */
  seed: Uint8Array | null
  profile: string
  /** Raw CID of the record of the state it begins with (`state.ts`); null for the first call of a module that keeps one. Absent for a job that keeps none. */
  state?: CID | null
}

export interface EncodedSpec { readonly spec: Spec, readonly bytes: Uint8Array, readonly id: CID }

/** @throws {InosError} ERR_INVALID_SPEC naming the field that is out of range */
export function encodeSpec (spec: Spec): EncodedSpec {
  const checked = checkSpec(spec)
  const bytes = encodeCanonical(checked)
  return { spec: checked, bytes, id: recordCid(bytes) }
}

/** @throws {InosError} ERR_RECORD_INVALID for bytes that are not canonical, ERR_INVALID_SPEC for what they say */
export function decodeSpec (bytes: Uint8Array): EncodedSpec {
  return { spec: checkSpec(decodeCanonical(bytes)), bytes, id: recordCid(bytes) }
}

/**
 * The 32 bytes of a guest's randomness: the spec's own seed, else
 * sha256("inos/seed/1" ‖ sha256(spec without limits, outputs and seed)). Limits and outputs stay
 * out, so that giving a guest more fuel or asking for its files never changes what it computes.
 */
export function seedOf (spec: Spec): Uint8Array {
  if (spec.seed !== null) return spec.seed
  const { limits: _limits, outputs: _outputs, seed: _seed, ...rest } = spec
  return sha256.create().update(new TextEncoder().encode('inos/seed/1')).update(sha256(encodeCanonical(rest))).digest()
}

function checkSpec (value: unknown): Spec {
  if (!isMap(value)) refuse('is not a map')
  const { module, input, entry, args, env, files, outputs, limits, seed, profile, state, ...rest } = value
  if (Object.keys(rest).length > 0) refuse(`has an unknown field "${Object.keys(rest)[0]!.slice(0, 40)}"`)
  if (!isLink(module) || !isLink(input)) refuse('does not name its module and input by CID')
  if (typeof entry !== 'string' || bytesOf(entry) > LIMITS.spec.entryBytesMax) refuse('has an entry that is too long or no text')
  if (!isTexts(args, LIMITS.spec.argsMax)) refuse(`has args that are not at most ${LIMITS.spec.argsMax} texts`)
  if (!isMap(env) || !isTexts(Object.values(env), LIMITS.spec.envMax)) refuse(`has an env that is not at most ${LIMITS.spec.envMax} texts`)
  if (Object.keys(env).some(name => name === '' || name.includes('=') || name.includes('\0'))) refuse('has an env name that is empty or holds "=" or NUL')
  if (args.some(arg => arg.includes('\0')) || Object.values(env).some(text => (text as string).includes('\0'))) refuse('has NUL in an argument or env value')
  if (!isTexts(outputs, LIMITS.spec.outputsMax) || !outputs.every(isOutput)) refuse(`has outputs that are not at most ${LIMITS.spec.outputsMax} plain absolute paths`)
  if (canonicalOutputs(outputs).some((path, at, all) => path !== outputs[at] || all.length !== outputs.length)) refuse('has outputs that are not sorted, or lie below one another')
  const text = [...args, ...Object.keys(env), ...Object.values(env) as string[], ...outputs].reduce((sum, part) => sum + bytesOf(part) + 1, 0)
  if (text > LIMITS.spec.textBytesMax) refuse(`has ${text} bytes of args, env and outputs, ${LIMITS.spec.textBytesMax} are allowed`)
  if (files !== null && !isLink(files)) refuse('does not name its files by CID')
  if (seed !== null && !isBytes(seed, 32)) refuse('has a seed that is not 32 bytes')
  if (typeof profile !== 'string' || profile.length > 64) refuse('names no profile')
  if (state !== undefined && state !== null && !isLink(state)) refuse('does not name its state by CID')
  const checked = { module, input, entry, args, env: env as Record<string, string>, files, outputs, limits: checkLimits(limits), seed, profile }
  return state === undefined ? checked : { ...checked, state }
}

/** What to do where a result would be larger than any may be. */
export const LARGER_RESULTS = `A result and its files have at most ${LIMITS.spec.outputBytesMax / 2 ** 20} MiB: have more computed in parts, and put the parts into one blob with blobs.put(stream).`

function checkLimits (value: unknown): SpecLimits {
  if (!isMap(value)) refuse('has no limits')
  const tree = ['descendantsMax', 'levelsMax'] as const
  if (Object.keys(value).length !== 3 + tree.filter(name => name in value).length) refuse('has other limits than those of a spec')
  const fuel = value['fuelMax']
  const fuelMax = typeof fuel === 'bigint' || Number.isSafeInteger(fuel) ? BigInt(fuel as number) : -1n
  if (fuelMax < 0n || fuelMax > LIMITS.spec.fuelMax) refuse(`has a fuelMax outside 0 … ${LIMITS.spec.fuelMax}`)
  const memoryPagesMax = within(value['memoryPagesMax'], LIMITS.spec.memoryPagesMax, 'memoryPagesMax')
  const outputBytesMax = within(value['outputBytesMax'], LIMITS.spec.outputBytesMax, 'outputBytesMax', LARGER_RESULTS)
  const below = tree.filter(name => name in value).map(name => [name, within(value[name], LIMITS.spec[name], name)] as const)
  return { fuelMax, memoryPagesMax, outputBytesMax, ...Object.fromEntries(below) }
}

function within (value: unknown, max: number, name: string, hint?: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) > max) refuse(`has a ${name} outside 0 … ${max}`, hint)
  return value as number
}

function isTexts (value: unknown, max: number): value is string[] {
  return Array.isArray(value) && value.length <= max && value.every(text => typeof text === 'string')
}

function bytesOf (text: string): number { return new TextEncoder().encode(text).length }

function refuse (why: string, hint?: string): never {
  throw new InosError('ERR_INVALID_SPEC', `The spec ${why}.`, hint === undefined ? {} : { hint })
}
