/**
 * A whole node in a process of its own, with libp2p and executors, that ends itself with SIGKILL at
 * one named point. Its disk forgets whatever was not synced.
 */
import { echo } from '../programs.ts'
import { openParts, start } from '../../src/node/parts.ts'
import type { Store } from '../../src/credits/store.ts'
import type { Runtime } from '../../src/wasm/runtime.ts'
import { forgetful } from './forgetful.ts'
import { Fuse, wrapCredits } from './fuse.ts'
import { readLanes } from './lanes.ts'
import type { NodeOptions } from './messages.ts'
import { play } from './play.ts'

const options = JSON.parse(process.argv[2]!) as NodeOptions
const fuse = new Fuse(options.crash)

function wrapRuntime (runtime: Runtime): Runtime {
  return {
    execute (run, execute) {
      const outcome = runtime.execute(run, execute)
      // A moment later the guest runs in its executor.
      if (options.sells) setTimeout(() => { fuse.pass('running') }, 1)
      return outcome
    },
    inspect: module => runtime.inspect(module),
    load: () => runtime.load(),
    stop: () => runtime.stop()
  }
}

let store: Store | undefined
const joinOptions = { dataDir: options.dataDir, listen: options.sells ? ['/ip4/127.0.0.1/tcp/0'] : [], slots: 1 }
const open = await openParts(joinOptions, disk => store = forgetful(disk, fuse.pass))
const credits = wrapCredits(open.parts.credits, fuse)
const disk = await readLanes(store!)
const node = await start({ ...open, parts: { ...open.parts, runtime: wrapRuntime(open.parts.runtime), credits } }, joinOptions)
// Long enough that a node can be killed while its guest runs.
await play({ node, credits, fuse, wasm: echo(2_000_000), peers: options.peers, disk, lanes: () => readLanes(store!) })
