/**
 * What a job's packet only names is fetched from its payer, kept on disk, and found there the next
 * time. A module is found whoever brought it. Inputs and files are found only for who brought them:
 * their hashes stand in receipts, and a guest that echoes would hand them to anybody.
 */
import { type CID, isRaw, parseCid, rawCidOfDigest } from '../packet/cid.ts'
import { InosError, toInosError } from '../packet/errors.ts'
import { toHex } from '../packet/identity.ts'
import { keptOf, sizeOf } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import type { Spec } from '../packet/spec.ts'
import { decodeState } from '../packet/state.ts'
import type { Content } from '../wasm/ranges.ts'
import { within } from './deadline.ts'
import { type Brought, holdContent, mount, wholeBlob } from './contents.ts'
import { type ReceivedJob, runOf, type Wanted } from './job.ts'
import type { Rooms } from './rooms.ts'

/** Between tries at a payer that sends too many blobs at once already. */
const BUSY_MS = 500

/** A run with everything by value, and the state it begins with. */
export interface Gathered extends Brought { readonly before: KeptState | null }

/**
 * The run with everything by value; the module only if no executor has it compiled.
 * @throws {InosError} ERR_GONE, ERR_VERIFICATION, ERR_DEADLINE, ERR_PEER_LOST, ERR_CANCELLED …
 */
export async function gather (node: Rooms, peer: string, job: ReceivedJob, cancel: AbortSignal): Promise<Gathered> {
  using held = new DisposableStack()
  const ofAnybody = async ({ cid, bytes }: Wanted): Promise<Uint8Array> => {
    const id = cid.toString()
    if (bytes !== null) return bytes
    if (!isRaw(cid)) return await wholeBlob(node, cid, LIMITS.wire.blobBytesMax, cancel, peer)
    return await node.blobs.get(id) ?? await fetchAndKeep(node, peer, id, LIMITS.wire.blobBytesMax, cancel)
  }
  // Memory was set aside for both together; the second may take what the first left.
  let left = job.bytesByReference
  const ofPayer = async ({ cid, bytes }: Wanted): Promise<Uint8Array> => {
    if (bytes !== null) return bytes
    const id = cid.toString()
    const found = await node.shelf.get(peer, id) ?? await fetchAndKeep(node, peer, id, left, cancel)
    count(found.length)
    return found
  }
  const count = (bytes: number): void => {
    left -= bytes
    if (left < 0) throw new InosError('ERR_BAD_PACKET', 'Input, files and state of a job are larger than its packet says.')
  }
  const named = async (cid: CID): Promise<Content> => held.use(await holdContent(node, cid, cancel, peer)).content
  const input = job.input.bytes !== null || isRaw(job.input.cid) ? await ofPayer(job.input) : await named(job.input.cid)
  const files = job.files === null ? null : await ofPayer(job.files)
  const before = job.spec.spec.state == null ? null : await bringState(node, peer, job.spec.spec, job.spec.spec.state, count, cancel)
  const mounted = await mount(files, named)
  const run = runOf(job.spec, () => ofAnybody(job.wasm), input, files, before, mounted)
  const all = held.move()
  return { run, before, [Symbol.dispose]: () => { all.dispose() } }
}

/** The state a call begins with: from memory if it was made here, else its record from the payer, and the pages that no other state of the payer has. */
async function bringState (node: Rooms, peer: string, { module, profile }: Spec, cid: CID, count: (bytes: number) => void, cancel: AbortSignal): Promise<KeptState> {
  const id = cid.toString()
  const known = node.states.get(peer, id)
  if (known !== undefined) {
    count(sizeOf(known))
    return known
  }
  const state = decodeState(await fetchInTime(node, peer, id, LIMITS.state.recordBytesMax, cancel))
  if (!state.record.module.equals(module) || state.record.profile !== profile) throw new InosError('ERR_INVALID_SPEC', `The state ${id} is one of another module or profile.`)
  const hashes = new Map(state.record.pages.filter(hash => hash !== null).map(hash => [toHex(hash), hash]))
  count(state.bytes.length + hashes.size * PAGE_BYTES)
  const pages = new Map(await Promise.all(Array.from(hashes, async ([hex, hash]) => [hex, node.states.page(peer, hex) ?? await fetchInTime(node, peer, rawCidOfDigest(hash).toString(), PAGE_BYTES, cancel)] as const)))
  const kept = keptOf(state, hex => pages.get(hex))
  node.states.keep(peer, kept)
  return kept
}

export async function fetchAndKeep (node: Rooms, peer: string, id: string, bytesMax: number, cancel: AbortSignal): Promise<Uint8Array> {
  const began = node.platform.now()
  const bytes = await fetchInTime(node, peer, id, bytesMax, cancel).catch(async (error: unknown) => {
    // A payer may name what others give to anybody.
    if (!(error instanceof InosError) || error.code !== 'ERR_GONE') throw error
    return await wholeBlob(node, parseCid(id), bytesMax, cancel, peer)
  })
  node.market.gauge.fetched(bytes.length, node.platform.now() - began)
  try {
    await node.blobs.put(id, bytes)
    node.shelf.allow(peer, id)
  } catch (error) {
    // A cache that cannot be written costs a fetch the next time.
    node.platform.log(`keeping ${id}`, error)
  }
  return bytes
}

/**
 * Modules for the children of a job: from who ordered it, or what that peer brought before. Not from the cache whoever filled it: a
 * child may be bought elsewhere, and its bytes would leave this node for a hash alone.
 * @param own the module of the job itself
 */
export function modulesOf (node: Rooms, peer: string, own: Wanted, cancel: AbortSignal): (cid: string) => Promise<Uint8Array> {
  const found = new Map<string, Promise<Uint8Array>>()
  if (own.bytes !== null) found.set(own.cid.toString(), Promise.resolve(own.bytes))
  return cid => {
    const bytes = found.get(cid) ?? node.shelf.get(peer, cid).then(async kept => kept ?? await fetchAndKeep(node, peer, cid, LIMITS.wire.blobBytesMax, cancel))
    found.set(cid, bytes)
    return bytes
  }
}

async function fetchInTime (node: Rooms, peer: string, id: string, bytesMax: number, cancel: AbortSignal): Promise<Uint8Array> {
  return await within(node, LIMITS.market.gatherMsMax, `${id} did not come from its payer`, async signal => {
    for (;;) {
      try {
        return await node.sessions().fetch(peer, id, { bytesMax, signal })
      } catch (thrown) {
        const error = toInosError(thrown)
        if (error.code !== 'ERR_BUSY') throw error
        await node.platform.sleep(BUSY_MS, signal)
      }
    }
  }, cancel)
}
