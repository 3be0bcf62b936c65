/**
 * What a job only names, brought to where it runs: small blobs into memory, larger ones onto the disk,
 * where a guest reads them, and where they stay until the run is over.
 */
import { type CID, isRaw } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { decodeFiles } from '../packet/files.ts'
import { LIMITS } from '../packet/limits.ts'
import { type Content, load } from '../wasm/ranges.ts'
import type { Run } from '../wasm/runtime.ts'
import type { Held } from './blob-fetch.ts'
import { within } from './deadline.ts'
import { type Job, runOf } from './job.ts'
import type { Rooms } from './rooms.ts'

/** A run whose contents stay as long as it is held. */
export interface Brought extends Disposable { readonly run: Run }

export interface HeldContent extends Disposable { readonly content: Content }

/**
 * A job of this node's own caller, ready to run here: at once where nothing of it is only named, because whoever
 * chooses where the next job runs looks at what has begun.
 * @throws {InosError} as `Bring`
 */
export function bringRun (node: Rooms, job: Job, signal: AbortSignal): Brought | Promise<Brought> {
  const { spec, wasm, input, files, step, links } = job
  if (wasm.bytes === null || input.bytes === null || links.length > 0) return bringNamed(node, job, signal)
  return { run: runOf(spec, wasm.bytes, input.bytes, files?.bytes ?? null, step?.before ?? null), [Symbol.dispose]: () => {} }
}

async function bringNamed (node: Rooms, { spec, wasm, input, files, step }: Job, signal: AbortSignal): Promise<Brought> {
  using held = new DisposableStack()
  const named = async (cid: CID): Promise<Content> => held.use(await holdContent(node, cid, signal)).content
  const content = input.bytes ?? await named(input.cid)
  const mounted = await mount(files?.bytes ?? null, named)
  const run = runOf(spec, wasm.bytes ?? (() => moduleOf(node, { wasm }, signal)), content, files?.bytes ?? null, step?.before ?? null, mounted)
  const all = held.move()
  return { run, [Symbol.dispose]: () => { all.dispose() } }
}

/** The module of a job of this node's own caller. @throws {InosError} as `Bring` */
export async function moduleOf (node: Rooms, { wasm: { cid, bytes } }: Pick<Job, 'wasm'>, signal: AbortSignal): Promise<Uint8Array> {
  return bytes ?? await wholeBlob(node, cid, LIMITS.wire.blobBytesMax, signal)
}

/** What an archive of files names, by CID. */
export async function mount (archive: Uint8Array | null, named: (cid: CID) => Promise<Content>): Promise<ReadonlyMap<string, Content>> {
  const mounted = new Map<string, Content>()
  for (const file of Object.values(archive === null ? {} : decodeFiles(archive))) {
    if (!(file instanceof Uint8Array) && !mounted.has(file.toString())) mounted.set(file.toString(), await named(file))
  }
  return mounted
}

/**
 * A blob to be read where it lies. @param payer who named it, from afar
 * @throws {InosError} as `Bring`
 */
export async function holdContent (node: Rooms, cid: CID, signal: AbortSignal, payer?: string): Promise<HeldContent> {
  const blob = await hold(node, cid, LIMITS.spec.storedBytesMax, signal, payer)
  try {
    const content = blob.chunks === 1 ? await blob.read(0) : { length: blob.size, chunk: (at: number) => blob.read(at) }
    return { content, [Symbol.dispose]: () => { blob[Symbol.dispose]() } }
  } catch (error) {
    blob[Symbol.dispose]()
    throw error
  }
}

/** A blob in memory. @throws {InosError} as `Bring` */
export async function wholeBlob (node: Rooms, cid: CID, bytesMax: number, signal: AbortSignal, payer?: string): Promise<Uint8Array> {
  using blob = await hold(node, cid, bytesMax, signal, payer)
  return await load({ length: blob.size, chunk: at => blob.read(at) })
}

async function hold (node: Rooms, cid: CID, bytesMax: number, signal: AbortSignal, payer: string | undefined): Promise<Held> {
  const id = cid.toString()
  return await within(node, LIMITS.blobs.gatherMsMax, `${id} did not come`, async until => {
    if (payer !== undefined) await requireRight(node, payer, id, isRaw(cid), until)
    return await node.bring(id, { bytesMax, signal: until, ...(payer === undefined ? {} : { from: payer }) })
  }, signal)
}

/** What lies here for others, and is not shared, is nobody's who only knows its name: a guest that echoes would hand it out. */
async function requireRight (node: Rooms, payer: string, id: string, isWhole: boolean, signal: AbortSignal): Promise<void> {
  if (node.shelf.has(payer, id)) return
  if (node.blobs.has(id) && !node.blobs.label(id).shared) {
    if (isWhole) throw new InosError('ERR_GONE', `This node has no blob ${id} for you.`)
    // Who can show the manifest had the blob from its owner, as this node had.
    await node.sessions().fetch(payer, id, { bytesMax: LIMITS.blobs.chunkBytes, signal })
  }
  node.shelf.allow(payer, id)
}
