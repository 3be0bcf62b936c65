/**
 * A node of the campaign of credits, in a process of its own that starts in a moment: data
 * directory, books, keys, processor and records are the product's, on a disk that forgets whatever
 * was not synced. In place of libp2p stand plain sockets, and a runtime that answers at once stands
 * for the executors: guests and transports are not what is killed here (`node.ts` has them).
 */
import { createCredits } from '../../src/credits/credits.ts'
import { openDataDirectory } from '../../src/node/data-dir.ts'
import { createPlatform } from '../../src/node/platform.ts'
import { timers } from '../../src/node/timers.ts'
import { createProcessor } from '../../src/processor/create.ts'
import { storeIn } from '../../src/testing/blobs.ts'
import { load } from '../../src/wasm/ranges.ts'
import type { Runtime } from '../../src/wasm/runtime.ts'
import { forgetful } from './forgetful.ts'
import { Fuse, wrapCredits } from './fuse.ts'
import { readLanes } from './lanes.ts'
import type { NodeOptions } from './messages.ts'
import { play } from './play.ts'
import { createSocketNetwork } from './socket-network.ts'

/** No guest ever reads it. */
const WASM = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
const FUEL_PER_ITEM = 1_000_000n

/** The input comes back; runs with other inputs cost something else, so that payments cannot be mixed up unseen. */
const runtime: Runtime = {
  async execute ({ input: content }) {
    const input = await load(content)
    const fuel = FUEL_PER_ITEM * BigInt(1 + input.at(-1)! % 16)
    return { outcome: 'ok', exitCode: 0, result: input, files: null, stderr: new Uint8Array(0), fuel, pages: 1, message: '' }
  },
  async inspect () { throw new Error('nobody asks for reports here') },
  load: () => ({ slots: 1, busy: 0, queued: 0 }),
  async stop () {}
}

const options = JSON.parse(process.argv[2]!) as NodeOptions
const fuse = new Fuse(options.crash)
const dir = await openDataDirectory(options.dataDir)
const disk = await readLanes(dir.db)
const store = forgetful(dir.db, fuse.pass)
const platform = createPlatform(dir.seed)
const credits = wrapCredits(await createCredits({ store, ...platform, now: () => Math.floor(Date.now() / 1000) }), fuse)
const network = await createSocketNetwork(platform.signer.id)
const node = createProcessor({ platform, runtime, credits, blobs: storeIn(new Map()), network, timers, market: { serve: options.sells } })
await play({ node, credits, fuse, wasm: WASM, peers: options.peers, disk, lanes: () => readLanes(store) })
