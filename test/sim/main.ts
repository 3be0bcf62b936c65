/**
 * The simulation of a mesh: `npm run sim:mesh -- --nodes N --seed S`; what happens is in `simulate.ts`. Last
 * line: JSON. With `--memory` the same for 10, 100 and 1,000 nodes, each in a process of its own, and what one node takes there.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LIMITS } from '../../src/packet/limits.ts'
import { simulate } from './simulate.ts'

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '100' }, seed: { type: 'string', default: '1' }, jobs: { type: 'string', default: '2' },
    loss: { type: 'string', default: '0.1' }, duplicate: { type: 'string', default: '0.002' }, churn: { type: 'string', default: '0.3' }, memory: { type: 'boolean', default: false }
  }
})
const [nodes, seed, jobs, loss, duplicate, churn] = [values.nodes, values.seed, values.jobs, values.loss, values.duplicate, values.churn].map(Number) as [number, number, number, number, number, number]
const isShare = (share: number): boolean => share >= 0 && share < 1
if (!Number.isSafeInteger(nodes) || nodes < 10 || nodes > LIMITS.testing.nodesMax || !Number.isSafeInteger(seed) || !(jobs > 0) || ![loss, duplicate, churn].every(isShare)) {
  console.error(`usage: npm run sim:mesh -- [--nodes 10…${LIMITS.testing.nodesMax}] [--seed S] [--jobs PER-NODE] [--loss SHARE] [--duplicate SHARE] [--churn SHARE] [--memory]`)
  process.exit(64)
}

if (values.memory) compareSizes()
else await simulateOne()

async function simulateOne (): Promise<void> {
  const began = performance.now()
  const { firstOfferMs, discoveryMs, quietMessages, messagesPerJob, bytesPerJob, memory, ...report } = await simulate({ nodes, seed, jobs, loss, duplicate, churn })
  const ok = report.problems.length === 0
  for (const problem of report.problems.slice(0, 20)) console.error(problem)
  console.error(`trace ${report.trace}`)
  console.log(JSON.stringify({
    ok, nodes, seed, loss, duplicate, churn, ...report, problems: report.problems.length,
    firstOfferMs: quantiles(firstOfferMs), discoveryMs: quantiles(discoveryMs), quietMessages: quantiles(quietMessages),
    messagesPerJob: Math.round(messagesPerJob), bytesPerJob: Math.round(bytesPerJob), bytesPerNode: Math.round(memory / nodes), realMs: Math.round(performance.now() - began)
  }))
  process.exitCode = ok ? 0 : 1
}

function quantiles (sorted: readonly number[]): { median: number, most: number } {
  return { median: sorted[sorted.length >> 1]!, most: sorted.at(-1)! }
}

function compareSizes (): void {
  const sizes = [10, 100, 1_000].map(size => {
    const out = execFileSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), '--nodes', `${size}`, '--seed', `${seed}`, '--jobs', `${jobs}`], { encoding: 'utf8' })
    const { bytesPerNode } = JSON.parse(out) as { bytesPerNode: number }
    console.error(`${size} nodes: ${bytesPerNode} bytes each`)
    return { nodes: size, bytesPerNode }
  })
  const ok = sizes.every(({ bytesPerNode }) => bytesPerNode <= sizes[0]!.bytesPerNode)
  console.log(JSON.stringify({ ok, seed, sizes }))
  process.exitCode = ok ? 0 : 1
}
