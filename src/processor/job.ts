/**
 * A job on its two ways: from a caller's bytes to a spec and a packet, and from a packet back to
 * a run. What is small travels inside the packet, the rest is named by CID and fetched.
 */
import { CID, decodeCid, parseCid, rawCid, rawCidOfDigest } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { canonicalOutputs, decodeFiles, encodeFiles } from '../packet/files.ts'
import { blobsOf, sizeOf, STATE_BYTES_MAX } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { decodeSpec, type EncodedSpec, encodeSpec, seedOf } from '../packet/spec.ts'
import type { Content } from '../wasm/ranges.ts'
import { type Outcome, PROFILE, type Run } from '../wasm/runtime.ts'
import type { RunFacts } from '../credits/seller.ts'
import type { BlobRef } from './blob-views.ts'
import type { ComputeOptions, Step } from './processor.ts'
import { nextState, bytesIn } from './state.ts'

/** Bits of `Packet.byReference`. */
export const BY_REFERENCE = { wasm: 1, input: 2, result: 4, files: 8, state: 16, tree: 32 } as const

/** Bytes under their name. */
export interface Blob { readonly cid: CID, readonly bytes: Uint8Array }

/** What one job needs, hashed once however often it is sent. */
export interface Job {
  readonly spec: EncodedSpec
  readonly wasm: Wanted
  readonly input: Wanted
  readonly files: Wanted | null
  /** Blobs that its files name. */
  readonly links: readonly CID[]
  /** The state it begins with, null for none yet, and where the one after it is kept; absent for a job that keeps none. */
  readonly step?: Step | undefined
}

const NOTHING = new Uint8Array(0)

/** The platform's sha2-256: modules and inputs are too large for a portable one on the main loop. */
export type Digest = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>

export async function describeBlob (bytes: Uint8Array, digest: Digest): Promise<Blob> {
  return { cid: rawCidOfDigest(await digest(bytes)), bytes }
}

/** @throws {InosError} ERR_INPUT_TOO_LARGE, ERR_INVALID_SPEC */
export async function describeJob (wasm: Wanted, input: Uint8Array | string | BlobRef | undefined, options: ComputeOptions, digest: Digest): Promise<Job> {
  const named = typeof input === 'object' && !(input instanceof Uint8Array) ? parseCid(input.cid) : null
  const inputBytes = typeof input === 'string' ? new TextEncoder().encode(input) : input instanceof Uint8Array ? input : NOTHING
  const { archive: files, links } = packFiles(options.files ?? {})
  for (const [name, bytes] of [['input', inputBytes], ['files archive', files ?? NOTHING]] as const) {
    if (bytes.length > LIMITS.spec.inputBytesMax) {
      throw new InosError('ERR_INPUT_TOO_LARGE', `The ${name} has ${bytes.length} bytes; ${LIMITS.spec.inputBytesMax} are allowed.`)
    }
  }
  const { fuelMax, memoryPagesMax, outputBytesMax, descendantsMax, levelsMax } = options.limits ?? {}
  const { step } = options
  if (step?.before != null && !step.before.record.module.equals(wasm.cid)) throw new InosError('ERR_INVALID_SPEC', `The state ${step.before.id} is one of another module.`)
  const inputBlob = named === null ? await describeBlob(inputBytes, digest) : { cid: named, bytes: null }
  const filesBlob = files === null ? null : await describeBlob(files, digest)
  const spec = encodeSpec({
    module: wasm.cid,
    input: inputBlob.cid,
    entry: options.entry ?? '',
    args: [...options.args ?? []],
    env: { ...options.env },
    files: filesBlob?.cid ?? null,
    outputs: canonicalOutputs(options.outputs ?? []),
    limits: {
      fuelMax: fuelMax ?? LIMITS.job.fuelMax,
      memoryPagesMax: memoryPagesMax ?? LIMITS.job.memoryPagesMax,
      outputBytesMax: outputBytesMax ?? LIMITS.job.outputBytesMax,
      ...descendantsMax === undefined ? {} : { descendantsMax },
      ...levelsMax === undefined ? {} : { levelsMax }
    },
    seed: options.seed ?? null,
    profile: PROFILE,
    ...(step === undefined ? {} : { state: step.before === null ? null : CID.parse(step.before.id) })
  })
  return { spec, wasm, input: inputBlob, files: filesBlob, links, step }
}

/** The archive of a job's files, null for none, and the blobs that it names. @throws {InosError} ERR_INVALID_SPEC */
export function packFiles (files: Required<ComputeOptions>['files']): { archive: Uint8Array | null, links: CID[] } {
  const given = Object.entries(files).map(([path, file]) => [path, file instanceof Uint8Array ? file : parseCid(file.cid)] as const)
  return { archive: given.length === 0 ? null : encodeFiles(Object.fromEntries(given)), links: given.flatMap(([, file]) => file instanceof Uint8Array ? [] : [file]) }
}

/**
 * Name a module's bytes.
 * @throws {InosError} ERR_INVALID_MODULE when there are more than any node takes
 */
export async function describeModule (bytes: Uint8Array, digest: Digest): Promise<Blob> {
  if (bytes.length > LIMITS.wire.blobBytesMax) {
    throw new InosError('ERR_INVALID_MODULE', `The module has ${bytes.length} bytes; ${LIMITS.wire.blobBytesMax} are allowed.`)
  }
  return await describeBlob(bytes, digest)
}

/** A job's packet: the caller adds id, cost and the order. */
export function packJob (job: Job): Partial<Packet> {
  const packet: Partial<Packet> = { kind: 'job', spec: own(job.spec.bytes), byReference: 0 }
  for (const name of ['wasm', 'input', 'files'] as const) {
    const blob = job[name]
    if (blob === null) continue
    const inline = isInline(blob) ? blob.bytes : null
    packet[name] = own(inline ?? blob.cid.bytes)
    if (inline === null) packet.byReference = packet.byReference! | BY_REFERENCE[name]
  }
  // So that who is to run it knows what it will hold in memory before it fetches anything.
  const before = job.step?.before ?? null
  packet.size = BigInt([job.input, job.files].reduce((sum, blob) => sum + (blob?.bytes == null || isInline(blob) ? 0 : blob.bytes.length), before === null ? 0 : sizeOf(before)))
  return packet
}

/** Blobs of a job that its packet only names, and those of its state, of which its executor may have some. */
export function blobsByReference ({ wasm, input, files, step }: Job): Blob[] {
  const before = step?.before ?? null
  const brought = [wasm, input, files].flatMap(blob => blob?.bytes == null || isInline(blob) ? [] : [{ cid: blob.cid, bytes: blob.bytes }])
  return [...brought, ...(before === null ? [] : blobsOf(before))]
}

/** Blobs that its caller only named: whoever runs it gets them from whoever has them. */
export function blobsByName ({ wasm, input, links }: Job): CID[] {
  return [...[wasm, input].flatMap(({ cid, bytes }) => bytes === null ? [cid] : []), ...links]
}

function isInline ({ bytes }: Wanted): boolean { return bytes !== null && bytes.length <= LIMITS.wire.inlineBytesMax }

/** A blob as a received packet has it: the bytes, or only their name. */
export interface Wanted { readonly cid: CID, readonly bytes: Uint8Array | null }

export interface ReceivedJob {
  readonly spec: EncodedSpec
  readonly wasm: Wanted
  readonly input: Wanted
  readonly files: Wanted | null
  /** Of input and files by reference, and of the state, together. */
  readonly bytesByReference: number
}

/**
 * Read a job packet; every inline byte is checked against the hash in the spec.
 * @throws {InosError} ERR_INVALID_SPEC, ERR_RECORD_INVALID, ERR_BAD_PACKET
 */
export function unpackJob (packet: Packet): ReceivedJob {
  const spec = decodeSpec(packet.spec)
  const { module, input, files, profile } = spec.spec
  if (profile !== PROFILE) {
    throw new InosError('ERR_POLICY', `The job asks for the profile "${profile}"; this node runs ${PROFILE}.`)
  }
  return {
    spec,
    wasm: wanted(packet, 'wasm', module),
    input: wanted(packet, 'input', input),
    files: files === null ? null : wanted(packet, 'files', files),
    bytesByReference: bytesByReference(packet, spec.spec.state != null)
  }
}

function bytesByReference ({ byReference, size }: Packet, hasState: boolean): number {
  const parts = [BY_REFERENCE.input, BY_REFERENCE.files].filter(bit => (byReference & bit) !== 0).length
  if (size > BigInt(parts * LIMITS.spec.inputBytesMax + (hasState ? STATE_BYTES_MAX : 0))) throw new InosError('ERR_INPUT_TOO_LARGE', `Input, files and state of ${size} bytes are more than a job may have.`)
  return Number(size)
}

function wanted (packet: Packet, name: 'wasm' | 'input' | 'files', cid: CID): Wanted {
  const field = packet[name]
  const referred = (packet.byReference & BY_REFERENCE[name]) !== 0
  if (!referred && field.length > LIMITS.wire.inlineBytesMax) {
    throw new InosError('ERR_BAD_PACKET', `The ${name} of a job has ${field.length} bytes inline; above ${LIMITS.wire.inlineBytesMax} it is sent by reference.`)
  }
  const found = referred ? decodeCid(field) : rawCid(field)
  if (!found.equals(cid)) {
    throw new InosError('ERR_BAD_PACKET', `The ${name} of a job is not what its spec names.`)
  }
  return { cid, bytes: referred ? null : field }
}

/**
 * The run that a spec and its bytes stand for.
 * @param before the state it begins with, where the spec names one
 * @param mounted what the archive of files names, by CID
 */
export function runOf ({ spec }: EncodedSpec, wasm: Run['wasm'], input: Content, files: Uint8Array | null, before: KeptState | null, mounted?: ReadonlyMap<string, Content>): Run {
  return {
    moduleId: spec.module.toString(),
    wasm,
    input,
    entry: spec.entry,
    args: spec.args,
    env: spec.env,
    files: files === null ? {} : Object.fromEntries(Object.entries(decodeFiles(files)).map(([path, file]) => [path, file instanceof Uint8Array ? file : mountedAt(mounted, file)])),
    outputs: spec.outputs,
    limits: spec.limits,
    seed: seedOf(spec),
    ...(spec.state === undefined ? {} : { state: before === null ? null : bytesIn(before) })
  }
}

function mountedAt (mounted: ReadonlyMap<string, Content> | undefined, cid: CID): Content {
  const content = mounted?.get(cid.toString())
  if (content === undefined) throw new InosError('ERR_GONE', `The files of a job name a blob that is not here: ${cid}.`)
  return content
}

/** protobuf's types want bytes over a plain ArrayBuffer; ours always are. */
export function own (bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? bytes as Uint8Array<ArrayBuffer> : new Uint8Array(bytes)
}

/** What a run gave back, under its names; with the receipts of all that its guest had computed, where it had any. */
export interface Output { readonly result: Blob, readonly files: Blob | null, readonly tree?: Blob | undefined, readonly state?: KeptState | undefined }

export async function describeOutput ({ result, files }: Pick<Outcome, 'result' | 'files'>, digest: Digest, tree?: Blob): Promise<Output> {
  return { result: await describeBlob(result, digest), files: files === null ? null : await describeBlob(files, digest), ...tree === undefined ? {} : { tree } }
}

/** The same of a run that may have kept a state. @param before the one it began with */
export async function outputOf ({ spec }: EncodedSpec, outcome: Outcome, before: KeptState | null, digest: Digest, tree?: Blob): Promise<Output> {
  const output = await describeOutput(outcome, digest, tree)
  return outcome.state === undefined ? output : { ...output, state: await nextState(before, outcome.state, spec, digest) }
}

/** An answer's fields for what a run gave back, but for a state: the small ones by value. */
export function packOutput (output: Pick<Output, 'result' | 'files' | 'tree'>): Pick<Packet, 'result' | 'files' | 'tree' | 'byReference' | 'size'> {
  const packet = { result: own(NOTHING), files: own(NOTHING), tree: own(NOTHING), byReference: 0, size: 0n }
  for (const name of ['result', 'files', 'tree'] as const) {
    const blob = output[name] ?? null
    if (blob === null) continue
    const inline = isInline(blob)
    packet[name] = own(inline ? blob.bytes : blob.cid.bytes)
    if (inline) continue
    packet.byReference |= BY_REFERENCE[name]
    packet.size += BigInt(blob.bytes.length)
  }
  return packet
}

/** Blobs of an output that its answer only names. */
export function outputByReference ({ result, files, tree }: Output): Blob[] {
  return [result, files, tree ?? null].filter(blob => blob !== null).filter(blob => !isInline(blob))
}

/** What a receipt says of a run. */
export function factsOf ({ spec }: EncodedSpec, outcome: Outcome, { result, files, state }: Output): RunFacts {
  return {
    module: spec.module,
    input: spec.input,
    outcome: outcome.outcome,
    exitCode: outcome.exitCode,
    result: result.cid,
    resultBytes: result.bytes.length,
    files: files?.cid ?? null,
    filesBytes: files?.bytes.length ?? 0,
    fuel: outcome.fuel,
    pages: outcome.pages,
    profile: spec.profile,
    ...(state === undefined ? {} : { state: CID.parse(state.id) })
  }
}
