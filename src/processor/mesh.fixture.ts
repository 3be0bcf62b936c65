/**
 * For tests: a mesh of whole nodes in one process, over the in-memory network and with books in
 * memory. The engine runs in the calling thread; a hook before each run stands for what an executor
 * process would take or break. Nodes can be lost and started again on the books they left.
 */
import { createHash, hash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryLevel } from 'memory-level'
import type { AllowanceLimits } from '../credits/allowance.ts'
import { type Credits, createCredits } from '../credits/credits.ts'
import type { Rules } from '../credits/terms.ts'
import type { KnownPeers } from '../network/known-peers.ts'
import { createMemoryHub, type MemoryHub } from '../network/memory.ts'
import type { Timers } from '../network/network.ts'
import { createSigner, verify } from '../node/keys.ts'
import type { Signer } from '../packet/identity.ts'
import { createEngine } from '../wasm/engine.ts'
import type { ExecuteOptions, Run, Runtime } from '../wasm/runtime.ts'
import { createProcessor } from './create.ts'
import type { Machine } from './gauge.ts'
import type { PriceList } from '../packet/limits.ts'
import type { Processor } from './processor.ts'
import type { BlobStore, Platform } from './rooms.ts'

export interface NodeOptions {
  /** @default true */
  serve?: boolean
  /** @default 4 */
  slots?: number
  /** A mesh of one. */
  alone?: boolean
  prices?: Partial<PriceList>
  /** PeerIds that may buy. @default anyone */
  buyers?: readonly string[]
  machine?: Machine
  /** Speed of a slot, as it stands in the offer. @default unknown */
  fuelPerSec?: number
  /** The private mesh it belongs to. */
  charter?: Rules
  lineMax?: bigint
  poolMax?: bigint
  sellerPoolMax?: bigint
  allowance?: AllowanceLimits
  /** Where it keeps the peers it meets and learns of. */
  known?: KnownPeers
  /** Runs before each guest; what it throws the job ends with. */
  before?: (run: Run, options: ExecuteOptions) => Promise<void>
  /** Put others in place of some methods of the books. */
  books?: (credits: Credits) => Partial<Credits>
}

export interface MeshNode extends Processor {
  readonly name: string
  /** Guests that were started here. */
  readonly runs: () => number
  readonly blobs: Map<string, Uint8Array>
  /** Background faults, as they were logged. */
  readonly log: string[]
}

/** Real time: what a mesh in one process waits for is short. */
export const timers: Timers = {
  now: () => performance.now(),
  after (ms, run) {
    const timer = setTimeout(run, ms)
    return () => { clearTimeout(timer) }
  }
}

/** PeerId and key of a name, always the same. */
export function signerOf (name: string): Signer {
  return createSigner(createHash('sha256').update(`mesh ${name}`).digest())
}

export class Mesh implements AsyncDisposable {
  readonly hub: MemoryHub = createMemoryHub()
  readonly #stores = new Map<string, MemoryLevel<string, Uint8Array>>()
  readonly #nodes = new Set<MeshNode>()
  /** Whoever else opens something in this mesh closes it here. */
  readonly opened = new AsyncDisposableStack()
  /** How far the clocks of all nodes are ahead, milliseconds. */
  ahead = 0

  /** Start a node; one of the same name that was stopped or lost continues its books. */
  async start (name: string, options: NodeOptions = {}): Promise<MeshNode> {
    const { serve = true, slots = 4, alone = false, prices, buyers, machine, fuelPerSec, before, charter = null, lineMax, poolMax, sellerPoolMax, books, allowance, known } = options
    const signer = signerOf(name)
    const store = this.#stores.get(name) ?? new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })
    this.#stores.set(name, store)
    const log: string[] = []
    const platform = this.#platform(signer, log)
    const credits = await createCredits({ store, ...platform, now: () => Math.floor(platform.now() / 1000) }, {
      charter, ...(lineMax === undefined ? {} : { lineMax }), ...(poolMax === undefined ? {} : { poolMax }), ...(sellerPoolMax === undefined ? {} : { sellerPoolMax })
    })
    const runtime = hooked(slots, before, fuelPerSec)
    const { store: blobStore, blobs } = createBlobs()
    const processor = createProcessor({
      platform,
      runtime,
      credits: books === undefined ? credits : overlay(credits, books(credits)),
      blobs: blobStore,
      network: alone ? null : this.hub.network(signer.id),
      timers,
      market: { serve, net: charter?.net ?? null, ...(prices === undefined ? {} : { prices }), ...(buyers === undefined ? {} : { buyers }), ...(machine === undefined ? {} : { machine }) },
      ...(allowance === undefined ? {} : { allowance }),
      ...(known === undefined ? {} : { known })
    })
    const node: MeshNode = { ...processor, name, runs: () => runtime.runs, blobs, log }
    this.#nodes.add(node)
    return node
  }

  async connect (a: MeshNode, b: { readonly id: string }): Promise<void> {
    await a.connect(`/memory/${b.id}`)
  }

  /** Take a copy of a node's books. @returns puts it back; the node must be away */
  async copyBooks (name: string): Promise<() => Promise<void>> {
    const store = this.#stores.get(name)!
    const rows = await store.iterator().all()
    return async () => {
      await store.clear()
      await store.batch(rows.map(([key, value]) => ({ type: 'put', key, value })))
    }
  }

  /** A node vanishes as if its machine had lost power; its books stay as they are. */
  async lose (node: MeshNode): Promise<void> {
    this.hub.drop(node.id)
    this.#nodes.delete(node)
    await node.stop()
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await Promise.all([...this.#nodes].map(node => node.stop()))
    await this.opened.disposeAsync()
  }

  #platform (signer: Signer, log: string[]): Platform {
    return {
      signer,
      verify,
      digest: bytes => hash('sha256', bytes, 'buffer'),
      now: () => Date.now() + this.ahead,
      sleep: async (ms, signal) => { await sleep(ms, undefined, { signal }) },
      randomBytes,
      log (what, error) { log.push(`${what}: ${error instanceof Error ? error.message : String(error)}`) }
    }
  }
}

function hooked (slots: number, before: NodeOptions['before'], fuelPerSec: number | undefined): Runtime & { readonly runs: number } {
  const engine = createEngine()
  let busy = 0
  let runs = 0
  return {
    get runs () { return runs },
    async execute (run, options) {
      busy++
      try {
        await before?.(run, options)
        runs++
        return await engine.execute(run, options)
      } finally {
        busy--
      }
    },
    inspect: wasm => engine.inspect(wasm),
    load: () => ({ slots, busy: Math.min(busy, slots), queued: Math.max(0, busy - slots), ...(fuelPerSec === undefined ? {} : { fuelPerSec }) }),
    stop: () => engine.stop()
  }
}

function createBlobs (): { store: BlobStore, blobs: Map<string, Uint8Array> } {
  const blobs = new Map<string, Uint8Array>()
  return {
    blobs,
    store: {
      async get (cid) { return blobs.get(cid) ?? null },
      async put (cid, bytes) { blobs.set(cid, bytes) }
    }
  }
}

/** `over` where it has a method, else `under`, each called on its own object. */
function overlay (under: Credits, over: Partial<Credits>): Credits {
  return new Proxy(under, {
    get (target, name) {
      const value = Reflect.get(over, name) ?? Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(Reflect.has(over, name) ? over : target) : value
    }
  })
}

/** Wait until `holds`, looking again and again. */
export async function until (holds: () => boolean | Promise<boolean>, what: string, msMax = 10_000): Promise<void> {
  const deadline = Date.now() + msMax
  while (!await holds()) {
    if (Date.now() > deadline) throw new Error(`not within ${msMax} ms: ${what}`)
    await sleep(5)
  }
}

/** Wait until nothing is held, due or owed at any of the nodes. */
export async function settled (...nodes: Processor[]): Promise<void> {
  await until(() => nodes.every(node => {
    const { held, due, owed } = node.credits()
    return held + due + owed === 0n
  }), 'settled')
}
