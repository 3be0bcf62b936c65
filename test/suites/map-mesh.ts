/**
 * A map over a mesh that breaks while it runs: five sellers in processes of their own, of which two are killed, one is frozen,
 * one charges above its offer and one says that it burnt more fuel than it did; a sixth joins on the way. Every item must
 * come once, be right, be paid once, and all of it within the budget; the two that cheat get nothing.
 *
 * npm run map:mesh -- --items 10000 --seed 1        prints one JSON object; exit code 1 when something does not hold
 */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { join, type MapItem, type MapProgress, type Node, verifyReceipt } from '../../src/index.ts'
import { drawsOf } from '../prop/sequence.ts'
import { echo } from '../programs.ts'
import type { Manner } from './map-mesh-node.ts'

export interface MapMeshReport {
  readonly items: number
  readonly seed: number
  readonly seconds: number
  /** Items begun again elsewhere, and tries that ended otherwise, by code. */
  readonly repeats: number
  readonly attempts: Readonly<Record<string, number>>
  /** Items done, by seller. */
  readonly done: Readonly<Record<string, number>>
  /** µcr. */
  readonly charged: string
  readonly budget: string
}

interface Seller { readonly name: string, readonly child: ChildProcess, readonly id: string, readonly address: string }

const ENTRY = fileURLToPath(new URL('map-mesh-node.ts', import.meta.url))
/** About 1.2 million units of fuel. */
const GUEST = echo(200_000)
const LIMITS_OF_ITEM = { fuelMax: 5_000_000n, memoryPagesMax: 16, outputBytesMax: 4_096 }
/** An item costs about 1,400 µcr at the prices of an idle node, and more where a node is busy. */
const BUDGET_PER_ITEM = 6_000n
const BUDGET_BESIDE = 2_000_000n
/** Each answers wrongly at most as often as it was asked before its first answer was looked at. */
const WRONG_MAX = 40

/** @throws what does not hold */
export async function runMapMesh (items: number, seed: number): Promise<MapMeshReport> {
  const root = mkdtempSync(joinPath(tmpdir(), 'inos-map-'))
  const sellers = new Map<string, Seller>()
  const start = async (name: string, manner: Manner): Promise<Seller> => {
    const child = fork(ENTRY, [joinPath(root, name), manner], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    const [{ id, address }] = await Promise.race([once(child, 'message') as Promise<[{ id: string, address: string }]>, once(child, 'exit').then(() => { throw new Error(`${name} did not start`) })])
    const seller = { name, child, id, address }
    sellers.set(name, seller)
    return seller
  }
  try {
    for (const name of ['first', 'second', 'third']) await start(name, 'honest')
    await start('inflates', 'inflates')
    await start('overcharges', 'overcharges')
    await using buyer = await join({ dataDir: joinPath(root, 'buyer'), peers: [...sellers.values()].map(({ address }) => address), serve: false, slots: 1 })
    const events = eventsOf(items, seed, buyer, sellers, () => start('sixth', 'honest'))
    return await play(buyer, items, seed, sellers, events)
  } finally {
    for (const { child } of sellers.values()) child.kill('SIGKILL')
    rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** What happens when so many items are done, in their order. */
function eventsOf (items: number, seed: number, buyer: Node, sellers: ReadonlyMap<string, Seller>, sixth: () => Promise<Seller>): { readonly at: number, readonly run: () => Promise<unknown> }[] {
  const draw = drawsOf(seed)
  const around = (percent: number): number => Math.floor(items * (percent + draw(10)) / 100)
  const signal = (name: string, what: NodeJS.Signals) => async (): Promise<unknown> => sellers.get(name)!.child.kill(what)
  return [
    { at: around(10), run: signal('first', 'SIGKILL') },
    { at: around(25), run: async () => await buyer.connect((await sixth()).address) },
    { at: around(45), run: signal('second', 'SIGKILL') },
    { at: around(65), run: signal('third', 'SIGSTOP') }
  ]
}

async function play (buyer: Node, items: number, seed: number, sellers: ReadonlyMap<string, Seller>, events: ReturnType<typeof eventsOf>): Promise<MapMeshReport> {
  const budget = BigInt(items) * BUDGET_PER_ITEM + BUDGET_BESIDE
  const inputs = Array.from({ length: items }, (_, at) => `item ${at} of ${seed}`)
  const results = new Map<number, MapItem>()
  let progress: MapProgress | null = null
  const began = performance.now()
  const onProgress = (report: MapProgress): void => {
    progress = report
    assert.ok(report.cost + report.held <= budget, 'the budget holds at every moment')
  }
  for await (const item of buyer.map(GUEST, inputs, { where: 'remote', ordered: false, limits: LIMITS_OF_ITEM, budget, verify: { audit: 0.02 }, onProgress })) {
    assert.ok(!results.has(item.index), 'every item comes once')
    assert.equal(item.text(), inputs[item.index])
    results.set(item.index, item)
    // Not waited for: the map goes on meanwhile.
    while (events[0] !== undefined && results.size >= events[0].at) await events.shift()!.run()
  }
  const seconds = (performance.now() - began) / 1_000
  assert.equal(results.size, items)
  sellers.get('third')!.child.kill('SIGCONT')
  await assertBooks(buyer, [...results.values()], sellers, budget)
  const attempts = countOf([...results.values()].flatMap(({ attempts }) => attempts), ({ peer, code }) => `${nameOf(sellers, peer)} ${code}`)
  for (const cheat of ['inflates', 'overcharges']) {
    const wrong = attempts[`${cheat} ERR_VERIFICATION`] ?? 0
    assert.ok(wrong > 0 && wrong <= WRONG_MAX, `${cheat} is found out and avoided, after ${wrong} answers`)
  }
  return {
    items, seed, seconds: Number(seconds.toFixed(1)), repeats: progress!.repeats, attempts, done: countOf([...results.values()], ({ executor }) => nameOf(sellers, executor)),
    charged: `${[...results.values()].reduce((sum, { cost }) => sum + cost, 0n)}`, budget: `${budget}`
  }
}

/** Paid once: one receipt for each input, none by those that cheat; nothing stays held, and the books add up. */
async function assertBooks (buyer: Node, results: readonly MapItem[], sellers: ReadonlyMap<string, Seller>, budget: bigint): Promise<void> {
  for (const end = Date.now() + 60_000; buyer.credits().held > 0n && Date.now() < end;) await sleep(100)
  const { held, spent, owed } = buyer.credits()
  assert.equal(held, 0n, 'nothing stays held')
  assert.ok(spent + owed <= budget)
  const inputs = new Set<string>()
  let charged = 0n
  for await (const { id, peer, charge } of buyer.receipts()) {
    const { input } = await verifyReceipt((await buyer.receipt(id))!)
    assert.ok(!inputs.has(input), 'no item is paid twice')
    inputs.add(input)
    assert.ok(!['inflates', 'overcharges'].includes(nameOf(sellers, peer)), 'who cheats is not paid')
    charged += charge
  }
  assert.equal(inputs.size, results.length)
  assert.equal(charged, spent + owed)
  assert.equal(charged, results.reduce((sum, { cost }) => sum + cost, 0n))
  const { ok, bad } = await buyer.audit()
  assert.deepEqual([ok, bad.length], [true, 0])
}

function nameOf (sellers: ReadonlyMap<string, Seller>, id: string): string {
  return sellers.values().find(seller => seller.id === id)?.name ?? id
}

function countOf<T> (all: readonly T[], name: (one: T) => string): Record<string, number> {
  return Object.fromEntries(Map.groupBy(all, name).entries().map(([key, group]) => [key, group.length]))
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { items: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } } })
  console.log(JSON.stringify(await runMapMesh(Number(values.items), Number(values.seed)), null, 2))
  process.exit(0)
}
