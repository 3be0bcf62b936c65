/**
 * What a tree of children costs: a thousand of them on three levels, on one node and on several, each with executor
 * processes of its own, over TCP on this machine. Last line: JSON.
 *
 *   npm run bench:family [-- --levels 3] [--width 10] [--nodes 3] [--work 1000]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { parseArgs } from 'node:util'
import { CREDIT, join, type Node, verifyReceipt } from '../src/index.ts'
import { FAN, fanInput, fanSize } from '../test/family-guests.ts'

const { values } = parseArgs({
  options: { levels: { type: 'string', default: '3' }, width: { type: 'string', default: '10' }, nodes: { type: 'string', default: '3' }, work: { type: 'string', default: '1000' } }
})
const [levels, width, nodes, work] = [values.levels, values.width, values.nodes, values.work].map(Number) as [number, number, number, number]
const FUEL = 2n ** 40n
const descendants = fanSize({ levels, width })
const line = 100_000n * CREDIT

async function measure (count: number): Promise<Record<string, string | number>> {
  const folder = await mkdtemp(joinPath(tmpdir(), 'inos-bench-family-'))
  try {
    await using open = new AsyncDisposableStack()
    const all: Node[] = []
    for (let at = 0; at < count; at++) {
      const peers = all.map(node => node.addresses()[0]!)
      all.push(open.use(await join({ dataDir: joinPath(folder, String(at)), listen: ['/ip4/127.0.0.1/tcp/0'], peers, resultCache: false, lineMax: line, poolMax: line, sellerPoolMax: line })))
    }
    const root = all.at(-1)!
    const run = (shape: { levels: number, width: number }): ReturnType<Node['compute']> => root.compute(FAN, fanInput({ ...shape, work, fuel: FUEL }), {
      where: root.id, costMax: 10_000n * CREDIT, limits: { fuelMax: FUEL, memoryPagesMax: 1, outputBytesMax: 64, descendantsMax: descendants }
    })
    // Executors for all levels are started before.
    await run({ levels, width: 1 })
    const began = performance.now()
    const { bytes, fuel, cost, receipt } = await run({ levels, width })
    const ms = performance.now() - began
    const verifying = performance.now()
    const { below } = await verifyReceipt(receipt)
    return {
      nodes: count, ms: Math.round(ms), msPerChild: Number((ms / descendants).toFixed(2)), counted: new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true), receipts: below.length + 1,
      executors: new Set(below.map(({ executor }) => executor)).size, fuel: String(fuel), cost: String(cost), treeBytes: receipt.length, verifyMs: Math.round(performance.now() - verifying)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const rows: Record<string, string | number>[] = []
for (let count = 1; count <= nodes; count++) {
  const row = await measure(count)
  rows.push(row)
  console.error(Object.entries(row).map(([name, value]) => `${name} ${value}`).join('  '))
}
const same = new Set(rows.map(({ fuel, counted }) => `${fuel} ${counted}`)).size === 1
console.log(JSON.stringify({ ok: same && rows.every(({ receipts }) => receipts === descendants + 1), descendants, levels, rows }))
process.exitCode = same ? 0 : 1
