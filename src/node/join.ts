/**
 * `join()`: chooses this platform's parts for the portable rooms and puts them together. What it
 * opened it closes in the reverse order, also when a later part fails to start.
 */
import { hash, randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { map, type Inputs, type MapItem, type MapOptions } from '../emergent/map.ts'
import { createCredits } from '../credits/credits.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createProcessor, type ProcessorParts } from '../processor/create.ts'
import type { PriceList } from '../processor/market.ts'
import type { Module, Processor } from '../processor/processor.ts'
import type { Platform } from '../processor/rooms.ts'
import { openBlobCache } from './blob-cache.ts'
import { openDataDirectory } from './data-dir.ts'
import { createExecutorPool } from './executor-pool.ts'
import { createSigner, verify } from './keys.ts'
import { timers } from './timers.ts'

export interface JoinOptions {
  /** Identity, ledger and caches live here; one writer at a time. @default INOS_HOME, else the user's data directory */
  dataDir?: string
  /** Multiaddrs to listen on; none: others can't dial this node. @default none */
  listen?: readonly string[]
  /** Multiaddrs of nodes to connect to. One that can't be reached fails the join. */
  peers?: readonly string[]
  /** False: no network at all, a mesh of one. @default true */
  network?: boolean
  /** Whether to take others' jobs. @default true when it listens */
  serve?: boolean
  /** Jobs that run at once. @default the number of cores */
  slots?: number
  /** Price list, µcr. @default DEFAULT_PRICES */
  prices?: Partial<PriceList>
  /** What one peer may owe this node, and all strangers together, µcr. */
  lineMax?: bigint
  poolMax?: bigint
  signal?: AbortSignal
}

/** A processor with the layers that grow on it. */
export interface Node extends Processor {
  /** Run a module once per input, across the mesh; see `map.ts`. */
  map (wasm: Uint8Array | Module, inputs: Inputs, options?: MapOptions): AsyncGenerator<MapItem>
}

/** The parts of a node on this platform, and how to close what they opened. */
export interface OpenParts { readonly parts: ProcessorParts, readonly opened: AsyncDisposableStack }

/**
 * Open this platform's parts: data directory, books, blobs, executors, network.
 * @throws {InosError} ERR_DATA_DIR, ERR_LISTEN, ERR_USAGE; nothing is left open then
 */
export async function openParts (options: JoinOptions = {}): Promise<OpenParts> {
  const { listen = [], peers = [], slots = availableParallelism(), prices } = options
  await using opened = new AsyncDisposableStack()
  const dir = opened.use(await openDataDirectory(options.dataDir))
  const platform = createPlatform(dir.seed)
  const credits = await createCredits({ store: dir.db, ...platform, now: () => Math.floor(Date.now() / 1000) }, creditsOptions(options))
  const blobs = await openBlobCache(dir.blobsPath)
  const runtime = createExecutorPool({ slots, log: line => platform.log('executors', line) })
  opened.defer(() => runtime.stop())
  // Loaded only where it is used: libp2p is most of the start-up time.
  const network = options.network === false ? null : await (await import('./libp2p.ts')).createNetwork({ seed: dir.seed, listen, bootstrap: peers })
  if (network !== null) opened.defer(() => network.stop())
  const market = { serve: options.serve ?? listen.length > 0, slots, ...(prices === undefined ? {} : { prices }) }
  return { parts: { platform, runtime, credits, blobs, network, timers, market }, opened: opened.move() }
}

/**
 * Become part of the mesh. Alone, it is a mesh of one on the same code path.
 * @throws {InosError} ERR_DATA_DIR, ERR_LISTEN, ERR_NOT_REACHABLE, ERR_USAGE; nothing is left open then
 */
export async function join (options: JoinOptions = {}): Promise<Node> {
  const { parts, opened } = await openParts(options)
  return await start(parts, opened, options)
}

/** Bring opened parts to life and connect to the peers that were named. */
export async function start (parts: ProcessorParts, parents: AsyncDisposableStack, { peers = [], signal }: JoinOptions): Promise<Node> {
  await using opened = parents.move()
  const processor = createProcessor(parts)
  opened.defer(() => processor.stop())
  const bounded = AbortSignal.any([AbortSignal.timeout(LIMITS.wire.dialMsMax), ...(signal === undefined ? [] : [signal])])
  await Promise.all(peers.map(address => processor.connect(address, bounded)))
  const resources = opened.move()
  const stop = once(() => resources.disposeAsync())
  return { ...processor, stop, [Symbol.asyncDispose]: stop, map: (wasm, inputs, options) => map(processor, wasm, inputs, options) }
}

function createPlatform (seed: Uint8Array): Platform {
  return {
    signer: createSigner(seed),
    verify,
    digest: bytes => hash('sha256', bytes, 'buffer'),
    now: Date.now,
    sleep: async (ms, signal) => { await sleep(ms, undefined, { signal, ref: false }) },
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
