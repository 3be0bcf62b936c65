/**
 * A mesh of whole nodes in one process, for the tests of whoever builds on INOS: real books, sessions,
 * signatures and guests, over a network in memory, under a clock and a chance that a seed decides.
 *
 *     await using mesh = await createTestMesh({ nodes: 3, seed: 1 })
 *     const result = await mesh.nodes[1]!.compute(wasm, 'hello', { where: 'remote' })
 *
 * Time passes while a call to a node or to the mesh is awaited, from one event to the next, and never
 * otherwise. Guests run in the calling thread: fuel, pages and output are counted as anywhere, but a
 * guest has no process, no memory cap and no lease around it. Run only what you would run anyway.
 */
import { hash } from 'node:crypto'
import { MemoryLevel } from 'memory-level'
import type { Op, Store } from '../credits/store.ts'
import type { Actor } from '../emergent/actor.ts'
import type { MapMethod } from '../emergent/map.ts'
import { createMemoryHub, type MemoryHub } from '../network/memory.ts'
import { createSigner } from '../node/keys.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createEngine } from '../wasm/engine.ts'
import type { Runtime } from '../wasm/runtime.ts'
import { createChance } from './chance.ts'
import { VirtualClock } from './clock.ts'
import { openNode } from './node.ts'
import type { TestMesh, TestMeshOptions, TestNode, Weather } from './options.ts'
import { createCarry, FAIR, Trace } from './weather.ts'

/** When every such mesh begins: 2026-01-01 UTC, unix milliseconds. */
const EPOCH_MS = Date.UTC(2026, 0, 1)
/** How often `until` looks, on the mesh's clock. */
const LOOK_MS = 10

/**
 * Start a mesh; time has passed until everyone is connected.
 * @throws {InosError} ERR_USAGE for a number of nodes, loss or latency that cannot be
 */
export async function createTestMesh (options: TestMeshOptions = {}): Promise<TestMesh> {
  const { nodes = 3 } = options
  if (!Number.isSafeInteger(nodes) || nodes < 1 || nodes > LIMITS.testing.nodesMax) {
    throw new InosError('ERR_USAGE', `A test mesh has from 1 to ${LIMITS.testing.nodesMax} nodes, not ${nodes}.`)
  }
  const mesh = new Mesh(options)
  for (let i = 0; i < nodes; i++) await mesh.add()
  return mesh
}

/** What stays of a machine without power: its key and its disk. */
interface Machine { readonly store: MemoryLevel<string, Uint8Array>, readonly rows: MemoryLevel<string, Uint8Array>, lives: number, cut: () => void }

class Mesh implements TestMesh {
  readonly nodes: TestNode[] = []
  readonly #options: TestMeshOptions
  readonly #seed: number
  readonly #machines: Machine[] = []
  readonly #dead = new Set<number>()
  readonly #clock = new VirtualClock()
  readonly #trace = new Trace()
  readonly #hub: MemoryHub
  readonly #engine: Runtime
  #weather: Weather

  constructor (options: TestMeshOptions) {
    const { seed = 1, runtime = createEngine(), latencyMs = FAIR.latencyMs, loss = FAIR.loss, duplicate = FAIR.duplicate } = options
    this.#options = options
    this.#seed = seed
    this.#engine = runtime
    this.#weather = checked({ latencyMs, loss, duplicate })
    this.#hub = createMemoryHub({ timers: this.#clock })
    this.#hub.carry(createCarry(() => this.#weather, createChance(seed, 'weather'), this.#trace, () => this.#clock.now()))
  }

  now (): number { return this.#clock.now() }
  advance (ms: number): Promise<void> { return this.#clock.advance(ms) }
  wait<T> (work: Promise<T>): Promise<T> { return this.#clock.drive(work) }

  async until (holds: () => boolean): Promise<void> {
    await this.#clock.drive((async () => { while (!holds()) await this.#clock.sleep(LOOK_MS) })())
  }

  async settled (): Promise<void> {
    await this.until(() => this.#living().every(node => {
      const { held, due, owed } = node.credits()
      return held + due + owed === 0n
    }))
  }

  async add (): Promise<number> {
    const index = this.nodes.length
    const disk = (): MemoryLevel<string, Uint8Array> => new MemoryLevel({ valueEncoding: 'view' })
    this.#machines.push({ store: disk(), rows: disk(), lives: 0, cut: () => {} })
    await this.#start(index)
    return index
  }

  partition (...groups: readonly (readonly number[])[]): void {
    this.#hub.part(groups.map(group => group.map(index => this.#at(index).id)))
  }

  heal (): void { this.#hub.part([]) }

  async kill (index: number): Promise<void> {
    const node = this.#at(index)
    if (this.#dead.has(index)) return
    this.#dead.add(index)
    this.#machines[index]!.cut()
    this.#hub.drop(node.id)
    // What it still wanted to write fails, as it must.
    await this.#clock.drive(node.stop().catch(() => {}))
  }

  async restart (index: number): Promise<void> {
    this.#at(index)
    if (!this.#dead.has(index)) throw new InosError('ERR_USAGE', `Node ${index} runs.`)
    this.#dead.delete(index)
    await this.#start(index)
    const callers = this.nodes.keys().filter(other => !this.#dead.has(other) && this.#dials(other).includes(index))
    const [address] = this.#at(index).addresses()
    await this.#clock.drive(Promise.allSettled(callers.map(other => this.#at(other).connect(address!))))
  }

  weather (change: Partial<Weather>): void { this.#weather = checked({ ...this.#weather, ...change }) }
  traffic (): { messages: number, bytes: number } { return { messages: this.#trace.messages, bytes: this.#trace.bytes } }
  trace (): string { return this.#trace.digest() }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.#clock.drive(Promise.all(this.#living().map(node => node.stop())))
    await this.#engine.stop()
  }

  async #start (index: number): Promise<void> {
    const { node: optionsOf = () => ({}), fuelPerSecond = 1_000_000_000n } = this.#options
    const machine = this.#machines[index]!
    const signer = createSigner(hash('sha256', `${this.#seed}/node ${index}`, 'buffer'))
    const [books, rows] = [powered(machine.store), powered(machine.rows)]
    machine.cut = () => {
      books.cut()
      rows.cut()
    }
    const clock = this.#clock
    const opened = await openNode({
      signer,
      store: books.store,
      rows: rows.store,
      engine: this.#engine,
      pass: (fuel, signal) => clock.sleep(Number(fuel * 1000n / fuelPerSecond), signal),
      network: this.#hub.network(signer.id),
      timers: clock,
      now: () => EPOCH_MS + clock.now(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
      randomBytes: createChance(this.#seed, `node ${index} life ${machine.lives++}`).bytes
    }, optionsOf(index))
    this.nodes[index] = driven(opened, clock)
    const addresses = this.#dials(index).filter(other => other !== index && !this.#dead.has(other)).map(other => this.#at(other).addresses()[0]!)
    // One that cannot be reached now is no reason not to start.
    await clock.drive(Promise.allSettled(addresses.map(address => opened.connect(address))))
  }

  #dials (index: number): readonly number[] { return this.#options.dials?.(index) ?? (index === 0 ? [] : [0]) }

  #at (index: number): TestNode {
    const node = this.nodes[index]
    if (node === undefined) throw new InosError('ERR_USAGE', `This mesh has no node ${index}.`)
    return node
  }

  #living (): TestNode[] { return this.nodes.filter((_, index) => !this.#dead.has(index)) }
}

/** The same node, whose calls let time pass. */
function driven (node: TestNode, clock: VirtualClock): TestNode {
  const stop = (): Promise<void> => clock.drive(node.stop())
  return {
    ...node,
    compute: (wasm, input, options) => clock.drive(node.compute(wasm, input, options)),
    run: (wasm, input, options) => clock.drive(node.run(wasm, input, options)),
    quote: (wasm, input, options) => clock.drive(node.quote(wasm, input, options)),
    refund: (order, amount) => clock.drive(node.refund(order, amount)),
    connect: (address, signal) => clock.drive(node.connect(address, signal)),
    settle: () => clock.drive(node.settle()),
    giveGrant: (peer, amount, certificate) => clock.drive(node.giveGrant(peer, amount, certificate)),
    spawn: async (wasm, options) => drivenActor(await clock.drive(node.spawn(wasm, options)), clock),
    actor: async name => drivenActor(await clock.drive(node.actor(name)), clock),
    actors: () => clock.drive(node.actors()),
    map: ((wasm, inputs, options) => itemsOf(node.map(wasm, inputs, options), clock)) as MapMethod,
    stop,
    [Symbol.asyncDispose]: stop
  }
}

/** The same actor, likewise. */
function drivenActor (actor: Actor, clock: VirtualClock): Actor {
  return new Proxy(actor, {
    get (target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        const result: unknown = Reflect.apply(value, target, args)
        return result instanceof Promise ? clock.drive(result) : result
      }
    }
  })
}

async function * itemsOf<T> (items: AsyncGenerator<T, void>, clock: VirtualClock): AsyncGenerator<T, void> {
  try {
    for (let next = await clock.drive(items.next()); next.done !== true; next = await clock.drive(items.next())) yield next.value
  } finally {
    await clock.drive(items.return(undefined))
  }
}

/** A disk that takes nothing more once its power is cut. */
function powered (disk: MemoryLevel<string, Uint8Array>): { store: Store, cut: () => void } {
  let on = true
  return {
    store: {
      get: key => disk.get(key),
      batch: async (ops: Op[]) => {
        if (!on) throw new Error('This machine has no power.')
        await disk.batch(ops)
      },
      iterator: range => disk.iterator(range)
    },
    cut () { on = false }
  }
}

function checked (weather: Weather): Weather {
  const { latencyMs: [min, max], loss, duplicate } = weather
  const isWhole = Number.isSafeInteger(min) && Number.isSafeInteger(max) && min >= 0 && min <= max
  if (!isWhole) throw new InosError('ERR_USAGE', 'Latency is two whole numbers of milliseconds, the least and the most.')
  for (const share of [loss, duplicate]) if (!(share >= 0 && share < 1)) throw new InosError('ERR_USAGE', 'Loss and duplicates are shares: at least 0, below 1.')
  return weather
}
