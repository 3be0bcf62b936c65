/**
 * The link to a node of this very page. Every question of the local API that the page asks has its answer here, by the methods of the node;
 * they check what they are given.
 */
import { type ActorRequest, operateActor } from '../src/assembly/actor-requests.ts'
import { contentsOf, keepContents, rerun, storedReceipt, verdictOf } from '../src/assembly/verdict.ts'
import { countWork, type WorkView } from '../src/assembly/work-done.ts'
import type { Node, SettingsChange } from '../src/browser/join.ts'
import { verify } from '../src/browser/platform.ts'
import { isMap } from '../src/packet/envelope.ts'
import { toInosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'
import type { InviteOptions } from '../src/network/mesh-views.ts'
import type { ComputeOptions, ProcessorEvents } from '../src/processor/processor.ts'
import { decodeBytes, encodeBytes, type Link, type NodeEvent, Refusal, type ToldBytes } from './link.ts'

const EVENTS = ['peer:connect', 'peer:disconnect', 'reach:change', 'job:state', 'job:end', 'credits:change', 'credits:broken', 'receipt'] as const satisfies readonly (keyof ProcessorEvents)[]

/** What is asked, as the views ask it. */
type Asked = never

interface Job { readonly wasm: Uint8Array, readonly input: Uint8Array, readonly options: ComputeOptions }

/** A list as long as a page needs, its latest entries. */
async function latest<T> (list: AsyncIterable<T>): Promise<T[]> {
  return (await Array.fromAsync(list)).slice(-LIMITS.dashboard.itemsMax)
}

export type Pauses = NonNullable<WorkView['pauses']>

/** What the page around it wants to know. */
export interface Around {
  /** As chosen before. */
  readonly pauses: Pauses
  /** Chosen anew. */
  chose (pauses: Pauses): void
  /** The page has stopped the node. */
  left (): void
}

function operationsOf (node: Node, work: Awaited<ReturnType<typeof countWork>>, around: Around): Readonly<Record<string, (asked: Asked) => unknown>> {
  const { signal } = new AbortController()
  let { pauses } = around
  return {
    status: () => ({ id: node.id, addresses: node.addresses(), notes: notesOf(node) }),
    credits: () => node.credits(),
    account: () => node.account(),
    history: () => latest(node.history()),
    jobs: () => node.jobs(),
    receipts: () => latest(node.receipts()),
    peers: () => node.peers(),
    reachability: () => node.reachability(),
    knownPeers: () => node.knownPeers(),
    trade: () => node.trade(),
    mesh: () => node.mesh(),
    blobs: () => node.blobs.ls(),
    blobUsage: () => node.blobs.usage(),
    work: () => ({ ...work.view(), ...node.work(), pauses }) satisfies WorkView,
    run: async ({ wasm, input, options }: Job) => {
      await keepContents(node.blobs, contentsOf(wasm, input, options), signal)
      const { text: _text, json: _json, state: _state, ...plain } = await node.run(wasm, input, options)
      // A result is none the worse where there is no room for this.
      await keepContents(node.blobs, [plain.spec], signal).catch(() => {})
      return plain
    },
    connect: (address: string) => node.connect(address),
    explain: (job: string) => node.explain(job),
    cancel: (job: string) => { node.cancel(job) },
    receipt: (id: string) => node.receipt(id),
    forget: (peer: string) => node.forget(peer),
    setTrade: ({ prices, ...change }: SettingsChange) => node.setTrade({ ...change, ...(prices === undefined ? {} : { prices: Object.fromEntries(Object.entries(prices).map(([name, price]) => [name, price === null ? null : BigInt(price)])) }) }),
    serve: (on: boolean) => { node.serve(on) },
    pause: (chosen: Pauses) => {
      pauses = chosen
      node.pause(chosen)
      around.chose(chosen)
    },
    invite: (options: InviteOptions) => node.invite(options),
    actor: (request: ActorRequest) => operateActor(node, request),
    pinBlob: (cid: string) => node.blobs.pin(cid),
    unpinBlob: (cid: string) => node.blobs.unpin(cid),
    removeBlob: (cid: string) => node.blobs.rm(cid),
    collectBlobs: () => node.blobs.gc(),
    verify: (file: Uint8Array) => verdictOf(file, verify),
    verifyStored: async (id: string) => verdictOf(await storedReceipt(node, id), verify),
    rerun: async (id: string) => await rerun(node, await storedReceipt(node, id), verify, signal),
    stop: async () => {
      await node.stop()
      around.left()
    }
  }
}

/** @throws {InosError} ERR_STORE when its receipts cannot be counted */
export async function linkInPage (node: Node, around: Around): Promise<Link> {
  const operations = operationsOf(node, await countWork(node), around)
  return {
    async ask<T> (name: string, argument: unknown = null): Promise<T> {
      try {
        return toTold(await operations[name]!(fromTold(argument) as Asked) ?? null) as T
      } catch (thrown) {
        const { code, message, hint } = toInosError(thrown)
        throw new Refusal(code, message, hint ?? null)
      }
    },
    listen (hear, live) {
      let count = 0
      const tell = (name: string, detail: unknown): void => { hear({ id: `here-${++count}`, name, detail: toTold(detail) } satisfies NodeEvent) }
      for (const name of EVENTS) node.on(name, detail => { tell(name, detail) })
      node.onWork(work => { tell('work', work) })
      live(true, '')
    }
  }
}

function notesOf ({ persistent, lacks }: Node): string[] {
  return [...persistent ? [] : ['The browser may clear what this tab keeps when room gets short, and with it its identity and what it has earned.'], ...lacks]
}

function toTold (value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array) return encodeBytes(value)
  if (Array.isArray(value)) return value.map(toTold)
  return isMap(value) ? Object.fromEntries(Object.entries(value).map(([name, field]) => [name, toTold(field)])) : value
}

function fromTold (value: unknown): unknown {
  if (!isMap(value)) return value
  if (isMap(value['/'])) return decodeBytes(value as unknown as ToldBytes)
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, fromTold(field)]))
}
