/**
 * A guest that fans out and folds: it counts the primes below a number by having parts of the range counted by
 * children of itself, anywhere in a mesh, beside the same count in one guest on one node.
 *
 *   node examples/sieve/main.ts [--below 20000000] [--parts 32] [--sellers 2] [--json]
 *
 * Sellers are nodes on this machine here; with addresses of others it is the same program.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { parseArgs } from 'node:util'
import { CREDIT, join, type Node, type Result, verifyReceipt } from '../../src/index.ts'
import { compileSieve } from './compile.ts'

const { values } = parseArgs({
  options: { below: { type: 'string', default: '20000000' }, parts: { type: 'string', default: '32' }, sellers: { type: 'string', default: '2' }, json: { type: 'boolean', default: false } }
})
const [below, parts, sellers] = [values.below, values.parts, values.sellers].map(Number) as [number, number, number]
/** Fuel of the whole, and of each part: more than enough. What a part may cost at most is held while it is under way. */
const FUEL = 2_000_000_000n + 1_000n * BigInt(below)
const FUEL_OF_PART = FUEL / BigInt(parts + 1)

async function count (node: Node, wasm: Uint8Array, ways: number): Promise<{ result: Result, ms: number }> {
  const began = performance.now()
  const result = await node.compute(wasm, `2 ${below} ${ways} ${FUEL_OF_PART}`, { where: node.id, costMax: 100n * CREDIT, limits: { fuelMax: FUEL, memoryPagesMax: 1_024 }, cache: false })
  return { result, ms: Math.round(performance.now() - began) }
}

const folder = await mkdtemp(joinPath(tmpdir(), 'inos-sieve-'))
try {
  await using nodes = new AsyncDisposableStack()
  const addresses: string[] = []
  for (let at = 0; at < sellers; at++) {
    const seller = nodes.use(await join({ dataDir: joinPath(folder, `seller-${at}`), listen: ['/ip4/127.0.0.1/tcp/0'], slots: 1 }))
    addresses.push(seller.addresses()[0]!)
  }
  const node = nodes.use(await join({ dataDir: joinPath(folder, 'caller'), peers: addresses, slots: 1 }))
  const wasm = await compileSieve()
  const alone = await count(node, wasm, 1)
  const fanned = await count(node, wasm, parts)
  const { below: receipts } = await verifyReceipt(fanned.result.receipt)
  const executors = new Set(receipts.map(({ executor }) => executor))
  const report = {
    primes: fanned.result.text(), same: fanned.result.text() === alone.result.text(), parts, receipts: receipts.length, executors: executors.size,
    alone: { ms: alone.ms, fuel: String(alone.result.fuel) }, fanned: { ms: fanned.ms, fuel: String(fanned.result.fuel), cost: String(fanned.result.cost) }
  }
  if (values.json) console.log(JSON.stringify(report))
  else {
    console.log(`${report.primes} primes below ${below}`)
    console.log(`one guest on one node: ${alone.ms} ms, fuel ${alone.result.fuel}`)
    console.log(`${parts} children on ${executors.size} nodes: ${fanned.ms} ms, fuel ${fanned.result.fuel}, ${fanned.result.cost} µcr for what others did, ${receipts.length} receipts below its own, all valid`)
  }
  if (!report.same) process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
}
