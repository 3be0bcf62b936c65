/**
 * One node of a test: all rooms as `join()` puts them together, with books and blobs in memory and
 * the engine in the calling thread. Clock, chance and network are lent; who owns them is `mesh.ts`.
 */
import { hash } from 'node:crypto'
import { MemoryLevel } from 'memory-level'
import type { AllowanceLimits } from '../credits/allowance.ts'
import { type Credits, createCredits } from '../credits/credits.ts'
import type { Store } from '../credits/store.ts'
import type { Rules } from '../credits/terms.ts'
import type { ActorStore } from '../emergent/actor-log.ts'
import { actorsOf } from '../emergent/actors.ts'
import { mapOf } from '../emergent/map.ts'
import type { KnownPeers } from '../network/known-peers.ts'
import type { Network, Timers } from '../network/network.ts'
import { verify } from '../node/keys.ts'
import type { Signer } from '../packet/identity.ts'
import { createProcessor } from '../processor/create.ts'
import type { Machine } from '../processor/gauge.ts'
import type { Platform } from '../processor/rooms.ts'
import { storeIn } from './blobs.ts'
import type { NodeOptions, TestNode } from './options.ts'
import { createTestRuntime, type TestRuntimeOptions } from './runtime.ts'

/** What tests of our own ask of a node besides. */
export interface NodeParts extends NodeOptions {
  /** What peers of four fields get for free. */
  allowance?: AllowanceLimits
  /** The private mesh it belongs to. @default none, the open mesh */
  charter?: Rules
  /** What its machine says of itself. */
  machine?: Machine
  /** Where it keeps the peers it meets and learns of. */
  known?: KnownPeers
  /** Put others in place of some methods of the books. */
  books?: (credits: Credits) => Partial<Credits>
}

/** What a node does not own. */
export interface Lent extends Pick<Platform, 'now' | 'sleep' | 'randomBytes'>, Pick<TestRuntimeOptions, 'engine' | 'pass'> {
  readonly signer: Signer
  readonly store: Store
  /** Null: a mesh of one. */
  readonly network: Network | null
  readonly timers: Timers
  /** What its machine keeps of earlier lives. @default nothing */
  readonly blobs?: Map<string, Uint8Array>
  /** Rows of its actors. @default none yet */
  readonly rows?: ActorStore
}

export async function openNode (lent: Lent, options: NodeParts = {}): Promise<TestNode> {
  const { serve = true, slots = 4, prices, buyers, fuelPerSec, machine, charter = null, lineMax, poolMax, sellerPoolMax, allowance, known, before, books, resultCache = true } = options
  const { signer, store, now, sleep, randomBytes, engine, pass, network, timers, blobs = new Map<string, Uint8Array>(), rows = new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' }) } = lent
  const log: string[] = []
  const platform: Platform = {
    signer, verify, now, sleep, randomBytes,
    digest: bytes => hash('sha256', bytes, 'buffer'),
    log (what, error) { log.push(`${what}: ${error instanceof Error ? error.message : String(error)}`) }
  }
  const credits = await createCredits({ store, ...platform, now: () => Math.floor(now() / 1000) }, {
    charter, ...(lineMax === undefined ? {} : { lineMax }), ...(poolMax === undefined ? {} : { poolMax }), ...(sellerPoolMax === undefined ? {} : { sellerPoolMax })
  })
  const runtime = createTestRuntime({ engine, slots, fuelPerSec, before, pass })
  const processor = createProcessor({
    platform,
    runtime,
    credits: books === undefined ? credits : overlay(credits, books(credits)),
    blobs: storeIn(blobs),
    resultCache,
    network,
    timers,
    market: { serve, net: charter?.net ?? null, ...(prices === undefined ? {} : { prices }), ...(buyers === undefined ? {} : { buyers }), ...(machine === undefined ? {} : { machine }) },
    ...(allowance === undefined ? {} : { allowance }),
    ...(known === undefined ? {} : { known })
  })
  const actors = actorsOf({ processor, store: async () => rows, digest: platform.digest, randomBytes })
  return { ...processor, ...actors, map: mapOf(processor), runs: () => runtime.runs, stored: blobs, log }
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
