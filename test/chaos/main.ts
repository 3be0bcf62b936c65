/**
 * The campaign of chaos: `npm run chaos -- --jobs N --seed S`.
 *
 * Five `inos up` in network namespaces of their own, TCP through a relay that delays, loses and
 * reorders packets, links that are cut, nodes that are killed; `campaign.ts` says what must hold. Last line: JSON.
 */
import { parseArgs } from 'node:util'
import { runCampaign } from './campaign.ts'
import { hostless } from './hosts.ts'

const { values } = parseArgs({ options: { jobs: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } } })
const [jobs, seed] = [values.jobs, values.seed].map(Number) as [number, number]
if (!Number.isSafeInteger(jobs) || jobs < 1 || !Number.isSafeInteger(seed)) {
  console.error('usage: npm run chaos -- [--jobs N] [--seed S], both whole numbers')
  process.exit(64)
}
const why = hostless()
if (why !== null) {
  console.error(`No campaign here: ${why}.`)
  process.exit(69)
}
const report = await runCampaign(jobs, seed, line => { console.error(line) })
for (const problem of report.problems.slice(0, 20)) console.error(problem)
console.log(JSON.stringify({ ...report, problems: report.problems.length }))
process.exitCode = report.ok ? 0 : 1
