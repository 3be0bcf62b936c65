/**
 * For tests: a mesh of whole nodes in one process under the real clock, by name. What a node is made
 * of is `testing/node.ts`; nodes can be lost and started again on the books they left.
 */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryLevel } from 'memory-level'
import { createMemoryHub, type MemoryHub } from '../network/memory.ts'
import type { Timers } from '../network/network.ts'
import { createSigner } from '../node/keys.ts'
import { timers } from '../node/timers.ts'
import type { Signer } from '../packet/identity.ts'
import { openNode, type NodeParts } from '../testing/node.ts'
import type { TestNode } from '../testing/options.ts'
import { createEngine } from '../wasm/engine.ts'
import type { Processor } from './processor.ts'

export interface NodeOptions extends NodeParts {
  /** A mesh of one. */
  alone?: boolean
}

export interface MeshNode extends TestNode { readonly name: string }

/** PeerId and key of a name, always the same. */
export function signerOf (name: string): Signer {
  return createSigner(createHash('sha256').update(`mesh ${name}`).digest())
}

export class Mesh implements AsyncDisposable {
  readonly hub: MemoryHub = createMemoryHub()
  readonly #stores = new Map<string, MemoryLevel<string, Uint8Array>>()
  readonly #blobs = new Map<string, Map<string, Uint8Array>>()
  readonly #nodes = new Set<MeshNode>()
  /** Whoever else opens something in this mesh closes it here. */
  readonly opened = new AsyncDisposableStack()
  /** How far the clocks of all nodes are ahead, milliseconds. */
  ahead = 0
  readonly #timers: Timers

  /** @param slowness how many times as long as elsewhere its nodes have patience: what is counted is not to depend on how loaded the machine is */
  constructor (slowness = 1) {
    this.#timers = { now: () => timers.now() / slowness, after: (ms, work) => timers.after(ms * slowness, work) }
  }

  /** Start a node; one of the same name that was stopped or lost continues its books. */
  async start (name: string, { alone = false, ...options }: NodeOptions = {}): Promise<MeshNode> {
    const signer = signerOf(name)
    const store = this.#stores.get(name) ?? new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })
    this.#stores.set(name, store)
    const opened = await openNode({
      signer,
      store,
      blobs: this.#blobsOf(name),
      engine: createEngine(),
      network: alone ? null : this.hub.network(signer.id),
      timers: this.#timers,
      now: () => Date.now() + this.ahead,
      sleep: async (ms, signal) => { await sleep(ms, undefined, { signal }) },
      randomBytes
    }, options)
    const node: MeshNode = { ...opened, name }
    this.#nodes.add(node)
    return node
  }

  async connect (a: MeshNode, b: { readonly id: string }): Promise<void> {
    await a.connect(`/memory/${b.id}`)
  }

  #blobsOf (name: string): Map<string, Uint8Array> {
    const blobs = this.#blobs.get(name) ?? new Map<string, Uint8Array>()
    this.#blobs.set(name, blobs)
    return blobs
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

  /** A node's process is killed: nothing that it would still say or write is said or written. */
  async kill (node: MeshNode): Promise<void> {
    const books = this.copyBooks(node.name)
    await this.lose(node)
    await (await books)()
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await Promise.all([...this.#nodes].map(node => node.stop()))
    await this.opened.disposeAsync()
  }
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
