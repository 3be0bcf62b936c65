/**
 * Receipts checked for the dashboard: offline, as `inos receipts verify` does, and by running the job again on a node
 * and comparing every fact that a run decides.
 */
import { equals } from 'multiformats/bytes'
import { type Bundle, readBundle } from '../credits/bundle.ts'
import { openTree, readFiles } from '../credits/tree.ts'
import { rawCidOfDigest, recordCid } from '../packet/cid.ts'
import { InosError, toInosError } from '../packet/errors.ts'
import { peerIdOfKey, type Verify } from '../packet/identity.ts'
import { decodeFiles } from '../packet/files.ts'
import { LIMITS } from '../packet/limits.ts'
import { decodeSpec, type Spec } from '../packet/spec.ts'
import { packFiles } from '../processor/job.ts'
import type { BlobRef, Blobs, BlobView, ComputeOptions, Result } from '../processor/processor.ts'

/** What a check said: right, wrong and at which field, or not to be told here. */
export interface Verdict {
  readonly ok: boolean | null
  readonly field: string | null
  readonly message: string
  readonly facts: Readonly<Record<string, unknown>> | null
}

/** What a check needs of a node. */
export interface Checker {
  run (wasm: Uint8Array | BlobRef, input: Uint8Array | BlobRef, options: ComputeOptions): Promise<Pick<Result, 'receipt' | 'spec'>>
  receipt (id: string): Promise<Uint8Array | null>
  readonly blobs: { ls (): Promise<BlobView[]>, get (cid: string, options: { signal: AbortSignal }): AsyncIterable<Uint8Array> }
}

/** Check a receipt file. */
export function verdictOf (bytes: Uint8Array, verify: Verify): Verdict {
  try {
    const { root, below } = openTree(bytes, verify)
    return { ok: true, field: null, message: `Signatures, links and the bill are right${below.length === 0 ? '' : `, also of ${below.length} receipts below it`}.`, facts: factsOf(root) }
  } catch (thrown) {
    return wrong(thrown)
  }
}

function wrong (thrown: unknown): Verdict {
  const { message } = toInosError(thrown)
  return { ok: false, field: /"(\w+)"/.exec(message)?.[1] ?? null, message, facts: null }
}

function factsOf ({ receipt: { id, payload }, order, selfExecuted }: Bundle): Record<string, unknown> {
  const { outcome, exitCode, fuel, pages, charge, resultBytes } = payload
  return {
    receipt: id.toString(), order: order.id.toString(), executor: peerIdOfKey(payload.executor), payer: peerIdOfKey(payload.payer), module: payload.module.toString(), input: payload.input.toString(),
    result: payload.result.toString(), resultBytes, outcome, exitCode, fuel, pages, charge, selfExecuted
  }
}

const FIELDS = ['outcome', 'exitCode', 'result', 'resultBytes', 'files', 'filesBytes', 'fuel', 'pages'] as const

/**
 * Let what a job is made of stay in the cache of blobs while there is room, so that its receipt can be checked by running it again: module, input and files before it
 * runs, and behind it its spec, which lies there as bytes.
 */
export async function keepContents (blobs: Pick<Blobs, 'put'>, contents: readonly (Uint8Array | BlobRef)[], signal: AbortSignal): Promise<void> {
  for (const content of contents) if (content instanceof Uint8Array && content.length > 0) await blobs.put(content, { pin: false, share: false, signal })
}

/** What `keepContents` is to keep of a job that somebody is about to submit, modules that its guest names among it. @throws {InosError} ERR_INVALID_SPEC for files that no job can have */
export function contentsOf (wasm: Uint8Array | BlobRef, input: Uint8Array | BlobRef, { files = {}, modules = [] }: Pick<ComputeOptions, 'files' | 'modules'>): (Uint8Array | BlobRef)[] {
  const { archive } = packFiles(files)
  return [wasm, input, ...modules, ...(archive === null ? [] : [archive])]
}

/**
 * Run the job of a receipt again here, all that its guest has computed as well. What this node does not keep is told and not judged: a spec, an archive of files,
 * a module of a child; nor is one call of an actor, whose state before it is the actor's.
 */
export async function rerun (node: Checker, bytes: Uint8Array, verify: Verify, signal: AbortSignal): Promise<Verdict> {
  const offline = verdictOf(bytes, verify)
  if (offline.ok !== true) return offline
  const [{ receipt: { payload } }, ...children] = readFiles(bytes).map(readBundle) as [Bundle, ...Bundle[]]
  const unknown = (message: string): Verdict => ({ ok: null, field: null, message, facts: offline.facts })
  const gone = (what: string): Verdict => unknown(`The ${what} is not kept on this node any more, so the job cannot be run again.`)
  const [wasm, input] = [await find(node, payload.module.toString(), signal), await find(node, payload.input.toString(), signal)]
  if (wasm === null || input === null) return gone(wasm === null ? 'module' : 'input')
  const modules: Uint8Array[] = []
  for (const id of new Set(children.map(child => child.receipt.payload.module.toString()))) {
    const module = await find(node, id, signal)
    if (module === null) return gone(`module ${id} of a child`)
    modules.push(module)
  }
  const kept = await find(node, rawCidOfDigest(payload.spec.multihash.digest).toString(), signal)
  const spec = kept === null ? null : decodeSpec(kept).spec
  if (spec?.state !== undefined) return unknown('It was a call of an actor; one without the calls before it is not run again.')
  const archive = spec === null || spec.files === null ? null : await find(node, spec.files.toString(), signal)
  if (spec !== null && spec.files !== null && archive === null) return gone('archive of files')
  const again = await node.run(wasm, input, { ...(spec === null ? {} : optionsOf(spec, archive)), modules, where: 'local', cache: false, signal })
  if (!equals(recordCid(again.spec).bytes, payload.spec.bytes)) return unknown('The job had options of its own (arguments, files, limits), which this node does not keep.')
  const own = readBundle(readFiles(again.receipt)[0]!).receipt.payload
  const field = FIELDS.find(name => String(own[name]) !== String(payload[name]))
  if (field !== undefined) return { ...offline, ok: false, field, message: `Run again here the same job gave another "${field}" than its receipt says.` }
  return { ...offline, message: 'Run again here, the job gave the same outcome, bytes and fuel.' }
}

/** What a caller says to get that spec. */
function optionsOf ({ entry, args, env, outputs, limits, seed }: Spec, archive: Uint8Array | null): ComputeOptions {
  const files = Object.fromEntries(Object.entries(archive === null ? {} : decodeFiles(archive)).map(([path, file]) => [path, file instanceof Uint8Array ? file : { cid: file.toString() }]))
  return { args, env, files, outputs, limits, ...(entry === '' ? {} : { entry }), ...(seed === null ? {} : { seed }) }
}

/** Bytes of a blob that is here; others are not asked for it. */
async function find ({ blobs }: Checker, cid: string, signal: AbortSignal): Promise<Uint8Array | null> {
  if (cid === EMPTY) return new Uint8Array(0)
  const here = (await blobs.ls()).find(blob => blob.cid === cid)
  if (here === undefined || here.here < here.size || here.size > LIMITS.dashboard.bodyBytesMax) return null
  const parts = await Array.fromAsync(blobs.get(cid, { signal }))
  const bytes = new Uint8Array(here.size)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** The raw CID of no bytes. */
const EMPTY = 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'

/** A stored receipt by its CID. @throws {InosError} ERR_USAGE */
export async function storedReceipt (node: Pick<Checker, 'receipt'>, id: string): Promise<Uint8Array> {
  const bytes = await node.receipt(id)
  if (bytes === null) throw new InosError('ERR_USAGE', 'This node has no such receipt.')
  return bytes
}
