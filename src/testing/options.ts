/** What a test says of its mesh and its nodes, and what it gets: shapes only. */
import type { ActorMethods } from '../emergent/actors.ts'
import type { MapMethod } from '../emergent/map.ts'
import type { PriceList } from '../packet/limits.ts'
import type { Processor } from '../processor/processor.ts'
import type { ExecuteOptions, Run, Runtime } from '../wasm/runtime.ts'

export interface NodeOptions {
  /** Whether it takes others' jobs. @default true */
  serve?: boolean
  /** Guests that run at once. @default 4 */
  slots?: number
  prices?: Partial<PriceList>
  /** PeerIds that may buy. @default anyone */
  buyers?: readonly string[]
  /** Speed of a slot, as its offer says it. @default unknown */
  fuelPerSec?: number
  /** What one peer may owe it, and all strangers together, µcr. */
  lineMax?: bigint
  poolMax?: bigint
  /** What it promises all new sellers together, µcr. */
  sellerPoolMax?: bigint
  /** Whether it answers jobs that it ran before from memory. @default true */
  resultCache?: boolean
  /** Runs before each guest; what it throws the job ends with. */
  before?: (run: Run, options: ExecuteOptions) => Promise<void>
}

export interface TestNode extends Processor, ActorMethods {
  /** Run a module once per input, across the mesh. */
  readonly map: MapMethod
  /** Guests that were started here. */
  readonly runs: () => number
  /** Modules and results it keeps, by CID. */
  readonly stored: Map<string, Uint8Array>
  /** Background faults, as they were logged. */
  readonly log: string[]
}

export interface Weather {
  /** One way, whole milliseconds, drawn evenly from the first to the second. @default [5, 40] */
  latencyMs: readonly [number, number]
  /** Of 1, how many segments get lost. @default 0 */
  loss: number
  /** Of 1, how many chunks of a stream arrive twice. @default 0 */
  duplicate: number
}

export interface TestMeshOptions extends Partial<Weather> {
  /** @default 3 */
  nodes?: number
  /** Decides keys, nonces, latencies and faults: the same seed and the same calls give the same bytes at the same times. @default 1 */
  seed?: number
  /** Fuel that a guest burns in one second of the mesh's clock. @default 1_000_000_000n */
  fuelPerSecond?: bigint
  /** Of each node, by its index. */
  node?: (index: number) => NodeOptions
  /** Whom a node dials when it starts, by index; those it does not know it finds, as by the DHT. @default the first node */
  dials?: (index: number) => readonly number[]
  /** In place of the engine, for all nodes. */
  runtime?: Runtime
}

export interface TestMesh extends AsyncDisposable {
  /** By index; a node that was killed stays until another takes its place. */
  readonly nodes: readonly TestNode[]
  /** Milliseconds since the mesh began. */
  now (): number
  /** Let time pass. */
  advance (ms: number): Promise<void>
  /** Await something while time passes, such as an event of a node. @throws {InosError} ERR_DEADLINE after an hour of the mesh's time */
  wait<T> (work: Promise<T>): Promise<T>
  /** Let time pass until `holds`, which is asked every 10 ms. @throws {InosError} ERR_DEADLINE after an hour */
  until (holds: () => boolean): Promise<void>
  /** Let time pass until no living node holds, owes or is owed anything. @throws {InosError} ERR_DEADLINE after an hour */
  settled (): Promise<void>
  /** Start one more node. @returns its index */
  add (): Promise<number>
  /** Sever each group of nodes, by index, from all others. Connections over the border are lost. */
  partition (...groups: readonly (readonly number[])[]): void
  /** Everyone can reach everyone again. */
  heal (): void
  /** As if a machine lost its power: nothing is said, and nothing is written any more. */
  kill (index: number): Promise<void>
  /** Start a node that was killed: the same key, on the books as they were. Those who dial it at their start do so again. */
  restart (index: number): Promise<void>
  /** Change the weather from now on. */
  weather (change: Partial<Weather>): void
  /** Writes to streams so far, one for all frames of a tick, and their bytes. */
  traffic (): { readonly messages: number, readonly bytes: number }
  /** sha2-256, in hex, of every such write: when, from whom, to whom, what. Equal for equal seeds and equal calls. */
  trace (): string
}
