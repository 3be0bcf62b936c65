/**
 * This platform's parts for the portable rooms: what `join()` opens and puts together. What was
 * opened is closed in the reverse order, also when a later part fails to start.
 */
import { hash, randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { map } from '../emergent/map.ts'
import { createCredits } from '../credits/credits.ts'
import type { Store } from '../credits/store.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createProcessor, type ProcessorParts } from '../processor/create.ts'
import type { Processor } from '../processor/processor.ts'
import type { Platform } from '../processor/rooms.ts'
import { openBlobCache } from './blob-cache.ts'
import { openDataDirectory } from './data-dir.ts'
import { createExecutorPool } from './executor-pool.ts'
import type { JoinOptions, Node } from './join.ts'
import { createSigner, verify } from './keys.ts'
import { timers } from './timers.ts'

/** The parts of a node on this platform, and how to close what they opened. */
export interface OpenParts { readonly parts: ProcessorParts, readonly opened: AsyncDisposableStack }

/**
 * Open this platform's parts: data directory, books, blobs, executors, network.
 * @param between what lies between the books and their disk; a test puts a worse disk there
 * @throws {InosError} ERR_DATA_DIR, ERR_LISTEN, ERR_USAGE; nothing is left open then
 */
export async function openParts (options: JoinOptions = {}, between: (store: Store) => Store = store => store): Promise<OpenParts> {
  const { listen = [], peers = [], slots = availableParallelism(), prices } = options
  await using opened = new AsyncDisposableStack()
  const dir = opened.use(await openDataDirectory(options.dataDir))
  const platform = createPlatform(dir.seed)
  const credits = await createCredits({ store: between(dir.db), ...platform, now: () => Math.floor(Date.now() / 1000) }, creditsOptions(options))
  const blobs = await openBlobCache(dir.blobsPath)
  const runtime = createExecutorPool({ slots, log: line => platform.log('executors', line) })
  opened.defer(() => runtime.stop())
  // Loaded only where it is used: libp2p is most of the start-up time.
  const network = options.network === false ? null : await (await import('./libp2p.ts')).createNetwork({ seed: dir.seed, listen, bootstrap: peers })
  if (network !== null) opened.defer(() => network.stop())
  // The pool may have fewer slots than asked for; only what it has is offered.
  const market = { serve: options.serve ?? listen.length > 0, slots: runtime.load().slots, ...(prices === undefined ? {} : { prices }) }
  return { parts: { platform, runtime, credits, blobs, network, timers, market }, opened: opened.move() }
}

/** Bring opened parts to life and connect to the peers that were named. */
export async function start (parts: ProcessorParts, parents: AsyncDisposableStack, { peers = [], signal }: JoinOptions): Promise<Node> {
  await using opened = parents.move()
  const processor = createProcessor(parts)
  opened.defer(() => processor.stop())
  await Promise.all(peers.map(address => connect(processor, address, signal)))
  const resources = opened.move()
  const stop = once(() => resources.disposeAsync())
  return { ...processor, stop, [Symbol.asyncDispose]: stop, map: (wasm, inputs, options) => map(processor, wasm, inputs, options) }
}

async function connect (processor: Processor, address: string, signal: AbortSignal | undefined): Promise<void> {
  const late = AbortSignal.timeout(LIMITS.wire.dialMsMax)
  try {
    await processor.connect(address, signal === undefined ? late : AbortSignal.any([late, signal]))
  } catch (error) {
    if (!late.aborted || signal?.aborted === true) throw error
    throw new InosError('ERR_NOT_REACHABLE', `${address} was not reached within ${LIMITS.wire.dialMsMax / 1000} s.`, { cause: error })
  }
}

function createPlatform (seed: Uint8Array): Platform {
  return {
    signer: createSigner(seed),
    verify,
    digest: bytes => hash('sha256', bytes, 'buffer'),
    now: Date.now,
    sleep: async (ms, signal) => { await sleep(ms, undefined, { signal }) },
    randomBytes,
    log (what, error) {
      if (process.env['INOS_DEBUG'] !== undefined) process.stderr.write(`inos: ${what}: ${error instanceof InosError ? `${error.code} ${error.message}` : String(error)}\n`)
    }
  }
}

function creditsOptions ({ lineMax, poolMax }: JoinOptions): { lineMax?: bigint, poolMax?: bigint } {
  return { ...(lineMax === undefined ? {} : { lineMax }), ...(poolMax === undefined ? {} : { poolMax }) }
}

function once<T> (make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => made ??= make()
}
